//! Events for the app, made when it asks for them, in the order that [`Event`] promises. Fifth step of a packet's way.

use super::Shared;
use super::flow::{Flow, Marks, State};
use crate::{Env, Event};

/// What a flow has to say.
pub(crate) enum Tell {
    /// This, and perhaps more.
    Event(Event),
    /// This, and no more ever.
    Last(Event),
    /// Nothing more.
    Nothing,
    /// It has to wait: the device still reads the app's memory.
    Held,
}

impl Flow {
    /// Has something to tell.
    #[inline]
    pub(crate) fn make_ready(&mut self, shared: &mut Shared) {
        if !self.marks.has(Marks::ON_READY) {
            self.marks.set(Marks::ON_READY);
            shared.ready.push(self.index);
        }
    }

    /// Has something to send.
    #[inline]
    pub(crate) fn make_dirty(&mut self, shared: &mut Shared) {
        if !self.marks.has(Marks::ON_DIRTY) {
            self.marks.set(Marks::ON_DIRTY);
            shared.dirty.push(self.index);
        }
    }

    /// The next event.
    #[inline]
    pub(crate) fn next_event<E: Env>(&mut self, shared: &mut Shared, env: &E) -> Tell {
        if !self.marks.has(Marks::ATTACHED) || self.marks.has(Marks::TELL_OPEN) {
            return self.next_before_attached(shared);
        }
        let untold = self.sent_untold > 0;
        if untold && let Some(event) = self.sent(shared, env) {
            return Tell::Event(event);
        }
        if let Some(index) = shared.rx.pop_front(&mut self.received) {
            let (buf, offset, len) = shared.rx.lend(index);
            let (flow, cookie) = (self.id(), self.cookie);
            return Tell::Event(Event::Recv {
                flow,
                cookie,
                buf,
                offset,
                len,
            });
        }
        if self.marks.has_any(Marks::TELL_EOF.or(Marks::TELL_DEAD)) {
            return self.tell_end(env);
        }
        if untold { Tell::Held } else { Tell::Nothing }
    }

    /// `Sent`, unless a retransmission may still stand in the transmit ring.
    #[inline]
    fn sent<E: Env>(&mut self, shared: &Shared, env: &E) -> Option<Event> {
        if self.marks.has(Marks::REPEATED) {
            if !env.tx_done(self.repeat_ticket) {
                return None;
            }
            self.marks.clear(Marks::REPEATED);
        }
        Some(Event::Sent {
            flow: self.id(),
            cookie: self.cookie,
            len: core::mem::take(&mut self.sent_untold),
            room: self.send_room(shared),
        })
    }

    /// `Eof`, and at the very end `Dead`, when no frame refers to memory of the flow's any more.
    #[cold]
    #[inline(never)]
    fn tell_end<E: Env>(&mut self, env: &E) -> Tell {
        let (flow, cookie) = (self.id(), self.cookie);
        if self.marks.take(Marks::TELL_EOF) {
            return Tell::Event(Event::Eof { flow, cookie });
        }
        if self.device_reads(env) {
            return Tell::Held;
        }
        self.marks.clear(Marks::TELL_DEAD);
        self.marks.set(Marks::DETACHED);
        let reason = self.end_reason.result();
        Tell::Last(Event::Dead { flow, cookie, reason })
    }

    /// A frame with data of this flow may still stand in the transmit ring.
    fn device_reads<E: Env>(&self, env: &E) -> bool {
        let data = self.marks.has(Marks::DATA_SENT) && !env.tx_done(self.data_ticket);
        data || self.marks.has(Marks::REPEATED) && !env.tx_done(self.repeat_ticket)
    }

    /// `Knock` or `Connected`.
    #[cold]
    #[inline(never)]
    fn next_before_attached(&mut self, shared: &mut Shared) -> Tell {
        if !self.marks.take(Marks::TELL_OPEN) {
            return Tell::Nothing;
        }
        let flow = self.id();
        if self.marks.has(Marks::PASSIVE) {
            let Some(cookie) = shared.listeners.cookie(self.listener, self.listener_generation) else {
                return Tell::Nothing;
            };
            self.marks.set(Marks::OFFERED);
            let peer = self.tuple.peer();
            return Tell::Event(Event::Knock { flow, cookie, peer });
        }
        let cookie = self.cookie;
        if self.state == State::Closed {
            self.marks.set(Marks::DETACHED);
            let result = self.end_reason.result();
            return Tell::Last(Event::Connected { flow, cookie, result });
        }
        self.attach(shared);
        let result = Ok(());
        Tell::Event(Event::Connected { flow, cookie, result })
    }

    /// `false`: there is nothing to tell beyond what just was.
    #[inline]
    pub(crate) fn may_tell_more(&self) -> bool {
        let told = Marks::TELL_EOF.or(Marks::TELL_DEAD);
        !self.received.is_empty() || self.sent_untold > 0 || self.marks.has_any(told)
    }

    /// From now on the app gets its events.
    pub(crate) fn attach(&mut self, shared: &mut Shared) {
        self.marks.clear(Marks::OFFERED);
        self.marks.set(Marks::ATTACHED);
        self.leave_backlog(shared);
        self.make_ready(shared);
    }
}
