//! A card without a wire: what is sent comes back as received. For apps that talk to themselves, and where there is no other card.
//!
//! Frames are copied when they are sent, into buffers that it was given to receive into, and so they are done at once. As nothing
//! happens to them on the way, checksums may be left out, and TCP segments stay as long as they are.

#[cfg(test)]
mod tests;

use super::{Alarm, Health, JUMBO_MTU, MAX_PARTS, MIN_MTU, Nic, Offloads, RxFrame, Wanted};
use crate::mem::GuestPhys;
use crate::mem::io_area;
use crate::mem::mbuf::{BUFFER_BYTES, Pool, Region};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use netstack::wire::vlan::TAG_LEN;
use netstack::{BufId, Medium, RxChecksum, Span, TxOffload, TxTicket};

/// Its address: locally administered, and nobody else's.
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// Buffers that it has, empty and filled.
const BUFFERS: usize = 512;

/// An Ethernet header: nothing shorter is a frame.
const MIN_FRAME: usize = 14;

/// Of the checksum in a TCP header.
const TCP_CHECKSUM: u16 = 16;

/// What is counted.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    rx_frames: u64,
    rx_bytes: u64,
    tx_frames: u64,
    tx_bytes: u64,
    /// Times the pool became empty while there was room for buffers.
    no_buffer: u64,
    /// Times a frame had to wait for those before it to be taken.
    ring_full: u64,
    /// Frames that found no buffers, and frames of a length that none has.
    dropped: u64,
    bad_length: u64,
}

/// The card.
#[derive(Debug)]
pub struct Loopback {
    region: Region,
    mtu: u16,
    offloads: Offloads,
    /// Memory of the next frame's headers.
    headers: Box<[u8]>,
    empty: Vec<BufId>,
    /// Frames on their way, by their parts.
    parts: VecDeque<RxFrame>,
    /// The pool had no more.
    starved: bool,
    counters: Counters,
}

impl Loopback {
    /// One whose buffers will be of `region`. Of what it can leave out, it does what is `wanted`.
    pub fn new(region: Region, wanted: &Wanted) -> Self {
        let mtu = wanted.mtu.unwrap_or(JUMBO_MTU).clamp(MIN_MTU, JUMBO_MTU);
        Loopback {
            region,
            mtu,
            offloads: offloads(wanted.offloads),
            headers: vec![0; MIN_FRAME + TAG_LEN + usize::from(mtu)].into(),
            empty: Vec::with_capacity(BUFFERS),
            parts: VecDeque::with_capacity(BUFFERS),
            starved: false,
            counters: Counters::default(),
        }
    }

    /// What is said of the checksum of a frame that was sent like this.
    fn checksum(&self, offload: TxOffload) -> RxChecksum {
        match offload {
            _ if !self.offloads.contains(Offloads::RX_CHECKSUM) => RxChecksum::Unknown,
            TxOffload::Complete => RxChecksum::Good,
            TxOffload::Partial { start, offset } => RxChecksum::Partial { start, offset },
            TxOffload::Segments { start, .. } => RxChecksum::Partial {
                start,
                offset: TCP_CHECKSUM,
            },
        }
    }

    /// Takes `len` bytes for a received frame, if there are buffers for them.
    fn begin(&mut self, len: usize, checksum: RxChecksum) -> bool {
        let count = len.div_ceil(BUFFER_BYTES);
        if count > self.empty.len() {
            self.counters.dropped += 1;
            return false;
        }
        for number in 0..count {
            let Some(buf) = self.empty.pop() else { return false };
            let left = len - number * BUFFER_BYTES;
            self.parts.push_back(RxFrame {
                buf,
                offset: 0,
                #[allow(clippy::cast_possible_truncation, reason = "at most 2048")]
                len: left.min(BUFFER_BYTES) as u16,
                checksum: if number == 0 {
                    checksum
                } else {
                    RxChecksum::Unknown
                },
                continues: number + 1 < count,
            });
        }
        true
    }

    /// Writes bytes behind the first `at` of the frame of `count` buffers that was begun last.
    fn write(&mut self, count: usize, mut at: usize, mut bytes: &[u8]) {
        let first = self.parts.len() - count;
        while let Some(part) = self.parts.get(first + at / BUFFER_BYTES)
            && !bytes.is_empty()
        {
            let room = BUFFER_BYTES - at % BUFFER_BYTES;
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.region.fill(&part.buf, at % BUFFER_BYTES, now);
            (at, bytes) = (at + now.len(), later);
        }
    }
}

/// Segments that are never cut arrive as if they had been merged, with checksums that were never computed.
fn offloads(wanted: Offloads) -> Offloads {
    const CHECKSUMS: Offloads = Offloads::RX_CHECKSUM.union(Offloads::TX_CHECKSUM);
    const SEGMENTS: Offloads = Offloads::TSO.union(Offloads::LRO);
    let mut offloads = wanted & CHECKSUMS.union(SEGMENTS);
    if !offloads.contains(Offloads::RX_CHECKSUM) {
        offloads.remove(Offloads::TX_CHECKSUM);
    }
    if !offloads.contains(CHECKSUMS.union(SEGMENTS)) {
        offloads.remove(SEGMENTS);
    }
    offloads
}

