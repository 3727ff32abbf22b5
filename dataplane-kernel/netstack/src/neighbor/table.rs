//! The table behind ARP and neighbour discovery: which station has which address, and which questions are to be asked.
//!
//! An entry is *asked for* (somebody wants to send and no address is known), *reachable* (a station answered lately),
//! *stale* (known, but not lately confirmed or never asked for), or *probed* (stale and in use: asked again, by
//! unicast, while its address serves on). The table neither sends nor waits: it tells what to ask next
//! ([`Table::poll_request`]) and which address nobody answered for ([`Table::poll_failure`]).
//!
//! A flood of foreign claims can take the places of free and of stale entries only: what was asked for is safe.

use crate::Instant;
use crate::timer_wheel::TimerWheel;
use crate::wire::ethernet::MacAddr;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec;
use core::fmt::Debug;

/// RFC 1122 section 2.3.2.1: no more than one request per second and destination; RFC 4861 section 10: RetransTimer.
const REQUEST_INTERVAL_NS: u64 = 1_000_000_000;
/// Requests without an answer after which it gives up (RFC 4861 section 10: MAX_MULTICAST_SOLICIT).
const MAX_REQUESTS: u8 = 3;
/// How long after it has ceased to be reachable an address may still be used while it is being confirmed.
const STALE_NS: u64 = 300_000_000_000;

/// An address hashes to a set and may stand in any place of it.
const WAYS: usize = 4;
const SETS: usize = 256;
const ENTRIES: usize = SETS * WAYS;

/// An address of the protocol that asks.
pub trait Address: Copy + Eq + Debug {
    /// Stands in entries that are not in use.
    const NONE: Self;

    /// How long an answer holds without a new question.
    const REACHABLE_NS: u64;

    /// A number that spreads neighbouring addresses evenly.
    fn spread(self) -> u8;
}

/// In the order in which places are given up for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    #[default]
    Free,
    /// Known, but only because its station spoke to us.
    Unsolicited,
    /// Confirmed longer ago than [`Address::REACHABLE_NS`], or changed by a station we did not ask.
    Stale,
    Reachable,
    /// Asked again by unicast.
    Probed,
    /// Asked by broadcast; `mac` means nothing.
    Asked,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<A> {
    ip: A,
    pub(super) mac: MacAddr,
    pub(super) state: State,
    /// Requests sent since the state began.
    requests: u8,
    /// It stands in the queue of requests to send.
    queued: bool,
    /// When it was last confirmed or heard of.
    since: Instant,
}

impl<A: Address> Entry<A> {
    const FREE: Entry<A> = Entry {
        ip: A::NONE,
        mac: MacAddr([0; 6]),
        state: State::Free,
        requests: 0,
        queued: false,
        since: Instant(0),
    };
}

/// Answer to [`Table::lookup`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Send to this station.
    Known(MacAddr),
    /// It has been asked for; an answer, or [`Table::poll_failure`], will name it.
    Pending,
    /// It cannot be asked for, so many others are waited for; no news will come.
    Full,
}

/// A question to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<A> {
    /// Who has this address?
    pub target: A,
    /// The station that had it last; `None`: all are asked.
    pub station: Option<MacAddr>,
}

/// The table.
#[derive(Debug)]
pub struct Table<A> {
    entries: Box<[Entry<A>]>,
    /// One timer per entry: the next request, or the end of waiting for an answer.
    timers: TimerWheel,
    requests: VecDeque<u16>,
    failures: VecDeque<A>,
    /// Known for ever, without being asked.
    fixed: Option<(A, MacAddr)>,
}

