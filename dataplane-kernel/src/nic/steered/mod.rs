//! One card for several cores. Core 0 has the card: [`Steered`] takes frames from it and hands each to the core its flow
//! belongs to; [`Remote`] is what the other cores have instead of a card. Between them are queues of slots ([`spsc`]),
//! and nothing else is shared: payloads stay where they are, received buffers go home to core 0's pool, and core 0 tells how
//! many of a core's frames the card has let go of.

/// Core 0's side.
mod hub;
pub use hub::Steered;

/// The others'.
mod remote;
pub use remote::Remote;

#[cfg(test)]
mod tests;

use super::{Health, MAX_PARTS, Offloads, RxFrame};
use crate::mem::mbuf::BUFFER_BYTES;
use crate::mem::spsc::{self, Consumer, Producer};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use netstack::{MAX_TX_SPANS, Span, TxOffload};

/// Frames on their way to a core, at most, and the part of all buffers that those to all cores may be: a core that takes none
/// must not leave the others without.
const RX_SLOTS: u32 = 1024;
const RX_SHARE: u32 = 4;
/// A frame of the longest kind fits.
const RX_SLOTS_MIN: u32 = 64;
const _: () = assert!(RX_SLOTS_MIN as usize > MAX_PARTS);

const ETHERNET_HEADER: usize = 14;
/// Frames on their way from one.
const TX_SLOTS: u32 = 256;

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

/// What core 0 tells a core, in lines of the cache of their own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Told {
    /// Frames of the core's that the card has let go of; wraps.
    done: AtomicU32,
    /// [`Health`].
    health: AtomicU8,
}

impl Told {
    fn tell_health(&self, health: Health) {
        self.health.store(health as u8, Ordering::Relaxed);
    }

    fn health(&self) -> Health {
        match self.health.load(Ordering::Relaxed) {
            0 => Health::LinkUp,
            1 => Health::LinkDown,
            _ => Health::Failed,
        }
    }
}

/// Core 0's end of what leads to another core.
struct Line {
    rx: Producer<Option<RxFrame>>,
    tx: Consumer<TxFrame>,
    told: Arc<Told>,
}

/// What all cores are told of the card once.
#[derive(Clone, Copy, Debug)]
struct Card {
    mac: [u8; 6],
    mtu: u16,
    offloads: Offloads,
}

/// A line for at most `rx_slots` received frames, and the other core's end of it.
fn line(card: Card, health: Health, rx_slots: u32) -> (Line, Remote) {
    let (rx, rx_end) = spsc::queue(rx_slots.clamp(RX_SLOTS_MIN, RX_SLOTS), || None);
    let header_bytes = BUFFER_BYTES.max(usize::from(card.mtu) + ETHERNET_HEADER);
    let (tx_end, tx) = spsc::queue(TX_SLOTS, || TxFrame::new(header_bytes));
    let told = Arc::<Told>::default();
    told.tell_health(health);
    let remote = Remote::new(card, rx_end, tx_end, Arc::clone(&told));
    (Line { rx, tx, told }, remote)
}
