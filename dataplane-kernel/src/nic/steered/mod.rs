//! One card for several cores. A core that has a queue of the card's is a *hub*, [`Steered`]: it looks whose each frame is that
//! it takes from its queue, keeps its own, and hands the others to their cores. With a queue for each core, and a card that
//! chooses among them as we do, there is nothing to hand on but what concerns all. A core without a queue has a [`Remote`]
//! instead, which receives from all hubs and sends through one of them.
//!
//! Between cores are queues of slots ([`spsc`]), and nothing else is shared: payloads stay where they are, received buffers go
//! home to the pool of the core that received them, and a hub tells how many of another core's frames the card has let go of.

/// A core with a queue.
mod hub;
pub use hub::Steered;

/// A core without one.
mod remote;
pub use remote::Remote;

/// What other cores hand on.
mod inbound;

/// To where a frame goes.
mod way;

#[cfg(test)]
mod tests;

use super::pairs::SharedHealth;
use super::{MAX_PARTS, Nic, Offloads, RxFrame};
use crate::mem::mbuf::{BUFFER_BYTES, Region};
use crate::mem::spsc::{self, Consumer, Producer};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::AtomicU32;
use inbound::Inbound;
use netstack::rss::Steering;
use netstack::{MAX_TX_SPANS, Medium, Span, TxOffload};

/// Frames on their way from one core to another, at most, and the part of a core's buffers that those to all others may be: a
/// core that takes none must not leave the others without.
const RX_SLOTS: u32 = 1024;
const RX_SHARE: u32 = 4;
/// A frame of the longest kind fits.
const RX_SLOTS_MIN: u32 = 64;
const _: () = assert!(RX_SLOTS_MIN as usize > MAX_PARTS);

const ETHERNET_HEADER: usize = 14;
/// Frames on their way from one.
const TX_SLOTS: u32 = 256;

/// Received frames on their way to another core.
type Outbound = Producer<Option<RxFrame>>;

/// A frame to be sent.
struct TxFrame {
    header: Box<[u8]>,
    header_len: usize,
    payload: [Span; MAX_TX_SPANS],
    spans: usize,
    offload: TxOffload,
}

impl TxFrame {
    fn new(header_bytes: usize) -> Self {
        TxFrame {
            header: vec![0; header_bytes].into(),
            header_len: 0,
            payload: [Span::default(); MAX_TX_SPANS],
            spans: 0,
            offload: TxOffload::Complete,
        }
    }
}

/// What a hub tells a core that sends through it, in lines of the cache of their own.
#[derive(Debug)]
#[repr(align(64))]
struct Told {
    /// Frames of the core's that the card has let go of; wraps.
    done: AtomicU32,
    health: SharedHealth,
}

/// A hub's end of what leads from a core that sends through it.
struct Served {
    tx: Consumer<TxFrame>,
    told: Arc<Told>,
}

/// What all cores are told of the card once.
#[derive(Clone, Copy, Debug)]
struct Card {
    mac: [u8; 6],
    medium: Medium,
    mtu: u16,
    offloads: Offloads,
}

impl Card {
    fn of(nic: &impl Nic) -> Self {
        Card {
            mac: nic.mac(),
            medium: nic.medium(),
            mtu: nic.mtu(),
            offloads: nic.offloads(),
        }
    }
}

/// Shares a card with these queues, of which the first `cores` are used, whose buffers are in `region`, among the cores: those
/// with a queue, in the order of the queues, and those without. `cards` is how many there are that do so.
pub fn share<N: Nic>(
    queues: Vec<N>,
    steering: &Arc<Steering>,
    region: Region,
    (cores, cards): (usize, usize),
) -> (Vec<Steered<N>>, Vec<Remote>) {
    let hubs = queues.len().clamp(1, cores.max(1));
    let lines = u32::try_from(hubs * (cores - 1) * cards)
        .unwrap_or(u32::MAX)
        .max(1);
    let slots = (region.count() / RX_SHARE / lines).clamp(RX_SLOTS_MIN, RX_SLOTS);
    let mut inbound: Vec<Vec<_>> = (0..cores).map(|_| Vec::new()).collect();
    let mut steered = Vec::new();
    for (own, nic) in (0..hubs).zip(queues) {
        let line = |(core, ends): (usize, &mut Vec<_>)| {
            let (to, end) = (core != own).then(|| spsc::queue(slots, || None)).unzip();
            ends.extend(end);
            to
        };
        let outbound = inbound.iter_mut().enumerate().map(line).collect();
        steered.push(Steered::new(
            nic,
            (own, hubs),
            Arc::clone(steering),
            region,
            outbound,
        ));
    }
    let mut remotes = Vec::new();
    for (core, inbound) in inbound.into_iter().enumerate() {
        let inbound = Inbound::new(inbound);
        if let Some(hub) = steered.get_mut(core) {
            hub.receive_from(inbound);
        } else if let Some(hub) = steered.get_mut(core % hubs) {
            let (served, remote) = remote::through(&hub.nic, core % hubs, inbound);
            hub.serve(served);
            remotes.push(remote);
        }
    }
    (steered, remotes)
}
