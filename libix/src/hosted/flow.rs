//! A connection: what is known of it beside what Linux knows, and its next event.

use super::pool::{Owner, Pool};
use super::{errors, handle, sys};
use crate::slab::Key;
use core::time::Duration;
use ix_abi::app::{Event, EventKind, HandleKind, SgEntry, Status};
use socket2::{SockRef, Socket};
use std::io::{self, ErrorKind};
use std::net::Shutdown;

/// Most bytes lent to the app at once: as in the kernel. What comes beyond waits in Linux, and fills its window.
const RECEIVE_WINDOW_BYTES: usize = 1 << 18;

/// Most bytes accepted and not acknowledged: as in the kernel.
const SEND_QUEUE_BYTES: usize = 1 << 20;

/// Time between two looks at what has been acknowledged, while nothing else is heard of a flow: from, to.
const LOOK_EVERY_NS: (u64, u64) = (1_000_000, 64_000_000);

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Opened by the app; the handshake is not done.
    Connecting,
    /// Opened by a peer; the app has not said whether it wants it.
    Offered,
    Open,
}

pub(super) struct Flow {
    pub(super) socket: Socket,
    pub(super) cookie: u64,
    pub(super) stage: Stage,
    /// Of an offered one: the listener.
    pub(super) listener: Option<Key>,
    /// It stands in the queue of those that have something to tell.
    pub(super) queued: bool,
    /// When acknowledgements are looked for next.
    pub(super) look_due: Option<u64>,
    pub(super) linger_due: Option<u64>,
    look_every_ns: u64,
    /// Something has been heard: there may be acknowledgements.
    look_now: bool,
    readable: bool,
    /// The peer's FIN, or worse, is behind what can be read.
    ends: bool,
    /// Bytes lent to the app.
    held: usize,
    /// Bytes given to Linux and not acknowledged.
    in_flight: usize,
    fin_sent: bool,
    fin_acknowledged: bool,
    /// The app wants to hear no more.
    closed: bool,
    eof: Eof,
    broken: Option<Status>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Eof {
    Ahead,
    Seen,
    Told,
}

/// What a flow, or a port, has to say.
pub(super) enum Tell {
    /// This, and perhaps more.
    Event(Event),
    /// This, and no more ever.
    Last(Event),
    /// Nothing more.
    Nothing,
    /// It needs a buffer, and there is none.
    Starved,
}

impl Flow {
    pub(super) fn new(socket: Socket, stage: Stage, cookie: u64) -> Self {
        Flow {
            socket,
            cookie,
            stage,
            listener: None,
            queued: false,
            look_due: None,
            linger_due: None,
            look_every_ns: LOOK_EVERY_NS.0,
            look_now: false,
            readable: false,
            ends: false,
            held: 0,
            in_flight: 0,
            fin_sent: false,
            fin_acknowledged: false,
            closed: false,
            eof: Eof::Ahead,
            broken: None,
        }
    }

    pub(super) fn on_polled(&mut self, event: &mio::event::Event) {
        self.look_now = true;
        self.readable |= event.is_readable() || event.is_read_closed();
        self.ends |= event.is_read_closed();
        if event.is_error()
            && self.stage == Stage::Open
            && let Ok(Some(error)) = self.socket.take_error()
        {
            self.give_up(errors::status(&error));
        }
    }

    /// It is time to look for acknowledgements.
    pub(super) fn on_look_due(&mut self) {
        self.look_due = None;
        self.look_now = true;
        self.look_every_ns = (self.look_every_ns * 2).min(LOOK_EVERY_NS.1);
    }

    /// When to look for acknowledgements next, if any are awaited and no look is due.
    pub(super) fn next_look_ns(&self) -> Option<u64> {
        (self.awaits_acknowledgement() && self.look_due.is_none()).then_some(self.look_every_ns)
    }

    pub(super) fn awaits_acknowledgement(&self) -> bool {
        self.in_flight > 0 || self.fin_sent && !self.fin_acknowledged
    }

    /// It is over, for this reason.
    pub(super) fn give_up(&mut self, reason: Status) {
        self.broken.get_or_insert(reason);
    }

    /// Gives as much of `spans` to Linux as it takes.
    pub(super) fn send(&mut self, spans: &[SgEntry]) -> Result<usize, Status> {
        if self.stage != Stage::Open {
            return Err(Status::BadHandle);
        }
        if self.fin_sent {
            return Err(Status::Closed);
        }
        let room = SEND_QUEUE_BYTES - self.in_flight.min(SEND_QUEUE_BYTES);
        match sys::send(&self.socket, spans, room) {
            Ok(count) => {
                self.in_flight += count;
                self.look_every_ns = LOOK_EVERY_NS.0;
                Ok(count)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) => {
                let status = errors::status(&error);
                if status != Status::Fault {
                    self.give_up(status);
                }
                Err(status)
            }
        }
    }

    /// FIN after what was sent.
    pub(super) fn shutdown(&mut self) -> Result<(), Status> {
        if self.fin_sent {
            return Err(Status::Closed);
        }
        self.fin_sent = true;
        // Fails where there is no connection any more, of which its own event tells.
        let _ = self.socket.shutdown(Shutdown::Write);
        Ok(())
    }

