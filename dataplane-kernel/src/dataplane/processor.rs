//! A processor, and the cores it carries.
//!
//! All that a flow needs is its core's: stack, timers, buffers, arrays, and the thread that serves it in ring 3. So flows
//! move by moving their core, whole, and nothing is taken apart, sent after or put in order again: frames wait in the
//! core's queue, wherever it is read. How many processors carry cores is the launcher's to say at any time; core `c` goes
//! to processor `c` modulo that number. Several cores on a processor take turns, a batch each.

use super::Core;
use super::serve::Watchdog;
use crate::arch::sleep::{self, Woken};
use crate::arch::{places, shootdown, smp, tsc};
use crate::host;
use crate::nic::Nic;
use crate::user::Seat;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::time::Duration;
use spin::Mutex;

/// What came of a core's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// There may be more to do.
    Worked,
    /// There was nothing to do.
    Idle,
    /// There never will be.
    Over,
}

/// How long a core may use its processor: until another one is there or comes, or it is to go elsewhere.
#[derive(Debug)]
pub struct Stay<'a> {
    shared: bool,
    wanted: usize,
    fleet: &'a Fleet,
    inbox: &'a Inbox,
}

impl Stay<'_> {
    /// A core that has found nothing for so long need not go on looking.
    pub(super) fn idle_ns(&self) -> u64 {
        self.fleet.idle_ns
    }

    /// It is time to look around.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.shared || self.inbox.filled.load(Ordering::Relaxed) || self.fleet.wanted() != self.wanted
    }
}

/// A core as processors see it.
pub trait Group: Send {
    /// Its number.
    fn number(&self) -> usize;

    /// Lets it work.
    fn turn(&mut self, stay: &Stay<'_>) -> Turn;

    /// Nobody on its processor has anything to do.
    fn rest(&mut self);

    /// Until when there is nothing to do for it, in nanoseconds, if it has been idle for so long; `None`: it must go on
    /// looking.
    fn sleep_until(&mut self, idle_ns: u64) -> Option<u64>;

    /// Has its cards interrupt the processor from now on: until when that may sleep, as far as they are concerned, in
    /// nanoseconds.
    fn arm(&mut self) -> u64;

    /// They need not any more.
    fn disarm(&mut self);

    /// Its processor slept.
    fn wake(&mut self, woken: Woken);

    /// The processor is another's now.
    fn put_down(&mut self);

    /// It has come to another processor.
    fn arrive(&mut self);
}

/// A core with its seat in the app: all that its flows need.
pub struct FlowGroup<N> {
    /// The core.
    pub core: Box<Core<N>>,
    /// Its part of the app.
    pub seat: Seat,
    /// How patient it is with ring 3.
    pub watchdog: Watchdog,
}

impl<N: Nic + Send> Group for FlowGroup<N> {
    fn number(&self) -> usize {
        self.core.number
    }

    fn turn(&mut self, stay: &Stay<'_>) -> Turn {
        self.core.turn(&mut self.seat, self.watchdog, stay)
    }

    fn rest(&mut self) {
        self.core.rest(&mut self.seat);
    }

    fn sleep_until(&mut self, idle_ns: u64) -> Option<u64> {
        self.core.sleep_until(&mut self.seat, idle_ns)
    }

    fn arm(&mut self) -> u64 {
        self.core.arm()
    }

    fn disarm(&mut self) {
        self.core.disarm();
    }

    fn wake(&mut self, woken: Woken) {
        self.core.wake(woken);
    }

    fn put_down(&mut self) {
        self.seat.put_down();
    }

    fn arrive(&mut self) {
        self.core.tally.moves += 1;
    }
}

/// Cores on their way to a processor.
#[derive(Default)]
struct Inbox {
    filled: AtomicBool,
    groups: Mutex<Vec<Box<dyn Group>>>,
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("filled", &self.filled)
            .finish_non_exhaustive()
    }
}

/// What processors have in common.
#[derive(Debug)]
pub struct Fleet {
    /// How long a core looks for the next packet before it sleeps, in nanoseconds.
    idle_ns: u64,
    inboxes: Vec<Inbox>,
    /// Where each core is at work; none while it is under way.
    at: Vec<AtomicUsize>,
}

/// Under way.
const NOWHERE: usize = usize::MAX;

impl Fleet {
    /// Of so many processors, for as many cores; `idle` is how long these look for the next packet before they sleep, for
    /// ever if they never do.
    pub fn new(processors: usize, idle: Option<Duration>) -> Arc<Self> {
        let all = 0..processors.max(1);
        if idle.is_some() {
            sleep::allow();
        }
        let idle_ns = idle.map_or(u64::MAX, |idle| {
            u64::try_from(idle.as_nanos()).unwrap_or(u64::MAX)
        });
        Arc::new(Fleet {
            idle_ns,
            inboxes: all.clone().map(|_| Inbox::default()).collect(),
            at: all.map(|_| AtomicUsize::new(NOWHERE)).collect(),
        })
    }

