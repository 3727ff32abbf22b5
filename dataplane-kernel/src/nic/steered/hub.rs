//! Core 0's side: the card, and a line to each of the other cores.

use super::{Card, Line, RX_SHARE, Remote, TxFrame, line};
use crate::mem::mbuf::{Pool, Region};
use crate::nic::forward::forward;
use crate::nic::{Health, MAX_PARTS, Nic, RxFrame};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::Ordering;
use netstack::rss::{Steering, Target, target};
use netstack::{BufId, TxTicket};

/// Frames of other cores that are taken from each line in a cycle, at most.
const RELAY: usize = 64;

/// A card whose frames are for several cores, as core 0 sees it.
pub struct Steered<N> {
    pub(super) nic: N,
    steering: Arc<Steering>,
    /// [`Steering::changes`] when the card was given the table last.
    table_seen: u32,
    /// Where the received bytes are.
    region: Region,
    /// To core 1, core 2, ...
    lines: Vec<Line>,
    /// Of the frames of other cores the card has, in order: the line, and the card's ticket.
    relayed: VecDeque<(u32, TxTicket)>,
    /// For all cores, to be copied as soon as there are buffers.
    for_all: Vec<RxFrame>,
    /// Copied; core 0's own at last.
    copied: Vec<RxFrame>,
    /// Buffers of frames that a core had no room for.
    refused: Vec<BufId>,
    counters: Counters,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    /// Frames handed to other cores.
    handed: u64,
    /// Frames dropped because a core had not taken those before.
    dropped: u64,
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
    /// Shares `nic`, whose buffers are in `region`, among `cores`; the others' shares are in the order of the cores, from 1.
    pub fn share(nic: N, steering: Arc<Steering>, region: Region, cores: usize) -> (Self, Vec<Remote>) {
        let card = Card {
            mac: nic.mac(),
            mtu: nic.mtu(),
            offloads: nic.offloads(),
        };
        let health = if nic.link_up() {
            Health::LinkUp
        } else {
            Health::LinkDown
        };
        let lines = u32::try_from(cores).unwrap_or(u32::MAX).max(1);
        let rx_slots = region.count() / RX_SHARE / lines;
        let (lines, remotes) = (1..cores).map(|_| line(card, health, rx_slots)).unzip();
        let steered = Steered {
            nic,
            table_seen: steering.changes().wrapping_sub(1),
            steering,
            region,
            lines,
            relayed: VecDeque::new(),
            for_all: Vec::new(),
            copied: Vec::new(),
            refused: Vec::new(),
            counters: Counters::default(),
        };
        (steered, remotes)
    }

    /// Gives the card what other cores want sent; how many frames that was.
    fn relay(&mut self) -> usize {
        let before = self.counters.relayed;
        for (number, line) in (0..).zip(&mut self.lines) {
            for _ in 0..RELAY {
                let Some(frame) = line.tx.front() else { break };
                let Some(ticket) = send(&mut self.nic, frame) else {
                    break;
                };
                line.tx.empty();
                self.relayed.push_back((number, ticket));
                self.counters.relayed += 1;
            }
            line.tx.publish();
        }
        usize::try_from(self.counters.relayed - before).unwrap_or(usize::MAX)
    }

    /// Tells the cores whose frames the card has let go of.
    fn tell_done(&mut self) {
        while let Some(&(number, ticket)) = self.relayed.front()
            && self.nic.tx_done(ticket)
        {
            self.relayed.pop_front();
            if let Some(line) = self.lines.get(number as usize) {
                // Only core 0 writes it; the payload may be changed by whoever sees this.
                line.told.done.fetch_add(1, Ordering::Release);
            }
        }
    }

    /// Gives the card the table as it is now.
    #[cold]
    fn follow_table(&mut self) {
        let (table, changes) = self.steering.table();
        self.table_seen = changes;
        self.counters.by_card = self.nic.set_table(&table).into();
    }

