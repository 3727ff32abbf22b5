//! What the stack tells the app, and how its calls fail.

use crate::BufId;
use core::fmt;
use core::net::{Ipv4Addr, SocketAddr};

/// A slot of one of the stack's tables and the generation of what lives there; a stale one is [`Error::BadHandle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id {
    /// Slot.
    pub index: u32,
    /// Wraps at 2^28.
    pub generation: u32,
}

/// One thing that happened. Per flow they come in this order: `Knock` or `Connected`, then any of `Recv` and `Sent`,
/// `Eof` after the last `Recv`, and `Dead` last. `cookie` is the word the app gave.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the variants say what the fields are")]
pub enum Event {
    /// Handshake complete on a listener (whose cookie it carries); wants `tcp_accept` or `tcp_reject`.
    Knock { flow: Id, cookie: u64, peer: SocketAddr },
    /// A `tcp_connect` came through or failed (then the flow is gone, and no `Dead` follows).
    Connected {
        flow: Id,
        cookie: u64,
        result: Result<(), Error>,
    },
    /// `len` in-order bytes at `offset` of `buf`, which the app now holds until `rx_done`.
    Recv {
        flow: Id,
        cookie: u64,
        buf: BufId,
        offset: u16,
        len: u16,
    },
    /// `len` more bytes acknowledged, and no frame in the transmit ring refers to them any more; `room` bytes would be
    /// accepted now.
    Sent {
        flow: Id,
        cookie: u64,
        len: u32,
        room: u32,
    },
    /// The peer's FIN, after all its data.
    Eof { flow: Id, cookie: u64 },
    /// The flow is gone; no span of it is referred to any more.
    Dead {
        flow: Id,
        cookie: u64,
        reason: Result<(), Error>,
    },
    /// A datagram; the app holds `buf` until `rx_done`.
    UdpRecv {
        socket: Id,
        cookie: u64,
        peer: SocketAddr,
        buf: BufId,
        offset: u16,
        len: u16,
    },
    /// A datagram has left, or could not be sent. `cookie` is that of the send.
    UdpSent {
        socket: Id,
        cookie: u64,
        result: Result<(), Error>,
    },
    /// A host said that it refuses datagrams like one of this socket's: the port is closed there.
    UdpRefused {
        socket: Id,
        cookie: u64,
        peer: SocketAddr,
    },
    /// Our IPv4 address is another one, or there is none any more; connections from the old one die.
    Address { ip: Option<Ipv4Addr> },
    /// An app timer went off; its `Id` is no longer valid.
    Timer { timer: Id, cookie: u64 },
}

/// Why a call failed or a flow died. The kernel maps these one to one to the ABI's statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are those of the ABI's statuses")]
pub enum Error {
    NoMemory,
    Invalid,
    Again,
    BadHandle,
    Closed,
    ConnectionRefused,
    ConnectionReset,
    TimedOut,
    AddressInUse,
    AddressNotAvailable,
    Unreachable,
    MessageTooLong,
    NotSupported,
    Aborted,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl core::error::Error for Error {}

/// Who is told events: the app's side of the stack.
pub trait Told {
    /// This has happened. Inlined where an event is made, this costs no more than the fields that it looks at.
    fn tell(&mut self, event: Event);
}

impl Told for Option<Event> {
    #[inline(always)]
    fn tell(&mut self, event: Event) {
        *self = Some(event);
    }
}
