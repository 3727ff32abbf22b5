//! The dataplane: one `Core` carries packets from its NICs to ring 3 and back, one bounded batch at a time, each batch
//! to completion (IX, section 3). Nothing in a `Core` is shared with another.
//!
//! A core is the dataplane's, a *processor* the machine's. As a rule there is one for each, but a core needs nothing of
//! the processor that carries it, and goes on on another if there are to be more of them or fewer.
//!
//! A packet's way through this folder is the order of its modules.

/// The whole way on one screen: `run_io`.
mod cycle;

/// A card and the stack that speaks through it.
mod link;
pub use link::Link;

/// NIC to stack.
mod receive;

/// Stack to event array.
mod events;

/// Command array to stack.
mod commands;

/// From link to link.
mod frames;

/// Stack to NIC.
mod transmit;

/// Where a core spins when there is nothing to do.
mod idle;

/// Before the app starts.
mod lease;
pub use lease::{Wait, name_servers};

/// What ring 3 wants besides `run_io`: the life of its process.
mod serve;
pub use serve::Watchdog;

/// Who carries it.
mod processor;
pub use processor::{Fleet, FlowGroup, Group, Processor};

/// What the launcher reads.
mod counters;

/// What cores have in common.
mod team;
pub use team::{CounterName, Team};

use crate::mem::io_area::IoArea;
use crate::mem::mbuf::Pool;
use crate::nic::Nic;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::marker::PhantomData;
use frames::{Around, Frames};
use link::Intake;
use netstack::Instant;
use netstack::rss::Home;

/// What a core is made of.
pub struct Parts<N> {
    /// The networks it is on: at least one.
    pub links: Vec<Link<N>>,
    /// Its buffers.
    pub pool: Pool,
    /// Its arrays.
    pub io: IoArea,
    /// Its place among several; `None`: it is the only one.
    pub home: Option<Home>,
}

/// All a core owns. It can be given to a core, but not be shared with one: it is [`Send`] and not [`Sync`].
pub struct Core<N> {
    number: usize,
    team: Arc<Team>,
    home: Option<Home>,
    links: Vec<Link<N>>,
    pool: Pool,
    io: IoArea,
    intake: Intake,
    frames: Frames,
    /// Of the timers, when they were last looked at.
    last_tick: u64,
    tally: counters::Tally,
    /// The link whose events are told first.
    first_to_tell: usize,
    /// When the last batch came.
    last_frame: Instant,
    /// When frames were last looked for.
    last_look: Instant,
    /// When the NICs' registers are to be looked at again.
    check_due: Instant,
    /// The stop word the launcher wrote has been passed on as an event.
    stop_told: bool,
    phase: serve::Phase,
    not_sync: PhantomData<Cell<()>>,
}

impl<N: Nic> Core<N> {
    /// Puts a core together. `batch` is the most packets it takes from a NIC in one cycle.
    pub fn new(parts: Parts<N>, batch: usize, team: Arc<Team>) -> Self {
        let Parts {
            links,
            pool,
            io,
            home,
        } = parts;
        let (tally, last_frame, last_look) = Default::default();
        Core {
            number: home.as_ref().map_or(0, |home| home.core.into()),
            team,
            home,
            links,
            pool,
            io,
            intake: Intake::new(batch),
            frames: Frames::default(),
            last_tick: 0,
            tally,
            first_to_tell: 0,
            last_frame,
            last_look,
            check_due: Instant::default(),
            stop_told: false,
            phase: serve::Phase::Before,
            not_sync: PhantomData,
        }
    }
}

impl<N: Nic> Core<N> {
    /// What commands about frames need, and what keeps these.
    fn frames(&mut self, time: Instant) -> (&mut Frames, Around<'_, N>) {
        let around = Around {
            links: &mut self.links,
            pool: &mut self.pool,
            home: self.home.as_ref(),
            time,
        };
        (&mut self.frames, around)
    }
}

fn now() -> Instant {
    Instant(crate::arch::tsc::now_ns())
}
