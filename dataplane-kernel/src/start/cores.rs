//! Cores are put together on the first one, and set to work.

use super::{Parts, StartError, app, io_area, stack};
use crate::arch::smp;
use crate::dataplane::{self, Core, Team, Wait, Watchdog};
use crate::host;
use crate::mem::UserVirt;
use crate::mem::frames::Frames;
use crate::mem::mbuf::Pool;
use crate::nic::Nic;
use crate::nic::steered::{Remote, Steered};
use crate::settings::{Ip4, Settings};
use crate::user::random::Random;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use ix_abi::host::area::Outcome;
use netstack::rss::{Home, KEY_BYTES, Steering};

/// One core has the card to itself.
pub(super) fn alone<N: Nic>(nic: N, parts: Parts) -> Result<Outcome, StartError> {
    let (mut yard, pool) = Yard::new(parts);
    let core = yard.core(nic, pool, None)?;
    yard.run(core, Vec::new())
}

/// Several share it: core 0 has the card, the others what it hands on.
pub(super) fn sharing<N: Nic>(nic: N, parts: Parts) -> Result<Outcome, StartError> {
    let (mut yard, pool) = Yard::new(parts);
    let mut key = [0; KEY_BYTES];
    yard.random.fill(&mut key);
    let steering = Arc::new(Steering::new(&key));
    let cores = yard.settings.cores;
    let (nic, shares) = Steered::share(nic, Arc::clone(&steering), pool.region(), cores);
    let (pool, pools) = pool.shared(cores - 1);
    let home = |core| {
        let steering = Arc::clone(&steering);
        Some(Home { steering, core })
    };
    let first = yard.core(nic, pool, home(0))?;
    let others = (1..).zip(shares.into_iter().zip(pools));
    let others = others.map(|(core, (share, pool))| yard.core(share, pool, home(core)));
    let others = others.collect::<Result<_, _>>()?;
    yard.run(first, others)
}

/// What cores are made from, and what is known of those made.
struct Yard {
    frames: Frames,
    random: Random,
    file: &'static [u8],
    settings: Settings,
    /// Buffers that the app may hold of each core's.
    share: u32,
    team: Arc<Team>,
    io_areas: Vec<UserVirt>,
    counters: Vec<Vec<&'static str>>,
}

impl Yard {
    fn new(parts: Parts) -> (Self, Pool) {
        let Parts {
            frames,
            pool,
            random,
            file,
            settings,
        } = parts;
        let cores = u32::try_from(settings.cores).unwrap_or(1);
        let yard = Yard {
            frames,
            random,
            file,
            share: (pool.count() - pool.count() / 8 - pool.in_large()) / cores,
            team: Arc::new(Team::new(settings.cores)),
            io_areas: Vec::new(),
            counters: Vec::new(),
            settings,
        };
        (yard, pool)
    }

    /// The next core.
    fn core<N: Nic>(&mut self, nic: N, pool: Pool, home: Option<Home>) -> Result<Core<N>, StartError> {
        let (region, number) = (pool.region(), home.as_ref().map_or(0, |home| home.core));
        let buffers = (region.count(), self.share);
        let stack = stack(&nic, buffers, home.clone(), &self.settings, &mut self.random)?;
        let io = io_area(&mut self.frames, &nic, (region, number.into()), &self.settings)?;
        self.io_areas.push(io.address());
        let parts = dataplane::Parts {
            nic,
            pool,
            stack,
            io,
            home,
        };
        let core = Core::new(parts, self.settings.batch as usize, Arc::clone(&self.team));
        self.counters.push(core.counter_names());
        Ok(core)
    }

    /// Loads the app and has all cores run it, to its end.
    fn run<N: Nic>(mut self, mut first: Core<N>, others: Vec<Core<Remote>>) -> Result<Outcome, StartError> {
        // The app comes last: what is left of memory is its own.
        let app = app(&mut self.frames, self.file, &self.settings, self.io_areas)?;
        let names: Vec<_> = app.counters().map(|(name, _)| name).collect();
        self.team.describe(&self.counters, &names);
        let watchdog = Watchdog {
            late: self.settings.watchdog,
            kill: self.settings.watchdog_kill,
        };
        if let Some(area) = host::area() {
            area.stage.store(1, Ordering::Release);
        }
        let mut seat = app.seat(0);
        if self.settings.ip == Some(Ip4::Dhcp) {
            match first.wait_for_address(&seat, self.settings.dhcp_wait) {
                Wait::Over => {}
                Wait::TimedOut => return Err(StartError::NoLease(self.settings.dhcp_wait)),
                Wait::Stopped => return Ok(Outcome::Exited(0)),
            }
        }
        for (core, mut other) in (1..).zip(others) {
            let mut seat = app.seat(core);
            smp::run_on(core, move || other.serve(&mut seat, watchdog));
        }
        first.serve(&mut seat, watchdog);
        Ok(app.outcome().unwrap_or(Outcome::Running))
    }
}
