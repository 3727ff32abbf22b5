//! What a client knows of one session.

use super::call::{Call, Times};
use super::rtt::RoundTrip;
use super::timely::Timely;
use crate::alarms::Alarm;
use crate::config::Config;
use crate::message::Message;
use crate::table::Session;
use crate::wire::{CREDITS, Header, Kind, SLOTS};
use core::net::SocketAddr;
use std::collections::VecDeque;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The handshake is under way; the cookie is 0 until the server has given one.
    Connecting {
        nonce: u64,
        cookie: u64,
    },
    Open,
    /// Closed by the app; the server is still to be told.
    Closing,
}

/// A call that waits for a slot.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) method: u16,
    pub(super) request: Message,
    pub(super) tag: u64,
}

/// A place for one call at a time.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// Of its latest call; they count from 1.
    number: u32,
    pub(super) call: Option<Call>,
    times: Times,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) peer: SocketAddr,
    pub(super) phase: Phase,
    ours: Session,
    /// The server's number of the session.
    pub(super) theirs: u32,
    pub(super) token: u64,
    slots: [Slot; SLOTS as usize],
    /// Slots with a call, a bit each.
    pub(super) busy: u8,
    /// Slots with something to send.
    pub(super) ready: u8,
    /// The slot that sends next, if it can.
    pub(super) turn: u8,
    /// Packets that may be sent before one is answered.
    pub(super) credits: u16,
    pub(super) backlog: VecDeque<Pending>,
    pub(super) round_trip: RoundTrip,
    pub(super) timely: Timely,
    /// When the server was heard last, and what has gone unanswered since: packets repeated, and questions.
    pub(super) heard_at_ns: u64,
    pub(super) attempts: u32,
    pub(super) pacing: Alarm,
    pub(super) timeout: Alarm,
    /// When to send a `Connect`, `Close` or `Ping` again.
    pub(super) attempt_at_ns: u64,
}

impl State {
    pub(super) fn new(ours: Session, peer: SocketAddr, nonce: u64, config: &Config, now_ns: u64) -> Self {
        State {
            peer,
            phase: Phase::Connecting { nonce, cookie: 0 },
            ours,
            theirs: 0,
            token: 0,
            slots: Default::default(),
            busy: 0,
            ready: 0,
            turn: 0,
            credits: CREDITS,
            backlog: VecDeque::new(),
            round_trip: RoundTrip::default(),
            timely: Timely::new(config.link_bytes_per_s),
            heard_at_ns: now_ns,
            attempts: 0,
            pacing: Alarm::NONE,
            timeout: Alarm::NONE,
            attempt_at_ns: now_ns,
        }
    }

    #[inline]
    pub(super) fn all_slots_busy(&self) -> bool {
        self.busy == u8::MAX
    }

    /// What all packets of this session begin with.
    #[inline]
    pub(super) fn header(&self, kind: Kind) -> Header {
        Header::of_session(kind, self.theirs, self.ours.0, self.token)
    }

    /// Gives a call to a slot that has none.
    #[inline]
    pub(super) fn start(&mut self, now_ns: u64, pending: Pending) {
        let place = self.busy.trailing_ones() as usize;
        let mut header = self.header(Kind::Request);
        let Some(slot) = self.slots.get_mut(place) else {
            return;
        };
        slot.number = slot.number.wrapping_add(1);
        header.slot = u8::try_from(place).unwrap_or(0);
        header.code = pending.method;
        header.number = slot.number;
        slot.call = Some(Call::new(pending.request.seal(header), pending.tag, now_ns));
        self.busy |= 1 << place;
        self.ready |= 1 << place;
    }

    /// The call in `slot`, if it is the one of this number.
    #[inline]
    pub(super) fn call(&mut self, slot: u8, number: u32) -> Option<(&mut Call, &mut Times)> {
        let slot = self.slots.get_mut(usize::from(slot))?;
        let call = slot.call.as_mut().filter(|_| slot.number == number)?;
        Some((call, &mut slot.times))
    }

    /// The call in `slot`, its number, and the times of its steps.
    #[inline]
    pub(super) fn call_in(&mut self, slot: u8) -> Option<(&mut Call, u32, &mut Times)> {
        let slot = self.slots.get_mut(usize::from(slot))?;
        Some((slot.call.as_mut()?, slot.number, &mut slot.times))
    }

    pub(super) fn calls(&self) -> impl Iterator<Item = &Call> {
        self.slots.iter().filter_map(|slot| slot.call.as_ref())
    }

    /// Takes the call out of `slot`, and back its credits.
    #[inline]
    pub(super) fn finish(&mut self, slot: u8) -> Option<Call> {
        let call = self.slots.get_mut(usize::from(slot))?.call.take()?;
        self.credits += call.in_flight();
        self.busy &= !(1 << slot);
        self.ready &= !(1 << slot);
        Some(call)
    }

    /// Takes all calls out.
    pub(super) fn take_calls(&mut self) -> Vec<Call> {
        (0..SLOTS).filter_map(|slot| self.finish(slot)).collect()
    }

    /// The server lives.
    #[inline]
    pub(super) fn heard(&mut self, now_ns: u64) {
        self.heard_at_ns = now_ns;
        self.attempts = 0;
    }
}