    /// FIN, and whatever comes is dropped.
    pub(super) fn close(&mut self) -> Result<(), Status> {
        if self.closed {
            return Err(Status::Closed);
        }
        self.closed = true;
        if self.fin_sent { Ok(()) } else { self.shutdown() }
    }

    /// A reset goes out when the socket is closed.
    pub(super) fn reset_at_close(&self) {
        // Refused of no TCP socket.
        let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
    }

    pub(super) fn give_back(&mut self, bytes: usize) {
        self.held = self.held.saturating_sub(bytes);
    }

    fn event(&self, key: Key, kind: EventKind) -> Event {
        Event {
            kind: kind as u16,
            handle: handle(HandleKind::Flow, key),
            cookie: self.cookie,
            ..Event::default()
        }
    }

    fn dead(&self, key: Key, result: i32) -> Tell {
        Tell::Last(Event {
            result,
            ..self.event(key, EventKind::Dead)
        })
    }

    pub(super) fn next_event(&mut self, key: Key, pool: &mut Pool) -> Tell {
        match self.stage {
            Stage::Offered => return Tell::Nothing,
            Stage::Connecting => return self.connected(key),
            Stage::Open => {}
        }
        if let Some(reason) = self.broken {
            return self.dead(key, reason.negated());
        }
        if core::mem::take(&mut self.look_now)
            && let Some(sent) = self.sent(key)
        {
            return Tell::Event(sent);
        }
        if self.eof == Eof::Ahead && self.readable {
            match self.received(key, pool) {
                Tell::Nothing => {}
                other => return other,
            }
        }
        if self.eof == Eof::Seen {
            self.eof = Eof::Told;
            if !self.closed {
                return Tell::Event(self.event(key, EventKind::Eof));
            }
        }
        if self.eof == Eof::Told && self.fin_acknowledged && self.in_flight == 0 {
            return self.dead(key, 0);
        }
        Tell::Nothing
    }

    fn connected(&mut self, key: Key) -> Tell {
        let failure = match self.socket.take_error() {
            Ok(error) => error.map(|error| errors::status(&error)),
            Err(error) => Some(errors::status(&error)),
        };
        let event = self.event(key, EventKind::Connected);
        if let Some(status) = failure.or(self.broken) {
            return Tell::Last(Event {
                result: status.negated(),
                ..event
            });
        }
        if self.socket.peer_addr().is_err() {
            return Tell::Nothing;
        }
        self.stage = Stage::Open;
        Tell::Event(event)
    }

    /// What has been acknowledged since the last look.
    fn sent(&mut self, key: Key) -> Option<Event> {
        if !self.awaits_acknowledgement() {
            return None;
        }
        let outstanding = sys::unacknowledged(&self.socket);
        // Linux counts the FIN as a byte.
        self.fin_acknowledged = self.fin_sent && outstanding == 0;
        let in_flight = outstanding - usize::from(self.fin_sent && outstanding > 0);
        let len = self.in_flight.saturating_sub(in_flight);
        if len == 0 {
            return None;
        }
        self.in_flight -= len;
        self.look_every_ns = LOOK_EVERY_NS.0;
        Some(Event {
            len: u32::try_from(len).unwrap_or(u32::MAX),
            room: u32::try_from(SEND_QUEUE_BYTES - self.in_flight.min(SEND_QUEUE_BYTES)).unwrap_or(u32::MAX),
            ..self.event(key, EventKind::Sent)
        })
    }

    /// The next bytes, or that there are none.
    fn received(&mut self, key: Key, pool: &mut Pool) -> Tell {
        let limit = RECEIVE_WINDOW_BYTES - self.held.min(RECEIVE_WINDOW_BYTES);
        if limit == 0 {
            // Tried again when the app gives something back.
            return Tell::Nothing;
        }
        if !pool.has_free() {
            return Tell::Starved;
        }
        let buffer = pool.next(limit);
        let room = buffer.len();
        match self.socket.recv(buffer) {
            Ok(0) => {
                self.eof = Eof::Seen;
                Tell::Nothing
            }
            Ok(_) if self.closed => {
                // Nobody will read it, and the peer must know (RFC 1122 section 4.2.2.13).
                self.reset_at_close();
                self.dead(key, Status::Closed.negated())
            }
            Ok(count) => {
                // A short read has emptied the socket, and epoll will tell of more, but not again of an end.
                self.readable = count == room || self.ends;
                self.held += count;
                let len = u32::try_from(count).unwrap_or(u32::MAX);
                Tell::Event(Event {
                    address: pool.lend(Owner::Flow(key), len),
                    len,
                    ..self.event(key, EventKind::Recv)
                })
            }
            Err(error) => self.not_received(key, &error),
        }
    }

    fn not_received(&mut self, key: Key, error: &io::Error) -> Tell {
        match error.kind() {
            ErrorKind::WouldBlock => {
                self.readable = false;
                Tell::Nothing
            }
            ErrorKind::Interrupted => Tell::Nothing,
            _ => self.dead(key, errors::status(error).negated()),
        }
    }
}
