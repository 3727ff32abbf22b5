//! A core of a bridge's or of a router's.

use crate::bridge::{Bridge, Way};
use libix::{Error, Frame, FrameMode, Handler, Io, Status, Timer};
use std::time::Duration;

/// More links than any machine has.
const MOST_LINKS: u16 = 64;

/// What it is.
#[derive(Debug)]
pub(crate) enum Role {
    Bridge(Bridge),
    Router,
}

impl Role {
    pub(crate) fn bridge(links: &[u16]) -> Self {
        Role::Bridge(Bridge::new(links))
    }
}

/// What was done since the start.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    received: u64,
    /// Given to be sent, once for each link.
    forwarded: u64,
    /// Such as have no business beyond the link they came by.
    filtered: u64,
}

/// The forwarder.
#[derive(Debug)]
pub(crate) struct Forwarder {
    core: u16,
    role: Role,
    interval: Option<Duration>,
    counters: Counters,
    /// When this turn began, for a bridge that learns: a clock is too slow to be asked for each frame.
    now: Duration,
}

impl Forwarder {
    pub(crate) fn new(core: u16, role: Role, interval_s: Option<u64>) -> Self {
        Forwarder {
            core,
            role,
            interval: interval_s.map(Duration::from_secs),
            counters: Counters::default(),
            now: Duration::ZERO,
        }
    }

    /// All links that there are, if it routes.
    fn bind(&self, io: &mut Io) -> Result<(), Error> {
        match &self.role {
            Role::Bridge(bridge) => {
                for &link in bridge.links() {
                    bind(io, link, FrameMode::Bridge)?;
                }
            }
            Role::Router => {
                for link in 0..MOST_LINKS {
                    match bind(io, link, FrameMode::Route) {
                        Err(Status::Invalid) if link > 0 => break,
                        bound => bound?,
                    }
                }
            }
        }
        Ok(())
    }

    fn say_what_is_done(&self, io: &Io) {
        let Counters {
            received,
            forwarded,
            filtered,
        } = self.counters;
        let dropped = io.frames_dropped();
        println!(
            "forward: core {}: {received} received, {forwarded} forwarded, {filtered} filtered, {dropped} dropped",
            self.core
        );
    }

    fn start_interval(&self, io: &mut Io) {
        if let Some(interval) = self.interval
            && let Err(error) = io.start_timer(interval)
        {
            eprintln!("forward: no reports: {error}");
        }
    }
}

fn bind(io: &mut Io, link: u16, mode: FrameMode) -> Result<(), Status> {
    let bound = io.bind_frames(link, mode).map(drop);
    if bound == Err(Status::NotSupported) {
        eprintln!(
            "forward: link {link}: its card merges segments and cannot do without (--offload lro=off), cannot hear frames \
             for others, or is on a VLAN; or this is no dataplane"
        );
    }
    bound
}

impl Handler for Forwarder {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        self.bind(io)?;
        self.start_interval(io);
        Ok(())
    }

    fn on_ready(&mut self, _: &mut Io) {
        if self.core > 0 {
            return;
        }
        match &self.role {
            Role::Bridge(bridge) => println!("forward: bridging links {:?}", bridge.links()),
            Role::Router => println!("forward: routing"),
        }
    }

    fn on_frame(&mut self, io: &mut Io, frame: Frame) {
        self.counters.received += 1;
        let Role::Bridge(bridge) = &mut self.role else {
            self.counters.forwarded += 1;
            return io.forward(frame);
        };
        let from = frame.link();
        match bridge.way(&frame, from, self.now) {
            Way::To(link) => {
                self.counters.forwarded += 1;
                io.forward_to(frame, link);
            }
            Way::All => {
                for &link in bridge.links().iter().filter(|link| **link != from) {
                    self.counters.forwarded += 1;
                    io.forward_copy_to(&frame, link);
                }
            }
            Way::Nowhere => self.counters.filtered += 1,
        }
    }

    fn on_turn(&mut self, io: &mut Io) {
        if let Role::Bridge(bridge) = &self.role
            && bridge.learns()
        {
            self.now = io.now();
        }
    }

    fn on_timer(&mut self, io: &mut Io, _: Timer) {
        self.say_what_is_done(io);
        self.start_interval(io);
    }

    fn on_stop(&mut self, io: &mut Io) {
        self.say_what_is_done(io);
        io.stop();
    }
}