    /// How many processors are to carry cores: what the launcher says, as far as they are there.
    #[inline]
    fn wanted(&self) -> usize {
        let wanted = host::area().map_or(0, |area| area.cores_wanted.load(Ordering::Relaxed));
        carriers(wanted, self.inboxes.len())
    }

    fn send(&self, group: Box<dyn Group>, processor: usize) {
        let Some(inbox) = self.inboxes.get(processor) else {
            return;
        };
        self.set(group.number(), NOWHERE);
        places::set(group.number(), processor);
        inbox.groups.lock().push(group);
        inbox.filled.store(true, Ordering::Release);
        smp::interrupt(processor);
    }

    fn set(&self, core: usize, processor: usize) {
        if let Some(at) = self.at.get(core) {
            at.store(processor, Ordering::Release);
        }
    }

    /// Tells the launcher once all cores are where they should be.
    fn report(&self, wanted: usize) {
        let is_there = |(core, at): (usize, &AtomicUsize)| at.load(Ordering::Acquire) == core % wanted;
        if let Some(area) = host::area()
            && self.at.iter().enumerate().all(is_there)
        {
            let carriers = u32::try_from(wanted).unwrap_or(u32::MAX);
            area.cores_active.store(carriers, Ordering::Release);
        }
    }
}

/// How many of `all` processors are to carry cores; a number that makes no sense stands for all.
fn carriers(wanted: u32, all: usize) -> usize {
    match usize::try_from(wanted) {
        Ok(wanted @ 1..) if wanted < all => wanted,
        _ => all,
    }
}

/// One of them at work.
pub struct Processor {
    number: usize,
    fleet: Arc<Fleet>,
    groups: Vec<Box<dyn Group>>,
    /// How many processors there were to carry cores when it last looked; 0: it never has.
    wanted: usize,
}

impl Processor {
    /// Carries this core, and others as they come.
    pub fn new(number: usize, fleet: Arc<Fleet>, group: Box<dyn Group>) -> Self {
        fleet.set(group.number(), number);
        let groups = Vec::from([group]);
        Processor {
            number,
            fleet,
            groups,
            wanted: 0,
        }
    }

    /// Works until core 0 is at its end, if it is the one that carries that; the machine ends then.
    pub fn run(&mut self) {
        let fleet = Arc::clone(&self.fleet);
        let Some(inbox) = fleet.inboxes.get(self.number) else {
            return;
        };
        let mut sleepy = false;
        loop {
            self.look_around(&fleet, inbox, fleet.wanted());
            let stay = Stay {
                shared: self.groups.len() > 1,
                wanted: self.wanted,
                fleet: &fleet,
                inbox,
            };
            let (is_idle, ended) = self.take_turns(&stay);
            if let Some(place) = ended
                && self.groups.remove(place).number() == 0
            {
                return;
            }
            let until = if is_idle {
                self.sleep_until(fleet.idle_ns)
            } else {
                None
            };
            match until {
                // What came before it was announced is not told.
                Some(_) if !sleepy => sleep::announce(),
                Some(until_ns) => self.sleep(until_ns),
                None if is_idle => self.rest(inbox),
                None => {}
            }
            if until.is_none() && sleepy {
                sleep::revoke();
            }
            sleepy = until.is_some() && !sleepy;
        }
    }

    /// Lets each core work; whether none had anything to do, and the place of one that has done all.
    fn take_turns(&mut self, stay: &Stay<'_>) -> (bool, Option<usize>) {
        let (mut is_idle, mut ended) = (true, None);
        for (place, group) in self.groups.iter_mut().enumerate() {
            match group.turn(stay) {
                Turn::Worked => is_idle = false,
                Turn::Idle => {}
                Turn::Over => ended = Some(place),
            }
            group.put_down();
        }
        (is_idle, ended)
    }

    fn sleep_until(&mut self, idle_ns: u64) -> Option<u64> {
        if idle_ns == u64::MAX || self.groups.is_empty() {
            return None;
        }
        let mut each = self.groups.iter_mut().map(|group| group.sleep_until(idle_ns));
        each.try_fold(u64::MAX, |until, own| Some(until.min(own?)))
    }

    /// For a tick at most: the launcher's requests are seen by looking.
    fn sleep(&mut self, until_ns: u64) {
        let cards = self.groups.iter_mut().map(|group| group.arm());
        let until_ns = cards.fold(until_ns, u64::min);
        let ns = until_ns.saturating_sub(tsc::now_ns());
        let woken = (ns > 0).then(|| sleep::for_at_most(ns));
        sleep::revoke();
        shootdown::checkpoint();
        for group in &mut self.groups {
            group.disarm();
            if let Some(woken) = woken {
                group.wake(woken);
            }
        }
    }

