//! How sockets are made: non-blocking, for both versions of IP where Linux has both, without Nagle's algorithm.

use super::claims::{self, Claim, Kind};
use super::{errors, sys};
use ix_abi::app::{Endpoint, Status};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What addresses a socket takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V4,
    /// IPv4 as well, in mapped addresses (RFC 4291 section 2.5.5.2).
    V6,
}

impl Version {
    fn of(address: Option<IpAddr>) -> Self {
        match address {
            Some(IpAddr::V4(_)) => Version::V4,
            _ => Version::V6,
        }
    }

    fn domain(self) -> Domain {
        match self {
            Version::V4 => Domain::IPV4,
            Version::V6 => Domain::IPV6,
        }
    }

    fn unspecified(self) -> IpAddr {
        match self {
            Version::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Version::V6 => Ipv6Addr::UNSPECIFIED.into(),
        }
    }

    /// `address` as a socket of this version says it.
    pub(super) fn to_linux(self, address: SocketAddr) -> SocketAddr {
        match (self, address.ip()) {
            (Version::V6, IpAddr::V4(v4)) => SocketAddr::new(v4.to_ipv6_mapped().into(), address.port()),
            _ => address,
        }
    }
}

/// `address` as the app knows it.
pub(super) fn from_linux(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// A socket of `version`, or of IPv4 on a Linux that has no IPv6.
fn make(version: Version, kind: Type, protocol: Protocol) -> io::Result<(Socket, Version)> {
    let socket = |version: Version| -> io::Result<(Socket, Version)> {
        let socket = Socket::new(version.domain(), kind, Some(protocol))?;
        if version == Version::V6 {
            socket.set_only_v6(false)?;
        }
        socket.set_nonblocking(true)?;
        Ok((socket, version))
    };
    match socket(version) {
        Err(error) if version == Version::V6 && error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
            socket(Version::V4)
        }
        other => other,
    }
}

/// The local address that `endpoint` means.
fn local(endpoint: Endpoint, version: Version) -> SocketAddr {
    let ip = endpoint.ip().unwrap_or(version.unspecified());
    version.to_linux(SocketAddr::new(ip, endpoint.port))
}

pub(super) fn listen(endpoint: Endpoint, backlog: u32, core: u16) -> Result<(Socket, Option<Claim>), Status> {
    let made = || -> io::Result<(Socket, Option<Claim>)> {
        let (socket, version) = make(Version::of(endpoint.ip()), Type::STREAM, Protocol::TCP)?;
        socket.set_reuse_address(true)?;
        let claim = claims::bind(&socket, Kind::Tcp, local(endpoint, version), core)?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok((socket, claim))
    };
    made().map_err(|error| errors::status(&error))
}

/// A connection on its way to `remote`; the second says what became of it, if that is known already.
pub(super) fn connect(remote: SocketAddr, from: Endpoint) -> Result<(Socket, Option<Status>), Status> {
    let made = || -> io::Result<(Socket, Option<Status>)> {
        let version = Version::of(Some(remote.ip()));
        let (socket, version) = make(version, Type::STREAM, Protocol::TCP)?;
        socket.set_tcp_nodelay(true)?;
        if from.ip().is_some_and(|ip| !ip.is_unspecified()) || from.port != 0 {
            socket.set_reuse_address(true)?;
            socket.bind(&local(from, version).into())?;
        }
        match socket.connect(&version.to_linux(remote).into()) {
            Ok(()) => Ok((socket, None)),
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok((socket, None)),
            // On the loopback interface the answer may be there already.
            Err(error) if error.raw_os_error() == Some(libc::ECONNREFUSED) => {
                Ok((socket, Some(Status::ConnectionRefused)))
            }
            Err(error) => Err(error),
        }
    };
    made().map_err(|error| errors::status(&error))
}

pub(super) fn bind_udp(endpoint: Endpoint, core: u16) -> Result<(Socket, Version, Option<Claim>), Status> {
    let made = || -> io::Result<(Socket, Version, Option<Claim>)> {
        let (socket, version) = make(Version::of(endpoint.ip()), Type::DGRAM, Protocol::UDP)?;
        // Only groups that this port has joined itself.
        socket.set_multicast_all_v4(false)?;
        if version == Version::V6 {
            socket.set_multicast_all_v6(false)?;
        }
        sys::tell_of_refusals(&socket, version)?;
        let claim = claims::bind(&socket, Kind::Udp, local(endpoint, version), core)?;
        Ok((socket, version, claim))
    };
    made().map_err(|error| errors::status(&error))
}

/// Joins `group`, or leaves it.
pub(super) fn set_membership(socket: &Socket, group: IpAddr, member: bool) -> io::Result<()> {
    match group {
        IpAddr::V4(group) if member => socket.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED),
        IpAddr::V4(group) => socket.leave_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(group) if member => socket.join_multicast_v6(&group, 0),
        IpAddr::V6(group) => socket.leave_multicast_v6(&group, 0),
    }
}
