use std::sync::Arc;
use vfio_ioctls::{VfioContainer, VfioError};
use vm_memory::{Address, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion, MemoryRegionAddress};

/// Guest RAM in the reach of a container's devices, until this is dropped.
pub struct DmaMapping {
    container: Arc<VfioContainer>,
    ram: GuestMemoryMmap,
    /// Regions that are mapped so far.
    mapped: usize,
}

impl DmaMapping {
    /// Maps all of `ram` at the addresses the guest knows, which pins it. An error says at which address.
    pub fn map(container: Arc<VfioContainer>, ram: GuestMemoryMmap) -> Result<Self, (u64, VfioError)> {
        let mut mapping = Self {
            container,
            ram,
            mapped: 0,
        };
        for region in mapping.ram.iter() {
            let at = region.start_addr().raw_value();
            map(&mapping.container, region).map_err(|error| (at, error))?;
            mapping.mapped += 1;
        }
        Ok(mapping)
    }
}

fn map(container: &VfioContainer, region: &impl GuestMemoryRegion) -> Result<(), VfioError> {
    let start = region.get_host_address(MemoryRegionAddress(0));
    let start = start.map_err(|_| VfioError::GetHostAddress)?;
    let bytes = usize::try_from(region.len()).map_err(|_| VfioError::InvalidDmaUnmapSize)?;
    // SAFETY: the region is guest memory, which changes under our hands anyway and which this program holds no reference
    // into; `DmaMapping` keeps it mapped until the container has forgotten it.
    unsafe { container.vfio_dma_map(region.start_addr().raw_value(), bytes, start) }
}

impl Drop for DmaMapping {
    fn drop(&mut self) {
        for region in self.ram.iter().take(self.mapped) {
            let bytes = usize::try_from(region.len()).unwrap_or(usize::MAX);
            // Where this fails, the container does it when it is closed; until then it has the pages themselves pinned,
            // not the addresses they have here.
            let _ = self
                .container
                .vfio_dma_unmap(region.start_addr().raw_value(), bytes);
        }
    }
}
