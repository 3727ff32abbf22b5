//! Cores are put together on the first one, and set to work.

use super::{Parts, StartError, app, io_area, stack};
use crate::arch::smp;
use crate::dataplane::{self, Core, Fleet, FlowGroup, Group, Link, Processor, Team, Wait, Watchdog};
use crate::host;
use crate::mem::UserVirt;
use crate::mem::frames::Frames;
use crate::mem::mbuf::Pool;
use crate::nic::Nic;
use crate::nic::steered::{self, Remote};
use crate::settings::{Ip4, Settings};
use crate::user::Seat;
use crate::user::random::Random;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use ix_abi::host::area::Outcome;
use netstack::rss::{Home, KEY_BYTES, Steering};

/// One core has the card to itself.
pub(super) fn alone<N: Nic + Send + 'static>(nic: N, parts: Parts) -> Result<Outcome, StartError> {
    let (mut yard, pool) = Yard::new(parts);
    let core = yard.core(nic, pool, None)?;
    yard.run(core, Vec::new(), Vec::new())
}

/// Several share it: those with a queue of the card's, and those that get what these hand on.
pub(super) fn sharing<N: Nic + Send + 'static>(queues: Vec<N>, parts: Parts) -> Result<Outcome, StartError> {
    let (mut yard, pool) = Yard::new(parts);
    let mut key = [0; KEY_BYTES];
    yard.random.fill(&mut key);
    let (steering, lease) = (Arc::new(Steering::new(&key)), Arc::default());
    let cores = yard.settings.cores;
    if queues.len() < cores {
        let with = queues.len();
        log::warn!(
            "{with} of {cores} cores have a queue of the network card; the others get what these hand on"
        );
    }
    let (hubs, remotes) = steered::share(queues, &steering, pool.region(), cores);
    let mut pools = (0..).zip(pool.shared(hubs.len(), cores));
    let mut place = || {
        let (core, pool) = pools.next().ok_or(StartError::NoMemory)?;
        let (steering, lease) = (Arc::clone(&steering), Arc::clone(&lease));
        Ok::<_, StartError>((
            pool,
            Some(Home {
                steering,
                core,
                lease,
            }),
        ))
    };
    let mut with_queues = Vec::new();
    for nic in hubs {
        let (pool, home) = place()?;
        with_queues.push(yard.core(nic, pool, home)?);
    }
    let mut without = Vec::new();
    for nic in remotes {
        let (pool, home) = place()?;
        without.push(yard.core(nic, pool, home)?);
    }
    let mut hubs = with_queues.into_iter();
    let first = hubs.next().ok_or(StartError::NoNic)?;
    yard.run(first, hubs, without)
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

    /// The next core; boxed, for it is large, and the stack we are on is not.
    fn core<N: Nic>(&mut self, nic: N, pool: Pool, home: Option<Home>) -> Result<Box<Core<N>>, StartError> {
        let (region, number) = (pool.region(), home.as_ref().map_or(0, |home| home.core));
        let buffers = (region.count(), self.share);
        let stack = stack(&nic, buffers, home.clone(), &self.settings, &mut self.random)?;
        let io = io_area(&mut self.frames, &nic, (region, number.into()), &self.settings)?;
        self.io_areas.push(io.address());
        let parts = dataplane::Parts {
            links: Vec::from([Link::new(nic, stack)]),
            pool,
            io,
            home,
        };
        let core = Core::new(parts, self.settings.batch as usize, Arc::clone(&self.team));
        let core = Box::new(core);
        self.counters.push(core.counter_names());
        Ok(core)
    }

    /// Loads the app and has all cores run it, to its end.
    fn run<N: Nic + Send + 'static>(
        mut self,
        mut first: Box<Core<N>>,
        hubs: impl IntoIterator<Item = Box<Core<N>>>,
        remotes: Vec<Box<Core<Remote>>>,
    ) -> Result<Outcome, StartError> {
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
        let seat = app.seat(0);
        if self.settings.ip == Some(Ip4::Dhcp) {
            match first.wait_for_address(&seat, self.settings.dhcp_wait) {
                Wait::Over => {}
                Wait::TimedOut => return Err(StartError::NoLease(self.settings.dhcp_wait)),
                Wait::Stopped => return Ok(Outcome::Exited(0)),
            }
        }
        let mut others: Vec<Box<dyn Group>> = Vec::new();
        for (mut core, number) in hubs.into_iter().zip(1..) {
            core.follow_lease();
            others.push(group(core, app.seat(number), watchdog));
        }
        let numbers = others.len() + 1..;
        for (mut core, number) in remotes.into_iter().zip(numbers) {
            core.follow_lease();
            others.push(group(core, app.seat(number), watchdog));
        }
        let fleet = Fleet::new(self.settings.cores, self.settings.idle);
        for (number, group) in (1..).zip(others) {
            let mut processor = Processor::new(number, Arc::clone(&fleet), group);
            smp::run_on(number, move || processor.run());
        }
        Processor::new(0, fleet, group(first, seat, watchdog)).run();
        Ok(app.outcome().unwrap_or(Outcome::Running))
    }
}

fn group<N: Nic + Send + 'static>(core: Box<Core<N>>, seat: Seat, watchdog: Watchdog) -> Box<dyn Group> {
    Box::new(FlowGroup { core, seat, watchdog })
}