    /// Copies what is for all cores.
    #[cold]
    fn copy_for_all(&mut self, pool: &mut Pool) {
        for frame in self.for_all.drain(..) {
            for line in &mut self.lines {
                let copy = copy(pool, self.region, &frame);
                let handed = copy.map(|copy| line.rx.push(Some(copy)));
                match handed {
                    Some(Ok(())) => self.counters.copies += 1,
                    Some(Err(refused)) => {
                        self.counters.copies_dropped += 1;
                        self.refused.extend(refused.map(|frame| frame.buf));
                    }
                    None => self.counters.copies_dropped += 1,
                }
                line.rx.publish();
            }
            self.copied.push(frame);
        }
    }
}

/// Where all parts of a frame go.
#[derive(Clone, Copy)]
enum Way {
    Own,
    All,
    Line(usize),
    Nowhere,
}

impl Way {
    /// Of a frame of one part, or of several.
    #[inline]
    fn of(target: Target, continues: bool, lines: &mut [Line], counters: &mut Counters) -> Self {
        let core = match target {
            Target::All if !continues => return Way::All,
            Target::All => 0,
            Target::Core(core) => usize::from(core),
        };
        let number = core.wrapping_sub(1);
        let Some(line) = lines.get_mut(number) else {
            return Way::Own;
        };
        let parts = if continues { MAX_PARTS } else { 1 };
        if line.rx.has_room(parts) {
            counters.handed += 1;
            Way::Line(number)
        } else {
            counters.dropped += 1;
            Way::Nowhere
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
        let copied = self.copied.len();
        self.copied.drain(..).for_each(&mut *sink);
        let Steered {
            nic,
            steering,
            region,
            lines,
            for_all,
            refused,
            counters,
            ..
        } = self;
        let mut under_way = None;
        let received = nic.poll_rx(budget, &mut |frame| {
            // The parts of a frame stay together.
            let way = under_way.take().unwrap_or_else(|| {
                let bytes = region.bytes(frame.buf.0, frame.offset, frame.len);
                Way::of(target(steering, bytes), frame.continues, lines, counters)
            });
            under_way = frame.continues.then_some(way);
            match way {
                Way::Own => sink(frame),
                Way::All => for_all.push(frame),
                Way::Nowhere => refused.push(frame.buf),
                Way::Line(number) => {
                    // There is such a line, and it has room.
                    let left = match lines.get_mut(number) {
                        Some(line) => line.rx.push(Some(frame)).err().flatten(),
                        None => Some(frame),
                    };
                    refused.extend(left.map(|frame| frame.buf));
                }
            }
        });
        if received > 0 {
            lines.iter_mut().for_each(|line| line.rx.publish());
        }
        copied + received + self.relay()
    }

    #[inline]
    fn refill(&mut self, pool: &mut Pool) {
        pool.collect();
        self.refused.drain(..).for_each(|buf| pool.free(buf));
        if !self.for_all.is_empty() {
            self.copy_for_all(pool);
        }
        if self.steering.changes() != self.table_seen {
            self.follow_table();
        }
        self.nic.refill(pool);
    }

    #[inline]
    fn reclaim_tx(&mut self) {
        self.nic.reclaim_tx();
        self.tell_done();
    }

    fn check(&mut self) -> Health {
        let health = self.nic.check();
        self.lines.iter().for_each(|line| line.told.tell_health(health));
        health
    }

    fn stop(&mut self) {
        self.nic.stop();
        self.tell_done();
    }

    /// Those of the card, and:
    /// - `steer.handed`: frames given to other cores.
    /// - `steer.dropped`: frames dropped because their core had not taken those before.
    /// - `steer.copies`, `steer.copies_dropped`: copies of frames that concern all cores, and those not made.
    /// - `steer.relayed`: frames of other cores given to the card.
    /// - `steer.by_card`: 1 if the card hands flows to their cores' queues by itself, 0 if they come to this core.
    fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counters = &self.counters;
        let own = [
            ("steer.handed", counters.handed),
            ("steer.dropped", counters.dropped),
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
