//! The client's side of DHCP (RFC 2131 section 4.4): how an interface gets its IPv4 address, and keeps it.
//!
//! Nothing is sent from here: [`Client::step`] names what is to be done when it is due, and [`Client::receive`] takes in
//! servers' messages. There is no INIT-REBOOT, since nothing is remembered from one start to the next.

/// What servers give.
mod lease;
pub use lease::Lease;

/// Several stacks of one interface.
mod role;
pub(crate) use role::Role;
pub use role::SharedLease;

use crate::Instant;
use crate::wire::arp;
use crate::wire::dhcp::{Answer, Message, Reply, Saying};
use crate::wire::ethernet::MacAddr;
use core::net::Ipv4Addr;
use lease::Times;

const SECOND_NS: u64 = 1_000_000_000;
/// Retransmissions: after 4 seconds, then twice as long each time up to 64, a second more or less (section 4.1).
const FIRST_WAIT_S: u64 = 4;
const MAX_DOUBLINGS: u8 = 4;
/// Requests without an answer before it begins anew.
const MAX_REQUESTS: u8 = 4;
/// How often it is asked by ARP whether somebody has the address (section 4.4.1), and how long that may take to be
/// answered. RFC 5227 would ask and wait for up to seven seconds, in which the app does not start.
const PROBES: u8 = 2;
const PROBE_WAIT_NS: u64 = 250_000_000;
/// After a DHCPDECLINE (section 3.1.5), and after a DHCPNAK, so that a server that refuses always is not asked always.
const DECLINED_WAIT_NS: u64 = 10 * SECOND_NS;
const REFUSED_WAIT_NS: u64 = SECOND_NS;
/// Shortest time between renewals (section 4.4.5).
const MIN_RENEWAL_NS: u64 = 60 * SECOND_NS;

/// States of figure 5; each ends, or does the next thing, at [`Client::due`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To begin.
    Init,
    /// Servers have been asked for offers.
    Selecting { tries: u8 },
    /// An offer is to be taken, or has been.
    Requesting { lease: Lease, tries: u8 },
    /// The address is ours if no other station has it.
    Probing { lease: Lease, left: u8 },
    /// Another station has it: the server is to be told.
    Declining { lease: Lease },
    /// The address is ours.
    Bound { lease: Lease, times: Times, asks: bool },
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Send a message to this server, or to all.
    Send(Message, Option<Ipv4Addr>),
    /// Ask by ARP whether somebody has this address.
    Probe(Ipv4Addr),
    /// From now on this is what we have.
    Take(Lease),
    /// We have nothing any more.
    Lose,
}

/// One interface's client.
#[derive(Debug)]
pub(crate) struct Client {
    mac: MacAddr,
    state: State,
    /// The lease in use, of which the rest of the stack knows.
    held: Option<Lease>,
    xid: u32,
    /// When the exchange began, and when its last request left: a lease runs from there.
    began: Instant,
    asked: Instant,
    due: Instant,
}

impl Client {
    /// Begins at once.
    pub(crate) fn new(mac: MacAddr, now: Instant) -> Self {
        Client {
            mac,
            state: State::Init,
            held: None,
            xid: 0,
            began: now,
            asked: now,
            due: now,
        }
    }

    /// When [`Client::step`] has something to do.
    #[inline]
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// The lease in use.
    pub(crate) fn lease(&self) -> Option<&Lease> {
        self.held.as_ref()
    }

    /// The message could not leave: it is to be sent after so long.
    pub(crate) fn postpone(&mut self, now: Instant, ns: u64) {
        self.due = self.due.min(now.after_ns(ns));
    }

    /// The next thing to do, if it is due. Its time runs from here, so call it when there is room to send.
    pub(crate) fn step(&mut self, now: Instant, random: u64) -> Option<Action> {
        if now < self.due {
            return None;
        }
        match self.state {
            State::Init if self.held.take().is_some() => Some(Action::Lose),
            State::Init => {
                self.begin_exchange(now, random);
                self.discover(0, now, random)
            }
            State::Selecting { tries } => self.discover(tries, now, random),
            State::Requesting { tries, .. } if tries >= MAX_REQUESTS => {
                self.restart(now, 0);
                self.step(now, random)
            }
            State::Requesting { lease, tries } => {
                self.state = State::Requesting {
                    lease,
                    tries: tries + 1,
                };
                (self.asked, self.due) = (now, now.after_ns(wait_ns(tries, random)));
                let message = Message {
                    requested: Some(lease.address),
                    server: Some(lease.server),
                    ..self.message(Saying::Request, now)
                };
                Some(Action::Send(message, None))
            }
            State::Probing { lease, left: 0 } => {
                self.bind(lease);
                Some(Action::Take(lease))
            }
            State::Probing { lease, left } => {
                self.state = State::Probing {
                    lease,
                    left: left - 1,
                };
                self.due = now.after_ns(PROBE_WAIT_NS);
                Some(Action::Probe(lease.address))
            }
            State::Declining { lease } => {
                let message = Message {
                    requested: Some(lease.address),
                    server: Some(lease.server),
                    ..self.message(Saying::Decline, now)
                };
                self.restart(now, DECLINED_WAIT_NS);
                Some(Action::Send(message, None))
            }
            State::Bound { times, .. } if now >= times.end => {
                self.restart(now, 0);
                self.step(now, random)
            }
            State::Bound { lease, times, asks } => Some(self.renew(lease, times, asks, now, random)),
        }
    }

