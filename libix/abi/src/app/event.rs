use super::{Endpoint, Handle};

/// What an [`Event`] tells. The list says which fields count; the others are undefined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum EventKind {
    /// A peer has opened a connection (handshake complete) to the listener whose `cookie` this is: `handle` of the new
    /// flow, `endpoint` of the peer. Answer with accept or reject.
    Knock = 1,
    /// A connect finished: `handle`, `cookie`, `result` 0 or a negated status (the flow is then gone; no `Dead` follows).
    Connected = 2,
    /// `len` bytes at `address`, in the read-only receive window, next in the stream of `handle`. They stay until given
    /// back with `TcpRecvDone`, and hold that much of the peer's window.
    Recv = 3,
    /// The peer has acknowledged `len` more bytes of `handle`: the memory they were sent from is the app's again.
    /// `room` tells how many bytes a send would be accepted now (IX: `window_sz`).
    Sent = 4,
    /// The peer has finished sending on `handle` (FIN, all data delivered); sending to it still works.
    Eof = 5,
    /// `handle` is gone, for the reason in `result` (a negated status; 0 after an orderly close by both sides). Memory
    /// of unacknowledged sends is the app's again.
    Dead = 6,
    /// A datagram of `len` bytes at `address` from `endpoint`, for the UDP port `handle`.
    UdpRecv = 7,
    /// The datagram sent with `cookie` has left (`result` 0) or could not be sent (a negated status).
    UdpSent = 8,
    /// The timer with `cookie` went off; its `handle` is no longer valid.
    Timer = 9,
    /// The launcher asks the app to finish; sent once.
    Stop = 10,
    /// The host at `endpoint` said that it refuses datagrams of the UDP port `handle`: its own port is closed.
    UdpRefused = 11,
    /// The dataplane's own IPv4 address is now that of `endpoint`, or none (unspecified). Connections from the one before
    /// die. `len`: the number of the link whose address it is.
    Address = 12,
    /// A frame (`Bridge`), from its Ethernet header on, or a packet for another host (`Route`), from its IP header on: `len`
    /// bytes at `address`, for `handle` with this `cookie`. They stay until given back with `FrameDone` or sent on with
    /// `FrameForward`.
    FrameRecv = 32,
}

impl EventKind {
    /// Checked decoding.
    #[must_use]
    pub const fn from_u16(number: u16) -> Option<Self> {
        Some(match number {
            1 => EventKind::Knock,
            2 => EventKind::Connected,
            3 => EventKind::Recv,
            4 => EventKind::Sent,
            5 => EventKind::Eof,
            6 => EventKind::Dead,
            7 => EventKind::UdpRecv,
            8 => EventKind::UdpSent,
            9 => EventKind::Timer,
            10 => EventKind::Stop,
            11 => EventKind::UdpRefused,
            12 => EventKind::Address,
            32 => EventKind::FrameRecv,
            _ => return None,
        })
    }
}

/// One entry of the event array: a cache line, written by ring 0, read by ring 3.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub struct Event {
    /// An [`EventKind`].
    pub kind: u16,
    /// Zero.
    pub reserved: u16,
    /// 0 or a negated [`super::Status`].
    pub result: i32,
    /// The object it is about.
    pub handle: Handle,
    /// The app's own word for that object.
    pub cookie: u64,
    /// Ring-3 virtual address, in the receive window.
    pub address: u64,
    /// Bytes.
    pub len: u32,
    /// Bytes the flow's send queue has room for.
    pub room: u32,
    /// The peer.
    pub endpoint: Endpoint,
}

const _: () = assert!(size_of::<Event>() == 64);

#[cfg(test)]
mod tests {
    use super::EventKind;

    #[test]
    fn kinds_decode_to_themselves_and_nothing_else_does() {
        for number in 0..=u16::MAX {
            match EventKind::from_u16(number) {
                Some(kind) => assert_eq!(kind as u16, number),
                None => assert!(number == 0 || number > 12 && number != 32),
            }
        }
    }
}
