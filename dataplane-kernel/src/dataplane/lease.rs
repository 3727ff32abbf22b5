//! What a DHCP server gives, told to the app: its first address before it starts (later ones are events), and its name
//! servers.

use super::{Core, now};
use crate::host;
use crate::nic::Nic;
use crate::user::Seat;
use core::net::{IpAddr, SocketAddr};
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
    /// Waits for a DHCP server, at most for `patience`, and tells the app's first address.
    pub fn wait_for_address(&mut self, seat: &Seat, patience: Duration) -> Wait {
        let until = now() + patience;
        loop {
            self.attend();
            if let Some(lease) = self.tell_lease() {
                log::info!(
                    "{}/{} is leased from {}",
                    lease.address,
                    lease.prefix,
                    lease.server
                );
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

    /// Before the app starts: takes the address that core 0 has waited for, if it had to.
    pub fn follow_lease(&mut self) {
        self.transmit(now());
        self.tell_lease();
    }

    /// Tells the app what is leased, if anything is.
    fn tell_lease(&mut self) -> Option<Lease> {
        let lease = *self.links.iter().find_map(|link| link.stack.lease())?;
        self.io.set_local(Endpoint::v4(lease.address, 0));
        self.io.lease_name_servers(servers_of(Some(&lease)));
        Some(lease)
    }
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
