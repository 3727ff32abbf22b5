//! How sessions begin and end.
//!
//! Nothing is kept of a client before it has shown, by a cookie that was sent to its address, that it receives there. No
//! answer to a stranger is longer than what it sent.

use super::Server;
use super::session::{Phase, State};
use crate::alarms::Alarms;
use crate::table::Session;
use crate::wire::{Header, Kind, Refusal};
use core::net::SocketAddr;

impl<R: AsRef<[u8]>> Server<R> {
    pub(super) fn on_connect(&mut self, now_ns: u64, from: SocketAddr, header: &Header, cookie: u64) {
        let nonce = header.token;
        if !self.secrets.is_cookie(cookie, from, nonce, now_ns) {
            let cookie = self.secrets.cookie(from, nonce, now_ns);
            let challenge = stranger(Kind::Challenge, header);
            self.outbox.push_word(from, &challenge, cookie);
            return;
        }
        let known = self.by_nonce.get(&(from, nonce)).copied();
        let Some(session) = known.or_else(|| self.open(now_ns, from, header)) else {
            self.refuse(from, header.source, nonce, Refusal::Full);
            return;
        };
        if let Some(state) = self.sessions.get_mut(session) {
            let accept = Header {
                token: nonce,
                ..state.header(Kind::Accept)
            };
            let token = state.token;
            self.outbox.push_word(from, &accept, token);
        }
    }

    fn open(&mut self, now_ns: u64, from: SocketAddr, header: &Header) -> Option<Session> {
        let token = self.secrets.unique();
        let nonce = header.token;
        let session = self
            .sessions
            .insert(|session| State::new(session, header.source, from, nonce, token, now_ns))?;
        self.by_nonce.insert((from, nonce), session);
        self.watch(session);
        Some(session)
    }

    pub(super) fn refuse(&mut self, to: SocketAddr, source: u32, nonce: u64, reason: Refusal) {
        self.counters.refused += 1;
        let header = Header {
            code: reason as u16,
            ..Header::of_session(Kind::Refuse, source, 0, nonce)
        };
        self.outbox.push_header(to, &header);
    }

    /// Tells who speaks of a session that is not here. It says what that one said: who did not, learns nothing.
    pub(super) fn reset(&mut self, to: SocketAddr, header: &Header) {
        let kind = match header.kind {
            Kind::Close => Kind::Closed,
            _ => Kind::Reset,
        };
        self.outbox.push_header(to, &stranger(kind, header));
    }

    pub(super) fn on_close(&mut self, from: SocketAddr, header: &Header, session: Session) {
        self.end(session);
        self.outbox.push_header(from, &stranger(Kind::Closed, header));
    }

    /// Forgets a session. What the app still works on is finished in vain.
    fn end(&mut self, session: Session) {
        let Some(state) = self.sessions.remove(session) else {
            return;
        };
        self.by_nonce.remove(&(state.peer, state.nonce));
        for slot in state.slots {
            self.budget.give_back(slot.phase.charged());
            match slot.phase {
                Phase::Running { .. } => self.running -= 1,
                Phase::Done(response) => self.pool.recycle(response),
                Phase::Unused | Phase::Receiving(_) => {}
            }
        }
        self.requests.retain(|request| request.id.session != session);
    }

    /// It is `now_ns`: the time of [`Server::next_time`] has come, or any other. Hand in what has been received first, so that
    /// nobody is taken for silent who was not heard.
    pub fn on_time(&mut self, now_ns: u64) {
        while let Some((at_ns, session)) = self.timeouts.pop(now_ns) {
            let Some(state) = self.sessions.get_mut(session) else {
                continue;
            };
            if !Alarms::is_of(&mut state.timeout, at_ns) {
                continue;
            }
            if now_ns >= state.heard_at_ns + self.peer_timeout_ns {
                self.end(session);
            } else {
                self.watch(session);
            }
        }
    }

    fn watch(&mut self, session: Session) {
        if let Some(state) = self.sessions.get_mut(session) {
            let at_ns = state.heard_at_ns + self.peer_timeout_ns;
            self.timeouts.set(session, &mut state.timeout, at_ns);
        }
    }
}

/// An answer to a packet of nobody known.
fn stranger(kind: Kind, header: &Header) -> Header {
    Header::of_session(kind, header.source, header.session, header.token)
}
