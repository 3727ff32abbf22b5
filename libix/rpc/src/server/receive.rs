//! The clients' packets.

use super::session::Phase;
use super::{Request, RequestId, Server};
use crate::body::{Assembly, Body};
use crate::table::Session;
use crate::wire::{HEADER_BYTES, Header, Kind, Malformed, Refusal, STATUS_OVERLOADED, packets};
use core::net::SocketAddr;

impl<R: AsRef<[u8]>> Server<R> {
    /// A datagram from `from` has come.
    #[inline]
    pub fn receive(&mut self, now_ns: u64, from: SocketAddr, datagram: R) {
        self.counters.received += 1;
        let (header, data) = match Header::decode(datagram.as_ref()) {
            Ok(packet) => packet,
            Err(Malformed::ConnectOfOtherVersion { source, token }) => {
                self.refuse(from, source, token, Refusal::Version);
                return;
            }
            Err(Malformed::Form) => {
                self.counters.malformed += 1;
                return;
            }
        };
        match header.kind {
            Kind::Connect => {
                let cookie = data.first_chunk().map_or(0, |word| u64::from_be_bytes(*word));
                self.on_connect(now_ns, from, &header, cookie);
                return;
            }
            Kind::Request | Kind::Fetch | Kind::Ping | Kind::Close => {}
            _ => {
                self.counters.misdirected += 1;
                return;
            }
        }
        let session = Session(header.session);
        let Some(state) = self.sessions.get_mut(session) else {
            self.counters.unknown_session += 1;
            self.reset(from, &header);
            return;
        };
        if state.peer != from || state.token != header.token {
            self.counters.forged += 1;
            return;
        }
        state.heard_at_ns = now_ns;
        match header.kind {
            Kind::Request => self.on_request(now_ns, session, &header, datagram),
            Kind::Fetch => self.on_fetch(session, &header),
            Kind::Ping => {
                let pong = state.header(Kind::Pong);
                self.outbox.push_header(from, &pong);
            }
            _ => self.on_close(from, &header, session),
        }
    }

    #[inline]
    fn on_request(&mut self, now_ns: u64, session: Session, header: &Header, datagram: R) {
        let Some(state) = self.sessions.get_mut(session) else {
            return;
        };
        let slot = &mut state.slots[usize::from(header.slot)];
        if header.number == slot.number {
            self.on_more(now_ns, session, header, datagram);
            return;
        }
        // The next call comes when the one before is over, for both sides.
        let is_next = header.number == slot.number.wrapping_add(1);
        let is_over = matches!(slot.phase, Phase::Unused | Phase::Done(_));
        if !is_next || !is_over {
            self.counters.duplicate += 1;
            return;
        }
        if header.packet != 0 {
            self.counters.out_of_order += 1;
            return;
        }
        slot.number = header.number;
        if let Phase::Done(response) = core::mem::take(&mut slot.phase) {
            self.budget
                .give_back(super::session::charge_for_response(response.len()));
            self.pool.recycle(response);
        }
        if packets(header.length) == 1 {
            self.dispatch_packet(now_ns, session, header, datagram);
        } else if self.budget.take(header.length as usize) {
            slot.phase = Phase::Receiving(Assembly::new(header.length));
            self.on_more(now_ns, session, header, datagram);
        } else {
            self.counters.no_memory += 1;
            self.fail_request(session, header);
        }
    }

    /// A packet of the latest call of its slot.
    fn on_more(&mut self, now_ns: u64, session: Session, header: &Header, datagram: R) {
        let Some(state) = self.sessions.get_mut(session) else {
            return;
        };
        let mut credit = state.header(Kind::Credit);
        (credit.slot, credit.number) = (header.slot, header.number);
        let peer = state.peer;
        let slot = &mut state.slots[usize::from(header.slot)];
        match &mut slot.phase {
            Phase::Unused => self.counters.duplicate += 1,
            Phase::Running { last_packet, .. } => {
                self.counters.duplicate += 1;
                credit.packet = *last_packet;
                self.outbox.push_header(peer, &credit);
            }
            Phase::Done(response) => {
                self.counters.duplicate += 1;
                self.outbox.push(peer, response, 0);
            }
            Phase::Receiving(assembly) if assembly.length() != header.length => self.counters.malformed += 1,
            Phase::Receiving(assembly) if header.packet > assembly.next => self.counters.out_of_order += 1,
            Phase::Receiving(assembly) if header.packet < assembly.next => {
                self.counters.duplicate += 1;
                credit.packet = assembly.next - 1;
                self.outbox.push_header(peer, &credit);
            }
            Phase::Receiving(assembly) => {
                assembly.push(datagram.as_ref().get(HEADER_BYTES..).unwrap_or_default());
                if assembly.is_whole() {
                    self.dispatch_whole(now_ns, session, header);
                } else {
                    credit.packet = header.packet;
                    self.outbox.push_header(peer, &credit);
                }
            }
        }
    }

    /// A request of one packet stays where it is, unless there are many such.
    #[inline]
    fn dispatch_packet(&mut self, now_ns: u64, session: Session, header: &Header, datagram: R) {
        let length = header.length as usize;
        if self.running < self.held_packets {
            self.dispatch(now_ns, session, header, Body::Packet(datagram), 0);
        } else if self.budget.take(length) {
            let copy = datagram.as_ref().get(HEADER_BYTES..).unwrap_or_default().to_vec();
            self.dispatch(now_ns, session, header, Body::Whole(copy), length);
        } else {
            self.counters.no_memory += 1;
            self.fail_request(session, header);
        }
    }

    fn dispatch_whole(&mut self, now_ns: u64, session: Session, header: &Header) {
        let slot = self
            .sessions
            .get_mut(session)
            .map(|state| &mut state.slots[usize::from(header.slot)]);
        if let Some(slot) = slot
            && let Phase::Receiving(assembly) = core::mem::take(&mut slot.phase)
        {
            let charged = assembly.length() as usize;
            let body = Body::Whole(assembly.into_bytes());
            self.dispatch(now_ns, session, header, body, charged);
        }
    }

    #[inline]
    fn dispatch(&mut self, now_ns: u64, session: Session, header: &Header, body: Body<R>, charged: usize) {
        let Some(state) = self.sessions.get_mut(session) else {
            return;
        };
        self.running += 1;
        state.slots[usize::from(header.slot)].phase = Phase::Running {
            charged,
            last_packet: packets(header.length) - 1,
            since_ns: now_ns,
        };
        self.requests.push_back(Request {
            id: RequestId {
                session,
                slot: header.slot,
                number: header.number,
            },
            peer: state.peer,
            method: header.code,
            body,
        });
    }

    /// Responds, for want of memory, without carrying anything out.
    fn fail_request(&mut self, session: Session, header: &Header) {
        let id = RequestId {
            session,
            slot: header.slot,
            number: header.number,
        };
        if let Ok(empty) = self.pool.message(0) {
            self.finish(id, STATUS_OVERLOADED, 0, empty);
        }
    }

    fn on_fetch(&mut self, session: Session, header: &Header) {
        let Some(state) = self.sessions.get_mut(session) else {
            return;
        };
        let peer = state.peer;
        let slot = &state.slots[usize::from(header.slot)];
        match &slot.phase {
            Phase::Done(response) if header.number == slot.number && header.packet < response.packets() => {
                self.outbox.push(peer, response, header.packet);
            }
            _ => self.counters.duplicate += 1,
        }
    }
}
