//! Network interfaces: one trait, statically dispatched, and a folder per card. First step of a packet's way
//! (`poll_rx`) and the last (`commit_tx`).
//!
//! Everything is polled. A cycle calls `Nic::poll_rx`, `Nic::refill`, any number of `Nic::begin_tx` and
//! `Nic::commit_tx`, `Nic::reclaim_tx` and, once, `Nic::kick`: what was posted becomes visible to the device
//! there, with at most one doorbell per queue. Only who sleeps has himself interrupted, between `Nic::arm` and `Nic::disarm`.
#![deny(unsafe_code)]

/// Which cards there are.
pub mod card;

/// One of two kinds.
pub mod either;

/// Frames over several buffers.
mod parts;

/// What queue pairs of one card tell each other.
mod pairs;

/// How a card that has failed comes back.
mod recovery;

/// Which frames a device has let go of.
mod tickets;

/// Headers of what a card is to cut.
mod segments;

/// Modern virtio network devices on PCI.
pub mod virtio_net;

/// Intel's 82574L and 82540EM.
pub mod e1000e;

/// VMware's paravirtual card.
pub mod vmxnet3;

/// A card that receives what it sends.
pub mod loopback;

/// A wrapper's methods that are those of the card in it.
mod forward;

pub mod steered;

/// What the tests of all drivers begin with.
#[cfg(test)]
mod bench;

/// A card on a VLAN.
pub mod vlan;

use crate::mem::mbuf::Pool;
use ix_abi::host::cmdline::offload;
use netstack::rss::{Key, Table};
use netstack::wire::vlan::VlanId;
use netstack::{BufId, Medium, RxChecksum, Span, TxOffload, TxTicket};

/// A received frame, or a part of one that did not fit a buffer: `len` bytes at `offset` of a buffer that now belongs to
/// the caller. A frame starts with its Ethernet header.
#[derive(Debug, PartialEq, Eq)]
pub struct RxFrame {
    /// The buffer.
    pub buf: BufId,
    /// Bytes before the frame.
    pub offset: u16,
    /// Bytes of the frame in this buffer, without its FCS.
    pub len: u16,
    /// What the device says of its TCP or UDP checksum.
    pub checksum: RxChecksum,
    /// The frame goes on in the next one that is passed on.
    pub continues: bool,
}

/// Most buffers of one frame: those of 64 KiB, what a device that merges segments may make of them.
pub const MAX_PARTS: usize = 34;

bitflags::bitflags! {
    /// What a device takes off the stack's hands, if it can and may.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Offloads: u8 {
        /// It vouches for checksums of received TCP and UDP: [`RxChecksum::Good`] may be seen.
        const RX_CHECKSUM = 1 << 0;
        /// It completes checksums of transmitted TCP and UDP: [`TxOffload::Partial`] may be asked for.
        const TX_CHECKSUM = 1 << 1;
        /// It cuts TCP segments that are too long: [`TxOffload::Segments`] may be asked for.
        const TSO = 1 << 2;
        /// It merges received TCP segments into longer ones.
        const LRO = 1 << 3;
        /// It hands what it receives to queues by [`Nic::set_table`].
        const RSS = 1 << 4;
        /// It inserts the tags of [`Wanted::vlan`] and takes them off; frames without never come up.
        const VLAN = 1 << 5;
    }
}

impl Offloads {
    /// What the command line calls them.
    pub const NAMES: [(&str, Offloads); 6] = [
        (offload::RX_CHECKSUM, Offloads::RX_CHECKSUM),
        (offload::TX_CHECKSUM, Offloads::TX_CHECKSUM),
        (offload::TSO, Offloads::TSO),
        (offload::LRO, Offloads::LRO),
        (offload::RSS, Offloads::RSS),
        (offload::VLAN, Offloads::VLAN),
    ];

    /// As counters: 1 for each that is used, 0 for each that is not.
    pub fn each(self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("nic.offload_rxcsum", Offloads::RX_CHECKSUM),
            ("nic.offload_txcsum", Offloads::TX_CHECKSUM),
            ("nic.offload_tso", Offloads::TSO),
            ("nic.offload_lro", Offloads::LRO),
            ("nic.offload_rss", Offloads::RSS),
            ("nic.offload_vlan", Offloads::VLAN),
        ]
        .into_iter()
        .map(move |(name, offload)| (name, u64::from(self.contains(offload))))
    }
}

/// What is wanted of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What it may take off the stack's hands.
    pub offloads: Offloads,
    /// Largest IP packet of the link, in bytes; `None`: what the device says, up to that of an ordinary Ethernet.
    pub mtu: Option<u16>,
    /// Queues of each direction, one for each core; fewer if it has fewer.
    pub queues: u16,
    /// The VLAN that it is on.
    pub vlan: Option<VlanId>,
    /// It is to wake who sleeps ([`Nic::arm`]); where nobody ever does, it is given no interrupt.
    pub alarm: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Wanted {
            offloads: Offloads::all(),
            mtu: None,
            queues: 1,
            vlan: None,
            alarm: false,
        }
    }
}

