//! Events out, one at a time, as long as the driver has room for them.

use super::Stack;
use crate::tcp::flow::Marks;
use crate::tcp::tell::Tell;
use crate::{Env, Event, Instant, Told};

/// After so many events of TCP's, timers and UDP are asked first: flows that always have something to tell must not
/// silence them.
const TURN_OF_OTHERS: u8 = 32;

impl Stack {
    /// The next thing to tell the app; `None` if there is nothing, at present.
    pub fn poll_event<E: Env>(&mut self, env: &mut E, now: Instant) -> Option<Event> {
        let mut next = None;
        self.tell_event(env, now, &mut next);
        next
    }

    /// Tells the next event to who has a place for it; `false` if there is nothing, at present.
    #[inline]
    pub fn tell_event<E: Env>(&mut self, env: &mut E, _now: Instant, to: &mut impl Told) -> bool {
        match self.tell_common(env, to) {
            Tell::Told => true,
            Tell::Event(event) | Tell::Last(event) => {
                to.tell(event);
                true
            }
            Tell::Nothing | Tell::Held => false,
        }
    }

    /// The same, but an event that is none of those of every message is given back.
    #[inline(always)]
    fn tell_common<E: Env>(&mut self, env: &mut E, to: &mut impl Told) -> Tell {
        self.events_in_turn += 1;
        if self.events_in_turn > TURN_OF_OTHERS {
            self.events_in_turn = 0;
            if let Some(event) = self.poll_others(env) {
                return Tell::Event(event);
            }
        }
        while let Some(slot) = self.telling.take().or_else(|| self.shared.ready.pop()) {
            let flow = self.flows.at(slot);
            match flow.next_event(&mut self.shared, env, to) {
                Tell::Told => {
                    self.go_on_telling(slot);
                    return Tell::Told;
                }
                Tell::Event(event) => {
                    self.go_on_telling(slot);
                    return Tell::Event(event);
                }
                Tell::Last(event) => {
                    flow.marks.clear(Marks::ON_READY);
                    self.settle(env, slot);
                    return Tell::Event(event);
                }
                Tell::Nothing => flow.marks.clear(Marks::ON_READY),
                Tell::Held => {
                    flow.marks.clear(Marks::ON_READY);
                    self.hold(slot);
                }
            }
        }
        self.poll_others(env).map_or(Tell::Nothing, Tell::Event)
    }

    /// The flow in `slot` is next, if there is more that it has to tell.
    #[inline(always)]
    fn go_on_telling(&mut self, slot: u32) {
        let flow = self.flows.at(slot);
        if flow.may_tell_more() {
            self.telling = Some(slot);
        } else {
            flow.marks.clear(Marks::ON_READY);
        }
    }

    /// UDP's events and the app's timers.
    #[inline(never)]
    fn poll_others<E: Env>(&mut self, env: &mut E) -> Option<Event> {
        if let Some(event) = self.poll_address().or_else(|| self.timers.poll_event()) {
            return Some(event);
        }
        let event = self.udp.poll_event(env);
        if let Some(Event::UdpRecv { buf, .. }) = &event {
            self.shared.rx.lend_foreign(buf);
        }
        event
    }

    /// The device still reads memory that a flow would give back: ask again in the next cycle.
    #[inline(never)]
    fn hold(&mut self, slot: u32) {
        let flow = self.flows.at(slot);
        if !flow.marks.has(Marks::ON_HELD) {
            flow.marks.set(Marks::ON_HELD);
            self.shared.held.push(slot);
        }
    }

    /// A cycle later.
    #[inline]
    pub(super) fn retry_held(&mut self) {
        while let Some(slot) = self.shared.held.pop() {
            let flow = self.flows.at(slot);
            flow.marks.clear(Marks::ON_HELD);
            flow.make_ready(&mut self.shared);
        }
    }
}