    /// There is nothing to do, but that may change at any time; where nothing is carried, not before somebody asks for
    /// attention.
    fn rest(&mut self, inbox: &Inbox) {
        if let Some(group) = self.groups.first_mut() {
            return group.rest();
        }
        if !inbox.filled.load(Ordering::Acquire) {
            sleep::until_interrupt();
        }
        shootdown::checkpoint();
    }

    /// Takes in the cores that have come, and sends away those that belong elsewhere.
    fn look_around(&mut self, fleet: &Fleet, inbox: &Inbox, wanted: usize) {
        let has_mail = inbox.filled.swap(false, Ordering::Acquire);
        if !has_mail && wanted == self.wanted {
            return;
        }
        for mut group in inbox.groups.lock().drain(..) {
            group.arrive();
            fleet.set(group.number(), self.number);
            self.groups.push(group);
        }
        // The first is who speaks for the processor, and is the same whatever order they came in.
        self.groups.sort_unstable_by_key(|group| group.number());
        self.wanted = wanted;
        let number = self.number;
        let leaving = self
            .groups
            .extract_if(.., |group| group.number() % wanted != number);
        leaving.for_each(|group| {
            let to = group.number() % wanted;
            fleet.send(group, to);
        });
        fleet.report(wanted);
    }
}

#[cfg(test)]
mod tests {
    use super::{Fleet, Group, Processor, Stay, Turn, Woken, carriers};
    use alloc::boxed::Box;
    use alloc::sync::Arc;
    use alloc::vec::Vec;

    #[test]
    fn a_number_of_processors_that_makes_no_sense_stands_for_all() {
        assert_eq!([1, 3, 4].map(|wanted| carriers(wanted, 4)), [1, 3, 4]);
        assert_eq!([0, 5, u32::MAX].map(|wanted| carriers(wanted, 4)), [4, 4, 4]);
    }

    /// A core that does nothing.
    struct Still(usize);

    impl Group for Still {
        fn number(&self) -> usize {
            self.0
        }

        fn turn(&mut self, _: &Stay<'_>) -> Turn {
            Turn::Idle
        }

        fn rest(&mut self) {}

        fn sleep_until(&mut self, _: u64) -> Option<u64> {
            None
        }

        fn arm(&mut self) -> u64 {
            u64::MAX
        }

        fn disarm(&mut self) {}

        fn wake(&mut self, _: Woken) {}

        fn put_down(&mut self) {}

        fn arrive(&mut self) {}
    }

    const ALL: usize = 7;

    fn processors() -> Vec<Processor> {
        let fleet = Fleet::new(ALL, None);
        let one = |number| Processor::new(number, Arc::clone(&fleet), Box::new(Still(number)));
        (0..ALL).map(one).collect()
    }

    fn look_around(processor: &mut Processor, wanted: usize) {
        let fleet = Arc::clone(&processor.fleet);
        processor.look_around(&fleet, &fleet.inboxes[processor.number], wanted);
    }

    fn carried(processor: &Processor) -> Vec<usize> {
        processor.groups.iter().map(|group| group.number()).collect()
    }

    #[test]
    fn cores_go_where_they_are_wanted_the_lowest_first() {
        let mut processors = processors();
        for (wanted, expected) in [
            (2, [&[0, 2, 4, 6][..], &[1, 3, 5], &[]]),
            (1, [&[0, 1, 2, 3, 4, 5, 6][..], &[], &[]]),
            (3, [&[0, 3, 6][..], &[1, 4], &[2, 5]]),
        ] {
            for _ in 0..2 {
                processors
                    .iter_mut()
                    .for_each(|processor| look_around(processor, wanted));
            }
            let carried: Vec<_> = processors.iter().map(carried).collect();
            assert_eq!(carried[..3], expected, "{wanted}");
        }
    }

    #[test]
    fn whenever_processors_look_no_core_is_lost_or_there_twice() {
        let mut processors = processors();
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random % 1000).unwrap() % below
        };
        let mut wanted = ALL;
        for _ in 0..10_000 {
            if next(5) == 0 {
                wanted = 1 + next(ALL);
            }
            let which = next(ALL);
            look_around(&mut processors[which], wanted);
            let fleet = Arc::clone(&processors[0].fleet);
            let under_way = fleet.inboxes.iter().map(|inbox| inbox.groups.lock().len());
            let at_work: usize = processors.iter().map(|processor| processor.groups.len()).sum();
            assert_eq!(under_way.sum::<usize>() + at_work, ALL);
        }
        for _ in 0..3 {
            processors
                .iter_mut()
                .for_each(|processor| look_around(processor, wanted));
        }
        for processor in &processors {
            let expected: Vec<_> = (0..ALL)
                .filter(|core| core % wanted == processor.number)
                .collect();
            assert_eq!(carried(processor), expected);
        }
    }
}
