//! What names a connection.

use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

/// Addresses and ports of both ends. The one place, with [`super::secrets`] and the header template, that knows the
/// address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuple {
    pub(crate) local: Ipv4Addr,
    pub(crate) remote: Ipv4Addr,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
}

impl Tuple {
    pub(crate) const NONE: Tuple = Tuple {
        local: Ipv4Addr::UNSPECIFIED,
        remote: Ipv4Addr::UNSPECIFIED,
        local_port: 0,
        remote_port: 0,
    };

    /// Both ports in one number.
    #[inline]
    pub(crate) fn ports(&self) -> u32 {
        u32::from(self.remote_port) << 16 | u32::from(self.local_port)
    }

    /// The other end.
    pub(crate) fn peer(&self) -> SocketAddr {
        SocketAddrV4::new(self.remote, self.remote_port).into()
    }
}
