//! Fragments of either family are put together (RFC 791, RFC 815, RFC 8200 section 4.5) within fixed memory and time.
//!
//! A packet under way has an [`Entry`], and a large buffer of the driver's into which each fragment is copied as it comes;
//! the fragment's own buffer is free again at once. There are [`MAX_PACKETS`] entries; a source may have
//! [`MAX_PER_SOURCE`] of them, and where all are taken the oldest makes way, so that a flood of fragments that never
//! become packets takes the place of others only for as long as it lasts. What overlaps is dropped with all that belongs
//! to it, for overlaps serve nothing but attacks (RFC 5722, RFC 8200 section 4.5), unless it is the same bytes again.

mod pieces;

use crate::checksum::checksum;
use crate::ends::Ends;
use crate::{BufId, Env, Instant};
use alloc::collections::VecDeque;
use pieces::{Pieces, Place};

/// Packets under way at once.
const MAX_PACKETS: usize = 16;
/// Of these, from one source.
const MAX_PER_SOURCE: usize = 4;
/// RFC 1122 section 3.3.2 and RFC 8200 section 4.5: 60 s from the first fragment that came.
const TIMEOUT_NS: u64 = 60_000_000_000;
/// Bytes in front of the transport's in a large buffer: the longest IPv4 header fits.
pub(crate) const HEADER_ROOM: usize = 60;
/// Bytes of a packet that a large buffer holds, its header included.
pub(crate) const MAX_PACKET: usize = 65535;

/// Which packet a fragment is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) ends: Ends,
    pub(crate) protocol: u8,
    pub(crate) identification: u32,
}

/// A fragment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment<'a> {
    pub(crate) key: Key,
    /// Where its data stand in the packet; a multiple of 8.
    pub(crate) at: u16,
    pub(crate) has_more: bool,
    pub(crate) data: &'a [u8],
    /// The header, as it is to stand in front of the whole.
    pub(crate) header: &'a [u8],
    /// The Ethernet header it came with.
    pub(crate) ether: &'a [u8; 14],
}

/// What became of a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// More are missing.
    Kept,
    /// The packet is whole, and waits for [`Reassembly::poll_whole`].
    Whole,
    /// It overlaps others; they and those to come are dropped.
    Overlaps,
    /// It cannot be a part of any packet, or of this one.
    Impossible,
    /// There is no memory for it.
    NoRoom,
}

/// A packet that is whole.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) buf: BufId,
    /// Where its header begins.
    pub(crate) offset: u16,
    pub(crate) len: u16,
    pub(crate) ether: [u8; 14],
    pub(crate) is_v6: bool,
}

/// A packet under way.
#[derive(Debug)]
struct Entry {
    key: Key,
    /// `None`: what came overlapped, and what is to come is dropped.
    buf: Option<BufId>,
    pieces: Pieces,
    /// Bytes of the header, which came with the first fragment; 0 before.
    header_len: u8,
    ether: [u8; 14],
    since: Instant,
}

