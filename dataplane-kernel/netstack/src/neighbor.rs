//! Who on the link has which hardware address: ARP's cache and its questions (RFC 826, RFC 1122 section 2.3.2).
//!
//! An entry is *asked for* (somebody wants to send and no address is known), *reachable* (a station answered lately),
//! *stale* (known, but not lately confirmed or never asked for), or *probed* (stale and in use: asked again, by
//! unicast, while its address serves on). The table neither sends nor waits: it tells what to ask next
//! (`Neighbors::poll_request`) and which address nobody answered for (`Neighbors::poll_failure`).
//!
//! A flood of foreign claims can take the places of free and of stale entries only: what was asked for is safe.

use crate::Instant;
use crate::timer_wheel::TimerWheel;
use crate::wire::arp::{Operation, Packet};
use crate::wire::ethernet::MacAddr;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec;
use core::net::Ipv4Addr;

/// RFC 1122 section 2.3.2.1: no more than one request per second and destination.
const REQUEST_INTERVAL_NS: u64 = 1_000_000_000;
/// Requests without an answer after which it gives up.
const MAX_REQUESTS: u8 = 3;
/// How long an answer holds without a new question ("on the order of a minute").
const REACHABLE_NS: u64 = 60_000_000_000;
/// How long after that the address may still be used while it is being confirmed.
const STALE_NS: u64 = 300_000_000_000;

/// An address hashes to a set and may stand in any place of it.
const WAYS: usize = 4;
const SETS: usize = 256;
const ENTRIES: usize = SETS * WAYS;

/// In the order in which places are given up for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    #[default]
    Free,
    /// Known, but only because its station spoke to us.
    Unsolicited,
    /// Confirmed longer ago than [`REACHABLE_NS`], or changed by a station we did not ask.
    Stale,
    Reachable,
    /// Asked again by unicast.
    Probed,
    /// Asked by broadcast; `mac` means nothing.
    Asked,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    ip: u32,
    mac: MacAddr,
    state: State,
    /// Requests sent since the state began.
    requests: u8,
    /// It stands in the queue of requests to send.
    queued: bool,
    /// When it was last confirmed or heard of.
    since: Instant,
}

/// Answer to [`Neighbors::lookup`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Send to this station.
    Known(MacAddr),
    /// It has been asked for; [`Received::resolved`] or [`Neighbors::poll_failure`] will name it.
    Pending,
    /// It cannot be asked for, so many others are waited for; no news will come.
    Full,
}

/// A question to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who has this address?
    pub target: Ipv4Addr,
    /// To all stations, or to the one that had it last.
    pub dst: MacAddr,
}

/// What a received packet brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// To be sent to its `target_mac`.
    pub answer: Option<Packet>,
    /// An address somebody waits for has become known.
    pub resolved: Option<Ipv4Addr>,
    /// Another station claims our address.
    pub conflict: bool,
}

/// The table.
#[derive(Debug)]
pub struct Neighbors {
    mac: MacAddr,
    ip: Ipv4Addr,
    entries: Box<[Entry]>,
    /// One timer per entry: the next request, or the end of waiting for an answer.
    timers: TimerWheel,
    requests: VecDeque<u16>,
    failures: VecDeque<Ipv4Addr>,
}

impl Neighbors {
    /// An empty table for the interface with these addresses.
    #[must_use]
    pub fn new(mac: MacAddr, ip: Ipv4Addr, now: Instant) -> Self {
        Neighbors {
            mac,
            ip,
            entries: vec![Entry::default(); ENTRIES].into_boxed_slice(),
            timers: TimerWheel::new(u32::try_from(ENTRIES).unwrap_or(0), now),
            requests: VecDeque::with_capacity(ENTRIES),
            failures: VecDeque::with_capacity(ENTRIES),
        }
    }

    /// The station that has `ip`, an address on our link. Unless one is known, this begins to ask.
    #[inline]
    pub fn lookup(&mut self, ip: Ipv4Addr, now: Instant) -> Lookup {
        if let Some(place) = self.find(ip) {
            let entry = &self.entries[place];
            if entry.state == State::Reachable && now.ns_since(entry.since) < REACHABLE_NS {
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
                let ask_anew = now.ns_since(entry.since) >= REACHABLE_NS + STALE_NS;
                self.start_asking(place, if ask_anew { State::Asked } else { State::Probed });
                if ask_anew {
                    Lookup::Pending
                } else {
                    Lookup::Known(entry.mac)
                }
            }
        }
    }

    /// Takes in a packet. `is_neighbor` tells whether its sender's address is one of a host on our subnet.
    ///
    /// RFC 826: a known sender's address is updated by any packet; a new one is taken only from a packet to us.
    pub fn receive(&mut self, packet: &Packet, is_neighbor: bool, now: Instant) -> Received {
        let mut received = Received {
            answer: None,
            resolved: None,
            conflict: packet.sender_ip == self.ip && packet.sender_mac != self.mac,
        };
        if packet.sender_mac == self.mac {
            return received; // our own, come back
        }
        let to_us = packet.target_ip == self.ip;
        if is_neighbor {
            received.resolved = self.learn(packet, to_us, now);
        }
        if to_us && packet.operation == Operation::Request {
            received.answer = Some(Packet {
                operation: Operation::Reply,
                sender_mac: self.mac,
                sender_ip: self.ip,
                target_mac: packet.sender_mac,
                target_ip: packet.sender_ip,
            });
        }
        received
    }

