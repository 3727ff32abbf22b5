//! The dataplane: one `Core` carries packets from its NIC to ring 3 and back, one bounded batch at a time, each batch
//! to completion (IX, section 3). Nothing in a `Core` is shared with another.
//!
//! A packet's way through this folder is the order of its modules.

/// The whole way on one screen: `run_io`.
mod cycle;

/// NIC to stack.
mod receive;

/// Stack to event array.
mod events;

/// Command array to stack.
mod commands;

/// Stack to NIC.
mod transmit;

/// Where a core spins when there is nothing to do.
mod idle;

/// Before the app starts.
mod lease;
pub use lease::Wait;

/// What ring 3 wants besides `run_io`: the life of its process.
mod serve;

/// What the launcher reads.
mod counters;

use crate::mem::io_area::IoArea;
use crate::mem::mbuf::Pool;
use crate::nic::{MAX_PARTS, Nic, RxFrame};
use alloc::vec::Vec;
use netstack::{Instant, RxPart, Stack};

/// All a core owns.
pub struct Core<N> {
    nic: N,
    pool: Pool,
    stack: Stack,
    io: IoArea,
    /// Frames taken from the NIC in this cycle.
    arrived: Vec<RxFrame>,
    /// Of these, the parts of the one that is being taken.
    parts: Vec<RxPart>,
    /// B: most packets of a cycle.
    batch: usize,
    /// Of the timers, when they were last looked at.
    last_tick: u64,
    tally: counters::Tally,
    /// When the last batch came.
    last_frame: Instant,
    /// When the NIC's registers are to be looked at again.
    check_due: Instant,
    /// The stop word the launcher wrote has been passed on as an event.
    stop_told: bool,
}

impl<N: Nic> Core<N> {
    /// Puts a core together. `batch` is the most packets it takes from the NIC in one cycle.
    pub fn new(nic: N, pool: Pool, stack: Stack, io: IoArea, batch: usize) -> Self {
        let arrived = Vec::with_capacity(batch + MAX_PARTS);
        let (tally, last_frame) = Default::default();
        Core {
            nic,
            pool,
            stack,
            io,
            arrived,
            parts: Vec::with_capacity(MAX_PARTS),
            last_tick: 0,
            batch,
            tally,
            last_frame,
            check_due: Instant::default(),
            stop_told: false,
        }
    }
}

fn now() -> Instant {
    Instant(crate::arch::tsc::now_ns())
}
