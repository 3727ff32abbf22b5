use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Address family of an [`Endpoint`], by IANA's address family numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Family {
    /// IPv4: the first four bytes of the address count.
    Ipv4 = 1,
    /// IPv6.
    Ipv6 = 2,
}

/// IP address and port, family-neutral. All-zero means "unspecified": let the kernel choose.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Endpoint {
    family: u16,
    /// Port, in host byte order.
    pub port: u16,
    /// Zero; keeps the place of IPv6's scope.
    reserved: u32,
    address: [u8; 16],
}

const _: () = assert!(size_of::<Endpoint>() == 24);

impl Endpoint {
    /// Unspecified family, address and port.
    pub const UNSPECIFIED: Endpoint = Endpoint {
        family: 0,
        port: 0,
        reserved: 0,
        address: [0; 16],
    };

    /// An IPv4 endpoint; `Ipv4Addr::UNSPECIFIED` and port 0 leave the choice to the kernel.
    #[inline]
    #[must_use]
    pub const fn v4(address: Ipv4Addr, port: u16) -> Self {
        let o = address.octets();
        let mut bytes = [0; 16];
        (bytes[0], bytes[1], bytes[2], bytes[3]) = (o[0], o[1], o[2], o[3]);
        Endpoint {
            family: Family::Ipv4 as u16,
            port,
            reserved: 0,
            address: bytes,
        }
    }

    /// Any local address, this port (for listening).
    #[inline]
    #[must_use]
    pub const fn any(port: u16) -> Self {
        Endpoint {
            family: 0,
            port,
            reserved: 0,
            address: [0; 16],
        }
    }

    /// The address; `None` if the family is unspecified or unknown.
    #[inline]
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        let a = &self.address;
        match self.family {
            1 => Some(IpAddr::V4(Ipv4Addr::new(a[0], a[1], a[2], a[3]))),
            2 => Some(IpAddr::V6(Ipv6Addr::from(*a))),
            _ => None,
        }
    }

    /// Address and port as `std` has them; `None` if the family is unspecified or unknown.
    #[inline]
    #[must_use]
    pub fn socket_address(&self) -> Option<SocketAddr> {
        self.ip().map(|ip| SocketAddr::new(ip, self.port))
    }

    /// The IPv4 address, if that is the family.
    #[inline]
    #[must_use]
    pub const fn ipv4(&self) -> Option<Ipv4Addr> {
        let a = &self.address;
        if self.family == Family::Ipv4 as u16 {
            Some(Ipv4Addr::new(a[0], a[1], a[2], a[3]))
        } else {
            None
        }
    }

    /// `true` if no family is named (see [`Endpoint::any`]).
    #[inline]
    #[must_use]
    pub const fn is_any_address(&self) -> bool {
        self.family == 0
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(v4) => Endpoint::v4(*v4.ip(), v4.port()),
            SocketAddr::V6(v6) => Endpoint {
                family: Family::Ipv6 as u16,
                port: v6.port(),
                reserved: 0,
                address: v6.ip().octets(),
            },
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.socket_address() {
            Some(address) => fmt::Display::fmt(&address, f),
            None => write!(f, "*:{}", self.port),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