    fn learn(&mut self, packet: &Packet, to_us: bool, now: Instant) -> Option<Ipv4Addr> {
        let Some(place) = self.find(packet.sender_ip) else {
            if to_us {
                self.note_unsolicited(packet, now);
            }
            return None;
        };
        let entry = &mut self.entries[place];
        let before = entry.state;
        let answers = to_us && packet.operation == Operation::Reply;
        entry.state = match before {
            State::Asked => State::Reachable,
            State::Probed if answers => State::Reachable,
            _ if entry.mac == packet.sender_mac => before,
            // A change nobody asked for (a fail-over, or a lie) is taken, and asked about at the next use.
            _ => State::Stale,
        };
        if entry.state != before || entry.mac != packet.sender_mac {
            entry.mac = packet.sender_mac;
            entry.since = now;
            self.timers.cancel(slot_of(place));
        }
        (before == State::Asked).then_some(packet.sender_ip)
    }

    /// A station that spoke to us will want an answer soon: keep its address if that costs nobody his place.
    fn note_unsolicited(&mut self, packet: &Packet, now: Instant) {
        let place = self.worst_of(packet.sender_ip);
        if self.entries[place].state > State::Stale {
            return;
        }
        self.entries[place] = Entry {
            ip: packet.sender_ip.to_bits(),
            mac: packet.sender_mac,
            state: State::Unsolicited,
            queued: self.entries[place].queued,
            requests: 0,
            since: now,
        };
    }

    fn ask(&mut self, ip: Ipv4Addr, now: Instant) -> Lookup {
        let place = self.worst_of(ip);
        let loser = self.entries[place];
        if loser.state == State::Asked {
            return Lookup::Full;
        }
        self.entries[place] = Entry {
            ip: ip.to_bits(),
            queued: loser.queued,
            since: now,
            ..Entry::default()
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
    pub fn poll_request(&mut self, now: Instant) -> Option<Request> {
        while let Some(index) = self.requests.pop_front() {
            let place = usize::from(index);
            let entry = &mut self.entries[place];
            entry.queued = false;
            let dst = match entry.state {
                State::Asked => MacAddr::BROADCAST,
                State::Probed => entry.mac,
                _ => continue, // answered, or its place was taken, before it was sent
            };
            entry.requests = entry.requests.saturating_add(1);
            let target = Ipv4Addr::from_bits(entry.ip);
            self.timers.arm(slot_of(place), now.after_ns(REQUEST_INTERVAL_NS));
            return Some(Request { target, dst });
        }
        None
    }

    /// `true` if [`Neighbors::poll_request`] may have something.
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
                self.failures.push_back(Ipv4Addr::from_bits(entry.ip));
            }
        }
    }

    /// When [`Neighbors::on_timer`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.next_deadline()
    }

    /// An address that nobody answered for; whoever waits for it waits in vain.
    pub fn poll_failure(&mut self) -> Option<Ipv4Addr> {
        self.failures.pop_front()
    }

    /// The question of `request`, as a packet.
    #[must_use]
    pub fn question(&self, request: Request) -> Packet {
        Packet {
            operation: Operation::Request,
            sender_mac: self.mac,
            sender_ip: self.ip,
            target_mac: MacAddr::default(),
            target_ip: request.target,
        }
    }

    /// The packet, for all stations, that tells them our addresses (RFC 5227 section 2.3).
    #[must_use]
    pub fn announcement(&self) -> Packet {
        self.question(Request {
            target: self.ip,
            dst: MacAddr::BROADCAST,
        })
    }

    #[inline]
    fn find(&self, ip: Ipv4Addr) -> Option<usize> {
        let first = set_of(ip);
        let set = self.entries[first..].first_chunk::<WAYS>()?;
        let bits = ip.to_bits();
        let way = set
            .iter()
            .position(|entry| entry.ip == bits && entry.state != State::Free)?;
        Some(first + way)
    }

    /// The place in the set of `ip` that is missed least: by state, then by age.
    fn worst_of(&self, ip: Ipv4Addr) -> usize {
        let first = set_of(ip);
        (first..first + WAYS)
            .min_by_key(|place| {
                let entry = &self.entries[*place];
                (entry.state, entry.since)
            })
            .unwrap_or(first)
    }
}

/// First place of the set of an address. Multiplying spreads neighbouring addresses evenly (2^32 / golden ratio).
#[inline]
fn set_of(ip: Ipv4Addr) -> usize {
    let [.., set] = (ip.to_bits().wrapping_mul(0x9e37_79b1) >> 24).to_be_bytes();
    usize::from(set) * WAYS
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "a place is below 1024")]
fn slot_of(place: usize) -> u32 {
    place as u32
}
