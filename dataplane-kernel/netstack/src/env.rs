//! What the stack needs from whoever drives it.

/// A receive buffer, by its index in the driver's pool. Owning the value is owning the buffer: it is neither `Clone`
/// nor `Copy`, and ends in [`Env::free_rx`] or in an event.
#[derive(Debug, PartialEq, Eq)]
pub struct BufId(pub u32);

/// A piece of memory the stack sends from but never reads: the driver's own address of it (guest-physical in the
/// kernel) and its length in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Address in the driver's terms.
    pub address: u64,
    /// Bytes.
    pub len: u32,
}

/// What is known of a received frame's TCP/UDP checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RxChecksum {
    /// Nothing: the stack verifies it.
    Unknown,
    /// The device (or the trusted host that sent it) vouches for it.
    Good,
    /// The sender is on the device's side and has left it to the device: as [`TxOffload::Partial`] says. The frame must not
    /// leave for another link like that; who receives it takes it for good (virtio 1.2 section 5.1.6.4.1).
    Partial {
        /// Offset of the TCP or UDP header from the frame's first byte.
        start: u16,
        /// Offset of the checksum field in that header.
        offset: u16,
    },
}

impl RxChecksum {
    /// The same of what is left of the frame behind its first `bytes`.
    #[inline]
    #[must_use]
    pub fn behind(self, bytes: u16) -> RxChecksum {
        match self {
            RxChecksum::Partial { start, offset } => RxChecksum::Partial {
                start: start.wrapping_sub(bytes),
                offset,
            },
            _ => self,
        }
    }
}

/// What is left to the device of a transmitted frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TxOffload {
    /// The frame is complete as it is.
    #[default]
    Complete,
    /// The field at `start + offset` holds the pseudo-header sum; the device adds the bytes from `start` to the end of
    /// the frame and stores the complement there (virtio 1.2 section 5.1.6.2, `VIRTIO_NET_HDR_F_NEEDS_CSUM`).
    Partial {
        /// Offset of the TCP or UDP header in the frame.
        start: u16,
        /// Offset of the checksum field in that header.
        offset: u16,
    },
    /// A TCP segment that is longer than a frame may be: the device cuts its payload into segments of `mss` bytes (the last
    /// one of what is left), each with a copy of the headers in which it corrects lengths, IPv4 identification, sequence
    /// number and checksums; FIN and PSH are the last one's only. The checksum field holds the pseudo-header's sum, with the
    /// length as it stands in the headers (virtio 1.2 section 5.1.6.2, `VIRTIO_NET_HDR_GSO_TCPV4`).
    Segments {
        /// Offset of the IP header in the frame. Between it and the TCP header is nothing but a header without options.
        ip: u16,
        /// Offset of the TCP header.
        start: u16,
        /// Payload of each segment, in bytes.
        mss: u16,
    },
}

impl TxOffload {
    /// The same of a frame that begins `bytes` earlier.
    #[inline]
    #[must_use]
    pub fn behind(self, bytes: u16) -> TxOffload {
        let later = |place: u16| place.saturating_add(bytes);
        match self {
            TxOffload::Complete => self,
            TxOffload::Partial { start, offset } => TxOffload::Partial {
                start: later(start),
                offset,
            },
            TxOffload::Segments { ip, start, mss } => TxOffload::Segments {
                ip: later(ip),
                start: later(start),
                mss,
            },
        }
    }
}

/// Most payload of [`TxOffload::Segments`], in bytes: with headers of the longest kind an IPv4 packet is full.
pub const MAX_SEGMENTS_BYTES: u32 = 65535 - 20 - 60;

/// Place of a frame in the transmit order; counts up and wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TxTicket(pub u32);

/// Room for headers that [`Env::begin_tx`] gives at least, in bytes. Frames the stack composes whole (ARP, ICMP) may
/// use all of what it gives, up to the MTU.
pub const HEADER_ROOM: usize = 256;

/// The driver's side of the stack; statically dispatched.
pub trait Env {
    /// Memory for the headers of the next frame, at least [`HEADER_ROOM`] long (the kernel gives a whole 2 KiB buffer);
    /// `None` while the transmit ring or the pool is full. Calling it again before [`Env::commit_tx`] starts over.
    fn begin_tx(&mut self) -> Option<&mut [u8]>;

    /// Sends the frame begun: the first `header_len` bytes of its memory, then `payload` (at most [`MAX_TX_SPANS`]) by
    /// scatter-gather.
    fn commit_tx(&mut self, header_len: usize, payload: &[Span], offload: TxOffload) -> TxTicket;

    /// `true` once the device no longer reads the payload of the frame with this ticket.
    fn tx_done(&self, ticket: TxTicket) -> bool;

    /// Gives a receive buffer back to the pool.
    fn free_rx(&mut self, buf: BufId);

    /// Asks for the cache lines of `place`, which will be read soon; never waits for them. A driver that cannot do that
    /// does nothing.
    #[inline]
    fn prefetch<T>(&self, _place: &T) {}

    /// A receive buffer that takes a whole IP packet of any length, [`LARGE_BYTES`], in which fragments are put together;
    /// it lives as others do, and [`Env::free_rx`] ends it. `None` while all are in use; a driver that has none does
    /// without fragments.
    fn alloc_large(&mut self) -> Option<BufId> {
        None
    }

    /// The memory of a large buffer.
    fn large(&mut self, _buf: &BufId) -> &mut [u8] {
        &mut []
    }

    /// The bytes of a payload span, for checksums in software: of fragments, and of all where [`crate::Config`] says that the
    /// device computes none.
    fn bytes(&self, span: Span) -> &[u8];
}

/// Bytes of a large buffer ([`Env::alloc_large`]): the longest packet, and room for its header to be laid out.
pub const LARGE_BYTES: usize = 65535 + 60;

/// Most payload spans of one frame, as many as one call of the app's may name; a segment that would need more is cut
/// short.
pub const MAX_TX_SPANS: usize = 30;
