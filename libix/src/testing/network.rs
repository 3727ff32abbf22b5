//! All hosts, and the clock.

use super::host::{Shared, SimulatedHost, ip};
use super::wire::Wire;
use crate::{Error, EventLoop, Handler, Status};
use core::any::Any;
use core::cell::{Cell, RefCell};
use core::marker::PhantomData;
use core::net::IpAddr;
use core::time::Duration;
use std::rc::Rc;

/// Most turns of a host at one moment: an app that always has more to do would stop the clock.
const TURNS_AT_ONE_MOMENT: usize = 100_000;

/// What a stack's timers go by.
const TICK_NS: u64 = 1 << 14;

/// Several apps, each on a host of its own, on one Ethernet. See the [module](super).
pub struct Network {
    wire: Rc<RefCell<Wire>>,
    clock: Rc<Cell<u64>>,
    hosts: Vec<Member>,
}

/// An app in a [`Network`].
pub struct Host<H> {
    place: usize,
    app: PhantomData<fn() -> H>,
}

/// A host with its app.
struct Member {
    event_loop: EventLoop,
    app: Box<dyn App>,
    shared: Rc<Shared>,
    over: bool,
}

/// A handler of any type.
trait App: Any {
    fn turn(&mut self, event_loop: &mut EventLoop) -> Result<(), Error>;
    fn max_wait(&mut self, event_loop: &mut EventLoop) -> Option<Duration>;
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<H: Handler + 'static> App for H {
    fn turn(&mut self, event_loop: &mut EventLoop) -> Result<(), Error> {
        event_loop.turn(self, Some(Duration::ZERO))
    }

    fn max_wait(&mut self, event_loop: &mut EventLoop) -> Option<Duration> {
        Handler::max_wait(self, event_loop.io())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

impl Network {
    /// One without hosts, whose frames take 50 us each. What is random in it comes from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Network {
            wire: Rc::new(RefCell::new(Wire::new(seed))),
            clock: Rc::default(),
            hosts: Vec::new(),
        }
    }

    /// How long a frame takes.
    pub fn set_delay(&mut self, delay: Duration) {
        self.wire.borrow_mut().delay = delay;
    }

    /// How much longer it takes at most, at random: frames overtake each other.
    pub fn set_jitter(&mut self, jitter: Duration) {
        self.wire.borrow_mut().jitter = jitter;
    }

    /// The share of frames that are lost, from 0 to 1.
    pub fn set_loss(&mut self, loss: f64) {
        self.wire.borrow_mut().loss = loss;
    }

