//! Packets and frames of others, sent on from where they were received: a header is written anew, the rest is gathered from
//! the receive buffer. [`crate::Stack::forward`] routes packets (RFC 1812, RFC 8200), [`crate::Stack::bridge`] sends frames
//! as they are.

use crate::checksum::Sum;
use crate::interface::TxChecksum;
use crate::wire::{ethernet, ipv4};
use crate::{BufId, Env, RxChecksum, Span, TxOffload, TxTicket};
use alloc::collections::VecDeque;
use core::net::IpAddr;

/// Packets for others that may wait for [`crate::Stack::poll_transit`].
const MOST_WAITING: usize = 256;

/// Bytes of an Ethernet header, as offsets count them.
const ETHERNET: u16 = 14;
const _: () = assert!(ETHERNET as usize == ethernet::HEADER_LEN);

/// A received packet that is another host's.
#[derive(Debug, PartialEq, Eq)]
pub struct Transit {
    /// Where it lies.
    pub buf: BufId,
    /// Bytes before its IP header.
    pub offset: u16,
    /// Its length, without what the link padded.
    pub len: u16,
    /// Of the bytes before it, how many are its frame's.
    pub ahead: u16,
    /// Of its TCP or UDP checksum; offsets count from the IP header.
    pub checksum: RxChecksum,
}

/// What was received and is to be sent on, from behind its Ethernet header.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Where these are for the device.
    pub address: u64,
    /// Of its TCP or UDP checksum; offsets count from the first of `bytes`.
    pub checksum: RxChecksum,
}

/// Why something was not sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotForwarded {
    /// It has gone too many hops.
    HopLimit,
    /// No route leads there.
    NoRoute,
    /// The next hop is asked for; it can be tried again.
    Unresolved,
    /// The next hop does not answer.
    Unreached,
    /// The next link carries less, and it must not be cut.
    TooLong {
        /// Largest packet of that link, in bytes.
        mtu: u16,
    },
    /// The transmit ring is full.
    RingFull,
    /// It is no packet, or what is to be its checksum lies outside.
    Malformed,
}

/// Packets for others, on their way to who forwards them.
#[derive(Debug)]
pub(crate) struct Transits(VecDeque<Transit>);

impl Transits {
    pub(crate) fn new() -> Self {
        Transits(VecDeque::with_capacity(MOST_WAITING))
    }

    /// `Err` gives the buffer back: too many wait.
    pub(crate) fn push(&mut self, transit: Transit) -> Result<(), BufId> {
        if self.0.len() >= MOST_WAITING {
            return Err(transit.buf);
        }
        self.0.push_back(transit);
        Ok(())
    }

    pub(crate) fn pop(&mut self) -> Option<Transit> {
        self.0.pop_front()
    }
}

/// A frame to transmit.
struct Composed {
    header_len: usize,
    rest: Span,
    offload: TxOffload,
}

impl Passing<'_> {
    /// To whom, if it is an IP packet.
    #[inline]
    #[must_use]
    pub fn destination(&self) -> Option<IpAddr> {
        let address = |at: usize, len: usize| self.bytes.get(at..at + len);
        match self.bytes.first()? >> 4 {
            4 => address(16, 4)?.first_chunk::<4>().map(|ip| IpAddr::from(*ip)),
            6 => address(24, 16)?.first_chunk::<16>().map(|ip| IpAddr::from(*ip)),
            _ => None,
        }
    }

    /// Sends it behind `ether`; its own first bytes are those of `header` instead.
    #[inline]
    pub(crate) fn send<E: Env>(
        &self,
        env: &mut E,
        ether: &[u8; ethernet::HEADER_LEN],
        header: &[u8],
        by: TxChecksum,
    ) -> Result<TxTicket, NotForwarded> {
        let out = env.begin_tx().ok_or(NotForwarded::RingFull)?;
        let composed = self.compose(ether, header, by, out);
        let Composed {
            header_len,
            rest,
            offload,
        } = composed.ok_or(NotForwarded::Malformed)?;
        let rest = [rest];
        let payload = if rest[0].len == 0 { &[][..] } else { &rest[..] };
        Ok(env.commit_tx(header_len, payload, offload))
    }

    /// Sends it in parts that a link of this MTU carries, behind copies of `header`, which has no options (RFC 791 section 3.2).
    /// The ticket is the last one's.
    pub(crate) fn send_in_fragments<E: Env>(
        &self,
        env: &mut E,
        ether: &[u8; ethernet::HEADER_LEN],
        header: &[u8],
        mtu: u16,
    ) -> Result<TxTicket, NotForwarded> {
        let whole = *header
            .first_chunk::<{ ipv4::HEADER_LEN }>()
            .ok_or(NotForwarded::Malformed)?;
        let room = usize::from(mtu).saturating_sub(whole.len()) & !7;
        if room == 0 {
            return Err(NotForwarded::TooLong { mtu });
        }
        let (mut at, mut sent) = (whole.len(), Err(NotForwarded::Malformed));
        while at < self.bytes.len() {
            let end = self.bytes.len().min(at + room);
            let has_more = end < self.bytes.len();
            let header = ipv4::fragment_header(&whole, at - whole.len(), end - at, has_more)
                .ok_or(NotForwarded::Malformed)?;
            // A part stands where its header would end that is in front of its data in the buffer.
            let part = Passing {
                bytes: self.bytes.get(at - whole.len()..end).unwrap_or_default(),
                address: self.address + (at - whole.len()) as u64,
                checksum: RxChecksum::Unknown,
            };
            sent = Ok(part.send(env, ether, &header, TxChecksum::Software)?);
            at = end;
        }
        sent
    }

    /// Writes what is not gathered. `None` if the checksum left to us is not where one can be.
    #[inline]
    fn compose(
        &self,
        ether: &[u8; ethernet::HEADER_LEN],
        header: &[u8],
        by: TxChecksum,
        out: &mut [u8],
    ) -> Option<Composed> {
        let mut composed = Composed {
            header_len: ethernet::HEADER_LEN + header.len(),
            rest: Span::default(),
            offload: TxOffload::Complete,
        };
        let mut copied = header.len();
        let (link, room) = out.split_first_chunk_mut::<{ ethernet::HEADER_LEN }>()?;
        *link = *ether;
        room.get_mut(..copied)?.copy_from_slice(header);
        if let RxChecksum::Partial { start, offset } = self.checksum {
            let field = usize::from(start) + usize::from(offset);
            let covered = self.bytes.get(start.into()..)?;
            if usize::from(start) < copied || field + 2 > self.bytes.len() {
                return None;
            }
            match by {
                TxChecksum::Device => {
                    let start = start.checked_add(ETHERNET)?;
                    composed.offload = TxOffload::Partial { start, offset };
                }
                TxChecksum::Software => {
                    let up_to_field = self.bytes.get(copied..field)?;
                    room.get_mut(copied..field)?.copy_from_slice(up_to_field);
                    let mut sum = Sum::new();
                    sum.add_bytes(covered);
                    copied = field + 2;
                    let place = room.get_mut(field..copied)?;
                    place.copy_from_slice(&sum.finish_nonzero().to_be_bytes());
                    composed.header_len = ethernet::HEADER_LEN + copied;
                }
            }
        }
        let left = self.bytes.len().checked_sub(copied)?;
        composed.rest = Span {
            address: self.address + copied as u64,
            len: u32::try_from(left).ok()?,
        };
        Some(composed)
    }
}