/// Largest IP packet of an ordinary Ethernet, in bytes.
pub const ETHERNET_MTU: u16 = 1500;

/// Largest that any driver carries: what switches take.
pub const JUMBO_MTU: u16 = 9000;

/// Every IPv4 link carries this much (RFC 791).
pub const MIN_MTU: u16 = 68;

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

impl Health {
    /// Of a device that works.
    fn of_link(is_up: bool) -> Self {
        if is_up { Health::LinkUp } else { Health::LinkDown }
    }
}

/// What comes of [`Nic::arm`]; of several cards, the last of these counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// The next frame interrupts.
    Set,
    /// The device cannot interrupt, or could not receive now: only looking tells.
    Unavailable,
    /// A frame has come already.
    TooLate,
}

/// One receive queue and one transmit queue of a network interface, for one core.
pub trait Nic {
    /// Its address.
    fn mac(&self) -> [u8; 6];

    /// What it leads to.
    fn medium(&self) -> Medium {
        Medium::Ethernet
    }

    /// Largest IP packet it carries, in bytes.
    fn mtu(&self) -> u16;

    /// What was agreed with it.
    fn offloads(&self) -> Offloads;

    /// Link state at the last [`Nic::check`].
    fn link_up(&self) -> bool;

    /// Passes on received frames, in order, until they take up `budget` buffers; returns how many those are. The last frame
    /// may take up more, [`MAX_PARTS`] at most.
    fn poll_rx(&mut self, budget: usize, sink: &mut impl FnMut(RxFrame)) -> usize;

    /// Gives the receive queue as many empty buffers as it has room for and the pool has left.
    fn refill(&mut self, pool: &mut Pool);

    /// Memory for the headers of the next frame, [`netstack::HEADER_ROOM`] bytes at least; a whole frame of the MTU fits, and
    /// a tag.
    /// `None` while the queue has no room. Calling it again before [`Nic::commit_tx`] gives the same, as it is.
    fn begin_tx(&mut self) -> Option<&mut [u8]>;

    /// Queues the frame begun: `header_len` bytes of its memory, then `payload`, at most [`netstack::MAX_TX_SPANS`].
    fn commit_tx(&mut self, header_len: usize, payload: &[Span], offload: TxOffload) -> TxTicket;

    /// `true` once the device has let go of the frame with this ticket, as far as [`Nic::reclaim_tx`] has seen. To be
    /// asked within 2^31 frames.
    fn tx_done(&self, ticket: TxTicket) -> bool;

    /// `true` when the device has let go of all frames.
    fn tx_idle(&self) -> bool;

    /// Looks which frames the device has let go of.
    fn reclaim_tx(&mut self);

    /// Tells the device what was posted since the last call, unless it is looking anyway.
    fn kick(&mut self);

    /// Has the next frame interrupt the processor that calls. It is the last thing before each sleep, and may be called any
    /// number of times before that; until then, and again from [`Nic::disarm`] on, the device interrupts nobody.
    ///
    /// [`Alarm::Set`] is a promise: no frame is there that [`Nic::poll_rx`] has not seen, and one that comes interrupts. So a
    /// driver first has the device interrupt, then makes sure that the device knows, and then looks whether a frame came before
    /// that; and where it keeps an [`msix::Vector`](crate::hw::pci::msix::Vector) for its queue, it aims that here, for a queue
    /// moves from processor to processor.
    fn arm(&mut self) -> Alarm {
        Alarm::Unavailable
    }

    /// The processor is awake, and looks for itself.
    fn disarm(&mut self) {}

    /// Reads the state of device and link from its registers, which is slow: a few times a second will do. News is
    /// logged and counted.
    fn check(&mut self) -> Health;

    /// Has the device hand what it receives of a group of flows to the queue that `table` names for it, by the hash with this
    /// key. `false`: it does not, and the cores hand on what is not for them ([`steered`]), as they do with what was under way.
    /// Asked of the first queue only, which may wait for the device.
    fn set_table(&mut self, _key: &Key, _table: &Table) -> bool {
        false
    }

    /// From now on no received segments are merged ([`Offloads::LRO`]), so that all can be sent on; frames may be lost meanwhile.
    /// `false`: the device cannot do that. Asked of the first queue only, which may wait for the device.
    fn stop_merging(&mut self) -> bool {
        !self.offloads().contains(Offloads::LRO)
    }

    /// From now on frames for any station are received. `false`: the device cannot do that. Asked of the first queue only.
    fn hear_all_stations(&mut self) -> bool {
        false
    }

    /// Stops the device: it touches no memory any more.
    fn stop(&mut self);

    /// Counters, by name.
    fn counters(&self) -> impl Iterator<Item = (&'static str, u64)>;
}
