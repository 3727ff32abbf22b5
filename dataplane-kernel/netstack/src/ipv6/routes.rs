//! Which addresses are on the link, and which routers lead beyond it (RFC 4861 section 5.1: Prefix List and Default Router
//! List, of fixed size).

use super::share_prefix;
use crate::Instant;
use core::net::Ipv6Addr;

const MAX_PREFIXES: usize = 8;
const MAX_ROUTERS: usize = 4;

#[derive(Clone, Copy, Debug)]
struct Prefix {
    prefix: Ipv6Addr,
    len: u8,
    until: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Router {
    ip: Ipv6Addr,
    until: Instant,
}

/// Both lists.
#[derive(Debug, Default)]
pub(super) struct Routes {
    prefixes: [Option<Prefix>; MAX_PREFIXES],
    routers: [Option<Router>; MAX_ROUTERS],
}

impl Routes {
    /// Addresses that share the first `len` bits with `prefix` are on the link until then. What finds no place is left
    /// out.
    pub(super) fn add_prefix(&mut self, prefix: Ipv6Addr, len: u8, until: Instant) {
        let is_it = |known: &Prefix| known.len == len && share_prefix(known.prefix, prefix, len);
        put(&mut self.prefixes, is_it, Prefix { prefix, len, until });
    }

    /// `ip` is a default router until then.
    pub(super) fn add_router(&mut self, ip: Ipv6Addr, until: Instant) {
        put(&mut self.routers, |known| known.ip == ip, Router { ip, until });
    }

    /// It is none any more, unless it was told us for ever.
    pub(super) fn remove_router(&mut self, ip: Ipv6Addr) {
        for place in &mut self.routers {
            if place.is_some_and(|router| router.ip == ip && router.until != Instant::FAR) {
                *place = None;
            }
        }
    }

    /// Nobody answers at this address: if it is a router's, others come first now (section 6.3.6).
    pub(super) fn demote(&mut self, ip: Ipv6Addr) {
        let is_it = |place: &Option<Router>| place.is_some_and(|router| router.ip == ip);
        if let Some(at) = self.routers.iter().position(is_it) {
            self.routers[at..].rotate_left(1);
        }
    }

    /// The destination itself if it is on the link, else the first router (section 5.2).
    pub(super) fn next_hop(&self, dst: Ipv6Addr, now: Instant) -> Option<Ipv6Addr> {
        let on_link = dst.is_unicast_link_local()
            || self
                .prefixes
                .iter()
                .flatten()
                .any(|known| known.until > now && share_prefix(known.prefix, dst, known.len));
        if on_link {
            return Some(dst);
        }
        let mut routers = self.routers.iter().flatten();
        routers.find(|router| router.until > now).map(|router| router.ip)
    }

    /// Bits of the longest prefix of the link that `dst` shares.
    pub(super) fn on_link_bits(&self, dst: Ipv6Addr, now: Instant) -> u32 {
        let known = self.prefixes.iter().flatten();
        known
            .filter(|known| known.until > now && share_prefix(known.prefix, dst, known.len))
            .map(|known| known.len.into())
            .max()
            .unwrap_or(0)
    }

    pub(super) fn on_timer(&mut self, now: Instant) {
        for place in &mut self.prefixes {
            place.take_if(|prefix| prefix.until <= now);
        }
        for place in &mut self.routers {
            place.take_if(|router| router.until <= now);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let prefixes = self.prefixes.iter().flatten().map(|prefix| prefix.until);
        let routers = self.routers.iter().flatten().map(|router| router.until);
        prefixes.chain(routers).filter(|at| *at != Instant::FAR).min()
    }
}

/// Puts `entry` where one like it is, unless that was told us for ever, or into a free place.
fn put<T: Copy + HasEnd>(list: &mut [Option<T>], is_it: impl Fn(&T) -> bool, entry: T) {
    let known = list.iter().position(|place| place.as_ref().is_some_and(&is_it));
    let free = || list.iter().position(Option::is_none);
    if let Some(at) = known.or_else(free)
        && let Some(place) = list.get_mut(at)
        && place.is_none_or(|old| old.end() != Instant::FAR)
    {
        *place = Some(entry);
    }
}

/// What ends at some time.
trait HasEnd {
    fn end(&self) -> Instant;
}

impl HasEnd for Prefix {
    fn end(&self) -> Instant {
        self.until
    }
}

impl HasEnd for Router {
    fn end(&self) -> Instant {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::Routes;
    use crate::Instant;
    use core::net::Ipv6Addr;

    #[test]
    fn a_router_that_is_silent_comes_last() {
        let router = |last| Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last);
        let far = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        let mut routes = Routes::default();
        routes.add_router(router(1), Instant(100));
        routes.add_router(router(2), Instant(200));
        assert_eq!(routes.next_hop(far, Instant(0)), Some(router(1)));
        routes.demote(router(1));
        assert_eq!(routes.next_hop(far, Instant(0)), Some(router(2)));
        routes.demote(router(2));
        assert_eq!(routes.next_hop(far, Instant(0)), Some(router(1)));
        assert_eq!(routes.next_hop(far, Instant(150)), Some(router(2)));
        routes.on_timer(Instant(200));
        assert_eq!(routes.next_hop(far, Instant(150)), None);
    }

    #[test]
    fn what_was_told_for_ever_no_router_changes() {
        let gateway = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        let mut routes = Routes::default();
        routes.add_router(gateway, Instant::FAR);
        routes.add_router(gateway, Instant(1));
        routes.remove_router(gateway);
        let far = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        assert_eq!(routes.next_hop(far, Instant(2)), Some(gateway));
    }
}
