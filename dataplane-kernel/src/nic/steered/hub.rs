//! A core with a queue of the card's.

use super::inbound::Inbound;
use super::way::{Lines, Way};
use super::{Outbound, Served, TxFrame};
use crate::mem::mbuf::{Pool, Region};
use crate::nic::forward::forward;
use crate::nic::{Alarm, Health, Nic, RxFrame};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::Ordering;
use netstack::rss::{Steering, Table, target};
use netstack::{BufId, TxTicket};

/// Frames of other cores that are sent for each in a cycle, at most.
const RELAY: usize = 64;

/// A queue of a card whose frames are for several cores.
pub struct Steered<N> {
    pub(super) nic: N,
    steering: Arc<Steering>,
    /// Cores with a queue.
    hubs: usize,
    /// [`Steering::changes`] when the card was given the table last.
    table_seen: u32,
    /// Where the received bytes are.
    region: Region,
    lines: Lines,
    /// What other hubs hand to this core.
    inbound: Inbound,
    /// Cores that send through this one.
    served: Vec<Served>,
    /// Of the frames of those that the card has, in order: whose it is, and the card's ticket.
    relayed: VecDeque<(u32, TxTicket)>,
    /// For all cores, to be copied as soon as there are buffers.
    for_all: Vec<RxFrame>,
    /// Copied; this core's own at last.
    copied: Vec<RxFrame>,
    /// Buffers of frames that a core had no room for.
    refused: Vec<BufId>,
    counters: Counters,
}

/// What is counted besides.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    /// Copies made of frames for all.
    copies: u64,
    /// Copies not made for want of a buffer or of room.
    copies_dropped: u64,
    /// Frames of other cores given to the card.
    relayed: u64,
    /// 1: the card goes by the table.
    by_card: u64,
}

impl<N: Nic> Steered<N> {
    /// Of the core with the number `own`, of `hubs` that have a queue each.
    pub(super) fn new(
        nic: N,
        (own, hubs): (usize, usize),
        steering: Arc<Steering>,
        region: Region,
        outbound: Vec<Option<Outbound>>,
    ) -> Self {
        Steered {
            nic,
            table_seen: steering.changes().wrapping_sub(1),
            steering,
            hubs,
            region,
            lines: Lines {
                own,
                outbound,
                handed: 0,
                dropped: 0,
            },
            inbound: Inbound::default(),
            served: Vec::new(),
            relayed: VecDeque::new(),
            for_all: Vec::new(),
            copied: Vec::new(),
            refused: Vec::new(),
            counters: Counters::default(),
        }
    }

    pub(super) fn receive_from(&mut self, inbound: Inbound) {
        self.inbound = inbound;
    }

    pub(super) fn serve(&mut self, core: Served) {
        self.served.push(core);
    }

    /// Gives the card what other cores want sent; how many frames that was.
    fn relay(&mut self) -> usize {
        let before = self.counters.relayed;
        for (number, core) in (0..).zip(&mut self.served) {
            for _ in 0..RELAY {
                let Some(frame) = core.tx.front() else { break };
                let Some(ticket) = send(&mut self.nic, frame) else {
                    break;
                };
                core.tx.empty();
                self.relayed.push_back((number, ticket));
                self.counters.relayed += 1;
            }
            core.tx.publish();
        }
        usize::try_from(self.counters.relayed - before).unwrap_or(usize::MAX)
    }

    /// Tells the cores whose frames the card has let go of.
    fn tell_done(&mut self) {
        while let Some(&(number, ticket)) = self.relayed.front()
            && self.nic.tx_done(ticket)
        {
            self.relayed.pop_front();
            if let Some(core) = self.served.get(number as usize) {
                // Only this core writes it; the payload may be changed by whoever sees this.
                core.told.done.fetch_add(1, Ordering::Release);
            }
        }
    }

    /// Gives the card the table as it is now. The flows of a core without a queue come to the hub through which it sends.
    #[cold]
    fn follow_table(&mut self) {
        let (table, changes) = self.steering.table();
        self.table_seen = changes;
        #[allow(clippy::cast_possible_truncation, reason = "less than a core's number")]
        let queue_of = |core: u8| (usize::from(core) % self.hubs) as u8;
        let table = Table::map(table, queue_of);
        self.counters.by_card = self.nic.set_table(self.steering.key(), &table).into();
    }

    /// Copies what is for all cores.
    #[cold]
    fn copy_for_all(&mut self, pool: &mut Pool) {
        for frame in self.for_all.drain(..) {
            for line in self.lines.each() {
                let copy = copy(pool, self.region, &frame);
                let handed = copy.map(|copy| line.push(Some(copy)));
                match handed {
                    Some(Ok(())) => self.counters.copies += 1,
                    Some(Err(refused)) => {
                        self.counters.copies_dropped += 1;
                        self.refused.extend(refused.map(|frame| frame.buf));
                    }
                    None => self.counters.copies_dropped += 1,
                }
            }
            self.lines.publish();
            self.copied.push(frame);
        }
    }
}

