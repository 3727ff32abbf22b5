//! Datagrams on their way out. Each is a slot in one list after the other: *ready* to be sent, perhaps *waiting* for
//! ARP, *in flight* (the device still reads its payload), *done* (the app has to be told), free.

use super::way::{Hop, Link, Way};
use crate::checksum::Sum;
use crate::fragmentation::Identifications;
use crate::interface::{TxChecksum, add_spans};
use crate::neighbor::Lookup;
use crate::wire::ethernet::{self, MacAddr};
use crate::wire::udp;
use crate::{Env, Error, Id, Instant, MAX_TX_SPANS, Span, TxOffload, TxTicket};
use alloc::boxed::Box;
use alloc::vec;
use core::mem;
use core::net::IpAddr;

const NONE: u32 = u32::MAX;
/// Most datagrams that wait for ARP answers; RFC 1122 section 2.3.2.2 wants at least the latest for each destination.
const MAX_WAITING: u32 = 256;

/// Protocol number.
const UDP: u8 = 17;

/// From which socket to where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Destination {
    pub(super) socket: Id,
    pub(super) cookie: u64,
    pub(super) src_port: u16,
    pub(super) dst_port: u16,
    pub(super) way: Way,
}

/// A datagram to send.
#[derive(Clone, Copy, Debug)]
struct Datagram {
    socket: Id,
    cookie: u64,
    src_port: u16,
    dst_port: u16,
    /// Header and data.
    udp_len: u16,
    way: Way,
    /// How much of it has left in fragments, and to which station.
    gone: u16,
    station: MacAddr,
    identification: u32,
    spans: [Span; MAX_TX_SPANS],
    span_count: u8,
}

impl Datagram {
    const NONE: Datagram = Datagram {
        socket: Id {
            index: 0,
            generation: 0,
        },
        cookie: 0,
        src_port: 0,
        dst_port: 0,
        udp_len: 0,
        way: Way::NONE,
        gone: 0,
        station: MacAddr::BROADCAST,
        identification: 0,
        spans: [Span { address: 0, len: 0 }; MAX_TX_SPANS],
        span_count: 0,
    };

    /// Takes the spans if they and the header are no longer than `max_len`; those that touch become one.
    fn gather(&mut self, spans: &[Span], max_len: u16) -> Result<(), Error> {
        (self.udp_len, self.span_count, self.gone) = (8, 0, 0);
        for span in spans.iter().filter(|span| span.len != 0) {
            self.push(*span, max_len)?;
        }
        Ok(())
    }

    fn push(&mut self, span: Span, max_len: u16) -> Result<(), Error> {
        let len = u16::try_from(span.len).map_err(|_| Error::MessageTooLong)?;
        let udp_len = self.udp_len.checked_add(len).filter(|len| *len <= max_len);
        self.udp_len = udp_len.ok_or(Error::MessageTooLong)?;
        let count = usize::from(self.span_count);
        if let Some(last) = self.spans[..count].last_mut()
            && last.address.checked_add(last.len.into()) == Some(span.address)
        {
            last.len += span.len;
            return Ok(());
        }
        *self.spans.get_mut(count).ok_or(Error::MessageTooLong)? = span;
        self.span_count += 1;
        Ok(())
    }

    fn spans(&self) -> &[Span] {
        self.spans.get(..usize::from(self.span_count)).unwrap_or_default()
    }

