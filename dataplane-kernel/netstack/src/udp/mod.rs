//! UDP (RFC 768): bound ports, datagrams waiting for the app, and datagrams on their way out (`sends`).
//!
//! A received datagram stays in its receive buffer, which the app holds from the `UdpRecv` event until it returns it. How
//! many buffers UDP may hold in all is bounded, so that datagrams nobody reads cannot take TCP's.

mod sends;

/// Groups and who listens to them.
mod groups;
pub(crate) use groups::Groups;

/// The way of a datagram.
mod way;
pub(crate) use way::Link;

use crate::fragmentation::Identifications;
use crate::interface::Local;
use crate::{BufId, Env, Error, Event, Id, Instant, Span};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use sends::{Destination, Sends};

/// Ports given out where the app asks for any (RFC 6335 section 6).
const FIRST_DYNAMIC_PORT: u16 = 49152;
/// Generations wrap at 2^28, as handles do.
const GENERATION_MASK: u32 = (1 << 28) - 1;

/// Sizes of the tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bound ports; at most 65535.
    pub(crate) sockets: u16,
    /// Datagrams on their way out.
    pub(crate) sends: u32,
    /// Receive buffers that wait for the app or are held by it.
    pub(crate) held_buffers: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Socket {
    /// 0: free.
    port: u16,
    /// The address of ours that takes datagrams.
    local: Local,
    generation: u32,
    cookie: u64,
}

struct Waiting {
    socket: Id,
    cookie: u64,
    peer: SocketAddr,
    buf: BufId,
    offset: u16,
    len: u16,
}

/// Why a datagram is not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No socket has the port.
    PortClosed,
    /// The stack has read it itself.
    OurOwn,
    /// The app holds, or has still to fetch, as many buffers as it may.
    QueueFull,
}

/// The sockets of a core.
pub(crate) struct Udp {
    sockets: Box<[Socket]>,
    free: VecDeque<u16>,
    /// For each port its socket plus one; 0: closed.
    by_port: Box<[u16]>,
    next_dynamic: u16,
    received: VecDeque<Waiting>,
    held_buffers: u32,
    max_held_buffers: u32,
    sends: Sends,
    groups: Groups,
    /// Of packets that leave in fragments.
    identifications: Identifications,
    /// Datagrams that a host refused: the socket, and who it was.
    refusals: VecDeque<(Id, SocketAddr)>,
}

/// Most refusals that wait for the app; what comes beyond is dropped, as the network might have.
const MAX_REFUSALS: usize = 64;

impl Udp {
    /// No port bound. It allocates here and never again. `random` chooses the first dynamic port.
    #[must_use]
    pub(crate) fn new(limits: Limits, random: u16, identifications: Identifications) -> Self {
        let sockets = limits.sockets.min(u16::MAX - 1);
        Udp {
            sockets: vec![Socket::default(); usize::from(sockets)].into_boxed_slice(),
            free: (0..sockets).collect(),
            by_port: vec![0; 1 << 16].into_boxed_slice(),
            next_dynamic: random | FIRST_DYNAMIC_PORT,
            received: VecDeque::with_capacity(limits.held_buffers as usize),
            held_buffers: 0,
            max_held_buffers: limits.held_buffers,
            sends: Sends::new(limits.sends),
            identifications,
            groups: Groups::NONE,
            refusals: VecDeque::with_capacity(MAX_REFUSALS),
        }
    }

    /// Binds `port`, or any free one for 0.
    ///
    /// # Errors
    /// `AddressInUse`; `AddressNotAvailable` if all dynamic ports are in use; `NoMemory` if all sockets are.
    pub(crate) fn bind(&mut self, local: Local, port: u16, cookie: u64) -> Result<Id, Error> {
        let port = match port {
            0 => self.pick_port()?,
            port if self.by_port[usize::from(port)] != 0 => return Err(Error::AddressInUse),
            port => port,
        };
        let index = self.free.pop_front().ok_or(Error::NoMemory)?;
        let socket = &mut self.sockets[usize::from(index)];
        socket.port = port;
        socket.local = local;
        socket.cookie = cookie;
        self.by_port[usize::from(port)] = index + 1;
        Ok(Id {
            index: index.into(),
            generation: socket.generation,
        })
    }

