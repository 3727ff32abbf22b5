//! What a server knows of one session.

use crate::alarms::Alarm;
use crate::body::Assembly;
use crate::message::Sealed;
use crate::table::Session;
use crate::wire::{DATA_BYTES, Header, Kind, SLOTS};
use core::net::SocketAddr;

/// Where the call of a slot is.
#[derive(Debug, Default)]
pub(super) enum Phase {
    /// There has been none.
    #[default]
    Unused,
    /// Some of its packets are here.
    Receiving(Assembly),
    /// The app has it.
    Running {
        /// What its copy takes of the budget, in bytes.
        charged: usize,
        /// Number of its last packet.
        last_packet: u16,
        since_ns: u64,
    },
    /// It has been responded to; the response is kept until the next call, because the client may not have it.
    Done(Sealed),
}

impl Phase {
    /// What it takes of the budget, in bytes. Responses of one packet are not counted: their number is that of the slots.
    pub(super) fn charged(&self) -> usize {
        match self {
            Phase::Unused => 0,
            Phase::Receiving(assembly) => assembly.length() as usize,
            Phase::Running { charged, .. } => *charged,
            Phase::Done(response) => charge_for_response(response.len()),
        }
    }
}

/// What a response of so many bytes takes of the budget.
pub(super) fn charge_for_response(len: usize) -> usize {
    if len > DATA_BYTES { len } else { 0 }
}

#[derive(Debug, Default)]
pub(super) struct Slot {
    /// Of the latest call, which is the one that `phase` is about.
    pub(super) number: u32,
    pub(super) phase: Phase,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) peer: SocketAddr,
    pub(super) nonce: u64,
    pub(super) token: u64,
    ours: Session,
    theirs: u32,
    pub(super) slots: [Slot; SLOTS as usize],
    pub(super) heard_at_ns: u64,
    pub(super) timeout: Alarm,
}

impl State {
    pub(super) fn new(
        ours: Session,
        theirs: u32,
        peer: SocketAddr,
        nonce: u64,
        token: u64,
        now_ns: u64,
    ) -> Self {
        State {
            peer,
            nonce,
            token,
            ours,
            theirs,
            slots: Default::default(),
            heard_at_ns: now_ns,
            timeout: Alarm::NONE,
        }
    }

    /// What all packets of this session begin with.
    #[inline]
    pub(super) fn header(&self, kind: Kind) -> Header {
        Header::of_session(kind, self.theirs, self.ours.0, self.token)
    }
}
