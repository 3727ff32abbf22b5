//! A UDP port.

use super::claims::Claim;
use super::flow::Tell;
use super::pool::{Owner, Pool};
use super::sockets::{Version, from_linux};
use super::{handle, sys};
use crate::slab::Key;
use ix_abi::app::{Endpoint, Event, EventKind, HandleKind};
use socket2::Socket;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::IpAddr;

/// Most bytes of its datagrams lent to the app at once; what comes beyond waits in Linux, as far as there is room.
const HELD_BYTES: usize = 1 << 22;

pub(super) struct Port {
    pub(super) socket: Socket,
    /// Given up after the socket is closed.
    _claim: Option<Claim>,
    pub(super) version: Version,
    pub(super) cookie: u64,
    pub(super) groups: BTreeSet<IpAddr>,
    pub(super) queued: bool,
    readable: bool,
    /// Linux has something in the queue of errors.
    refused: bool,
    held: usize,
}

impl Port {
    pub(super) fn new(socket: Socket, version: Version, claim: Option<Claim>, cookie: u64) -> Self {
        Port {
            socket,
            _claim: claim,
            version,
            cookie,
            groups: BTreeSet::new(),
            queued: false,
            readable: false,
            refused: false,
            held: 0,
        }
    }

    pub(super) fn on_polled(&mut self, event: &mio::event::Event) {
        self.readable |= event.is_readable();
        self.refused |= event.is_error();
    }

    pub(super) fn give_back(&mut self, bytes: usize) {
        self.held = self.held.saturating_sub(bytes);
    }

    fn event(&self, key: Key, kind: EventKind, peer: Endpoint) -> Event {
        Event {
            kind: kind as u16,
            handle: handle(HandleKind::Udp, key),
            cookie: self.cookie,
            endpoint: peer,
            ..Event::default()
        }
    }

    pub(super) fn next_event(&mut self, key: Key, pool: &mut Pool) -> Tell {
        if let Some(refused) = self.refused(key) {
            return Tell::Event(refused);
        }
        if !self.readable || self.held >= HELD_BYTES {
            return Tell::Nothing;
        }
        if !pool.has_free() {
            return Tell::Starved;
        }
        let mut received = self.socket.recv_from(pool.next(usize::MAX));
        if received
            .as_ref()
            .is_err_and(|error| error.kind() != ErrorKind::WouldBlock)
        {
            // That is the error of an earlier datagram, told once; it stands in the queue of errors as well.
            self.refused = true;
            received = self.socket.recv_from(pool.next(usize::MAX));
        }
        let Ok((count, peer)) = received else {
            self.readable = false;
            return self.refused(key).map_or(Tell::Nothing, Tell::Event);
        };
        self.held += count;
        let len = u32::try_from(count).unwrap_or(u32::MAX);
        let peer = peer
            .as_socket()
            .map_or(Endpoint::UNSPECIFIED, |peer| from_linux(peer).into());
        Tell::Event(Event {
            address: pool.lend(Owner::Port(key), len),
            len,
            ..self.event(key, EventKind::UdpRecv, peer)
        })
    }

    /// The next host that refuses datagrams of this port.
    fn refused(&mut self, key: Key) -> Option<Event> {
        while self.refused {
            match sys::take_refusal(&self.socket) {
                Some(Some(peer)) => {
                    let peer = from_linux(peer).into();
                    return Some(self.event(key, EventKind::UdpRefused, peer));
                }
                Some(None) => {}
                None => self.refused = false,
            }
        }
        None
    }
}
