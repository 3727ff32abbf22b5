//! The one interface of a stack, as those who compose frames need it.

use crate::checksum::Sum;
use crate::route::Route;
use crate::wire::ethernet::MacAddr;
use crate::{Env, Span};
use core::net::IpAddr;

/// Hops a packet of ours may go (RFC 1122 section 3.2.1.7 wants it settable; 64 is IANA's default).
pub const TTL: u8 = 64;

/// Who computes the TCP and UDP checksums of frames sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TxChecksum {
    /// The stack, through [`Env::bytes`].
    #[default]
    Software,
    /// The device ([`crate::TxOffload::Partial`]).
    Device,
}

/// Which of our addresses a listener, or a socket, takes packets at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Local {
    /// Any, of either family.
    #[default]
    Any,
    /// Any of IPv4.
    AnyV4,
    /// This one.
    One(IpAddr),
}

impl Local {
    /// What the app means: `::` is for both families (as in Linux; RFC 3493 section 5.3 leaves it to an option),
    /// `0.0.0.0` for its own.
    #[must_use]
    pub fn of(address: Option<IpAddr>) -> Self {
        match address {
            Some(IpAddr::V4(v4)) if v4.is_unspecified() => Local::AnyV4,
            Some(IpAddr::V6(v6)) if v6.is_unspecified() => Local::Any,
            Some(one) => Local::One(one),
            None => Local::Any,
        }
    }

    /// `true` for a packet to `address`.
    #[must_use]
    pub fn takes(self, address: IpAddr) -> bool {
        match self {
            Local::Any => true,
            Local::AnyV4 => address.is_ipv4(),
            Local::One(one) => one == address,
        }
    }
}

/// The interface.
#[derive(Clone, Copy, Debug)]
pub struct Interface {
    /// Our hardware address.
    pub mac: MacAddr,
    /// Our protocol address and the ways out.
    pub route: Route,
    /// Most bytes of an IPv4 packet.
    pub mtu: u16,
    /// Who computes checksums.
    pub tx_checksum: TxChecksum,
}

/// Adds what `spans` name to `sum`.
pub(crate) fn add_spans<E: Env>(env: &E, sum: &mut Sum, spans: &[Span]) {
    for span in spans {
        sum.add_bytes(env.bytes(*span));
    }
}