impl<A: Address> Table<A> {
    /// An empty one.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Table {
            entries: vec![Entry::FREE; ENTRIES].into_boxed_slice(),
            timers: TimerWheel::new(u32::try_from(ENTRIES).unwrap_or(0), now),
            requests: VecDeque::with_capacity(ENTRIES),
            failures: VecDeque::with_capacity(ENTRIES),
            fixed: None,
        }
    }

    /// From now on `ip` is at this station, which is never asked for it.
    pub fn fix(&mut self, ip: A, mac: MacAddr) {
        self.fixed = Some((ip, mac));
    }

    /// The station that has `ip`, an address on our link. Unless one is known, this begins to ask.
    #[inline]
    pub fn lookup(&mut self, ip: A, now: Instant) -> Lookup {
        if let Some(place) = self.find(ip) {
            let entry = &self.entries[place];
            if entry.state == State::Reachable && now.ns_since(entry.since) < A::REACHABLE_NS {
                return Lookup::Known(entry.mac);
            }
            return self.look_closer(place, now);
        }
        self.ask(ip, now)
    }

    /// An entry that is not freshly reachable.
    fn look_closer(&mut self, place: usize, now: Instant) -> Lookup {
        let entry = self.entries[place];
        match entry.state {
            State::Asked => Lookup::Pending,
            State::Probed => Lookup::Known(entry.mac),
            State::Free | State::Unsolicited | State::Stale | State::Reachable => {
                let ask_anew = now.ns_since(entry.since) >= A::REACHABLE_NS + STALE_NS;
                self.start_asking(place, if ask_anew { State::Asked } else { State::Probed });
                if ask_anew {
                    Lookup::Pending
                } else {
                    Lookup::Known(entry.mac)
                }
            }
        }
    }

    /// What is known of `ip`.
    pub(super) fn known(&self, ip: A) -> Option<Entry<A>> {
        self.find(ip).map(|place| self.entries[place])
    }

    /// From now on `ip` stands with this address and state, the news of this moment. `true` if somebody waits for it. What
    /// is not known stays unknown.
    pub(super) fn update(&mut self, ip: A, mac: MacAddr, state: State, now: Instant) -> bool {
        let Some(place) = self.find(ip) else {
            return false;
        };
        let entry = &mut self.entries[place];
        let before = entry.state;
        (entry.state, entry.mac, entry.since) = (state, mac, now);
        self.timers.cancel(slot_of(place));
        before == State::Asked
    }

    /// A station that spoke to us will want an answer soon: keep its address if that costs nobody his place.
    pub(super) fn note_unsolicited(&mut self, ip: A, mac: MacAddr, now: Instant) {
        let place = self.worst_of(ip);
        let is_fixed = self.fixed.is_some_and(|(fixed, _)| fixed == ip);
        if is_fixed || self.entries[place].state > State::Stale {
            return;
        }
        self.entries[place] = Entry {
            ip,
            mac,
            state: State::Unsolicited,
            queued: self.entries[place].queued,
            requests: 0,
            since: now,
        };
    }

    fn ask(&mut self, ip: A, now: Instant) -> Lookup {
        if let Some((fixed, mac)) = self.fixed
            && fixed == ip
        {
            return Lookup::Known(mac);
        }
        let place = self.worst_of(ip);
        let loser = self.entries[place];
        if loser.state == State::Asked {
            return Lookup::Full;
        }
        self.entries[place] = Entry {
            ip,
            queued: loser.queued,
            since: now,
            ..Entry::FREE
        };
        self.start_asking(place, State::Asked);
        Lookup::Pending
    }

    fn start_asking(&mut self, place: usize, state: State) {
        self.entries[place].state = state;
        self.entries[place].requests = 0;
        self.timers.cancel(slot_of(place));
        self.queue_request(place);
    }

    fn queue_request(&mut self, place: usize) {
        if !self.entries[place].queued
            && let Ok(index) = u16::try_from(place)
        {
            self.entries[place].queued = true;
            self.requests.push_back(index);
        }
    }

    /// The next question to send; the entry's clock runs from here, so call it when there is room to send.
    pub fn poll_request(&mut self, now: Instant) -> Option<Question<A>> {
        while let Some(index) = self.requests.pop_front() {
            let place = usize::from(index);
            let entry = &mut self.entries[place];
            entry.queued = false;
            let station = match entry.state {
                State::Asked => None,
                State::Probed => Some(entry.mac),
                _ => continue, // answered, or its place was taken, before it was sent
            };
            entry.requests = entry.requests.saturating_add(1);
            let target = entry.ip;
            self.timers.arm(slot_of(place), now.after_ns(REQUEST_INTERVAL_NS));
            return Some(Question { target, station });
        }
        None
    }

    /// `true` if [`Table::poll_request`] may have something.
    #[inline]
    #[must_use]
    pub fn wants_to_ask(&self) -> bool {
        !self.requests.is_empty()
    }

    /// Asks again, or gives up, where no answer came in time.
    pub fn on_timer(&mut self, now: Instant) {
        self.timers.advance(now);
        while let Some(slot) = self.timers.pop_due() {
            let place = slot as usize;
            let entry = self.entries[place];
            if entry.requests < MAX_REQUESTS {
                self.queue_request(place);
                continue;
            }
            self.entries[place].state = State::Free;
            if entry.state == State::Asked {
                self.failures.push_back(entry.ip);
            }
        }
    }

    /// When [`Table::on_timer`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.next_deadline()
    }

    /// An address that nobody answered for; whoever waits for it waits in vain.
    pub fn poll_failure(&mut self) -> Option<A> {
        self.failures.pop_front()
    }

    #[inline]
    fn find(&self, ip: A) -> Option<usize> {
        let first = set_of(ip);
        let set = self.entries[first..].first_chunk::<WAYS>()?;
        let way = set
            .iter()
            .position(|entry| entry.ip == ip && entry.state != State::Free)?;
        Some(first + way)
    }

    /// The place in the set of `ip` that is missed least: by state, then by age.
    fn worst_of(&self, ip: A) -> usize {
        let first = set_of(ip);
        (first..first + WAYS)
            .min_by_key(|place| {
                let entry = &self.entries[*place];
                (entry.state, entry.since)
            })
            .unwrap_or(first)
    }
}

/// First place of the set of an address.
#[inline]
fn set_of<A: Address>(ip: A) -> usize {
    usize::from(ip.spread()) * WAYS
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "a place is below 1024")]
fn slot_of(place: usize) -> u32 {
    place as u32
}
