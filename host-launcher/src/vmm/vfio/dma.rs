//! The card's reach into guest memory: all of guest RAM, at the addresses the guest knows, and nothing else.

use crate::sys::DmaMapping;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use std::io;
use std::sync::Arc;
use vfio_ioctls::{VfioContainer, VfioError};
use vm_memory::{GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};

/// Why the card cannot reach it.
#[derive(Debug, thiserror::Error)]
pub enum DmaError {
    /// The memory has to be locked, and may not.
    #[error(
        "cannot lock {need_mib} MiB of guest memory for the card: this user may lock {may_mib} MiB; raise that with \
         ulimit -l unlimited (systemd: LimitMEMLOCK=infinity), or give less with --mem"
    )]
    Memlock {
        /// What is needed.
        need_mib: u64,
        /// What the limit is.
        may_mib: u64,
    },
    /// The IOMMU has other plans with these addresses, or cannot count as far.
    #[error(
        "the host's IOMMU cannot give the card guest memory at {0:#x}; does it reserve addresses there? \
         (/sys/kernel/iommu_groups/*/reserved_regions)"
    )]
    Refused(u64, #[source] io::Error),
}

/// Maps all of `ram` in the IOMMU, which pins it.
pub(super) fn map(container: Arc<VfioContainer>, ram: &GuestMemoryMmap) -> Result<DmaMapping, DmaError> {
    DmaMapping::map(container, ram.clone()).map_err(|(at, error)| explain(ram, at, error))
}

fn explain(ram: &GuestMemoryMmap, at: u64, error: VfioError) -> DmaError {
    let error = match error {
        VfioError::IommuDmaMap(error) => io::Error::from_raw_os_error(error.errno()),
        other => io::Error::other(other),
    };
    let limit = getrlimit(Resource::RLIMIT_MEMLOCK).map_or(RLIM_INFINITY, |(soft, _)| soft);
    let need: u64 = ram.iter().map(GuestMemoryRegion::len).sum();
    if error.kind() == io::ErrorKind::OutOfMemory && limit < need {
        return DmaError::Memlock {
            need_mib: need >> 20,
            may_mib: limit >> 20,
        };
    }
    DmaError::Refused(at, error)
}

#[cfg(test)]
mod tests {
    use super::explain;
    use vfio_ioctls::VfioError;
    use vm_memory::{GuestAddress, GuestMemoryMmap};

    #[test]
    fn a_refusal_says_where() {
        let ram = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 4096)]).unwrap();
        let error = VfioError::IommuDmaMap(vmm_sys_util::errno::Error::new(nix::libc::EINVAL));
        let text = explain(&ram, 0x1000, error).to_string();
        assert!(text.contains("guest memory at 0x1000"), "{text}");
    }
}