    /// Sends it to the station `dst`; `None` if the transmit ring is full.
    fn transmit<E: Env>(&self, env: &mut E, dst: MacAddr, link: &Link<'_>) -> Option<TxTicket> {
        let ends = &self.way.ends;
        let header = udp::Header {
            src_port: self.src_port,
            dst_port: self.dst_port,
            len: self.udp_len,
        };
        let mut header_bytes = [0; udp::HEADER_LEN];
        header.emit(&mut header_bytes);
        let pseudo_header = ends.pseudo_header(UDP, self.udp_len);
        let start = ethernet::HEADER_LEN + ends.header_len();
        let (checksum, offload) = match link.interface.tx_checksum {
            TxChecksum::Device => {
                let offload = TxOffload::Partial {
                    start: u16::try_from(start).ok()?,
                    offset: udp::CHECKSUM_OFFSET,
                };
                (pseudo_header.folded(), offload)
            }
            TxChecksum::Software => {
                let sum = self.full_sum(env, pseudo_header, &header_bytes);
                (sum.finish_nonzero(), TxOffload::Complete)
            }
        };
        udp::set_checksum(&mut header_bytes, checksum);

        let out = env.begin_tx()?.get_mut(..start + udp::HEADER_LEN)?;
        let (ether, rest) = out.split_first_chunk_mut::<{ ethernet::HEADER_LEN }>()?;
        let (ip, udp_out) = rest.split_last_chunk_mut::<{ udp::HEADER_LEN }>()?;
        ethernet::Header {
            dst,
            src: link.interface.mac,
            ether_type: ends.ether_type(),
        }
        .emit(ether);
        ends.emit(UDP, self.udp_len, link.hop_limit(&self.way), ip)?;
        *udp_out = header_bytes;
        Some(env.commit_tx(start + udp::HEADER_LEN, self.spans(), offload))
    }

    /// It needs no fragments.
    fn fits(&self, mtu: u16) -> bool {
        usize::from(self.udp_len) + self.way.ends.header_len() <= usize::from(mtu)
    }

    /// Sends what has not left yet, in fragments; `None` if the transmit ring is full before the last one.
    #[inline(never)]
    fn transmit_in_fragments<E: Env>(
        &mut self,
        env: &mut E,
        dst: MacAddr,
        link: &Link<'_>,
        mtu: u16,
        identifications: &mut Identifications,
    ) -> Option<TxTicket> {
        if self.gone == 0 {
            env.begin_tx()?;
            (self.station, self.identification) = (dst, identifications.next());
        }
        loop {
            let (ticket, has_more) = self.transmit_fragment(env, link, mtu)?;
            if !has_more {
                return Some(ticket);
            }
        }
    }

    /// The next fragment, and whether there are more. The checksum, which covers all, is computed here.
    fn transmit_fragment<E: Env>(
        &mut self,
        env: &mut E,
        link: &Link<'_>,
        mtu: u16,
    ) -> Option<(TxTicket, bool)> {
        let ends = self.way.ends;
        let cut = ends.cut(self.udp_len.into(), self.gone.into(), mtu)?;
        let mut udp_header = [0; udp::HEADER_LEN];
        if cut.at == 0 {
            let header = udp::Header {
                src_port: self.src_port,
                dst_port: self.dst_port,
                len: self.udp_len,
            };
            header.emit(&mut udp_header);
            let sum = self.full_sum(env, ends.pseudo_header(UDP, self.udp_len), &udp_header);
            udp::set_checksum(&mut udp_header, sum.finish_nonzero());
        }
        let own: &[u8] = if cut.at == 0 { &udp_header } else { &[] };
        let headers_len = ethernet::HEADER_LEN + ends.fragment_header_len();
        let out = env.begin_tx()?.get_mut(..headers_len + own.len())?;
        let (ether, rest) = out.split_first_chunk_mut::<{ ethernet::HEADER_LEN }>()?;
        let (ip, udp_out) = rest.split_at_mut_checked(ends.fragment_header_len())?;
        ethernet::Header {
            dst: self.station,
            src: link.interface.mac,
            ether_type: ends.ether_type(),
        }
        .emit(ether);
        ends.emit_fragment(UDP, &cut, self.identification, link.hop_limit(&self.way), ip)?;
        udp_out.copy_from_slice(own);
        let from = (cut.at + own.len()).saturating_sub(udp::HEADER_LEN);
        let (spans, count) = self.part(from, cut.len - own.len());
        let ticket = env.commit_tx(headers_len + own.len(), spans.get(..count)?, TxOffload::Complete);
        self.gone += u16::try_from(cut.len).ok()?;
        Some((ticket, cut.has_more))
    }

