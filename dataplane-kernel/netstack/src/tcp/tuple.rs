//! What names a connection.

use super::pairs::PairId;
use core::net::Ipv4Addr;

/// Addresses and ports of both ends, in a form that is small and compared at once. The one place, with [`crate::ends::Ends`],
/// [`super::secrets`] and the header template, that knows the address family.
///
/// IPv6 addresses stand in it as the number of their [`super::pairs::Pair`], in 240/4, where no IPv4 host can be; so a flow of either
/// family is found in the same way, and the fast path of IPv4 does not know that there is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuple {
    pub(crate) local: Ipv4Addr,
    pub(crate) remote: Ipv4Addr,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
}

/// The local end of every pair.
const PAIRED: Ipv4Addr = Ipv4Addr::new(240, 0, 0, 0);

impl Tuple {
    pub(crate) const NONE: Tuple = Tuple {
        local: Ipv4Addr::UNSPECIFIED,
        remote: Ipv4Addr::UNSPECIFIED,
        local_port: 0,
        remote_port: 0,
    };

    /// A connection between IPv6 hosts.
    pub(crate) fn of_pair(pair: PairId, ports: Ports) -> Self {
        Tuple {
            local: PAIRED,
            remote: Ipv4Addr::from_bits(PAIRED.to_bits() | pair.0),
            local_port: ports.local,
            remote_port: ports.remote,
        }
    }

    /// A connection between IPv4 hosts.
    pub(crate) fn of_v4(local: Ipv4Addr, remote: Ipv4Addr, ports: Ports) -> Self {
        Tuple {
            local,
            remote,
            local_port: ports.local,
            remote_port: ports.remote,
        }
    }

    /// `true` between IPv6 hosts.
    #[inline]
    pub(crate) fn is_v6(&self) -> bool {
        self.local == PAIRED
    }

    /// The pair it stands for.
    pub(crate) fn pair(&self) -> Option<PairId> {
        self.is_v6()
            .then(|| PairId(self.remote.to_bits() & !PAIRED.to_bits()))
    }

    /// Both ports in one number.
    #[inline]
    pub(crate) fn ports(&self) -> u32 {
        let ports = Ports {
            local: self.local_port,
            remote: self.remote_port,
        };
        ports.number()
    }
}

/// The ports of both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) local: u16,
    pub(crate) remote: u16,
}

impl Ports {
    /// Both in one number.
    #[inline]
    pub(crate) fn number(self) -> u32 {
        u32::from(self.remote) << 16 | u32::from(self.local)
    }
}
