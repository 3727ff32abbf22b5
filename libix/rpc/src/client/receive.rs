//! The server's packets.

use super::call::Call;
use super::session::{Phase, State};
use super::{CallError, Client, Event, Response};
use crate::body::Body;
use crate::table::Session;
use crate::wire::{FIRST_RESERVED_STATUS, HEADER_BYTES, Header, Kind, STATUS_OVERLOADED, packets};
use core::net::SocketAddr;

impl<R: AsRef<[u8]>> Client<R> {
    /// A datagram from `from` has come.
    #[inline]
    pub fn receive(&mut self, now_ns: u64, from: SocketAddr, datagram: R) {
        self.counters.received += 1;
        let Ok((header, data)) = Header::decode(datagram.as_ref()) else {
            self.counters.malformed += 1;
            return;
        };
        let session = Session(header.session);
        let Some(state) = self.sessions.get_mut(session) else {
            self.counters.unknown_session += 1;
            return;
        };
        let is_connecting = matches!(state.phase, Phase::Connecting { .. });
        if !is_connecting && matches!(header.kind, Kind::Challenge | Kind::Accept | Kind::Refuse) {
            self.counters.duplicate += 1;
            return;
        }
        if state.peer != from || !state.knows(&header) {
            self.counters.forged += 1;
            return;
        }
        match header.kind {
            Kind::Response if packets(header.length) == 1 => {
                self.on_short(now_ns, session, &header, datagram)
            }
            Kind::Response => self.on_part(now_ns, session, &header, datagram),
            Kind::Credit => self.on_credit(now_ns, session, &header),
            Kind::Pong => state.heard(now_ns),
            Kind::Challenge | Kind::Accept => {
                let word = data.first_chunk().map_or(0, |word| u64::from_be_bytes(*word));
                self.on_handshake(now_ns, session, &header, word);
            }
            Kind::Refuse => self.end(session, CallError::NoSession),
            Kind::Closed | Kind::Reset => self.end(session, CallError::Gone),
            Kind::Connect | Kind::Request | Kind::Fetch | Kind::Ping | Kind::Close => {
                self.counters.misdirected += 1;
            }
        }
    }

    fn on_handshake(&mut self, now_ns: u64, session: Session, header: &Header, word: u64) {
        let Some(state) = self.sessions.get_mut(session) else {
            return;
        };
        let Phase::Connecting { cookie, .. } = &mut state.phase else {
            self.counters.duplicate += 1;
            return;
        };
        if header.kind == Kind::Challenge {
            *cookie = word;
            state.heard(now_ns);
            self.send_connect(now_ns, session);
            return;
        }
        state.phase = Phase::Open;
        state.token = word;
        state.theirs = header.source;
        state.heard(now_ns);
        self.events.push_back(Event::Connected(session));
        self.start_waiting(now_ns, session);
        self.arm_attempt(now_ns, session);
        self.pump(now_ns, session);
    }

    /// Gives slots to calls that wait for one.
    #[inline]
    fn start_waiting(&mut self, now_ns: u64, session: Session) {
        let Some(state) = self.sessions.get_mut(session) else {
            return;
        };
        while !state.all_slots_busy()
            && let Some(pending) = state.backlog.pop_front()
        {
            state.start(now_ns, pending);
        }
    }

    fn on_credit(&mut self, now_ns: u64, session: Session, header: &Header) {
        let Some(state) = self.sessions.get_mut(session) else {
            return;
        };
        let Some((call, times)) = state.call(header.slot, header.number) else {
            self.counters.duplicate += 1;
            return;
        };
        let last = call.last_request_step();
        if header.packet > last {
            self.counters.malformed += 1;
            return;
        }
        // All of the request: the server works on it, and that answers what is before the last packet.
        let is_worked_on = header.packet == last;
        call.is_worked_on |= is_worked_on;
        let step = if is_worked_on {
            last.checked_sub(1)
        } else {
            Some(header.packet)
        };
        let progress = step.and_then(|step| call.answer(step, now_ns, times));
        match progress {
            Some(progress) => {
                state.progressed(header, progress, now_ns);
                self.pump(now_ns, session);
            }
            None if is_worked_on => state.heard(now_ns),
            None => self.counters.duplicate += 1,
        }
    }

