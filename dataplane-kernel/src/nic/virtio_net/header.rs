//! `struct virtio_net_hdr` (virtio 1.2, section 5.1.6), which stands before every frame in both directions.

use crate::hw::dma::DmaBuffers;
use netstack::TxOffload;

/// Its length in bytes, with `num_buffers`, which is always there in modern devices.
pub(super) const LEN: u32 = 12;

/// `VIRTIO_NET_HDR_F_NEEDS_CSUM`.
pub(super) const NEEDS_CSUM: u8 = 1;

/// `VIRTIO_NET_HDR_F_DATA_VALID`.
pub(super) const DATA_VALID: u8 = 2;

/// `VIRTIO_NET_HDR_GSO_TCPV4` and `VIRTIO_NET_HDR_GSO_TCPV6`.
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;

/// Bytes of an IPv4 header without options.
const IPV4_HEADER: u16 = 20;

/// Of the checksum in a TCP header.
const TCP_CHECKSUM: u16 = 16;

/// Where `csum_offset` ends, behind `csum_start`.
pub(super) const CSUM_END: u16 = 10;

/// Offset of `num_buffers`.
pub(super) const NUM_BUFFERS: u16 = 10;

/// The header of a frame to transmit, whose own headers take `header_len` bytes: `flags`, `gso_type`, `hdr_len`,
/// `gso_size`, `csum_start` and `csum_offset`.
#[inline(always)]
pub(super) fn write(buffer: &mut [u8; DmaBuffers::BYTES], header_len: u32, offload: TxOffload) {
    let (flags_to_start, offset) = match offload {
        TxOffload::Complete => (0, 0),
        TxOffload::Partial { start, offset } => (u64::from(NEEDS_CSUM) | u64::from(start) << 48, offset),
        TxOffload::Segments { ip, start, mss } => {
            let is_v4 = start.wrapping_sub(ip) == IPV4_HEADER;
            let kind = if is_v4 { GSO_TCPV4 } else { GSO_TCPV6 };
            let first = u64::from(NEEDS_CSUM) | u64::from(kind) << 8 | u64::from(header_len & 0xffff) << 16;
            (
                first | u64::from(mss) << 32 | u64::from(start) << 48,
                TCP_CHECKSUM,
            )
        }
    };
    buffer[..8].copy_from_slice(&flags_to_start.to_le_bytes());
    buffer[8..LEN as usize].copy_from_slice(&u32::from(offset).to_le_bytes());
}