    /// The spans of `len` bytes of the data, from `from`, and how many they are.
    fn part(&self, from: usize, len: usize) -> ([Span; MAX_TX_SPANS], usize) {
        let mut part = [Span::default(); MAX_TX_SPANS];
        let (mut skip, mut left, mut count) = (from, len, 0);
        for span in self.spans() {
            let whole = span.len as usize;
            if skip >= whole {
                skip -= whole;
                continue;
            }
            let taken = (whole - skip).min(left);
            if taken == 0 {
                break;
            }
            if let Some(place) = part.get_mut(count) {
                *place = Span {
                    address: span.address + skip as u64,
                    len: u32::try_from(taken).unwrap_or(0),
                };
                count += 1;
            }
            (skip, left) = (0, left - taken);
        }
        (part, count)
    }

    fn full_sum<E: Env>(&self, env: &E, mut sum: Sum, header: &[u8]) -> Sum {
        sum.add_bytes(header);
        add_spans(env, &mut sum, self.spans());
        sum
    }
}

/// How a slot's way ends, once that is known.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    Unknown,
    Sent(TxTicket),
    Failed(Error),
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    datagram: Datagram,
    outcome: Outcome,
    next: u32,
}

/// A list of slots, first in first out.
#[derive(Clone, Copy, Debug)]
struct List {
    head: u32,
    tail: u32,
}

impl List {
    const EMPTY: List = List {
        head: NONE,
        tail: NONE,
    };
}

/// All slots.
pub(super) struct Sends {
    slots: Box<[Slot]>,
    free: List,
    ready: List,
    waiting: List,
    waiting_len: u32,
    in_flight: List,
    failed: List,
}

impl Sends {
    pub(super) fn new(slots: u32) -> Self {
        let nowhere = Slot {
            datagram: Datagram::NONE,
            outcome: Outcome::Unknown,
            next: NONE,
        };
        let mut sends = Sends {
            slots: vec![nowhere; slots as usize].into_boxed_slice(),
            free: List::EMPTY,
            ready: List::EMPTY,
            waiting: List::EMPTY,
            waiting_len: 0,
            in_flight: List::EMPTY,
            failed: List::EMPTY,
        };
        for slot in 0..slots {
            append(&mut sends.slots, &mut sends.free, slot);
        }
        sends
    }

    /// Queues a datagram. It is written where it will stand: its list of spans is long.
    pub(super) fn push(&mut self, to: Destination, spans: &[Span]) -> Result<(), Error> {
        let slot = self.slots.get_mut(self.free.head as usize).ok_or(Error::Again)?;
        let Slot {
            datagram, outcome, ..
        } = slot;
        // In IPv6 the length does not count the header, but we take no longer ones in either.
        let header_len = u16::try_from(to.way.ends.header_len()).unwrap_or(u16::MAX);
        datagram.gather(spans, u16::MAX - header_len)?;
        (datagram.socket, datagram.cookie) = (to.socket, to.cookie);
        (datagram.src_port, datagram.dst_port, datagram.way) = (to.src_port, to.dst_port, to.way);
        *outcome = Outcome::Unknown;
        if let Some(slot) = take_first(&mut self.slots, &mut self.free) {
            append(&mut self.slots, &mut self.ready, slot);
        }
        Ok(())
    }

