//! The side that asks.
//!
//! [`session`] holds what is known of one server, [`call`] what of one call, [`receive`] takes the server's packets,
//! [`send`] decides what goes out and when, [`time`] repeats, asks after the server and gives up. [`rtt`] and [`timely`]
//! say how long to wait and how fast to send.

mod call;

mod session;

mod receive;

mod send;

mod time;

mod rtt;

mod timely;

use crate::alarms::Alarms;
use crate::body::{Body, Budget};
use crate::config::{Config, Counters, ns};
use crate::message::{Message, Pool, TooLong, Transmit};
use crate::outbox::Outbox;
use crate::secrets::Secrets;
use crate::table::{Session, Table};
use crate::wire::{Header, Kind};
use core::fmt;
use core::net::SocketAddr;
use session::{Pending, Phase, State};
use std::collections::VecDeque;

/// What a server has answered.
#[derive(Debug)]
pub struct Response<R> {
    /// The app's own: 0 for all is well, below [`crate::wire::FIRST_RESERVED_STATUS`].
    pub status: u16,
    /// The message.
    pub body: Body<R>,
}

/// Why there is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The server did not answer any more, has forgotten the session, or it was closed: whether the call was carried out is
    /// not known.
    Gone,
    /// The session could not be opened; the call was not carried out.
    NoSession,
    /// The server had no memory for the request, and did not carry it out.
    Overloaded,
    /// It was carried out, but one side has no memory for the response.
    ResponseLost,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CallError::Gone => "the server is gone; whether the call was carried out is not known",
            CallError::NoSession => "there is no session with the server",
            CallError::Overloaded => "the server has no memory for the request",
            CallError::ResponseLost => "it was carried out, but there is no memory for the response",
        })
    }
}

impl std::error::Error for CallError {}

/// A call that was not even taken. Nothing of it has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such session.
    NoSession,
    /// [`Config::backlog`] calls wait already; go on when one is done.
    Busy,
    /// [`Config::sessions`] are there already.
    TooManySessions,
}

/// What has happened.
#[derive(Debug)]
pub enum Event<R> {
    /// The server has taken the session.
    Connected(Session),
    /// A call is over.
    Done {
        /// What [`Client::call`] was told.
        tag: u64,
        /// Its outcome.
        result: Result<Response<R>, CallError>,
    },
    /// The session is over; its calls have been told of first.
    Ended(Session),
}

/// Sessions with servers. `R` is what packets are received in.
#[derive(Debug)]
pub struct Client<R> {
    config: Config,
    retransmit_after_ns: u64,
    peer_timeout_ns: u64,
    keepalive_ns: u64,
    sessions: Table<State>,
    secrets: Secrets,
    pool: Pool,
    budget: Budget,
    outbox: Outbox,
    events: VecDeque<Event<R>>,
    /// When to send what was held back.
    pacing: Alarms,
    /// When to repeat, to ask, or to give up.
    timeouts: Alarms,
    counters: Counters,
}

impl<R: AsRef<[u8]>> Client<R> {
    /// One without sessions. `key` is random, and nobody else's.
    #[must_use]
    pub fn new(config: &Config, key: [u8; 16]) -> Self {
        Client {
            config: config.clone(),
            retransmit_after_ns: ns(config.retransmit_after),
            peer_timeout_ns: ns(config.peer_timeout),
            keepalive_ns: ns(config.keepalive),
            sessions: Table::new(config.sessions),
            secrets: Secrets::new(key),
            pool: Pool::default(),
            budget: Budget::new(config.memory_bytes),
            outbox: Outbox::default(),
            events: VecDeque::new(),
            pacing: Alarms::default(),
            timeouts: Alarms::default(),
            counters: Counters::default(),
        }
    }

    /// Asks `server` for a session. It can be used at once; calls wait until it is there.
    ///
    /// # Errors
    /// [`Refused::TooManySessions`].
    pub fn connect(&mut self, now_ns: u64, server: SocketAddr) -> Result<Session, Refused> {
        let nonce = self.secrets.unique();
        let config = &self.config;
        let session = self
            .sessions
            .insert(|session| State::new(session, server, nonce, config, now_ns))
            .ok_or(Refused::TooManySessions)?;
        self.send_connect(now_ns, session);
        Ok(session)
    }

    /// A message for [`Client::call`]: one of a single packet in memory that an earlier one has left.
    ///
    /// # Errors
    /// As [`Message::new`].
    pub fn message(&mut self, len: usize) -> Result<Message, TooLong> {
        self.pool.message(len)
    }

