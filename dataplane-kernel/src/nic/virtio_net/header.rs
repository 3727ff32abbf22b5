//! `struct virtio_net_hdr` (virtio 1.2, section 5.1.6), which stands before every frame in both directions.

use netstack::ChecksumOffload;

/// Its length in bytes, with `num_buffers`, which is always there in modern devices.
pub(super) const LEN: u32 = 12;

/// `VIRTIO_NET_HDR_F_NEEDS_CSUM`.
pub(super) const NEEDS_CSUM: u8 = 1;

/// `VIRTIO_NET_HDR_F_DATA_VALID`.
pub(super) const DATA_VALID: u8 = 2;

/// The header of a frame to transmit. Never segmented by the device, so only `flags`, `csum_start` and `csum_offset`
/// are not zero.
#[inline(always)]
pub(super) fn to_transmit(checksum: ChecksumOffload) -> [u8; LEN as usize] {
    let (flags, start, offset) = match checksum {
        ChecksumOffload::Complete => (0, 0, 0),
        ChecksumOffload::Partial { start, offset } => (NEEDS_CSUM, start, offset),
    };
    let ([s0, s1], [o0, o1]) = (start.to_le_bytes(), offset.to_le_bytes());
    [flags, 0, 0, 0, 0, 0, s0, s1, o0, o1, 0, 0]
}
