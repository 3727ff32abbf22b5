//! The one interface of a stack, as those who compose frames need it.

use crate::checksum::Sum;
use crate::route::Route;
use crate::wire::ethernet::MacAddr;
use crate::{Env, Span};

/// Hops a packet of ours may go (RFC 1122 section 3.2.1.7 wants it settable; 64 is IANA's default).
pub const TTL: u8 = 64;

/// Who computes the TCP and UDP checksums of frames sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TxChecksum {
    /// The stack, through [`Env::bytes`].
    #[default]
    Software,
    /// The device ([`crate::ChecksumOffload::Partial`]).
    Device,
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