    /// The same with these bytes.
    ///
    /// # Errors
    /// As [`Message::copy_of`].
    pub fn message_of(&mut self, bytes: &[u8]) -> Result<Message, TooLong> {
        self.pool.copy_of(bytes)
    }

    /// Sends `request` to the server, for its method `method`; an [`Event::Done`] with `tag` follows. The request may be
    /// carried out before one made earlier.
    ///
    /// # Errors
    /// If it is not taken.
    #[inline]
    pub fn call(
        &mut self,
        now_ns: u64,
        session: Session,
        method: u16,
        request: Message,
        tag: u64,
    ) -> Result<(), Refused> {
        let state = self.sessions.get_mut(session).ok_or(Refused::NoSession)?;
        let pending = Pending { method, request, tag };
        match state.phase {
            Phase::Closing => Err(Refused::NoSession),
            Phase::Open if !state.all_slots_busy() => {
                state.start(now_ns, pending);
                self.pump(now_ns, session);
                Ok(())
            }
            _ if state.backlog.len() >= self.config.backlog => Err(Refused::Busy),
            _ => {
                state.backlog.push_back(pending);
                Ok(())
            }
        }
    }

    /// How many calls of `session` are not over; 0 if there is no such session.
    pub fn outstanding(&mut self, session: Session) -> usize {
        self.sessions
            .get_mut(session)
            .map_or(0, |state| state.busy.count_ones() as usize + state.backlog.len())
    }

    /// Ends `session`: its calls fail by [`CallError::Gone`], the server is told.
    pub fn close(&mut self, now_ns: u64, session: Session) {
        let Some(state) = self.sessions.get_mut(session) else {
            return;
        };
        match state.phase {
            Phase::Closing => {}
            Phase::Open => {
                state.phase = Phase::Closing;
                state.attempts = 0;
                self.fail_calls(session, CallError::Gone);
                self.send_close(now_ns, session);
            }
            Phase::Connecting { .. } => self.end(session, CallError::NoSession),
        }
    }

    /// The next packet to send.
    #[inline]
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outbox.pop()
    }

    /// The next thing that has happened.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event<R>> {
        self.events.pop_front()
    }

    /// When [`Client::on_time`] is to be called, whatever happens; it may be early.
    #[inline]
    #[must_use]
    pub fn next_time(&self) -> Option<u64> {
        [self.pacing.next(), self.timeouts.next()]
            .into_iter()
            .flatten()
            .min()
    }

    /// What has been counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            sent: self.outbox.sent,
            ..self.counters
        }
    }

    /// Sessions that are not over.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Memory that messages of several packets could still take, in bytes.
    #[must_use]
    pub fn memory_left(&self) -> usize {
        self.budget.left()
    }

    /// Ends a session at once, and its calls by `reason`.
    fn end(&mut self, session: Session, reason: CallError) {
        self.fail_calls(session, reason);
        if let Some(state) = self.sessions.remove(session)
            && !matches!(state.phase, Phase::Closing)
        {
            self.events.push_back(Event::Ended(session));
        }
    }

    fn fail_calls(&mut self, session: Session, reason: CallError) {
        let Some(state) = self.sessions.get_mut(session) else {
            return;
        };
        for call in state.take_calls() {
            self.budget.give_back(call.reserved_bytes());
            self.pool.recycle(call.request);
            self.events.push_back(Event::Done {
                tag: call.tag,
                result: Err(reason),
            });
        }
        for pending in state.backlog.drain(..) {
            // One that never was sent was never carried out.
            let result = Err(CallError::NoSession);
            let tag = pending.tag;
            self.events.push_back(Event::Done { tag, result });
        }
    }

    fn send_connect(&mut self, now_ns: u64, session: Session) {
        let Some(state) = self.sessions.get_mut(session) else {
            return;
        };
        let Phase::Connecting { nonce, cookie } = state.phase else {
            return;
        };
        let header = Header {
            token: nonce,
            session: 0,
            ..state.header(Kind::Connect)
        };
        self.outbox.push_word(state.peer, &header, cookie);
        self.arm_attempt(now_ns, session);
    }

    fn send_close(&mut self, now_ns: u64, session: Session) {
        if let Some(state) = self.sessions.get_mut(session) {
            let header = state.header(Kind::Close);
            self.outbox.push_header(state.peer, &header);
            self.arm_attempt(now_ns, session);
        }
    }
}
