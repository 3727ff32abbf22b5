//! On to another link: what the card gathers lies where it was received.

use super::commands::received_at;
use super::{Around, Frames, MOST_WAITING, PATIENCE_NS, Record};
use crate::nic::Nic;
use ix_abi::app::{Command, FrameMode, Status};
use netstack::wire::ethernet::MacAddr;
use netstack::{NotForwarded, Passing, Stack, TxTicket};
use run_io::Request;

/// What `FrameForward` answers where the frame was dropped.
const DROPPED: u32 = 1;

/// The link by which a frame leaves, and what its card calls it.
type Sent = Result<(usize, TxTicket), NotForwarded>;

impl Frames {
    /// `FrameForward`.
    #[inline]
    pub(super) fn forward<N: Nic>(
        &mut self,
        command: &Request,
        around: &mut Around<'_, N>,
    ) -> Result<u32, Status> {
        let link = self.bound(command.handle)?;
        let index = received_at(command.address, around)?;
        let record = self.buffers.lent(index).ok_or(Status::Invalid)?;
        if usize::from(record.link) != link {
            return Err(Status::Invalid);
        }
        let mode = self.mode(link);
        let sent = if mode == Some(FrameMode::Bridge) {
            let to = usize::try_from(command.len).map_err(|_| Status::Invalid)?;
            if to >= around.links.len() {
                return Err(Status::Invalid);
            }
            self.bridge(index, &record, to, around)
        } else {
            self.route(index, &record, around)
        };
        let result = match sent {
            Ok(sent) => {
                self.on_its_way(index, sent);
                0
            }
            Err(NotForwarded::Unresolved) if self.waiting.len() < MOST_WAITING => {
                self.waiting.push_back((index, around.time));
                self.buffers.sending(index);
                0
            }
            Err(why) => {
                refuse(index, &record, mode, why, around);
                DROPPED
            }
        };
        if command.flags & Command::KEEP == 0 {
            self.buffers.release(index, around.pool);
        }
        Ok(result)
    }

    /// A card has it, and will be asked whether it is done.
    #[inline]
    fn on_its_way(&mut self, index: u32, (to, ticket): (usize, TxTicket)) {
        if let Some(port) = self.links.get_mut(to) {
            port.sending.push_back((ticket, index));
            self.buffers.sending(index);
        }
    }

    /// Whether it can be kept track of one frame more.
    #[inline]
    fn has_room(&self, record: &Record, to: usize) -> bool {
        let sending = self.links.get(to).map(|port| &port.sending);
        sending.is_some_and(|sending| sending.len() < self.buffers.most() as usize) && record.sends < u8::MAX
    }

    #[inline]
    fn bridge<N: Nic>(&self, index: u32, record: &Record, to: usize, around: &mut Around<'_, N>) -> Sent {
        let region = around.pool.region();
        let bytes = region.bytes(index, record.offset, record.len);
        let (ether, rest) = bytes.split_first_chunk().ok_or(NotForwarded::Malformed)?;
        let link = around.links.get_mut(to).filter(|_| self.has_room(record, to));
        let link = link.ok_or(NotForwarded::RingFull)?;
        let passing = Passing {
            bytes: rest,
            address: region.phys(index).0 + u64::from(record.offset) + ether.len() as u64,
            checksum: record.checksum.behind(14),
        };
        let (stack, mut wire) = link.ends(around.pool);
        stack
            .bridge(&mut wire, ether, &passing)
            .map(|ticket| (to, ticket))
    }

    /// By the link whose route leads furthest.
    #[inline]
    fn route<N: Nic>(&self, index: u32, record: &Record, around: &mut Around<'_, N>) -> Sent {
        let region = around.pool.region();
        let passing = Passing {
            bytes: region.bytes(index, record.offset, record.len),
            address: region.phys(index).0 + u64::from(record.offset),
            checksum: record.checksum,
        };
        let dst = passing.destination().ok_or(NotForwarded::Malformed)?;
        let stacks = around.links.iter().map(|link| &link.stack);
        let to = Stack::best_for(stacks, dst, around.time).ok_or(NotForwarded::NoRoute)?;
        let link = around.links.get_mut(to).filter(|_| self.has_room(record, to));
        let link = link.ok_or(NotForwarded::RingFull)?;
        let (stack, mut wire) = link.ends(around.pool);
        let sent = stack.forward(&mut wire, around.time, &passing);
        sent.map(|ticket| (to, ticket))
    }

    /// Tries those again whose next hop was asked for.
    #[cold]
    pub(in super::super) fn retry<N: Nic>(&mut self, around: &mut Around<'_, N>) {
        for _ in 0..self.waiting.len() {
            let Some((index, since)) = self.waiting.pop_front() else {
                return;
            };
            let Some(record) = self.buffers.get(index) else {
                continue;
            };
            match self.route(index, &record, around) {
                Ok(sent) => self.on_its_way(index, sent),
                Err(NotForwarded::Unresolved) if around.time.ns_since(since) < PATIENCE_NS => {
                    self.waiting.push_back((index, since));
                    continue;
                }
                Err(why) => {
                    let why = match why {
                        NotForwarded::Unresolved => NotForwarded::Unreached,
                        why => why,
                    };
                    refuse(index, &record, Some(FrameMode::Route), why, around);
                }
            }
            // It does not wait any more.
            self.buffers.sent(index, around.pool);
        }
    }

    /// Whether [`Frames::retry`] has something to do.
    #[inline]
    pub(in super::super) fn wait_for_neighbors(&self) -> bool {
        !self.waiting.is_empty()
    }
}

/// Counts what is dropped; the sender of a packet may be told.
#[cold]
fn refuse<N: Nic>(
    index: u32,
    record: &Record,
    mode: Option<FrameMode>,
    why: NotForwarded,
    around: &mut Around<'_, N>,
) {
    let region = around.pool.region();
    let Some(link) = around.links.get_mut(usize::from(record.link)) else {
        return;
    };
    if mode == Some(FrameMode::Bridge) {
        return link.stack.count_not_forwarded(why);
    }
    let bytes = region.bytes(index, record.offset, record.len);
    let ether = region.bytes(index, record.offset.saturating_sub(record.ahead), record.ahead);
    let station = ether.get(6..12).and_then(|mac| mac.first_chunk().copied());
    let (stack, mut wire) = link.ends(around.pool);
    stack.refuse_transit(
        &mut wire,
        around.time,
        MacAddr(station.unwrap_or_default()),
        bytes,
        why,
    );
}
