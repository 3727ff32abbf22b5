//! Network interfaces: one trait, statically dispatched, and a folder per card. First step of a packet's way
//! (`poll_rx`) and the last (`commit_tx`).
//!
//! Everything is polled. A cycle calls `Nic::poll_rx`, `Nic::refill`, any number of `Nic::begin_tx` and
//! `Nic::commit_tx`, `Nic::reclaim_tx` and, once, `Nic::kick`: what was posted becomes visible to the device
//! there, with at most one doorbell per queue.
#![deny(unsafe_code)]

/// Which card there is.
pub mod card;

/// Modern virtio network devices on PCI.
pub mod virtio_net;

/// Intel's 82574L and 82540EM.
pub mod e1000e;

use crate::mem::mbuf::Pool;
use netstack::{BufId, ChecksumOffload, RxChecksum, Span, TxTicket};

/// A received frame: `len` bytes, starting with the Ethernet header, at `offset` of a buffer that now belongs to the
/// caller.
#[derive(Debug, PartialEq, Eq)]
pub struct RxFrame {
    /// The buffer.
    pub buf: BufId,
    /// Bytes before the frame.
    pub offset: u16,
    /// Bytes of the frame, without its FCS.
    pub len: u16,
    /// What the device says of its TCP or UDP checksum.
    pub checksum: RxChecksum,
}

/// What a device takes off the stack's hands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Vouches for checksums of received TCP and UDP: [`RxChecksum::Good`] may be seen.
    pub rx_checksum: bool,
    /// Completes checksums of transmitted TCP and UDP: [`ChecksumOffload::Partial`] may be asked for.
    pub tx_checksum: bool,
}

/// How a device is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It works, and its link is up.
    LinkUp,
    /// It works, but its link is down: frames may be lost on either side.
    LinkDown,
    /// It has asked to be reset, or was reset by somebody else: nothing is received or transmitted any more.
    Failed,
}

/// One receive queue and one transmit queue of a network interface, for one core.
pub trait Nic {
    /// Its address.
    fn mac(&self) -> [u8; 6];

    /// Largest IP packet it carries, in bytes.
    fn mtu(&self) -> u16;

    /// What was agreed with it.
    fn features(&self) -> Features;

    /// Link state at the last [`Nic::check`].
    fn link_up(&self) -> bool;

    /// Passes on at most `budget` received frames, in order; returns how many.
    fn poll_rx(&mut self, budget: usize, sink: &mut impl FnMut(RxFrame)) -> usize;

    /// Gives the receive queue as many empty buffers as it has room for and the pool has left.
    fn refill(&mut self, pool: &mut Pool);

    /// Memory for the headers of the next frame, [`netstack::HEADER_ROOM`] bytes at least; a whole frame of the MTU fits.
    /// `None` while the queue has no room. Calling it again before [`Nic::commit_tx`] starts over.
    fn begin_tx(&mut self) -> Option<&mut [u8]>;

    /// Queues the frame begun: `header_len` bytes of its memory, then `payload`, at most [`netstack::MAX_TX_SPANS`].
    fn commit_tx(&mut self, header_len: usize, payload: &[Span], checksum: ChecksumOffload) -> TxTicket;

    /// `true` once the device has let go of the frame with this ticket, as far as [`Nic::reclaim_tx`] has seen. To be
    /// asked within 2^31 frames.
    fn tx_done(&self, ticket: TxTicket) -> bool;

    /// `true` when the device has let go of all frames.
    fn tx_idle(&self) -> bool;

    /// Looks which frames the device has let go of.
    fn reclaim_tx(&mut self);

    /// Tells the device what was posted since the last call, unless it is looking anyway.
    fn kick(&mut self);

    /// Reads the state of device and link from its registers, which is slow: a few times a second will do. News is
    /// logged and counted.
    fn check(&mut self) -> Health;

    /// Stops the device: it touches no memory any more.
    fn stop(&mut self);

    /// Counters, by name.
    fn counters(&self) -> impl Iterator<Item = (&'static str, u64)>;
}