    /// A response of one packet: the usual case.
    #[inline]
    fn on_short(&mut self, now_ns: u64, session: Session, header: &Header, datagram: R) {
        let Some(state) = self.sessions.get_mut(session) else {
            return;
        };
        let Some((call, times)) = state
            .call(header.slot, header.number)
            .filter(|(call, _)| !call.has_response())
        else {
            self.counters.duplicate += 1;
            return;
        };
        let Some(progress) = call.answer(call.last_request_step(), now_ns, times) else {
            self.counters.duplicate += 1;
            return;
        };
        state.progressed(header, progress, now_ns);
        self.done(now_ns, session, header.slot, |_| {
            Some((header.code, Body::Packet(datagram)))
        });
    }

    fn on_part(&mut self, now_ns: u64, session: Session, header: &Header, datagram: R) {
        let Some(state) = self.sessions.get_mut(session) else {
            return;
        };
        let Some((call, times)) = state.call(header.slot, header.number) else {
            self.counters.duplicate += 1;
            return;
        };
        let step = call.last_request_step() + header.packet;
        let is_first = !call.has_response();
        if is_first && header.packet > 0 {
            self.counters.out_of_order += 1;
            return;
        }
        if !is_first && !call.agrees(header.code, header.length) {
            self.counters.malformed += 1;
            return;
        }
        if !is_first && step > call.answered() {
            self.counters.out_of_order += 1;
            return;
        }
        if is_first {
            if !self.budget.take(header.length as usize) {
                self.counters.no_memory += 1;
                self.fail(now_ns, session, header.slot, CallError::ResponseLost);
                return;
            }
            call.begin_response(header.code, header.length);
        }
        let Some(progress) = call.answer(step, now_ns, times) else {
            self.counters.duplicate += 1;
            return;
        };
        let data = datagram.as_ref().get(HEADER_BYTES..).unwrap_or_default();
        let is_whole = call.push(data);
        state.progressed(header, progress, now_ns);
        if is_whole {
            self.done(now_ns, session, header.slot, Call::take_response);
        } else {
            self.pump(now_ns, session);
        }
    }

    /// The call in `slot` has its response.
    #[inline]
    fn done(
        &mut self,
        now_ns: u64,
        session: Session,
        slot: u8,
        response: impl FnOnce(&mut Call) -> Option<(u16, Body<R>)>,
    ) {
        let Some(mut call) = self
            .sessions
            .get_mut(session)
            .and_then(|state| state.finish(slot))
        else {
            return;
        };
        self.budget.give_back(call.reserved_bytes());
        let result = match response(&mut call) {
            Some((status, body)) if status < FIRST_RESERVED_STATUS => Ok(Response { status, body }),
            Some((STATUS_OVERLOADED, _)) => Err(CallError::Overloaded),
            _ => Err(CallError::ResponseLost),
        };
        self.over(now_ns, session, call, result);
    }

    /// The call in `slot` is over without a response.
    fn fail(&mut self, now_ns: u64, session: Session, slot: u8, reason: CallError) {
        if let Some(call) = self
            .sessions
            .get_mut(session)
            .and_then(|state| state.finish(slot))
        {
            self.over(now_ns, session, call, Err(reason));
        }
    }

    #[inline]
    fn over(&mut self, now_ns: u64, session: Session, call: Call, result: Result<Response<R>, CallError>) {
        self.pool.recycle(call.request);
        self.events.push_back(Event::Done {
            tag: call.tag,
            result,
        });
        self.start_waiting(now_ns, session);
        self.pump(now_ns, session);
    }
}

impl State {
    /// Whether a packet has the word that only the server can know.
    #[inline]
    fn knows(&self, header: &Header) -> bool {
        match (self.phase, header.kind) {
            (Phase::Connecting { nonce, .. }, Kind::Challenge | Kind::Accept | Kind::Refuse) => {
                header.token == nonce
            }
            (Phase::Connecting { .. }, _) => false,
            _ => header.token == self.token && header.source == self.theirs,
        }
    }
}
