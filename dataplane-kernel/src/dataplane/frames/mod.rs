//! What comes by a link for others, and is sent on by another: from the card to the app as a buffer's address, and from the
//! buffer to the other card, without a copy. A buffer of a frame that is taken in is the app's or the kernel's until the last
//! card that sends it has let go of it; then it goes home to its pool.
//!
//! A link that is a *bridge's* gives all of its frames here; one that is a *router's* gives them to its stack, which gives
//! those for other hosts here.

/// What is known of each buffer.
mod buffers;

/// The commands.
mod commands;
pub(super) use commands::is_ours;

/// On to another link.
mod send;

/// Counters.
mod tally;

#[cfg(test)]
mod tests;

use super::Link;
use crate::mem::mbuf::{BUFFER_BYTES, Pool, Region};
use crate::nic::{Nic, RxFrame};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use buffers::{Buffers, Record};
use ix_abi::app::{FrameMode, Handle, HandleKind, layout};
use netstack::rss::{self, Home, Target};
use netstack::{BufId, Instant, Transit, TxTicket};
use tally::Tally;

/// Most packets that wait for the station of their next hop.
const MOST_WAITING: usize = 32;

/// How long one may wait: as long as it is asked for (RFC 1122 section 2.3.2.1, RFC 4861 section 10).
const PATIENCE_NS: u64 = 3_000_000_000;

/// Frames of a core that are not the machine's own.
#[derive(Debug, Default)]
pub(super) struct Frames {
    buffers: Buffers,
    links: Vec<Port>,
    /// Taken in, and not told yet.
    arrived: VecDeque<u32>,
    /// Packets whose next hop is asked for, and since when.
    waiting: VecDeque<(u32, Instant)>,
    tally: Tally,
}

/// A link as one of a bridge or of a router.
#[derive(Debug, Default)]
struct Port {
    binding: Option<Binding>,
    /// Of the binding's handle.
    generation: u32,
    /// What its card sends, in the order in which it lets go of it.
    sending: VecDeque<(TxTicket, u32)>,
}

#[derive(Clone, Copy, Debug)]
struct Binding {
    mode: FrameMode,
    cookie: u64,
}

/// What an event tells of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) handle: Handle,
    pub(super) cookie: u64,
    pub(super) address: u64,
    pub(super) len: u32,
}

/// The core's links and its buffers, as commands need them.
pub(super) struct Around<'a, N> {
    pub(super) links: &'a mut [Link<N>],
    pub(super) pool: &'a mut Pool,
    pub(super) home: Option<&'a Home>,
    pub(super) time: Instant,
}

fn handle(link: usize, generation: u32) -> Handle {
    let index = u32::try_from(link).unwrap_or(u32::MAX);
    Handle::new(HandleKind::Frames, index, generation)
}

impl Frames {
    /// Whether a link's frames are all for here.
    #[inline]
    pub(super) fn takes_all(&self, link: usize) -> bool {
        self.mode(link) == Some(FrameMode::Bridge)
    }

    /// Whether its stack is to be asked for packets.
    #[inline]
    pub(super) fn takes_transit(&self, link: usize) -> bool {
        self.mode(link) == Some(FrameMode::Route)
    }

    #[inline]
    fn mode(&self, link: usize) -> Option<FrameMode> {
        let binding = self.links.get(link)?.binding;
        binding.map(|binding| binding.mode)
    }

    /// Takes a batch of a bridge's frames in. Of what each core has a copy, the first one's is taken.
    pub(super) fn take_frames(
        &mut self,
        link: usize,
        frames: impl Iterator<Item = RxFrame>,
        pool: &mut Pool,
        home: Option<&Home>,
    ) {
        let region = pool.region();
        let mut in_parts = false;
        for frame in frames {
            let is_part = frame.continues || in_parts;
            if is_part {
                self.tally.in_parts += u64::from(!in_parts);
                in_parts = frame.continues;
                pool.free(frame.buf);
                continue;
            }
            if let Some(home) = home.filter(|home| home.core != 0) {
                let bytes = region.bytes(frame.buf.0, frame.offset, frame.len);
                if rss::target(&home.steering, bytes) == Target::All {
                    self.tally.copies += 1;
                    pool.free(frame.buf);
                    continue;
                }
            }
            let record = Record::new(link, (frame.offset, frame.len), 0, frame.checksum);
            self.take(frame.buf, record, pool);
        }
    }

    /// Takes in a packet for another host.
    pub(super) fn take_transit(&mut self, link: usize, transit: Transit, pool: &mut Pool) {
        let Transit {
            buf,
            offset,
            len,
            ahead,
            checksum,
        } = transit;
        if usize::from(offset) + usize::from(len) > BUFFER_BYTES {
            // Put together in a large buffer.
            self.tally.in_parts += 1;
            return pool.free(buf);
        }
        self.take(buf, Record::new(link, (offset, len), ahead, checksum), pool);
    }

    /// A buffer that the app, or what is on its way, may not have is not kept.
    #[inline]
    fn take(&mut self, buf: BufId, record: Record, pool: &mut Pool) {
        if !self.buffers.has_room() {
            self.tally.no_room += 1;
            return pool.free(buf);
        }
        let index = buf.0;
        match self.buffers.take(buf, record) {
            Ok(()) => {
                self.tally.taken += 1;
                self.arrived.push_back(index);
            }
            Err(buf) => pool.free(buf),
        }
    }

    /// The next one, for the app.
    #[inline]
    pub(super) fn poll(&mut self, region: Region) -> Option<Told> {
        loop {
            let index = self.arrived.pop_front()?;
            let Some(record) = self.buffers.tell(index) else {
                continue;
            };
            let link = usize::from(record.link);
            let Some((port, binding)) = self.links.get(link).and_then(|port| Some((port, port.binding?)))
            else {
                continue;
            };
            return Some(Told {
                handle: handle(link, port.generation),
                cookie: binding.cookie,
                address: layout::RX_WINDOW + region.window_offset(index) + u64::from(record.offset),
                len: record.len.into(),
            });
        }
    }

    /// Lets go of what the link's card has let go of.
    #[inline]
    pub(super) fn reclaim(&mut self, link: usize, nic: &impl Nic, pool: &mut Pool) {
        let Some(port) = self.links.get_mut(link) else {
            return;
        };
        while let Some(&(ticket, index)) = port.sending.front()
            && nic.tx_done(ticket)
        {
            port.sending.pop_front();
            self.buffers.sent(index, pool);
        }
    }
}
