//! The addresses of both ends of a conversation, of either family, and the IP header between them.

use crate::checksum::Sum;
use crate::wire::ethernet::EtherType;
use crate::wire::{ipv4, ipv6};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Ours is the local one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    V4 { local: Ipv4Addr, remote: Ipv4Addr },
    V6 { local: Ipv6Addr, remote: Ipv6Addr },
}

impl Ends {
    /// Our address.
    pub(crate) fn local(&self) -> IpAddr {
        match *self {
            Ends::V4 { local, .. } => local.into(),
            Ends::V6 { local, .. } => local.into(),
        }
    }

    /// The other end's address.
    pub(crate) fn remote(&self) -> IpAddr {
        match *self {
            Ends::V4 { remote, .. } => remote.into(),
            Ends::V6 { remote, .. } => remote.into(),
        }
    }

    /// The other end's address and port.
    pub(crate) fn peer(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.remote(), port)
    }

    /// What a frame between them carries.
    pub(crate) fn ether_type(&self) -> EtherType {
        match self {
            Ends::V4 { .. } => EtherType::Ipv4,
            Ends::V6 { .. } => EtherType::Ipv6,
        }
    }

    /// Bytes of the IP header.
    pub(crate) fn header_len(&self) -> usize {
        match self {
            Ends::V4 { .. } => ipv4::HEADER_LEN,
            Ends::V6 { .. } => ipv6::HEADER_LEN,
        }
    }

    /// The sum that the checksum of `len` bytes of TCP or UDP, by its number, begins with.
    pub(crate) fn pseudo_header(&self, protocol: u8, len: u16) -> Sum {
        match *self {
            Ends::V4 { local, remote } => Sum::pseudo_header(local, remote, protocol, len),
            Ends::V6 { local, remote } => Sum::pseudo_header(local, remote, protocol, len),
        }
    }

    /// Writes the header of a packet from us with `payload_len` bytes of this protocol; `None` if `out` is too short.
    pub(crate) fn emit(&self, protocol: u8, payload_len: u16, hop_limit: u8, out: &mut [u8]) -> Option<()> {
        match *self {
            Ends::V4 { local, remote } => ipv4::Header {
                src: local,
                dst: remote,
                protocol: protocol.into(),
                ttl: hop_limit,
                payload_len,
            }
            .emit(out.first_chunk_mut()?),
            Ends::V6 { local, remote } => ipv6::Header {
                src: local,
                dst: remote,
                protocol: protocol.into(),
                hop_limit,
                payload_len,
            }
            .emit(out.first_chunk_mut()?),
        }
        Some(())
    }
}
