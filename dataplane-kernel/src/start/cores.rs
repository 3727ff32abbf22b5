//! Cores are put together on the first one, and set to work.

use super::{Parts, StartError, app, io_area, stack};
use crate::arch::smp;
use crate::dataplane::{
    self, Core, CounterName, Fleet, FlowGroup, Group, Link, Processor, Team, Wait, Watchdog,
};
use crate::host;
use crate::mem::UserVirt;
use crate::mem::frames::Frames;
use crate::mem::mbuf::{Pool, Region};
use crate::nic::Nic;
use crate::nic::either::Either;
use crate::nic::steered::{self, Remote, Steered};
use crate::settings::{LinkSettings, Settings};
use crate::user::Seat;
use crate::user::random::Random;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use ix_abi::host::area::Outcome;
use netstack::SharedLease;
use netstack::rss::{Home, KEY_BYTES, Steering};

/// One core has the cards, one for each link, to itself.
pub(super) fn alone<N: Nic + Send + 'static>(nics: Vec<N>, parts: Parts) -> Result<Outcome, StartError> {
    let (mut yard, pool) = Yard::new(parts);
    let core = yard.core(nics, pool, None)?;
    yard.run(core, Vec::new(), Vec::new())
}

/// Several share the card of the only link: those with a queue of it, and those that get what these hand on.
pub(super) fn sharing<N: Nic + Send + 'static>(queues: Vec<N>, parts: Parts) -> Result<Outcome, StartError> {
    let (mut yard, pool) = Yard::new(parts);
    let steering = yard.steering();
    let (hubs, remotes) = yard.share(queues, &steering, pool.region());
    let mut places = places(pool.shared(hubs.len(), yard.settings.cores), &steering);
    let mut with_queues = Vec::new();
    for (nic, (pool, home)) in hubs.into_iter().zip(&mut places) {
        with_queues.push(yard.core(vec![nic], pool, home)?);
    }
    let mut without = Vec::new();
    for (nic, (pool, home)) in remotes.into_iter().zip(places) {
        without.push(yard.core(vec![nic], pool, home)?);
    }
    let mut hubs = with_queues.into_iter();
    let first = hubs.next().ok_or(StartError::NoNic)?;
    yard.run(first, hubs, without)
}

/// Several share the cards of several links. A core may have a queue of one card, and none of another that has fewer.
pub(super) fn sharing_several<N: Nic + Send + 'static>(
    links: Vec<Vec<N>>,
    parts: Parts,
) -> Result<Outcome, StartError> {
    let (mut yard, pool) = Yard::new(parts);
    let steering = yard.steering();
    let mut receivers = 1;
    let mut shares = Vec::new();
    for queues in links {
        let (hubs, remotes) = yard.share(queues, &steering, pool.region());
        receivers = receivers.max(hubs.len());
        let hubs = hubs.into_iter().map(Either::Left);
        shares.push(hubs.chain(remotes.into_iter().map(Either::Right)));
    }
    let mut cores = Vec::new();
    for (pool, home) in places(pool.shared(receivers, yard.settings.cores), &steering) {
        let nics = shares.iter_mut().filter_map(Iterator::next).collect();
        cores.push(yard.core(nics, pool, home)?);
    }
    let mut cores = cores.into_iter();
    let first = cores.next().ok_or(StartError::NoNic)?;
    yard.run(first, cores, Vec::new())
}

/// A core among several: what they steer by, and its number.
type Place = (Arc<Steering>, u8);

/// The cores with these pools, by their numbers.
fn places(pools: Vec<Pool>, steering: &Arc<Steering>) -> impl Iterator<Item = (Pool, Option<Place>)> {
    let place = |core| (Arc::clone(steering), core);
    pools
        .into_iter()
        .zip((0..).map(place))
        .map(|(pool, place)| (pool, Some(place)))
}

/// What cores are made from, and what is known of those made.
struct Yard {
    frames: Frames,
    random: Random,
    file: &'static [u8],
    settings: Settings,
    /// Buffers that the app may hold of each stack's.
    share: u32,
    /// What servers have given core 0, for each link.
    leases: Vec<Arc<SharedLease>>,
    team: Arc<Team>,
    io_areas: Vec<UserVirt>,
    counters: Vec<Vec<CounterName>>,
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
        let stacks = u32::try_from(settings.cores * settings.links.len()).unwrap_or(1);
        let yard = Yard {
            frames,
            random,
            file,
            share: (pool.count() - pool.count() / 8 - pool.in_large()) / stacks,
            team: Arc::new(Team::new(settings.cores)),
            leases: settings.links.iter().map(|_| Arc::default()).collect(),
            io_areas: Vec::new(),
            counters: Vec::new(),
            settings,
        };
        (yard, pool)
    }

    fn steering(&mut self) -> Arc<Steering> {
        let mut key = [0; KEY_BYTES];
        self.random.fill(&mut key);
        Arc::new(Steering::new(&key))
    }

    /// Shares a card's queues among the cores. Apart, for the sake of the stack, as is what else is done for each core.
    #[inline(never)]
    fn share<N: Nic>(
        &self,
        queues: Vec<N>,
        steering: &Arc<Steering>,
        region: Region,
    ) -> (Vec<Steered<N>>, Vec<Remote>) {
        let (with, cores) = (queues.len(), self.settings.cores);
        if with < cores {
            log::warn!(
                "{with} of {cores} cores have a queue of the network card; the others get what these hand on"
            );
        }
        steered::share(queues, steering, region, (cores, self.settings.links.len()))
    }

    /// The next core; boxed, for it is large, and the stack we are on is not.
    #[inline(never)]
    fn core<N: Nic>(
        &mut self,
        nics: Vec<N>,
        pool: Pool,
        place: Option<Place>,
    ) -> Result<Box<Core<N>>, StartError> {
        let (region, number) = (pool.region(), place.as_ref().map_or(0, |place| place.1));
        let buffers = (region.count(), self.share);
        let io = io_area(&mut self.frames, &nics, (region, number.into()), &self.settings)?;
        self.io_areas.push(io.address());
        let mut links = Vec::new();
        let mut home = None;
        for ((nic, settings), lease) in nics.into_iter().zip(&self.settings.links).zip(&self.leases) {
            home = place.clone().map(|(steering, core)| Home {
                steering,
                core,
                lease: Arc::clone(lease),
            });
            let link = (settings, home.clone());
            let stack = stack(&nic, buffers, link, &self.settings, &mut self.random);
            links.push(Link::new(nic, stack));
        }
        let parts = dataplane::Parts {
            links,
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
        remotes: impl IntoIterator<Item = Box<Core<Remote>>>,
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
        if self.settings.links.iter().any(LinkSettings::asks_for_address) {
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