/// Queues another core's frame; `None` while there is no room.
#[inline]
fn send(nic: &mut impl Nic, frame: &TxFrame) -> Option<TxTicket> {
    let header = frame.header.get(..frame.header_len)?;
    let payload = frame.payload.get(..frame.spans)?;
    nic.begin_tx()?.get_mut(..header.len())?.copy_from_slice(header);
    Some(nic.commit_tx(header.len(), payload, frame.offload))
}

fn copy(pool: &mut Pool, region: Region, frame: &RxFrame) -> Option<RxFrame> {
    let buf = pool.alloc()?;
    let bytes = region.bytes(frame.buf.0, frame.offset, frame.len);
    let start = usize::from(frame.offset);
    match pool.small(&buf).get_mut(start..start + bytes.len()) {
        Some(place) => place.copy_from_slice(bytes),
        None => {
            pool.free(buf);
            return None;
        }
    }
    Some(RxFrame { buf, ..*frame })
}

impl<N: Nic> Nic for Steered<N> {
    forward!(device, offloads, begin_tx, commit_tx, transmit);

    /// The count is of all frames that moved, other cores' included: there was something to do.
    #[inline]
    fn poll_rx(&mut self, budget: usize, sink: &mut impl FnMut(RxFrame)) -> usize {
        let mut before = self.copied.len();
        self.copied.drain(..).for_each(&mut *sink);
        before += self.inbound.poll(budget, sink);
        let Steered {
            nic,
            steering,
            region,
            lines,
            for_all,
            refused,
            ..
        } = self;
        let mut under_way = None;
        let received = nic.poll_rx(budget.saturating_sub(before).max(1), &mut |frame| {
            // The parts of a frame stay together.
            let way = under_way.take().unwrap_or_else(|| {
                let bytes = region.bytes(frame.buf.0, frame.offset, frame.len);
                lines.way(target(steering, bytes), frame.continues)
            });
            under_way = frame.continues.then_some(way);
            match way {
                Way::Own => sink(frame),
                Way::All => for_all.push(frame),
                Way::Nowhere => refused.push(frame.buf),
                Way::To(core) => refused.extend(lines.hand(core, frame)),
            }
        });
        if received > 0 {
            lines.publish();
        }
        before + received + self.relay()
    }

    #[inline]
    fn refill(&mut self, pool: &mut Pool) {
        pool.collect();
        pool.publish();
        self.refused.drain(..).for_each(|buf| pool.free(buf));
        if !self.for_all.is_empty() {
            self.copy_for_all(pool);
        }
        // Core 0 speaks for all to the card.
        if self.lines.own == 0 && self.steering.changes() != self.table_seen {
            self.follow_table();
        }
        self.nic.refill(pool);
    }

    #[inline]
    fn reclaim_tx(&mut self) {
        self.nic.reclaim_tx();
        self.tell_done();
    }

    /// Who hands this core a frame, or one to send, rouses it.
    fn arm(&mut self) -> Alarm {
        if self.copied.is_empty() && self.for_all.is_empty() {
            self.nic.arm()
        } else {
            Alarm::TooLate
        }
    }

    fn check(&mut self) -> Health {
        let health = self.nic.check();
        self.served.iter().for_each(|core| core.told.health.set(health));
        health
    }

    fn stop(&mut self) {
        self.nic.stop();
        self.tell_done();
    }

    /// Those of the card, and:
    /// - `steer.handed`: frames given to other cores.
    /// - `steer.taken`: frames that other cores gave to this one.
    /// - `steer.dropped`: frames dropped because their core had not taken those before.
    /// - `steer.copies`, `steer.copies_dropped`: copies of frames that concern all cores, and those not made.
    /// - `steer.relayed`: frames of other cores given to the card.
    /// - `steer.by_card`: 1 if the card hands flows to their cores' queues by itself, 0 if the cores do.
    fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counters = &self.counters;
        let own = [
            ("steer.handed", self.lines.handed),
            ("steer.taken", self.inbound.frames),
            ("steer.dropped", self.lines.dropped),
            ("steer.copies", counters.copies),
            ("steer.copies_dropped", counters.copies_dropped),
            ("steer.relayed", counters.relayed),
            ("steer.by_card", counters.by_card),
        ];
        self.nic.counters().chain(own)
    }
}

impl<N: fmt::Debug> fmt::Debug for Steered<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steered")
            .field("nic", &self.nic)
            .finish_non_exhaustive()
    }
}