    fn pick_port(&mut self) -> Result<u16, Error> {
        for _ in FIRST_DYNAMIC_PORT..=u16::MAX {
            let port = self.next_dynamic;
            self.next_dynamic = port.checked_add(1).unwrap_or(FIRST_DYNAMIC_PORT);
            if self.by_port[usize::from(port)] == 0 {
                return Ok(port);
            }
        }
        Err(Error::AddressNotAvailable)
    }

    /// Closes a port. Datagrams not yet fetched are dropped; those on their way out go on, and are told of.
    ///
    /// # Errors
    /// `BadHandle`.
    pub(crate) fn unbind(&mut self, id: Id, now: Instant) -> Result<(), Error> {
        let port = self.local_port(id)?;
        self.groups.leave_all(id, now);
        let index = self.by_port[usize::from(port)] - 1;
        self.by_port[usize::from(port)] = 0;
        let socket = &mut self.sockets[usize::from(index)];
        socket.port = 0;
        socket.generation = (socket.generation + 1) & GENERATION_MASK;
        self.free.push_back(index);
        Ok(())
    }

    /// The port of a socket.
    ///
    /// # Errors
    /// `BadHandle`.
    pub(crate) fn local_port(&self, id: Id) -> Result<u16, Error> {
        match self.sockets.get(id.index as usize) {
            Some(socket) if socket.port != 0 && socket.generation == id.generation => Ok(socket.port),
            _ => Err(Error::BadHandle),
        }
    }

    /// The one address a socket is bound to, if it is one.
    ///
    /// # Errors
    /// `BadHandle`.
    pub(crate) fn local_address(&self, id: Id) -> Result<Option<IpAddr>, Error> {
        self.local_port(id)?;
        Ok(match self.sockets[id.index as usize].local {
            Local::One(ip) => Some(ip),
            Local::Any | Local::AnyV4 => None,
        })
    }

    /// Takes in `len` bytes at `offset` of `buf` for this address and port of ours.
    ///
    /// # Errors
    /// Gives the buffer back, with the reason.
    #[inline]
    pub(crate) fn receive(
        &mut self,
        (address, port): (IpAddr, u16),
        peer: SocketAddr,
        buf: BufId,
        offset: u16,
        len: u16,
    ) -> Result<(), (Refused, BufId)> {
        let Some(index) = self.by_port[usize::from(port)].checked_sub(1) else {
            return Err((Refused::PortClosed, buf));
        };
        let socket = &self.sockets[usize::from(index)];
        let id = Id {
            index: index.into(),
            generation: socket.generation,
        };
        let takes = if address.is_multicast() {
            self.groups.has_joined(id, address)
        } else {
            socket.local.takes(address)
        };
        if !takes {
            return Err((Refused::PortClosed, buf));
        }
        if self.held_buffers >= self.max_held_buffers {
            return Err((Refused::QueueFull, buf));
        }
        self.held_buffers += 1;
        self.received.push_back(Waiting {
            socket: id,
            cookie: socket.cookie,
            peer,
            buf,
            offset,
            len,
        });
        Ok(())
    }

    /// `true` if a socket has this port, and takes datagrams at this address of ours.
    pub(crate) fn is_bound(&self, address: IpAddr, port: u16) -> bool {
        self.on_port(port)
            .is_some_and(|(_, socket)| socket.local.takes(address))
    }

    fn on_port(&self, port: u16) -> Option<(Id, &Socket)> {
        let index = self.by_port[usize::from(port)].checked_sub(1)?;
        let socket = &self.sockets[usize::from(index)];
        let generation = socket.generation;
        let index = index.into();
        Some((Id { index, generation }, socket))
    }

    /// The host `peer` refuses datagrams of the socket on this port. `true` if the app will be told.
    pub(crate) fn on_refused(&mut self, port: u16, peer: SocketAddr) -> bool {
        let Some((id, _)) = self.on_port(port) else {
            return false;
        };
        let has_room = self.refusals.len() < MAX_REFUSALS;
        if has_room {
            self.refusals.push_back((id, peer));
        }
        has_room
    }

    /// The app has returned the buffer of a `UdpRecv`.
    #[inline]
    pub(crate) fn on_returned(&mut self) {
        self.held_buffers = self.held_buffers.saturating_sub(1);
    }

