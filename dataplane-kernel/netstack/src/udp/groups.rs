//! Who listens to which group, and when that is to be told to routers and switches (RFC 1112, RFC 3376, RFC 3810). Told at
//! once and again a second later, and when a router asks; groups left are told once, a few at a time.

use crate::wire::igmp::{Change, Query};
use crate::{Error, Id, Instant};
use core::net::IpAddr;

/// Most memberships, over all sockets.
const MAX_MEMBERSHIPS: usize = 64;
/// Groups left that are still to be told.
const MAX_LEFT: usize = 8;
/// RFC 3376 section 8.11: Unsolicited Report Interval.
const REPEAT_NS: u64 = 1_000_000_000;
/// RFC 3376 section 8.12: Older Version Querier Present Timeout, with its usual numbers.
const OLD_QUERIER_NS: u64 = 260_000_000_000;

/// When the groups of a family are to be told.
#[derive(Clone, Copy, Debug)]
struct Due {
    at: Instant,
    /// A change is told again; an answer is not.
    again: bool,
    what: Change,
}

impl Due {
    const NEVER: Due = Due {
        at: Instant::FAR,
        again: false,
        what: Change::Listens,
    };
}

/// All memberships.
#[derive(Debug)]
pub(crate) struct Groups {
    members: [Option<(Id, IpAddr)>; MAX_MEMBERSHIPS],
    left: [Option<IpAddr>; MAX_LEFT],
    /// IPv4's and IPv6's.
    due: [Due; 2],
    /// Until then IGMPv2 is spoken.
    old_until: Instant,
}

impl Groups {
    pub(super) const NONE: Groups = Groups {
        members: [None; MAX_MEMBERSHIPS],
        left: [None; MAX_LEFT],
        due: [Due::NEVER; 2],
        old_until: Instant(0),
    };

    /// The socket listens to `group`.
    pub(super) fn join(&mut self, socket: Id, group: IpAddr, now: Instant) -> Result<(), Error> {
        if !group.is_multicast() {
            return Err(Error::Invalid);
        }
        if self.has_joined(socket, group) {
            return Ok(());
        }
        let is_new = !self.has(group);
        let place = self.members.iter_mut().find(|place| place.is_none());
        *place.ok_or(Error::NoMemory)? = Some((socket, group));
        for place in &mut self.left {
            place.take_if(|left| *left == group);
        }
        if is_new {
            self.tell_change(group.is_ipv6(), now);
        }
        Ok(())
    }

    /// The socket listens to `group` no more.
    pub(super) fn leave(&mut self, socket: Id, group: IpAddr, now: Instant) -> Result<(), Error> {
        if !self.has_joined(socket, group) {
            return Err(Error::Invalid);
        }
        self.leave_if(|member| member == (socket, group), now);
        Ok(())
    }

    /// The socket is closed.
    pub(super) fn leave_all(&mut self, socket: Id, now: Instant) {
        self.leave_if(|(of, _)| of == socket, now);
    }

    fn leave_if(&mut self, leaves: impl Fn((Id, IpAddr)) -> bool, now: Instant) {
        for at in 0..MAX_MEMBERSHIPS {
            let gone = self.members[at].take_if(|member| leaves(*member));
            if let Some((_, group)) = gone
                && !self.has(group)
            {
                if let Some(place) = self.left.iter_mut().find(|place| place.is_none()) {
                    *place = Some(group);
                }
                self.tell_change(group.is_ipv6(), now);
            }
        }
    }

    fn tell_change(&mut self, is_v6: bool, now: Instant) {
        self.due[usize::from(is_v6)] = Due {
            at: now,
            again: true,
            what: Change::Joined,
        };
    }

    /// IPv6 has groups of its own making, which are told as well.
    pub(crate) fn tell_own(&mut self, now: Instant) {
        self.tell_change(true, now);
    }

    /// A router asks. `random` spreads the answers of many hosts.
    pub(crate) fn on_query(&mut self, is_v6: bool, query: Query, random: u64, now: Instant) {
        if query.is_old && !is_v6 {
            self.old_until = now.after_ns(OLD_QUERIER_NS);
        }
        let within_ns = query.max_response_ms.clamp(1, 60_000) * 1_000_000;
        // A number below the bound: the upper half of the product.
        let product = u128::from(random) * u128::from(within_ns);
        let spread = u64::try_from(product >> 64).unwrap_or(0);
        let at = now.after_ns(spread);
        let due = &mut self.due[usize::from(is_v6)];
        if at < due.at {
            *due = Due {
                at,
                again: due.again,
                what: due.what,
            };
        }
    }

    /// Somebody listens to `group`.
    pub(crate) fn has(&self, group: IpAddr) -> bool {
        self.members.iter().flatten().any(|(_, joined)| *joined == group)
    }

    /// This socket does.
    pub(super) fn has_joined(&self, socket: Id, group: IpAddr) -> bool {
        self.members
            .iter()
            .flatten()
            .any(|member| *member == (socket, group))
    }

    /// `true` if the groups of a family are to be told.
    pub(crate) fn is_due(&self, is_v6: bool, now: Instant) -> bool {
        self.due[usize::from(is_v6)].at <= now
    }

    /// IGMPv2 is to be spoken.
    pub(crate) fn speaks_v2(&self, now: Instant) -> bool {
        now < self.old_until
    }

    /// What is to be told: each group of a family once.
    pub(crate) fn records(&self, is_v6: bool) -> impl Iterator<Item = (Change, IpAddr)> + use<'_> {
        let what = self.due[usize::from(is_v6)].what;
        let joined = self.members.iter().enumerate().filter_map(move |(at, member)| {
            let (_, group) = (*member)?;
            let earlier = self.members[..at].iter().flatten();
            let is_first = !earlier.clone().any(|(_, other)| *other == group);
            (is_first && group.is_ipv6() == is_v6).then_some((what, group))
        });
        let left = self.left.iter().flatten();
        let left = left.filter(move |group| group.is_ipv6() == is_v6);
        joined.chain(left.map(|group| (Change::Left, *group)))
    }

    /// They have been told.
    pub(crate) fn told(&mut self, is_v6: bool, now: Instant) {
        let due = &mut self.due[usize::from(is_v6)];
        if due.again {
            due.at = now.after_ns(REPEAT_NS);
            due.again = false;
            return;
        }
        *due = Due::NEVER;
        for place in &mut self.left {
            place.take_if(|group| group.is_ipv6() == is_v6);
        }
    }

    /// When something is to be told next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let at = self.due[0].at.min(self.due[1].at);
        (at != Instant::FAR).then_some(at)
    }
}
