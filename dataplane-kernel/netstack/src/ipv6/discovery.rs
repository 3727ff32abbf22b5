//! Neighbour discovery's messages of others (RFC 4861 sections 6.3 and 7.2), and the questions of ours.

use super::{ALL_NODES, ALL_ROUTERS, Ipv6};
use crate::Instant;
use crate::wire::ethernet::MacAddr;
use crate::wire::ndp::{self, Advertisement, Message};
use core::net::Ipv6Addr;

/// RFC 4861 section 10: RTR_SOLICITATION_INTERVAL and MAX_RTR_SOLICITATIONS.
const SOLICITATION_INTERVAL_NS: u64 = 4_000_000_000;
const MAX_SOLICITATIONS: u8 = 3;

/// A message that should leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Has anybody this address, which shall be ours?
    Probe(Ipv6Addr),
    /// Who has this address; perhaps still this station?
    Neighbor {
        target: Ipv6Addr,
        station: Option<MacAddr>,
    },
    /// Which routers are there?
    Routers,
}

/// What a message brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// An address somebody waits for has become known.
    pub(crate) resolved: Option<Ipv6Addr>,
    /// Tell this host, or all, that we have the address it asked for.
    pub(crate) answer: Option<Answer>,
    /// Another station has, or wants, an address of ours.
    pub(crate) is_conflict: bool,
}

/// An advertisement of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) target: Ipv6Addr,
    pub(crate) to: Ipv6Addr,
}

impl Ipv6 {
    /// Takes in a message from the host `src`, or from one that has no address yet.
    pub(crate) fn receive(&mut self, src: Ipv6Addr, message: &Message<'_>, now: Instant) -> Heard {
        match message {
            Message::NeighborSolicitation { target, source } => {
                self.on_solicitation(src, *target, *source, now)
            }
            Message::NeighborAdvertisement(said) => self.on_advertisement(said, now),
            Message::RouterAdvertisement(told) => Heard {
                resolved: self.on_router_advertisement(src, told, now).then_some(src),
                ..Heard::default()
            },
            Message::Other => Heard::default(),
        }
    }

    /// Section 7.2.3; RFC 4862 section 5.4.3 where the target is not ours yet.
    fn on_solicitation(
        &mut self,
        src: Ipv6Addr,
        target: Ipv6Addr,
        source: Option<MacAddr>,
        now: Instant,
    ) -> Heard {
        let mut heard = Heard::default();
        if self.addresses.is_tentative(target) {
            if src.is_unspecified() {
                self.addresses.give_up(target);
                heard.is_conflict = true;
            }
            return heard;
        }
        if !self.addresses.is_ours(target) {
            return heard;
        }
        if let Some(mac) = source
            && self.neighbors.heard_from(src, mac, now)
        {
            heard.resolved = Some(src);
        }
        let to = if src.is_unspecified() { ALL_NODES } else { src };
        heard.answer = Some(Answer { target, to });
        heard
    }

    /// Section 7.2.5; RFC 4862 section 5.4.4 where the target is ours.
    fn on_advertisement(&mut self, said: &Advertisement, now: Instant) -> Heard {
        let mut heard = Heard::default();
        if self.addresses.any(|ours| ours == said.target) {
            if self.addresses.is_tentative(said.target) {
                self.addresses.give_up(said.target);
            }
            heard.is_conflict = true;
            return heard;
        }
        if self.neighbors.advertised(said, now) {
            heard.resolved = Some(said.target);
        }
        if !said.is_router {
            self.routes.remove_router(said.target);
        }
        heard
    }

    /// The next message to send; its time runs from here, so call it when there is room to send.
    pub(crate) fn poll_question(&mut self, now: Instant) -> Option<Question> {
        if let Some(target) = self.addresses.poll_probe(now) {
            return Some(Question::Probe(target));
        }
        if self.solicitations.poll(now) {
            return Some(Question::Routers);
        }
        let asked = self.neighbors.poll_request(now)?;
        Some(Question::Neighbor {
            target: asked.target,
            station: asked.station,
        })
    }

    /// `true` if [`Ipv6::poll_question`] may have something.
    pub(crate) fn wants_to_ask(&self, now: Instant) -> bool {
        self.neighbors.wants_to_ask() || self.addresses.wants_to_probe() || self.solicitations.is_due(now)
    }

    /// An address that nobody answered for.
    pub(crate) fn poll_failure(&mut self) -> Option<Ipv6Addr> {
        let failed = self.neighbors.poll_failure()?;
        self.routes.demote(failed);
        Some(failed)
    }
}

impl Question {
    /// To whom it goes.
    pub(crate) fn destination(&self) -> Ipv6Addr {
        match *self {
            Question::Probe(target)
            | Question::Neighbor {
                target,
                station: None,
            } => ndp::solicited_node(target),
            Question::Neighbor {
                target,
                station: Some(_),
            } => target,
            Question::Routers => ALL_ROUTERS,
        }
    }

    /// The station or stations it goes to.
    pub(crate) fn station(&self) -> MacAddr {
        match *self {
            Question::Neighbor {
                station: Some(mac), ..
            } => mac,
            _ => MacAddr::of_group_v6(self.destination()),
        }
    }
}

/// Our questions which routers there are.
#[derive(Debug)]
pub(super) struct Solicitations {
    left: u8,
    at: Instant,
}

impl Default for Solicitations {
    fn default() -> Self {
        Solicitations {
            left: MAX_SOLICITATIONS,
            at: Instant::FAR,
        }
    }
}

impl Solicitations {
    /// The first one goes out now. Once.
    pub(super) fn start(&mut self, now: Instant) {
        if self.left == MAX_SOLICITATIONS && self.at == Instant::FAR {
            self.at = now;
        }
    }

    /// A router has spoken (section 6.3.7).
    pub(super) fn answered(&mut self) {
        (self.left, self.at) = (0, Instant::FAR);
    }

    fn is_due(&self, now: Instant) -> bool {
        self.at <= now
    }

    fn poll(&mut self, now: Instant) -> bool {
        if !self.is_due(now) {
            return false;
        }
        self.left -= 1;
        self.at = if self.left == 0 {
            Instant::FAR
        } else {
            now.after_ns(SOLICITATION_INTERVAL_NS)
        };
        true
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        (self.at != Instant::FAR).then_some(self.at)
    }
}
