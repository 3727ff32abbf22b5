//! One client and its transport.

use super::Settings;
use crate::connection::{Connection, Now, Waits};
use crate::response::Piece;
use crate::site::Site;
use crate::tls::Session;
use core::ops::Range;
use libix::{Flow, Io, RecvBuf, SendBuf};
use std::collections::VecDeque;
use std::sync::Arc;

/// Unacknowledged bytes above which nothing more is sent.
const HIGH_WATER: usize = 256 << 10;

/// Bytes read from a file, and encrypted, at a time.
const PIECE_BYTES: usize = 64 << 10;

/// What a client is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Nothing is on its way to it.
    Waits(Waits),
    /// It has not acknowledged everything.
    Sending,
    /// We have finished, it has not: what it still sends is dropped, lest a reset destroy what we have said.
    Lingering,
    /// Closed; the rest is TCP's.
    Closed,
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) connection: Connection,
    session: Option<Box<Session>>,
    /// Received and not looked at yet. Held, it keeps the client's window shut.
    pub(super) inbox: VecDeque<RecvBuf>,
    /// What was in it, with TLS.
    plain: Vec<u8>,
    /// The part of a file that the loader is to read next, and whether it has been asked to.
    piece: Option<(Arc<std::fs::File>, Range<u64>)>,
    reading: bool,
    /// It will send no more.
    pub(super) has_ended: bool,
    pub(super) phase: Phase,
    /// The phase that `deadline` is for.
    pub(super) noted: Phase,
    /// The tick by which it must be in another.
    pub(super) deadline: u64,
    /// Bytes acknowledged since the deadline was set.
    pub(super) acknowledged: usize,
    /// Bytes sent from memory of their own since last all was acknowledged.
    lent: usize,
    /// Its share of the memory that all clients hold.
    pub(super) held: usize,
}

impl Client {
    pub(super) fn new(settings: &Settings) -> Result<Self, rustls::Error> {
        let session = match &settings.tls {
            Some(config) => Some(Box::new(Session::new(config)?)),
            None => None,
        };
        Ok(Client {
            connection: Connection::new(settings.limits, settings.max_requests),
            session,
            inbox: VecDeque::new(),
            plain: Vec::new(),
            piece: None,
            reading: false,
            has_ended: false,
            phase: Phase::Waits(Waits::ForHead),
            noted: Phase::Waits(Waits::ForHead),
            deadline: 0,
            acknowledged: 0,
            lent: 0,
            held: 0,
        })
    }

    /// Reads what has come, as far as that can be done now; `true` if it did something.
    pub(super) fn read(&mut self, site: &mut Site, now: Now) -> bool {
        if self.phase >= Phase::Lingering {
            self.inbox.clear();
            return false;
        }
        let mut did = false;
        while self.connection.wants_input() && self.read_some(site, now) {
            did = true;
        }
        if self.has_ended && self.inbox.is_empty() && self.plain.is_empty() && !self.connection.is_ending() {
            self.connection.end();
            did = true;
        }
        did
    }

    fn read_some(&mut self, site: &mut Site, now: Now) -> bool {
        if !self.plain.is_empty() {
            let used = self.connection.receive(site, &self.plain, now);
            self.plain.drain(..used);
            return true;
        }
        let Some(mut data) = self.inbox.pop_front() else {
            return false;
        };
        let Some(session) = &mut self.session else {
            let used = self.connection.receive(site, &data, now);
            if used < data.len() {
                data.advance(used);
                self.inbox.push_front(data);
            }
            return true;
        };
        if session.receive(&data, &mut self.plain).is_err() {
            self.plain.clear();
            self.connection.end();
        }
        true
    }

    /// Sends what is to be said, as far as the client keeps up; `true` if there was something.
    pub(super) fn write(&mut self, io: &mut Io, flow: Flow) -> bool {
        let mut did = false;
        while self.piece.is_none()
            && io.backlog(flow) < HIGH_WATER
            && let Some(piece) = self.connection.next_output()
        {
            did = true;
            match self.cut(piece) {
                Piece::Stored(file, range) => self.piece = Some((file, range)),
                piece => self.send(io, flow, piece),
            }
        }
        self.send_records(io, flow);
        did
    }

    /// Leaves for later what is too much to be read, or encrypted, at once.
    fn cut(&mut self, piece: Piece) -> Piece {
        if self.session.is_none() && !matches!(piece, Piece::Stored(..)) {
            return piece;
        }
        let (first, rest) = piece.split(PIECE_BYTES);
        if let Some(rest) = rest {
            self.connection.unshift(rest);
        }
        first
    }

    fn send(&mut self, io: &mut Io, flow: Flow, piece: Piece) {
        if let Some(session) = &mut self.session {
            session.send(piece.bytes().unwrap_or_default());
            self.send_records(io, flow);
            return;
        }
        self.lent += piece.held();
        let buf = match piece {
            Piece::Owned(bytes) => SendBuf::from(bytes),
            Piece::Static(bytes) => SendBuf::from(bytes),
            Piece::Shared(bytes, range) => SendBuf::shared_slice(bytes, range),
            Piece::Stored(..) => return,
        };
        // An error says that it is gone; its end is told elsewhere.
        let _ = io.send(flow, buf);
    }

    fn send_records(&mut self, io: &mut Io, flow: Flow) {
        if let Some(records) = self.session.as_mut().and_then(|session| session.take_output()) {
            self.lent += records.capacity();
            let _ = io.send(flow, records);
        }
    }

    /// Bytes of memory that it holds, besides what the kernel lends and files that others share.
    pub(super) fn weigh(&mut self, io: &Io, flow: Flow) -> usize {
        let backlog = io.backlog(flow);
        if backlog == 0 {
            self.lent = 0;
        }
        self.connection.held() + self.plain.capacity() + self.lent.min(backlog)
    }

    /// The part of a file to be read now.
    pub(super) fn wants_piece(&mut self) -> Option<(Arc<std::fs::File>, u64, usize)> {
        let (file, range) = self.piece.as_ref().filter(|_| !self.reading)?;
        let len = usize::try_from(range.end - range.start).ok()?;
        self.reading = true;
        Some((Arc::clone(file), range.start, len))
    }

    /// It has been read; or it could not be, and the response cannot be finished.
    pub(super) fn on_piece(&mut self, io: &mut Io, flow: Flow, piece: Option<Vec<u8>>) {
        self.piece = None;
        self.reading = false;
        match piece {
            Some(bytes) => self.send(io, flow, Piece::Owned(bytes)),
            None => self.abort(io, flow),
        }
    }

    /// Says goodbye once all is said.
    pub(super) fn finish_if_done(&mut self, io: &mut Io, flow: Flow) {
        let said_all = self.connection.is_finished() && self.piece.is_none();
        if self.phase < Phase::Lingering && said_all {
            if let Some(session) = &mut self.session {
                session.finish();
            }
            self.send_records(io, flow);
            // An error says that it is gone.
            let _ = io.shutdown(flow);
            self.phase = Phase::Lingering;
        }
        if self.phase == Phase::Lingering && self.has_ended {
            self.close(io, flow);
        }
    }

    pub(super) fn close(&mut self, io: &mut Io, flow: Flow) {
        let _ = io.close(flow);
        self.leave();
    }

    pub(super) fn abort(&mut self, io: &mut Io, flow: Flow) {
        let _ = io.abort(flow);
        self.leave();
    }

    fn leave(&mut self) {
        self.inbox.clear();
        self.plain = Vec::new();
        self.connection.forget();
        self.phase = Phase::Closed;
    }
}
