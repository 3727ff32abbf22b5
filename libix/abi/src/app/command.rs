use super::{Endpoint, Handle};

/// Most scatter-gather entries one `*Sendv` command may name (IX: `MAX_SG_ENTRIES`).
pub const MAX_SG_ENTRIES: usize = 30;

/// One piece of a scatter-gather send: memory of the app's, named by its ring-3 address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SgEntry {
    /// Ring-3 virtual address.
    pub address: u64,
    /// Bytes.
    pub len: u64,
}

const _: () = assert!(size_of::<SgEntry>() == 16);

/// What a [`Command`] asks for. The list says which fields count; the others are ignored. Every command leaves its
/// outcome in `result`: a value from 0 up, or a negated [`super::Status`].
///
/// "Held" memory must stay mapped and unchanged until the event named says that it is free again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Opcode {
    /// Does nothing.
    Nop = 0,
    /// Opens a connection to `endpoint`. `cookie` comes back with every event of the flow. `address`: 0, or where in
    /// app memory an [`Endpoint`] holds the local address and port to use (unspecified parts are chosen).
    /// Sets `handle`. Answered by `EventKind::Connected`.
    TcpConnect = 1,
    /// Takes the connection that a `Knock` offered: `handle`; `cookie` comes back with every later event of it.
    TcpAccept = 2,
    /// Refuses it with a reset: `handle`. No further event follows.
    TcpReject = 3,
    /// Sends `len` bytes at `address` on `handle`. `result` is how many were accepted, from the front: less than
    /// `len` when the flow's send queue is full (`Sent` tells of new room). Accepted bytes are held until `Sent`
    /// events have covered them.
    TcpSend = 4,
    /// The same from `len` (at most [`MAX_SG_ENTRIES`]) [`SgEntry`]s at `address`; the array itself is not held.
    TcpSendv = 5,
    /// Gives back the buffer at `address` (the address of a `Recv` event, or any within that event's bytes) and opens
    /// the receive window by what it held. Legal after the flow has died. `handle` is not looked at.
    TcpRecvDone = 6,
    /// Closes `handle` in order: what was accepted is still delivered, then FIN. No further event of the flow follows
    /// but `Sent` and, once both sides are done, `Dead`. With [`Command::ABORT`] in `flags` it sends a reset instead.
    TcpClose = 7,
    /// Half close: sends FIN after what was accepted, and goes on receiving on `handle`.
    TcpShutdown = 8,
    /// Listens at `endpoint` (a port, and an address or any); `len` is the most connections not yet accepted
    /// (0: a default). Sets `handle`. Every `Knock` carries `cookie`.
    TcpListen = 9,
    /// Stops listening on `handle`; connections not yet accepted are reset.
    TcpUnlisten = 10,
    /// Binds the UDP port `endpoint` (port 0: any free one). Sets `handle`. Every `UdpRecv` carries `cookie`.
    UdpBind = 11,
    /// Unbinds `handle`. Buffers of its datagrams may still be returned.
    UdpUnbind = 12,
    /// Sends the datagram of `len` bytes at `address` from the port `handle` to `endpoint`. Held until `UdpSent`
    /// with this `cookie`.
    UdpSend = 13,
    /// The same from `len` (at most [`MAX_SG_ENTRIES`]) [`SgEntry`]s at `address`, gathered into one datagram.
    UdpSendv = 14,
    /// Gives back the buffer at `address` of a `UdpRecv`.
    UdpRecvDone = 15,
    /// Starts a one-shot timer of `len` nanoseconds; `Timer` with `cookie` follows. Sets `handle`.
    TimerStart = 16,
    /// Stops the timer `handle`; `BadHandle` if it has gone off already.
    TimerCancel = 17,
    /// Switches keepalive probes of `handle` on (`len` = idle time in nanoseconds) or off (`len` = 0).
    TcpKeepalive = 18,
    /// Sets an option of `handle`: `address` is a [`super::FlowOption`], `len` its value.
    TcpSetOption = 19,
    /// Datagrams to the group `endpoint` and the port of `handle` are for `handle`, too. Joining twice is joining once.
    UdpJoin = 20,
    /// They are no more; `Invalid` if it has not joined.
    UdpLeave = 21,
    /// Takes what comes by the link numbered `len` and is not this machine's, as `address`, a [`super::FrameMode`], says. Sets
    /// `handle`. Every `FrameRecv` carries `cookie`. `Busy` if it is bound already; `NotSupported` if the card cannot do
    /// without merging segments, or, for `Bridge`, cannot hear what is for other stations, or if the kernel sees to its VLAN's
    /// tags.
    FrameBind = 32,
    /// Takes it no more: `handle`. Buffers may still be returned, but not forwarded.
    FrameUnbind = 33,
    /// Sends the frame whose buffer `address` lies in, which `handle` has received and not given back. `Bridge`: as it is, out
    /// of the link numbered `len`. `Route`: to the next hop on the way to its destination, one hop older; the kernel writes the
    /// headers and sees to ICMP. The buffer is the kernel's then, and goes home when it has been sent; with
    /// [`Command::KEEP`] it stays the app's as well, until `FrameDone` or another `FrameForward`. `result`: 0, or 1 if
    /// the frame was dropped instead, and counted.
    FrameForward = 34,
    /// Gives back the buffer that `address` of a `FrameRecv` lies in. `handle` is not looked at.
    FrameDone = 35,
}