    /// Adds a host that runs `app`, and starts it.
    ///
    /// # Errors
    /// What [`Handler::on_start`] returns; `NoMemory` if there are 250 hosts.
    pub fn add<H: Handler + 'static>(&mut self, mut app: H) -> Result<Host<H>, Error> {
        let place = self.hosts.len();
        let number = number(place).ok_or(Error::Status(Status::NoMemory))?;
        self.wire.borrow_mut().attach(number);
        let shared = Rc::new(Shared {
            wire: Rc::clone(&self.wire),
            clock: Rc::clone(&self.clock),
            active: Cell::new(true),
            stop: Cell::new(false),
            deadline: Cell::new(None),
        });
        let host = SimulatedHost::new(number, Rc::clone(&shared));
        let mut event_loop = EventLoop::on(Box::new(host))?;
        app.on_start(event_loop.io())?;
        app.on_ready(event_loop.io());
        self.hosts.push(Member {
            event_loop,
            app: Box::new(app),
            shared,
            over: false,
        });
        Ok(Host {
            place,
            app: PhantomData,
        })
    }

    /// The host's address.
    ///
    /// # Panics
    /// If it is of another network.
    #[must_use]
    pub fn ip<H>(&self, host: &Host<H>) -> IpAddr {
        ip(number(host.place).expect("a host of this network")).into()
    }

    /// The app, to look at.
    ///
    /// # Panics
    /// If it is of another network.
    #[must_use]
    pub fn app<H: 'static>(&self, host: &Host<H>) -> &H {
        let app = self.hosts[host.place].app.as_any();
        app.downcast_ref().expect("a host of this network")
    }

    /// The app, and its loop, to do something with from outside.
    ///
    /// # Panics
    /// If it is of another network.
    pub fn app_mut<H: 'static>(&mut self, host: &Host<H>) -> (&mut H, &mut EventLoop) {
        let member = &mut self.hosts[host.place];
        member.shared.active.set(true);
        let app = member.app.as_any_mut();
        (
            app.downcast_mut().expect("a host of this network"),
            &mut member.event_loop,
        )
    }

    /// Asks the app to finish, as `ix stop` does.
    pub fn stop<H>(&mut self, host: &Host<H>) {
        let shared = &self.hosts[host.place].shared;
        shared.stop.set(true);
        shared.active.set(true);
    }

    /// `true` once the app's loop has ended.
    #[must_use]
    pub fn is_over<H>(&self, host: &Host<H>) -> bool {
        self.hosts[host.place].over
    }

    /// Cuts hosts off, by their addresses: they hear each other, and nobody else.
    pub fn part(&mut self, hosts: &[IpAddr]) {
        let numbers: Vec<u8> = (0..self.hosts.len())
            .filter_map(number)
            .filter(|number| hosts.contains(&ip(*number).into()))
            .collect();
        let part = numbers.first().copied().unwrap_or(0).into();
        for number in numbers {
            self.wire.borrow_mut().set_part(number, part);
        }
    }

    /// Joins all parts again.
    pub fn heal(&mut self) {
        for host in (0..self.hosts.len()).filter_map(number) {
            self.wire.borrow_mut().set_part(host, 0);
        }
    }

    /// Time since the beginning.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.clock.get())
    }

    /// Lets `time` pass.
    ///
    /// # Panics
    /// If an app never rests, or its loop fails.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Lets time pass until `done`, `limit` at most; tells whether it came to that.
    ///
    /// # Panics
    /// If an app never rests, or its loop fails.
    pub fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.clock.get() + u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        loop {
            self.settle();
            if done(self) {
                return true;
            }
            if self.clock.get() >= end {
                return false;
            }
            let next = self.next_moment().min(end);
            self.clock.set(next);
            self.wire.borrow_mut().advance(self.clock.get());
        }
    }

    /// Lets everything happen that happens at this moment.
    fn settle(&mut self) {
        for member in &mut self.hosts {
            member.shared.active.set(true);
            let mut turns = 0;
            while !member.over && member.shared.active.replace(false) {
                member.turn();
                turns += 1;
                assert!(turns < TURNS_AT_ONE_MOMENT, "an app that never rests");
            }
        }
    }

    /// When something happens next.
    fn next_moment(&mut self) -> u64 {
        let now = self.clock.get();
        let arrival = self.wire.borrow().next_arrival();
        let deadlines = self
            .hosts
            .iter_mut()
            .filter(|member| !member.over)
            .map(Member::next_moment);
        let next = deadlines.chain([arrival]).flatten().min().unwrap_or(u64::MAX);
        // What a timer's granularity makes late is tried again a tick later.
        if next <= now { now + TICK_NS } else { next }
    }
}

impl Member {
    fn turn(&mut self) {
        self.app.turn(&mut self.event_loop).expect("the loop goes on");
        if self.event_loop.is_finished() {
            self.over = true;
        } else if self.event_loop.io().has_more_to_do()
            || self.app.max_wait(&mut self.event_loop) == Some(Duration::ZERO)
        {
            self.shared.active.set(true);
        }
    }

    fn next_moment(&mut self) -> Option<u64> {
        let now = self.shared.clock.get();
        let ns = |wait: Duration| u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        let wait = self
            .app
            .max_wait(&mut self.event_loop)
            .map(|wait| now.saturating_add(ns(wait)));
        let patience = self.event_loop.patience().map(ns);
        [self.shared.deadline.get(), wait, patience]
            .into_iter()
            .flatten()
            .min()
    }
}

/// Of the host at `place`: the last byte of its addresses.
fn number(place: usize) -> Option<u8> {
    u8::try_from(place + 1).ok().filter(|number| *number <= 250)
}