    fn discover(&mut self, tries: u8, now: Instant, random: u64) -> Option<Action> {
        self.state = State::Selecting {
            tries: (tries + 1).min(MAX_DOUBLINGS),
        };
        self.due = now.after_ns(wait_ns(tries, random));
        Some(Action::Send(self.message(Saying::Discover, now), None))
    }

    /// RENEWING, and from T2 on REBINDING.
    fn renew(&mut self, lease: Lease, times: Times, asks: bool, now: Instant, random: u64) -> Action {
        if !asks {
            self.begin_exchange(now, random);
        }
        self.state = State::Bound {
            lease,
            times,
            asks: true,
        };
        self.asked = now;
        let (until, to) = if now < times.rebinding {
            (times.rebinding, Some(lease.server))
        } else {
            (times.end, None)
        };
        let half = until.ns_since(now) / 2;
        self.due = now.after_ns(half.max(MIN_RENEWAL_NS)).min(until);
        let message = Message {
            client: Some(lease.address),
            ..self.message(Saying::Request, now)
        };
        Action::Send(message, to)
    }

    /// A server's message. `false`: it belongs to nothing that we wait for.
    pub(crate) fn receive(&mut self, reply: &Reply, now: Instant) -> bool {
        if reply.xid != self.xid {
            return false;
        }
        match (self.state, reply.answer) {
            (State::Selecting { .. }, Answer::Offer) => match Lease::judge(reply) {
                Some(lease) => self.go(State::Requesting { lease, tries: 0 }, now),
                None => false,
            },
            (State::Requesting { lease, .. }, answer) if reply.server == Some(lease.server) => {
                self.on_requested(answer, reply, now)
            }
            (
                State::Bound {
                    asks: true,
                    lease,
                    times,
                },
                answer,
            ) if now >= times.rebinding || reply.server == Some(lease.server) => {
                self.on_renewed(answer, reply, lease.address, now)
            }
            _ => false,
        }
    }

    fn on_requested(&mut self, answer: Answer, reply: &Reply, now: Instant) -> bool {
        match (answer, Lease::judge(reply)) {
            (Answer::Ack, Some(lease)) => self.go(State::Probing { lease, left: PROBES }, now),
            (Answer::Nak, _) => {
                self.restart(now, REFUSED_WAIT_NS);
                true
            }
            _ => false,
        }
    }

    fn on_renewed(&mut self, answer: Answer, reply: &Reply, ours: Ipv4Addr, now: Instant) -> bool {
        match (answer, Lease::judge(reply)) {
            (Answer::Ack, Some(lease)) if lease.address == ours => {
                self.go(State::Probing { lease, left: 0 }, now)
            }
            (Answer::Nak, _) => self.go(State::Init, now),
            _ => false,
        }
    }

    /// An ARP packet. A station that claims the address which is being probed, or probes for it too, has it (RFC 5227
    /// section 2.1.1).
    pub(crate) fn on_arp(&mut self, packet: &arp::Packet, now: Instant) {
        let State::Probing { lease, .. } = self.state else {
            return;
        };
        let claims = packet.sender_ip == lease.address;
        let probes = packet.sender_ip.is_unspecified() && packet.target_ip == lease.address;
        if (claims || probes) && packet.sender_mac != self.mac {
            self.go(State::Declining { lease }, now);
        }
    }

    fn go(&mut self, state: State, now: Instant) -> bool {
        (self.state, self.due) = (state, now);
        true
    }

    fn bind(&mut self, lease: Lease) {
        let times = lease.times(self.asked);
        self.state = State::Bound {
            lease,
            times,
            asks: false,
        };
        self.due = times.renewal;
        self.held = Some(lease);
    }

    /// Begins anew after a while; what is held is given up at once.
    fn restart(&mut self, now: Instant, wait_ns: u64) {
        let wait_ns = if self.held.is_some() { 0 } else { wait_ns };
        self.go(State::Init, now.after_ns(wait_ns));
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "half of a random number is random"
    )]
    fn begin_exchange(&mut self, now: Instant, random: u64) {
        (self.began, self.xid) = (now, (random >> 32) as u32);
    }

    fn message(&self, saying: Saying, now: Instant) -> Message {
        let seconds = now.ns_since(self.began) / SECOND_NS;
        Message {
            saying,
            xid: self.xid,
            seconds: u16::try_from(seconds).unwrap_or(u16::MAX),
            mac: self.mac,
            client: None,
            requested: None,
            server: None,
        }
    }
}

/// How long the answer to a message sent so often before may take.
fn wait_ns(tries: u8, random: u64) -> u64 {
    let seconds = FIRST_WAIT_S << tries.min(MAX_DOUBLINGS);
    seconds * SECOND_NS - SECOND_NS + (random & 0xffff_ffff) % (2 * SECOND_NS)
}
