//! What a core without a queue has instead.

use super::inbound::Inbound;
use super::{BUFFER_BYTES, Card, ETHERNET_HEADER, Served, TX_SLOTS, Told, TxFrame};
use crate::arch::{places, sleep};
use crate::mem::mbuf::Pool;
use crate::mem::spsc::{self, Producer};
use crate::nic::pairs::SharedHealth;
use crate::nic::{Alarm, Health, Nic, Offloads, RxFrame};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};
use netstack::{MAX_TX_SPANS, Medium, Span, TxOffload, TxTicket};

/// A core's share of a card that others have the queues of.
#[derive(Debug)]
pub struct Remote {
    card: Card,
    /// The core that sends for this one.
    hub: usize,
    inbound: Inbound,
    tx: Producer<TxFrame>,
    told: Arc<Told>,
    /// [`Told::done`] as last seen.
    done: u32,
    health: Health,
    counters: Counters,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    tx_frames: u64,
    tx_bytes: u64,
    tx_ring_full: u64,
}

/// A core that receives `inbound` and sends through the hub that has `nic`; and the hub's end of it.
pub(super) fn through(nic: &impl Nic, hub: usize, inbound: Inbound) -> (Served, Remote) {
    let card = Card::of(nic);
    let health = Health::of_link(nic.link_up());
    let header_bytes = BUFFER_BYTES.max(usize::from(card.mtu) + ETHERNET_HEADER);
    let (tx, end) = spsc::queue(TX_SLOTS, || TxFrame::new(header_bytes));
    let told = Arc::new(Told {
        done: AtomicU32::new(0),
        health: SharedHealth::new(health),
    });
    let served = Served {
        tx: end,
        told: Arc::clone(&told),
    };
    let remote = Remote {
        card,
        hub,
        inbound,
        tx,
        told,
        done: 0,
        health,
        counters: Counters::default(),
    };
    (served, remote)
}

impl Remote {
    /// Frames queued so far, modulo 2^32: the next one's ticket.
    #[allow(clippy::cast_possible_truncation, reason = "modulo 2^32 is meant")]
    fn next_ticket(&self) -> u32 {
        self.counters.tx_frames as u32
    }
}

impl Nic for Remote {
    fn mac(&self) -> [u8; 6] {
        self.card.mac
    }

    fn medium(&self) -> Medium {
        self.card.medium
    }

    fn mtu(&self) -> u16 {
        self.card.mtu
    }

    fn offloads(&self) -> Offloads {
        self.card.offloads
    }

    fn link_up(&self) -> bool {
        self.health == Health::LinkUp
    }

    #[inline]
    fn poll_rx(&mut self, budget: usize, sink: &mut impl FnMut(RxFrame)) -> usize {
        self.inbound.poll(budget, sink)
    }

    /// Buffers to receive into are the hubs' business, who get theirs back.
    #[inline]
    fn refill(&mut self, pool: &mut Pool) {
        pool.publish();
    }

    #[inline]
    fn begin_tx(&mut self) -> Option<&mut [u8]> {
        let slot = self.tx.slot();
        self.counters.tx_ring_full += u64::from(slot.is_none());
        slot.map(|slot| &mut *slot.header)
    }

    /// A frame that was not begun is not sent, and done at once.
    #[inline]
    fn commit_tx(&mut self, header_len: usize, payload: &[Span], offload: TxOffload) -> TxTicket {
        let Some(slot) = self.tx.slot() else {
            return TxTicket(self.done.wrapping_sub(1));
        };
        let payload = payload.get(..MAX_TX_SPANS).unwrap_or(payload);
        slot.header_len = header_len.min(slot.header.len());
        slot.spans = payload.len();
        slot.offload = offload;
        let mut bytes = slot.header_len as u64;
        for (place, span) in slot.payload.iter_mut().zip(payload) {
            *place = *span;
            bytes += u64::from(span.len);
        }
        self.tx.fill();
        let ticket = self.next_ticket();
        self.counters.tx_frames += 1;
        self.counters.tx_bytes += bytes;
        TxTicket(ticket)
    }

    #[inline]
    fn tx_done(&self, ticket: TxTicket) -> bool {
        let ahead = self.done.wrapping_sub(ticket.0);
        ahead != 0 && ahead < 1 << 31
    }

    fn tx_idle(&self) -> bool {
        self.done == self.next_ticket()
    }

    #[inline]
    fn reclaim_tx(&mut self) {
        self.done = self.told.done.load(Ordering::Acquire);
    }

    #[inline]
    fn kick(&mut self) {
        if self.tx.publish() {
            sleep::rouse(places::of(self.hub));
        }
    }

    /// Hubs rouse whom they hand a frame.
    fn arm(&mut self) -> Alarm {
        Alarm::Set
    }

    fn check(&mut self) -> Health {
        self.health = self.told.health.get();
        self.health
    }

    /// Core 0 stops the card.
    fn stop(&mut self) {}

    /// - `share.rx_frames`, `share.rx_bytes`: received from hubs, and bytes of those.
    /// - `share.tx_frames`, `share.tx_bytes`: handed to the hub, and bytes of those.
    /// - `share.tx_ring_full`: times a frame found no room.
    fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counters = &self.counters;
        [
            ("share.rx_frames", self.inbound.frames),
            ("share.rx_bytes", self.inbound.bytes),
            ("share.tx_frames", counters.tx_frames),
            ("share.tx_bytes", counters.tx_bytes),
            ("share.tx_ring_full", counters.tx_ring_full),
        ]
        .into_iter()
    }
}
