//! Which addresses are on the link, and which routers lead beyond it (RFC 4861 section 5.1: Prefix List and Default Router
//! List, of fixed size).

use super::share_prefix;
use crate::{Instant, StaticRoutes};
use core::net::Ipv6Addr;

const MAX_PREFIXES: usize = 8;
const MAX_ROUTERS: usize = 4;

/// Of fe80::/10 (RFC 4291 section 2.5.6).
const LINK_LOCAL_BITS: u8 = 10;

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
    others: StaticRoutes,
}

impl Routes {
    /// Has these ways to other networks besides.
    pub(super) fn lay(&mut self, others: StaticRoutes) {
        self.others = others;
    }

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

    /// The destination itself if it is on the link, else who leads to its network, else the first router (section 5.2);
    /// with the number of bits that the network shares.
    pub(super) fn way(&self, dst: Ipv6Addr, now: Instant) -> Option<(u8, Ipv6Addr)> {
        let on_link = self.on_link(dst, now).map(|bits| (bits, dst));
        let is_neighbor = |(_, gateway): &(u8, Ipv6Addr)| self.on_link(*gateway, now).is_some();
        let other = self.others.to_v6(dst).find(is_neighbor);
        let longer = other.filter(|(bits, _)| on_link.is_none_or(|(own, _)| *bits > own));
        longer.or(on_link).or_else(|| {
            let mut routers = self.routers.iter().flatten();
            let router = routers.find(|router| router.until > now)?;
            Some((0, router.ip))
        })
    }

    /// The length of the longest prefix by which an address is on the link.
    fn on_link(&self, ip: Ipv6Addr, now: Instant) -> Option<u8> {
        if ip.is_unicast_link_local() {
            return Some(LINK_LOCAL_BITS);
        }
        let known = self.prefixes.iter().flatten();
        known
            .filter(|known| known.until > now && share_prefix(known.prefix, ip, known.len))
            .map(|known| known.len)
            .max()
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
    use crate::{Instant, StaticRoute, StaticRoutes};
    use core::net::Ipv6Addr;

    fn next_hop(routes: &Routes, dst: Ipv6Addr, now: Instant) -> Option<Ipv6Addr> {
        routes.way(dst, now).map(|(_, neighbor)| neighbor)
    }

    #[test]
    fn a_way_laid_down_counts_where_its_gateway_is_on_the_link() {
        let ip = |text: &str| text.parse::<Ipv6Addr>().unwrap();
        let laid = |gateway: &str| {
            let route = StaticRoute {
                network: ip("fd09::").into(),
                prefix: 32,
                gateway: ip(gateway).into(),
            };
            let mut routes = Routes::default();
            routes.lay(StaticRoutes::new(&[route]));
            routes.add_prefix(ip("fd01::"), 64, Instant::FAR);
            routes.add_router(ip("fe80::1"), Instant::FAR);
            routes
        };
        let far = ip("fd09::9");
        assert_eq!(laid("fd01::7").way(far, Instant(0)), Some((32, ip("fd01::7"))));
        assert_eq!(laid("fd02::7").way(far, Instant(0)), Some((0, ip("fe80::1"))));
        let near = ip("fd01::9");
        assert_eq!(laid("fd01::7").way(near, Instant(0)), Some((64, near)));
    }

    #[test]
    fn a_router_that_is_silent_comes_last() {
        let router = |last| Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last);
        let far = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        let mut routes = Routes::default();
        routes.add_router(router(1), Instant(100));
        routes.add_router(router(2), Instant(200));
        assert_eq!(next_hop(&routes, far, Instant(0)), Some(router(1)));
        routes.demote(router(1));
        assert_eq!(next_hop(&routes, far, Instant(0)), Some(router(2)));
        routes.demote(router(2));
        assert_eq!(next_hop(&routes, far, Instant(0)), Some(router(1)));
        assert_eq!(next_hop(&routes, far, Instant(150)), Some(router(2)));
        routes.on_timer(Instant(200));
        assert_eq!(next_hop(&routes, far, Instant(150)), None);
    }

    #[test]
    fn what_was_told_for_ever_no_router_changes() {
        let gateway = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        let mut routes = Routes::default();
        routes.add_router(gateway, Instant::FAR);
        routes.add_router(gateway, Instant(1));
        routes.remove_router(gateway);
        let far = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        assert_eq!(next_hop(&routes, far, Instant(2)), Some(gateway));
    }
}
