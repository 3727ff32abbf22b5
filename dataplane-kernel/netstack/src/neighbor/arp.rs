//! ARP: its questions, its answers, and what is believed of others' (RFC 826, RFC 1122 section 2.3.2).

use super::table::{Address, Lookup, Question, State, Table};
use crate::Instant;
use crate::wire::arp::{Operation, Packet};
use crate::wire::ethernet::MacAddr;
use core::net::Ipv4Addr;

impl Address for Ipv4Addr {
    const NONE: Self = Ipv4Addr::UNSPECIFIED;
    /// RFC 1122 section 2.3.2.1: on the order of a minute.
    const REACHABLE_NS: u64 = 60_000_000_000;

    /// By multiplying with 2^32 / golden ratio.
    #[inline]
    fn spread(self) -> u8 {
        let [spread, ..] = self.to_bits().wrapping_mul(0x9e37_79b1).to_be_bytes();
        spread
    }
}

/// A question to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who has this address?
    pub target: Ipv4Addr,
    /// To all stations, or to the one that had it last.
    pub dst: MacAddr,
}

impl From<Question<Ipv4Addr>> for Request {
    fn from(question: Question<Ipv4Addr>) -> Self {
        Request {
            target: question.target,
            dst: question.station.unwrap_or(MacAddr::BROADCAST),
        }
    }
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

/// The stations of the link by their IPv4 addresses.
#[derive(Debug)]
pub struct Neighbors {
    mac: MacAddr,
    ip: Ipv4Addr,
    table: Table<Ipv4Addr>,
}

impl Neighbors {
    /// An empty table for the interface with these addresses.
    #[must_use]
    pub fn new(mac: MacAddr, ip: Ipv4Addr, now: Instant) -> Self {
        Neighbors {
            mac,
            ip,
            table: Table::new(now),
        }
    }

    /// We are our own neighbour.
    pub fn know_ourselves(&mut self) {
        self.table.fix(self.ip, self.mac);
    }

    /// From now on this is our address.
    pub fn set_address(&mut self, ip: Ipv4Addr) {
        self.ip = ip;
    }

    /// The station that has `ip`, an address on our link. Unless one is known, this begins to ask.
    #[inline]
    pub fn lookup(&mut self, ip: Ipv4Addr, now: Instant) -> Lookup {
        self.table.lookup(ip, now)
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
        let (ip, mac) = (packet.sender_ip, packet.sender_mac);
        let Some(entry) = self.table.known(ip) else {
            if to_us {
                self.table.note_unsolicited(ip, mac, now);
            }
            return None;
        };
        let answers = to_us && packet.operation == Operation::Reply;
        let state = match entry.state {
            State::Asked => State::Reachable,
            State::Probed if answers => State::Reachable,
            _ if entry.mac == mac => return None,
            // A change nobody asked for (a fail-over, or a lie) is taken, and asked about at the next use.
            _ => State::Stale,
        };
        self.table.update(ip, mac, state, now).then_some(ip)
    }

    /// The next question to send; the entry's clock runs from here, so call it when there is room to send.
    pub fn poll_request(&mut self, now: Instant) -> Option<Request> {
        self.table.poll_request(now).map(Request::from)
    }

    /// `true` if [`Neighbors::poll_request`] may have something.
    #[inline]
    #[must_use]
    pub fn wants_to_ask(&self) -> bool {
        self.table.wants_to_ask()
    }

    /// Asks again, or gives up, where no answer came in time.
    pub fn on_timer(&mut self, now: Instant) {
        self.table.on_timer(now);
    }

    /// When [`Neighbors::on_timer`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.table.next_deadline()
    }

    /// An address that nobody answered for; whoever waits for it waits in vain.
    pub fn poll_failure(&mut self) -> Option<Ipv4Addr> {
        self.table.poll_failure()
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
}