    /// Gives the number of frames sent.
    pub(super) fn flush<E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        link: &mut Link<'_>,
        identifications: &mut Identifications,
    ) -> u32 {
        let mut frames = 0;
        while self.ready.head != NONE {
            let slot = self.ready.head;
            let datagram = &mut self.slots[slot as usize].datagram;
            let station = if datagram.gone == 0 {
                link.station(datagram.way.hop, now)
            } else {
                Lookup::Known(datagram.station)
            };
            match station {
                Lookup::Known(mac) => {
                    let mtu = link.mtu(&datagram.way, now);
                    let ticket = if datagram.gone == 0 && datagram.fits(mtu) {
                        datagram.transmit(env, mac, link)
                    } else {
                        datagram.transmit_in_fragments(env, mac, link, mtu, identifications)
                    };
                    let Some(ticket) = ticket else {
                        break;
                    };
                    self.slots[slot as usize].outcome = Outcome::Sent(ticket);
                    take_first(&mut self.slots, &mut self.ready);
                    append(&mut self.slots, &mut self.in_flight, slot);
                    frames += 1;
                }
                Lookup::Pending if self.waiting_len < MAX_WAITING => {
                    take_first(&mut self.slots, &mut self.ready);
                    append(&mut self.slots, &mut self.waiting, slot);
                    self.waiting_len += 1;
                }
                Lookup::Pending | Lookup::Full => {
                    take_first(&mut self.slots, &mut self.ready);
                    self.fail(slot, Error::Unreachable);
                }
            }
        }
        frames
    }

    pub(super) fn on_resolved(&mut self, neighbor: IpAddr) {
        self.sift_waiting(neighbor, |sends, slot| {
            append(&mut sends.slots, &mut sends.ready, slot)
        });
    }

    pub(super) fn on_unreachable(&mut self, neighbor: IpAddr) {
        self.sift_waiting(neighbor, |sends, slot| sends.fail(slot, Error::Unreachable));
    }

    /// What has not left and would come from `address` fails.
    pub(super) fn on_address_lost(&mut self, address: IpAddr) {
        let lists = [
            mem::replace(&mut self.ready, List::EMPTY),
            mem::replace(&mut self.waiting, List::EMPTY),
        ];
        self.waiting_len = 0;
        for mut list in lists {
            while let Some(slot) = take_first(&mut self.slots, &mut list) {
                if self.slots[slot as usize].datagram.way.ends.local() == address {
                    self.fail(slot, Error::AddressNotAvailable);
                } else {
                    append(&mut self.slots, &mut self.ready, slot);
                }
            }
        }
    }

    fn fail(&mut self, slot: u32, error: Error) {
        self.slots[slot as usize].outcome = Outcome::Failed(error);
        append(&mut self.slots, &mut self.failed, slot);
    }

    /// Passes what waits for `neighbor` to `then`, and keeps the rest waiting, in order.
    fn sift_waiting(&mut self, neighbor: IpAddr, then: fn(&mut Self, u32)) {
        let mut all = mem::replace(&mut self.waiting, List::EMPTY);
        while let Some(slot) = take_first(&mut self.slots, &mut all) {
            if self.slots[slot as usize].datagram.way.hop == Hop::Neighbor(neighbor) {
                self.waiting_len -= 1;
                then(self, slot);
            } else {
                append(&mut self.slots, &mut self.waiting, slot);
            }
        }
    }

    /// A datagram whose memory is the app's again.
    #[inline]
    pub(super) fn poll_done<E: Env>(&mut self, env: &E) -> Option<(Id, u64, Result<(), Error>)> {
        let first = self.slots.get(self.in_flight.head as usize);
        let left =
            first.is_some_and(|slot| matches!(slot.outcome, Outcome::Sent(ticket) if env.tx_done(ticket)));
        let list = if left {
            &mut self.in_flight
        } else {
            &mut self.failed
        };
        let slot = take_first(&mut self.slots, list)?;
        let done = self.slots.get(slot as usize)?;
        let result = match done.outcome {
            Outcome::Failed(error) => Err(error),
            Outcome::Sent(_) | Outcome::Unknown => Ok(()),
        };
        let told = (done.datagram.socket, done.datagram.cookie, result);
        append(&mut self.slots, &mut self.free, slot);
        Some(told)
    }
}

fn append(slots: &mut [Slot], list: &mut List, slot: u32) {
    slots[slot as usize].next = NONE;
    match slots.get_mut(list.tail as usize) {
        Some(last) => last.next = slot,
        None => list.head = slot,
    }
    list.tail = slot;
}

fn take_first(slots: &mut [Slot], list: &mut List) -> Option<u32> {
    let slot = list.head;
    list.head = slots.get(slot as usize)?.next;
    if list.head == NONE {
        list.tail = NONE;
    }
    Some(slot)
}
