//! `struct virtio_net_hdr` (virtio 1.2, section 5.1.6), which stands before every frame in both directions.

use crate::hw::dma::DmaBuffers;
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
pub(super) fn write(buffer: &mut [u8; DmaBuffers::BYTES], checksum: ChecksumOffload) {
    let (flags_to_start, offset) = match checksum {
        ChecksumOffload::Complete => (0, 0),
        ChecksumOffload::Partial { start, offset } => {
            (u64::from(NEEDS_CSUM) | u64::from(start) << 48, u32::from(offset))
        }
    };
    buffer[..8].copy_from_slice(&flags_to_start.to_le_bytes());
    buffer[8..LEN as usize].copy_from_slice(&offset.to_le_bytes());
}
