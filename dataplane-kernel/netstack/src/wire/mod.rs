//! The formats on the wire. Each module has a checked view of received bytes, whose accessors cannot fail any more, and
//! a header of only legal values that is emitted into an array of its size. Nothing here keeps state, and no input can
//! make it panic.
//!
//! In the order in which a frame is taken apart: `ethernet`, perhaps with `vlan`; `arp`, or `ipv4` with `icmpv4`, or `ipv6` with its
//! extensions (both with `ecn`), `icmpv6` and `ndp`; in either of the last two `udp`, perhaps with `dhcp`, or `tcp` with
//! `tcp_options`.

pub mod ethernet;

pub mod vlan;

pub mod arp;

pub mod ecn;

pub mod ipv4;

pub mod icmpv4;

pub mod ipv6;

pub mod ipv6_extensions;

pub mod icmpv6;

pub mod igmp;

pub mod ndp;

pub mod udp;

pub mod dhcp;

pub mod tcp;

pub mod tcp_options;

/// Big-endian fields at fixed offsets of arrays: the compiler sees that they are inside.
#[inline]
fn be16<const N: usize>(bytes: &[u8; N], offset: usize) -> u16 {
    u16::from_be_bytes([bytes[offset], bytes[offset + 1]])
}

#[inline]
fn be32<const N: usize>(bytes: &[u8; N], offset: usize) -> u32 {
    u32::from_be_bytes([
        bytes[offset],
        bytes[offset + 1],
        bytes[offset + 2],
        bytes[offset + 3],
    ])
}

#[inline]
fn put<const N: usize, const M: usize>(bytes: &mut [u8; N], offset: usize, value: [u8; M]) {
    bytes[offset..offset + M].copy_from_slice(&value);
}
