//! What a server gives, judged: only what a host can use becomes a [`Lease`].

use crate::Instant;
use crate::route::{Route, is_host};
use crate::wire::dhcp::{MAX_NAME_SERVERS, Reply};
use core::net::Ipv4Addr;

/// The shortest lease that is taken: one more often asked about would be an attack.
const MIN_LEASE_S: u32 = 10;
/// The smallest MTU that is taken from a server: what every IPv4 host takes (RFC 791 section 3.1).
const MIN_MTU: u16 = 576;
/// "For ever" (RFC 2131 section 3.3).
const FOREVER: u32 = u32::MAX;

/// An address for some time, and what goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Our address.
    pub address: Ipv4Addr,
    /// Length of its network's prefix, in bits.
    pub prefix: u8,
    /// Next hop to everything beyond.
    pub gateway: Option<Ipv4Addr>,
    /// Name servers, in order.
    pub name_servers: [Option<Ipv4Addr>; MAX_NAME_SERVERS],
    /// Largest packet of the link, in bytes, if the server says so.
    pub mtu: Option<u16>,
    /// The server that gave it.
    pub server: Ipv4Addr,
    lease_s: u32,
    renewal_s: u32,
    rebinding_s: u32,
}

/// When a lease is to be renewed, and until when (RFC 2131 section 4.4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    /// T1: the server is asked.
    pub(super) renewal: Instant,
    /// T2: any server is asked.
    pub(super) rebinding: Instant,
    /// The address is ours no more.
    pub(super) end: Instant,
}

impl Lease {
    /// What a reply gives; `None` if that is no address a host can have, or if it lacks the mask, the server's name or a
    /// time.
    pub(super) fn judge(reply: &Reply) -> Option<Lease> {
        let address = reply.address;
        let prefix = prefix_len(reply.mask?)?;
        let lease_s = reply.lease_s.filter(|lease_s| *lease_s >= MIN_LEASE_S)?;
        let route = Route::new(address, prefix, reply.router);
        if !is_host(address) || route.is_broadcast(address) {
            return None;
        }
        let rebinding_s = reply.rebinding_s.filter(|at| (1..lease_s).contains(at));
        let rebinding_s = rebinding_s.unwrap_or(lease_s - lease_s / 8);
        let renewal_s = reply.renewal_s.filter(|at| (1..rebinding_s).contains(at));
        let renewal_s = renewal_s.unwrap_or((lease_s / 2).min(rebinding_s));
        Some(Lease {
            address,
            prefix,
            gateway: route.gateway(),
            name_servers: reply.name_servers.map(|server| server.filter(|ip| is_host(*ip))),
            mtu: reply.mtu.filter(|mtu| *mtu >= MIN_MTU),
            server: reply.server.filter(|ip| is_host(*ip))?,
            lease_s,
            renewal_s,
            rebinding_s,
        })
    }

    /// Of a lease that was asked for at `asked`.
    pub(super) fn times(&self, asked: Instant) -> Times {
        let after = |seconds: u32| asked.after_ns(u64::from(seconds) * 1_000_000_000);
        if self.lease_s == FOREVER {
            return Times {
                renewal: Instant::FAR,
                rebinding: Instant::FAR,
                end: Instant::FAR,
            };
        }
        Times {
            renewal: after(self.renewal_s),
            rebinding: after(self.rebinding_s),
            end: after(self.lease_s),
        }
    }

    /// The ways out it makes.
    pub(crate) fn route(&self) -> Route {
        Route::new(self.address, self.prefix, self.gateway)
    }
}

/// How many ones a mask begins with, if there are no others.
fn prefix_len(mask: u32) -> Option<u8> {
    let ones = mask.leading_ones();
    let is_contiguous = mask.checked_shl(ones).unwrap_or(0) == 0;
    u8::try_from(ones).ok().filter(|ones| is_contiguous && *ones > 0)
}

#[cfg(test)]
mod tests {
    use super::{FOREVER, Lease};
    use crate::Instant;
    use crate::wire::dhcp::{Answer, Reply};
    use core::net::Ipv4Addr;

    fn reply() -> Reply {
        Reply {
            answer: Answer::Ack,
            xid: 1,
            address: Ipv4Addr::new(10, 0, 0, 9),
            server: Some(Ipv4Addr::new(10, 0, 0, 1)),
            mask: Some(0xffff_ff00),
            router: Some(Ipv4Addr::new(10, 0, 0, 254)),
            name_servers: [None; 3],
            mtu: None,
            lease_s: Some(800),
            renewal_s: None,
            rebinding_s: None,
        }
    }

    fn seconds(lease: &Lease) -> [u64; 3] {
        let times = lease.times(Instant(0));
        [times.renewal, times.rebinding, times.end].map(|at| at.0 / 1_000_000_000)
    }

    #[test]
    fn times_are_a_half_and_seven_eighths_unless_told() {
        assert_eq!(seconds(&Lease::judge(&reply()).unwrap()), [400, 700, 800]);
        for (renewal, rebinding, wanted) in [
            (Some(3), Some(5), [3, 5, 800]),
            (Some(0), Some(0), [400, 700, 800]),
            (Some(900), Some(900), [400, 700, 800]),
            (Some(600), Some(300), [300, 300, 800]),
        ] {
            let told = Reply {
                renewal_s: renewal,
                rebinding_s: rebinding,
                ..reply()
            };
            assert_eq!(seconds(&Lease::judge(&told).unwrap()), wanted);
        }
        let told = Reply {
            lease_s: Some(FOREVER),
            ..reply()
        };
        let times = Lease::judge(&told).unwrap().times(Instant(5));
        assert_eq!(times.end, Instant::FAR);
    }

    #[test]
    fn only_what_a_host_can_use_is_a_lease() {
        let bad = [
            Reply {
                mask: None,
                ..reply()
            },
            Reply {
                mask: Some(0),
                ..reply()
            },
            Reply {
                mask: Some(0xff00_ff00),
                ..reply()
            },
            Reply {
                lease_s: None,
                ..reply()
            },
            Reply {
                lease_s: Some(1),
                ..reply()
            },
            Reply {
                server: None,
                ..reply()
            },
            Reply {
                server: Some(Ipv4Addr::BROADCAST),
                ..reply()
            },
        ];
        for reply in bad {
            assert_eq!(Lease::judge(&reply), None, "{reply:?}");
        }
        for address in [
            [0, 0, 0, 0],
            [127, 0, 0, 1],
            [224, 0, 0, 1],
            [10, 0, 0, 0],
            [10, 0, 0, 255],
        ] {
            let address = address.into();
            assert_eq!(Lease::judge(&Reply { address, ..reply() }), None, "{address}");
        }
    }

    #[test]
    fn what_cannot_be_used_of_the_rest_is_left_out() {
        let odd = Reply {
            router: Some(Ipv4Addr::new(10, 9, 9, 9)),
            name_servers: [Some(Ipv4Addr::UNSPECIFIED), Some(Ipv4Addr::new(8, 8, 8, 8)), None],
            mtu: Some(68),
            ..reply()
        };
        let lease = Lease::judge(&odd).unwrap();
        assert_eq!((lease.gateway, lease.mtu), (None, None));
        assert_eq!(lease.name_servers, [None, Some(Ipv4Addr::new(8, 8, 8, 8)), None]);
    }
}
