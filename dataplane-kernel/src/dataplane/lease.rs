//! What a DHCP server gives, told to the app: its first address before it starts (later ones are events), and its name
//! servers.

use super::{Core, Link, now};
use crate::host;
use crate::nic::Nic;
use crate::user::Seat;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::sync::atomic::Ordering;
use core::time::Duration;
use ix_abi::app::{Endpoint, MAX_NAME_SERVERS};
use netstack::Lease;

/// Where name servers answer (RFC 1035 section 4.2).
const DNS_PORT: u16 = 53;

/// How waiting for an address ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// There is one.
    Over,
    /// No server gave one in time.
    TimedOut,
    /// The launcher wants no more.
    Stopped,
}

impl<N: Nic> Core<N> {
    /// Waits for the DHCP servers of all links that ask for one, at most for `patience`, and tells the app's first addresses.
    pub fn wait_for_address(&mut self, seat: &Seat, patience: Duration) -> Wait {
        let until = now() + patience;
        loop {
            self.attend();
            if self.links.iter().all(has_what_it_asks_for) {
                for lease in self.links.iter().filter_map(|link| link.stack.lease()) {
                    let (address, prefix, server) = (lease.address, lease.prefix, lease.server);
                    log::info!("{address}/{prefix} is leased from {server}");
                }
                self.tell_leases();
                return Wait::Over;
            }
            if host::area().is_some_and(|area| area.stop.load(Ordering::Relaxed) != 0) {
                return Wait::Stopped;
            }
            if now() >= until {
                return Wait::TimedOut;
            }
            self.pause(seat);
        }
    }

    /// Before the app starts: takes the addresses that core 0 has waited for, if it had to.
    pub fn follow_lease(&mut self) {
        self.transmit(now());
        self.tell_leases();
    }

    /// Tells the app what is leased, if anything is. The first link whose server names name servers has the say in these.
    fn tell_leases(&mut self) {
        let mut servers = None;
        for (number, link) in self.links.iter().enumerate() {
            let Some(lease) = link.stack.lease() else { continue };
            self.io.set_address(number, Endpoint::v4(lease.address, 0));
            let told = servers_of(Some(lease));
            if told.iter().any(|server| !server.is_any_address()) {
                servers.get_or_insert(told);
            }
        }
        if let Some(servers) = servers {
            self.io.lease_name_servers(servers);
        }
    }
}

/// It has an IPv4 address, or does not wait for one.
fn has_what_it_asks_for<N>(link: &Link<N>) -> bool {
    let waits = link.stack.speaks(Ipv4Addr::UNSPECIFIED.into()) && link.stack.ipv4().is_none();
    !waits
}

/// The name servers of a lease, none without one.
pub(super) fn servers_of(lease: Option<&Lease>) -> [Endpoint; MAX_NAME_SERVERS] {
    let told = lease.into_iter().flat_map(|lease| lease.name_servers);
    name_servers(told.flatten().map(IpAddr::V4))
}

/// The first of these, as the app is told.
pub fn name_servers(ips: impl Iterator<Item = IpAddr>) -> [Endpoint; MAX_NAME_SERVERS] {
    let mut servers = [Endpoint::UNSPECIFIED; MAX_NAME_SERVERS];
    for (place, ip) in servers.iter_mut().zip(ips) {
        *place = SocketAddr::new(ip, DNS_PORT).into();
    }
    servers
}
