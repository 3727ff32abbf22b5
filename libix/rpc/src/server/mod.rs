//! The side that answers.
//!
//! [`session`] holds what is known of one client, [`handshake`] makes sessions and ends them, [`receive`] puts requests
//! together, [`respond`] answers them. A server sends only in answer to a packet or when the app responds, and never again
//! by itself: a client that misses something asks.

mod session;

mod handshake;

mod receive;

mod respond;
pub use respond::RespondError;

use crate::alarms::Alarms;
use crate::body::{Body, Budget};
use crate::config::{Config, Counters, ns};
use crate::message::{Message, Pool, TooLong, Transmit};
use crate::outbox::Outbox;
use crate::secrets::Secrets;
use crate::table::{Session, Table};
use core::net::SocketAddr;
use session::State;
use std::collections::{HashMap, VecDeque};

/// A request to carry out. Respond to it now or later, by its [`RequestId`].
#[derive(Debug)]
pub struct Request<R> {
    /// What [`Server::respond`] wants.
    pub id: RequestId,
    /// Whose it is.
    pub peer: SocketAddr,
    /// What the client named.
    pub method: u16,
    /// The message.
    pub body: Body<R>,
}

/// Names a request until it is responded to, or its session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId {
    session: Session,
    slot: u8,
    number: u32,
}

/// Sessions with clients. `R` is what packets are received in.
#[derive(Debug)]
pub struct Server<R> {
    peer_timeout_ns: u64,
    held_packets: usize,
    sessions: Table<State>,
    /// Sessions by client and its nonce: a `Connect` that comes twice makes one.
    by_nonce: HashMap<(SocketAddr, u64), Session>,
    secrets: Secrets,
    pool: Pool,
    budget: Budget,
    outbox: Outbox,
    requests: VecDeque<Request<R>>,
    /// Requests that the app has or will get, and has not responded to.
    running: usize,
    /// When to look whether a client is still there.
    timeouts: Alarms,
    counters: Counters,
}

impl<R: AsRef<[u8]>> Server<R> {
    /// One without sessions. `key` is random, and nobody else's.
    #[must_use]
    pub fn new(config: &Config, key: [u8; 16]) -> Self {
        Server {
            peer_timeout_ns: ns(config.peer_timeout),
            held_packets: config.held_packets,
            sessions: Table::new(config.sessions),
            by_nonce: HashMap::new(),
            secrets: Secrets::new(key),
            pool: Pool::default(),
            budget: Budget::new(config.memory_bytes),
            outbox: Outbox::default(),
            requests: VecDeque::new(),
            running: 0,
            timeouts: Alarms::default(),
            counters: Counters::default(),
        }
    }

    /// The next request to carry out. Each comes once, whatever the network does.
    #[inline]
    pub fn poll_request(&mut self) -> Option<Request<R>> {
        self.requests.pop_front()
    }

    /// A message for [`Server::respond`]: one of a single packet in memory that an earlier one has left.
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

    /// The next packet to send.
    #[inline]
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outbox.pop()
    }

    /// When [`Server::on_time`] is to be called, whatever happens; it may be early.
    #[inline]
    #[must_use]
    pub fn next_time(&self) -> Option<u64> {
        self.timeouts.next()
    }

    /// What has been counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            sent: self.outbox.sent,
            ..self.counters
        }
    }

    /// Sessions that are there.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Memory that messages of several packets could still take, in bytes.
    #[must_use]
    pub fn memory_left(&self) -> usize {
        self.budget.left()
    }
}
