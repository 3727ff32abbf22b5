//! One Ethernet for all hosts: a switch that delays, loses and, where the network is parted, does not forward.

use core::time::Duration;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

/// Where the hosts' hardware addresses differ.
const HOST_BYTE: usize = 5;

/// What a host's hardware address is.
pub(super) fn mac(host: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, host]
}

/// A frame under way, in the order of arrival; those of one moment in the order they were sent.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct InTransit {
    at_ns: u64,
    number: u64,
    to: u8,
    frame: Vec<u8>,
}

pub(super) struct Wire {
    random: fastrand::Rng,
    pub(super) loss: f64,
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    /// The part of the network that each host is in; hosts of different parts do not hear each other.
    parts: BTreeMap<u8, u32>,
    in_transit: BinaryHeap<Reverse<InTransit>>,
    arrived: BTreeMap<u8, VecDeque<Vec<u8>>>,
    sent: u64,
}

impl Wire {
    pub(super) fn new(seed: u64) -> Self {
        Wire {
            random: fastrand::Rng::with_seed(seed),
            loss: 0.0,
            delay: Duration::from_micros(50),
            jitter: Duration::ZERO,
            parts: BTreeMap::new(),
            in_transit: BinaryHeap::new(),
            arrived: BTreeMap::new(),
            sent: 0,
        }
    }

    /// Random bytes, for what a host must not share with others.
    pub(super) fn secret(&mut self) -> [u8; 16] {
        self.random.u128(..).to_le_bytes()
    }

    pub(super) fn attach(&mut self, host: u8) {
        self.parts.insert(host, 0);
    }

    /// Puts a host into a part of the network.
    pub(super) fn set_part(&mut self, host: u8, part: u32) {
        self.parts.insert(host, part);
    }

    /// A frame of `from`'s, at this moment.
    pub(super) fn send(&mut self, from: u8, frame: Vec<u8>, now_ns: u64) {
        let group = frame.first().is_some_and(|first| first & 1 != 0);
        let to = frame.get(HOST_BYTE).copied().unwrap_or(0);
        let hears = |&(host, part): &(&u8, &u32)| {
            *host != from && (group || *host == to) && Some(part) == self.parts.get(&from)
        };
        let receivers: Vec<u8> = self.parts.iter().filter(hears).map(|(host, _)| *host).collect();
        for to in receivers {
            if self.random.f64() < self.loss {
                continue;
            }
            let jitter = self.jitter.mul_f64(self.random.f64());
            let delay = u64::try_from((self.delay + jitter).as_nanos()).unwrap_or(u64::MAX);
            self.sent += 1;
            self.in_transit.push(Reverse(InTransit {
                at_ns: now_ns.saturating_add(delay),
                number: self.sent,
                to,
                frame: frame.clone(),
            }));
        }
    }

    /// When the next frame arrives.
    pub(super) fn next_arrival(&self) -> Option<u64> {
        self.in_transit.peek().map(|Reverse(first)| first.at_ns)
    }

    /// Lets arrive what is due.
    pub(super) fn advance(&mut self, now_ns: u64) {
        while let Some(Reverse(first)) = self.in_transit.peek()
            && first.at_ns <= now_ns
        {
            if let Some(Reverse(InTransit { to, frame, .. })) = self.in_transit.pop() {
                self.arrived.entry(to).or_default().push_back(frame);
            }
        }
    }

    /// The next frame that has arrived at `host`.
    pub(super) fn receive(&mut self, host: u8) -> Option<Vec<u8>> {
        self.arrived.get_mut(&host)?.pop_front()
    }
}