    /// Buffers that wait for the app or are held by it.
    #[must_use]
    pub(crate) fn held_buffers(&self) -> u32 {
        self.held_buffers
    }

    /// Takes a datagram of `spans` to `remote` from the socket `id`; [`Udp::flush`] sends it, and a `UdpSent` with
    /// `cookie` follows.
    ///
    /// # Errors
    /// `BadHandle`, `Invalid` (port 0), `NotSupported` (IPv6, where there is none), `Unreachable`, `MessageTooLong` (for
    /// a packet of any length, or in too many pieces), `Again` (too many on their way).
    pub(crate) fn send(
        &mut self,
        id: Id,
        remote: SocketAddr,
        spans: &[Span],
        cookie: u64,
        link: &Link<'_>,
        now: Instant,
    ) -> Result<(), Error> {
        let src_port = self.local_port(id)?;
        if remote.port() == 0 {
            return Err(Error::Invalid);
        }
        let way = link.way_to(remote.ip(), now)?;
        let destination = Destination {
            socket: id,
            cookie,
            src_port,
            dst_port: remote.port(),
            way,
        };
        self.sends.push(destination, spans)
    }

    /// The socket listens to a group.
    ///
    /// # Errors
    /// `BadHandle`, `Invalid` (no group), `NoMemory`.
    pub(crate) fn join(&mut self, id: Id, group: IpAddr, now: Instant) -> Result<(), Error> {
        self.local_port(id)?;
        self.groups.join(id, group, now)
    }

    /// The socket listens to a group no more.
    ///
    /// # Errors
    /// `BadHandle`, `Invalid` (it had not joined).
    pub(crate) fn leave(&mut self, id: Id, group: IpAddr, now: Instant) -> Result<(), Error> {
        self.local_port(id)?;
        self.groups.leave(id, group, now)
    }

    /// All groups.
    pub(crate) fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The same, to be changed.
    pub(crate) fn groups_mut(&mut self) -> &mut Groups {
        &mut self.groups
    }

    /// A number for a packet that leaves in fragments.
    pub(crate) fn identification(&mut self) -> u32 {
        self.identifications.next()
    }

    /// Sends what is ready to be sent, as far as the transmit ring takes it; begins to ask for neighbours not known.
    #[inline]
    pub(crate) fn flush<E: Env>(&mut self, env: &mut E, now: Instant, link: &mut Link<'_>) -> u32 {
        self.sends.flush(env, now, link, &mut self.identifications)
    }

    /// `neighbor` has become known: what waited for it can go with the next [`Udp::flush`].
    pub(crate) fn on_resolved(&mut self, neighbor: IpAddr) {
        self.sends.on_resolved(neighbor);
    }

    /// Nobody answers for `neighbor`: what waited for it fails.
    pub(crate) fn on_unreachable(&mut self, neighbor: IpAddr) {
        self.sends.on_unreachable(neighbor);
    }

    /// An address of ours is no more: what would leave from it fails.
    pub(crate) fn on_address_lost(&mut self, address: Ipv4Addr) {
        self.sends.on_address_lost(address.into());
    }

    /// The next `UdpSent`, `UdpRefused` or `UdpRecv`.
    #[inline]
    pub(crate) fn poll_event<E: Env>(&mut self, env: &mut E) -> Option<Event> {
        if let Some((socket, cookie, result)) = self.sends.poll_done(env) {
            return Some(Event::UdpSent {
                socket,
                cookie,
                result,
            });
        }
        while let Some((socket, peer)) = self.refusals.pop_front() {
            if self.local_port(socket).is_ok() {
                let cookie = self.sockets[socket.index as usize].cookie;
                return Some(Event::UdpRefused { socket, cookie, peer });
            }
        }
        while let Some(waiting) = self.received.pop_front() {
            if self.local_port(waiting.socket).is_err() {
                self.held_buffers -= 1;
                env.free_rx(waiting.buf);
                continue;
            }
            return Some(Event::UdpRecv {
                socket: waiting.socket,
                cookie: waiting.cookie,
                peer: waiting.peer,
                buf: waiting.buf,
                offset: waiting.offset,
                len: waiting.len,
            });
        }
        None
    }
}