/// Lets the header of the first fragment say that nothing is missing.
fn make_whole(header: &mut [u8], ends: &Ends, len: u16) {
    match ends {
        Ends::V4 { .. } => {
            header[2..4].copy_from_slice(&len.to_be_bytes());
            header[6..8].fill(0);
            header[10..12].fill(0);
            let sum = checksum(header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        Ends::V6 { .. } => {
            let payload_len = len.saturating_sub(40);
            header[4..6].copy_from_slice(&payload_len.to_be_bytes());
        }
    }
}

/// One that was given up.
pub(crate) struct Expired {
    pub(crate) key: Key,
    /// Where it began to be put together; to be freed.
    pub(crate) buf: Option<BufId>,
    pub(crate) ether: [u8; 14],
    /// Header and data that stand without a gap behind it, for the sender to be told; 0 if the first fragment is missing.
    pub(crate) quotable: u16,
    /// Where they begin.
    pub(crate) offset: u16,
}

/// All packets under way.
#[derive(Debug)]
pub(crate) struct Reassembly {
    entries: [Option<Entry>; MAX_PACKETS],
    whole: VecDeque<Whole>,
}

impl Reassembly {
    pub(crate) fn new() -> Self {
        Reassembly {
            entries: [const { None }; MAX_PACKETS],
            whole: VecDeque::with_capacity(MAX_PACKETS),
        }
    }

    /// Takes a fragment in. The second of what it gives: a packet that had to make way for it.
    pub(crate) fn receive<E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        fragment: &Fragment<'_>,
    ) -> (Taken, Option<Expired>) {
        let end = usize::from(fragment.at) + fragment.data.len();
        let header_len = fragment.header.len();
        let fits = end + header_len <= MAX_PACKET && header_len <= HEADER_ROOM;
        if !fits || fragment.data.is_empty() || (fragment.has_more && !end.is_multiple_of(8)) {
            return (Taken::Impossible, None);
        }
        let (place, evicted) = match self.find(&fragment.key) {
            Some(place) => (place, None),
            None => match self.begin(env, now, fragment) {
                Ok(begun) => begun,
                Err(evicted) => return (Taken::NoRoom, evicted),
            },
        };
        (self.put(env, place, fragment), evicted)
    }

    fn find(&self, key: &Key) -> Option<usize> {
        let is_it = |entry: &Option<Entry>| entry.as_ref().is_some_and(|entry| entry.key == *key);
        self.entries.iter().position(is_it)
    }

    /// A place for a new packet, and the one that was there.
    fn begin<E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        fragment: &Fragment<'_>,
    ) -> Result<(usize, Option<Expired>), Option<Expired>> {
        let source = fragment.key.ends.remote();
        let of_source = |entry: &Option<Entry>| {
            entry
                .as_ref()
                .is_some_and(|entry| entry.key.ends.remote() == source)
        };
        let crowded = self.entries.iter().filter(|entry| of_source(entry)).count() >= MAX_PER_SOURCE;
        let buf = env.alloc_large();
        let candidates = (0..MAX_PACKETS)
            .filter(|place| !crowded || of_source(&self.entries[*place]))
            .filter(|place| buf.is_some() || self.entries[*place].as_ref().is_some_and(Entry::has_memory));
        let place = candidates.min_by_key(|place| self.entries[*place].as_ref().map(|entry| entry.since));
        let mut evicted = place.and_then(|place| self.entries[place].take().map(Entry::expire));
        // Without a buffer that is free, the one that makes way leaves its own.
        let buf = buf.or_else(|| evicted.as_mut()?.buf.take());
        let (Some(place), Some(buf)) = (place, buf) else {
            return Err(evicted);
        };
        self.entries[place] = Some(Entry {
            key: fragment.key,
            buf: Some(buf),
            pieces: Pieces::default(),
            header_len: 0,
            ether: *fragment.ether,
            since: now,
        });
        Ok((place, evicted))
    }

    /// Puts the data where they belong.
    fn put<E: Env>(&mut self, env: &mut E, place: usize, fragment: &Fragment<'_>) -> Taken {
        let Some(entry) = &mut self.entries[place] else {
            return Taken::NoRoom;
        };
        let Some(buf) = &entry.buf else {
            return Taken::Overlaps;
        };
        let start = fragment.at;
        let end = start.saturating_add(u16::try_from(fragment.data.len()).unwrap_or(u16::MAX));
        let room = env
            .large(buf)
            .get_mut(HEADER_ROOM + usize::from(start)..HEADER_ROOM + usize::from(end));
        let Some(room) = room else {
            return Taken::NoRoom;
        };
        match entry.pieces.place(start, end, fragment.has_more) {
            Place::Free => room.copy_from_slice(fragment.data),
            Place::Filled if room == fragment.data => return Taken::Kept, // once more
            Place::Filled | Place::Overlapping => {
                if let Some(buf) = entry.buf.take() {
                    env.free_rx(buf);
                }
                return Taken::Overlaps;
            }
            Place::Impossible => return Taken::Impossible,
        }
        entry.pieces.add(start, end, fragment.has_more);
        if start == 0 {
            let header_start = HEADER_ROOM - fragment.header.len();
            let buf = entry.buf.as_ref();
            if let Some(room) = buf.and_then(|buf| env.large(buf).get_mut(header_start..HEADER_ROOM)) {
                room.copy_from_slice(fragment.header);
                entry.header_len = u8::try_from(fragment.header.len()).unwrap_or(0);
            }
        }
        match entry.pieces.whole_len() {
            Some(len) => {
                self.finish(env, place, len);
                Taken::Whole
            }
            None => Taken::Kept,
        }
    }

    fn finish<E: Env>(&mut self, env: &mut E, place: usize, data_len: u16) {
        let Some(entry) = self.entries[place].take() else {
            return;
        };
        let header_len = usize::from(entry.header_len);
        let len = data_len.saturating_add(entry.header_len.into());
        if let Some(buf) = entry.buf {
            if let Some(header) = env.large(&buf).get_mut(HEADER_ROOM - header_len..HEADER_ROOM) {
                make_whole(header, &entry.key.ends, len);
            }
            self.whole.push_back(Whole {
                buf,
                offset: u16::try_from(HEADER_ROOM - header_len).unwrap_or(0),
                len,
                ether: entry.ether,
                is_v6: matches!(entry.key.ends, Ends::V6 { .. }),
            });
        }
    }

    /// The next packet that is whole.
    #[inline]
    pub(crate) fn poll_whole(&mut self) -> Option<Whole> {
        self.whole.pop_front()
    }

    /// A packet whose time is over.
    #[inline]
    pub(crate) fn poll_expired(&mut self, now: Instant) -> Option<Expired> {
        let is_over = |entry: &Option<Entry>| {
            entry
                .as_ref()
                .is_some_and(|entry| entry.since.after_ns(TIMEOUT_NS) <= now)
        };
        let place = self.entries.iter().position(is_over)?;
        self.entries[place].take().map(Entry::expire)
    }

    /// When [`Reassembly::poll_expired`] has something.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let since = self.entries.iter().flatten().map(|entry| entry.since).min()?;
        Some(since.after_ns(TIMEOUT_NS))
    }

    /// Packets under way.
    pub(crate) fn len(&self) -> usize {
        self.entries.iter().flatten().count()
    }
}

impl Entry {
    fn has_memory(&self) -> bool {
        self.buf.is_some()
    }

    fn expire(self) -> Expired {
        let header_len = u16::from(self.header_len);
        let quotable = match self.pieces.contiguous() {
            0 => 0,
            data => header_len + data,
        };
        Expired {
            key: self.key,
            buf: self.buf,
            ether: self.ether,
            quotable: if header_len == 0 { 0 } else { quotable },
            offset: u16::try_from(HEADER_ROOM).unwrap_or(0) - header_len,
        }
    }
}