impl fmt::Display for Loopback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MTU {}, ", self.mtu)?;
        bitflags::parser::to_writer(&self.offloads, f)
    }
}

/// The bytes of a part of a frame that is sent.
#[allow(unsafe_code, reason = "a device reads what it is to send by its address")]
fn bytes(span: &Span) -> &'static [u8] {
    // SAFETY: the stack sends only spans that it was given to send, and `commands::Memory::span`, which makes them, makes no
    // others.
    unsafe { io_area::span_bytes(GuestPhys(span.address), span.len) }
}

impl Nic for Loopback {
    fn mac(&self) -> [u8; 6] {
        MAC
    }

    fn medium(&self) -> Medium {
        Medium::Loopback
    }

    fn mtu(&self) -> u16 {
        self.mtu
    }

    fn offloads(&self) -> Offloads {
        self.offloads
    }

    fn link_up(&self) -> bool {
        true
    }

    #[inline]
    fn poll_rx(&mut self, budget: usize, sink: &mut impl FnMut(RxFrame)) -> usize {
        let (mut buffers, mut continues) = (0, false);
        while (continues || buffers < budget)
            && let Some(part) = self.parts.pop_front()
        {
            self.counters.rx_frames += u64::from(!continues);
            self.counters.rx_bytes += u64::from(part.len);
            (buffers, continues) = (buffers + 1, part.continues);
            sink(part);
        }
        buffers
    }

    #[inline]
    fn refill(&mut self, pool: &mut Pool) {
        while self.empty.len() + self.parts.len() < BUFFERS {
            let Some(buf) = pool.alloc() else {
                self.counters.no_buffer += u64::from(!self.starved);
                self.starved = true;
                return;
            };
            self.empty.push(buf);
        }
        self.starved = false;
    }

    /// Where there may not be enough buffers, there soon will, if there are frames to be taken.
    #[inline]
    fn begin_tx(&mut self) -> Option<&mut [u8]> {
        if self.empty.len() < MAX_PARTS && !self.parts.is_empty() {
            self.counters.ring_full += 1;
            return None;
        }
        Some(&mut self.headers)
    }

    fn commit_tx(&mut self, header_len: usize, payload: &[Span], offload: TxOffload) -> TxTicket {
        #[allow(clippy::cast_possible_truncation, reason = "modulo 2^32 is meant")]
        let ticket = TxTicket(self.counters.tx_frames as u32);
        let header_len = header_len.min(self.headers.len());
        let payload_len: usize = payload.iter().map(|span| span.len as usize).sum();
        let len = header_len + payload_len;
        self.counters.tx_frames += 1;
        self.counters.tx_bytes += len as u64;
        if !(MIN_FRAME..=MAX_PARTS * BUFFER_BYTES).contains(&len) {
            self.counters.bad_length += 1;
            return ticket;
        }
        if !self.begin(len, self.checksum(offload)) {
            return ticket;
        }
        let (count, mut at) = (len.div_ceil(BUFFER_BYTES), header_len);
        let headers = core::mem::take(&mut self.headers);
        self.write(count, 0, headers.get(..header_len).unwrap_or_default());
        self.headers = headers;
        for span in payload {
            self.write(count, at, bytes(span));
            at += span.len as usize;
        }
        ticket
    }

    #[inline]
    fn tx_done(&self, _ticket: TxTicket) -> bool {
        true
    }

    fn tx_idle(&self) -> bool {
        true
    }

    #[inline]
    fn reclaim_tx(&mut self) {}

    #[inline]
    fn kick(&mut self) {}

    /// Nothing comes while everybody sleeps.
    fn arm(&mut self) -> Alarm {
        if self.parts.is_empty() {
            Alarm::Set
        } else {
            Alarm::TooLate
        }
    }

    /// There is no other station.
    fn hear_all_stations(&mut self) -> bool {
        true
    }

    fn check(&mut self) -> Health {
        Health::LinkUp
    }

    fn stop(&mut self) {}

    /// - `nic.rx_frames`, `nic.rx_bytes`: taken, and bytes of those.
    /// - `nic.rx_no_buffer`: times the pool became empty while there was room for buffers.
    /// - `nic.tx_frames`, `nic.tx_bytes`: sent, and bytes of those.
    /// - `nic.tx_ring_full`: times a frame had to wait until those before it were taken.
    /// - `nic.tx_dropped`: frames for which there were no buffers.
    /// - `nic.tx_bad_length`: frames shorter or longer than any.
    fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counters = &self.counters;
        [
            ("nic.rx_frames", counters.rx_frames),
            ("nic.rx_bytes", counters.rx_bytes),
            ("nic.rx_no_buffer", counters.no_buffer),
            ("nic.tx_frames", counters.tx_frames),
            ("nic.tx_bytes", counters.tx_bytes),
            ("nic.tx_ring_full", counters.ring_full),
            ("nic.tx_dropped", counters.dropped),
            ("nic.tx_bad_length", counters.bad_length),
        ]
        .into_iter()
    }
}