impl Opcode {
    /// Checked decoding of a number written by ring 3.
    #[must_use]
    pub const fn from_u16(number: u16) -> Option<Self> {
        Some(match number {
            0 => Opcode::Nop,
            1 => Opcode::TcpConnect,
            2 => Opcode::TcpAccept,
            3 => Opcode::TcpReject,
            4 => Opcode::TcpSend,
            5 => Opcode::TcpSendv,
            6 => Opcode::TcpRecvDone,
            7 => Opcode::TcpClose,
            8 => Opcode::TcpShutdown,
            9 => Opcode::TcpListen,
            10 => Opcode::TcpUnlisten,
            11 => Opcode::UdpBind,
            12 => Opcode::UdpUnbind,
            13 => Opcode::UdpSend,
            14 => Opcode::UdpSendv,
            15 => Opcode::UdpRecvDone,
            16 => Opcode::TimerStart,
            17 => Opcode::TimerCancel,
            18 => Opcode::TcpKeepalive,
            19 => Opcode::TcpSetOption,
            20 => Opcode::UdpJoin,
            21 => Opcode::UdpLeave,
            32 => Opcode::FrameBind,
            33 => Opcode::FrameUnbind,
            34 => Opcode::FrameForward,
            35 => Opcode::FrameDone,
            _ => return None,
        })
    }
}

/// One entry of the command array: a cache line, filled by ring 3, answered in place by ring 0.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub struct Command {
    /// An [`Opcode`].
    pub opcode: u16,
    /// Bits such as [`Command::ABORT`]; unknown ones are `Status::Invalid`.
    pub flags: u16,
    /// Written by the kernel: a value from 0 up, or a negated [`super::Status`].
    pub result: i32,
    /// The object acted on; written by the kernel where the command makes one.
    pub handle: Handle,
    /// The app's own word, given back in events.
    pub cookie: u64,
    /// Ring-3 virtual address.
    pub address: u64,
    /// Bytes, entries or nanoseconds, by opcode.
    pub len: u64,
    /// Remote (connect, UDP send) or local (listen, bind) endpoint.
    pub endpoint: Endpoint,
}

const _: () = assert!(size_of::<Command>() == 64);

impl Command {
    /// For [`Opcode::TcpClose`]: reset instead of an orderly close.
    pub const ABORT: u16 = 1;

    /// For [`Opcode::FrameForward`]: the buffer stays the app's.
    pub const KEEP: u16 = 2;
}

#[cfg(test)]
mod tests {
    use super::Opcode;

    #[test]
    fn opcodes_decode_to_themselves_and_nothing_else_does() {
        for number in 0..=u16::MAX {
            match Opcode::from_u16(number) {
                Some(opcode) => assert_eq!(opcode as u16, number),
                None => assert!((22..32).contains(&number) || number > 35),
            }
        }
    }
}
