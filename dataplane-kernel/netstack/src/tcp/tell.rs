//! Events for the app, made when it asks for them, in the order that [`Event`] promises. Fifth step of a packet's way.

use super::Shared;
use super::flow::{Flow, Marks, State};
use crate::seq::SeqNum;
use crate::{Env, Event, Told, TxTicket};

/// What a flow has to say.
pub(crate) enum Tell {
    /// What is common: it has been told, and perhaps there is more.
    Told,
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

    /// The next event. `to` is told those of every message where they are made, which spares them a way through memory.
    #[inline(always)]
    pub(crate) fn next_event<E: Env>(&mut self, shared: &mut Shared, env: &E, to: &mut impl Told) -> Tell {
        if !self.marks.has(Marks::ATTACHED) || self.marks.has(Marks::TELL_OPEN) {
            return self.next_before_attached(shared);
        }
        let untold = self.sent_untold > 0;
        if untold && let Some(event) = self.sent(shared, env) {
            to.tell(event);
            return Tell::Told;
        }
        if let Some(index) = shared.rx.pop_front(&mut self.received) {
            let (buf, offset, len) = shared.rx.lend(index);
            let (flow, cookie) = (self.id(), self.cookie);
            to.tell(Event::Recv {
                flow,
                cookie,
                buf,
                offset,
                len,
            });
            return Tell::Told;
        }
        if self.marks.has_any(Marks::TELL_EOF.or(Marks::TELL_DEAD)) {
            return self.tell_end(env);
        }
        if untold { Tell::Held } else { Tell::Nothing }
    }

    /// `Sent`, for what no frame in the transmit ring refers to. A peer may acknowledge what it has not got yet, and must
    /// not get what the app puts there next.
    #[inline]
    fn sent<E: Env>(&mut self, shared: &Shared, env: &E) -> Option<Event> {
        let len = self.sent_and_gone(env);
        if len == 0 {
            return None;
        }
        self.sent_untold -= len;
        Some(Event::Sent {
            flow: self.id(),
            cookie: self.cookie,
            len,
            room: self.send_room(shared),
        })
    }

    /// A frame with data up to `end` has been put into the transmit ring.
    #[inline]
    pub(crate) fn data_in_ring(&mut self, ticket: TxTicket, end: SeqNum) {
        if !self.marks.has(Marks::DATA_SENT) {
            self.marks.set(Marks::DATA_SENT);
            (self.mark_ticket, self.mark_seq) = (ticket, end);
        }
        self.data_ticket = ticket;
    }

    /// How many of the acknowledged bytes the device has let go of.
    #[inline]
    fn sent_and_gone<E: Env>(&mut self, env: &E) -> u32 {
        if self.marks.has(Marks::DATA_SENT) && !env.tx_done(self.data_ticket) {
            return self.sent_before_mark(env);
        }
        self.marks.clear(Marks::DATA_SENT.or(Marks::REPEATED));
        self.gone_seq = self.snd_max;
        self.sent_untold
    }

    /// The same while there is always a newer frame in the ring: goes by one mark at a time.
    fn sent_before_mark<E: Env>(&mut self, env: &E) -> u32 {
        if self.marks.has(Marks::REPEATED) {
            if !env.tx_done(self.repeat_ticket) {
                return 0;
            }
            self.marks.clear(Marks::REPEATED);
        }
        if env.tx_done(self.mark_ticket) {
            self.gone_seq = self.mark_seq;
            (self.mark_seq, self.mark_ticket) = (self.snd_max, self.data_ticket);
        }
        let not_gone = self.gone_seq.signed_distance_to(self.snd_una).max(0);
        self.sent_untold.saturating_sub(not_gone.unsigned_abs())
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
            let peer = shared.ends(&self.tuple).peer(self.tuple.remote_port);
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
