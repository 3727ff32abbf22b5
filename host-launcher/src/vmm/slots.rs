//! Guest RAM as the guest sees it: one of KVM's memory slots for each region.

use super::ram::Ram;
use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::VmFd;
use std::sync::Arc;
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};

/// RAM that a virtual machine has been given. It must stay as long as a CPU of the machine can run, so whoever holds a
/// CPU holds the [`Vm`](super::vm::Vm) of which this is a part.
pub struct RamSlots {
    /// The memory stays mapped as long as the machine can run.
    _ram: Ram,
    _vm: Arc<VmFd>,
    /// The first slot that is free for others.
    pub first_free: u32,
}

impl RamSlots {
    /// Shows all of `ram` to the guest of a machine that has no memory yet.
    ///
    /// # Errors
    /// KVM's.
    pub fn show(vm: &Arc<VmFd>, ram: &Ram) -> Result<Self, kvm_ioctls::Error> {
        let mut slot = 0;
        for region in ram.iter() {
            let region = kvm_userspace_memory_region {
                slot,
                guest_phys_addr: region.start_addr().0,
                memory_size: region.len(),
                userspace_addr: region.as_ptr().expose_provenance() as u64,
                flags: 0,
            };
            // SAFETY: the region is a mapping of its own. It is unmapped only when the last handle to `ram` is dropped, of
            // which the result keeps one, together with the machine. Nobody holds a reference into it: it hands out
            // volatile access only.
            unsafe { vm.set_user_memory_region(region) }?;
            slot += 1;
        }
        Ok(Self {
            _ram: ram.clone(),
            _vm: Arc::clone(vm),
            first_free: slot,
        })
    }
}
