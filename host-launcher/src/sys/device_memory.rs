use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::VmFd;
use memmap2::{MmapOptions, MmapRaw};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// Registers of a device, mapped, which a guest can be shown. This process never touches them here.
pub struct DeviceMemory {
    vm: Arc<VmFd>,
    slot: u32,
    /// `None` only when it was given up, see [`DeviceMemory::drop`].
    memory: Option<MmapRaw>,
    shown: bool,
}

impl DeviceMemory {
    /// Maps `bytes` of `file` from `offset`, whole pages both, for memory slot `slot` of the machine, which no one else
    /// uses.
    pub fn map(file: &OwnedFd, offset: u64, bytes: u64, vm: Arc<VmFd>, slot: u32) -> io::Result<Self> {
        let len = usize::try_from(bytes).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let memory = MmapOptions::new().offset(offset).len(len).map_raw(file)?;
        Ok(Self {
            vm,
            slot,
            memory: Some(memory),
            shown: false,
        })
    }

    /// Lets the guest have it at this address, where it has nothing else.
    pub fn show(&mut self, at: u64) -> io::Result<()> {
        let Some(memory) = &self.memory else { return Ok(()) };
        let (start, bytes) = (memory.as_mut_ptr().addr() as u64, memory.len() as u64);
        self.set(at, start, bytes)?;
        self.shown = true;
        Ok(())
    }

    /// No longer.
    pub fn hide(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.shown) {
            self.set(0, 0, 0).inspect_err(|_| self.shown = true)?;
        }
        Ok(())
    }

    fn set(&self, guest_phys_addr: u64, userspace_addr: u64, memory_size: u64) -> io::Result<()> {
        let region = kvm_userspace_memory_region {
            slot: self.slot,
            flags: 0,
            guest_phys_addr,
            memory_size,
            userspace_addr,
        };
        // SAFETY: the memory is a mapping of ours that lies in a device, not in this program's memory, and it stays until
        // the slot is empty again (`drop`). No one holds a reference into it: it is never handed out.
        unsafe { self.vm.set_user_memory_region(region) }.map_err(io::Error::from)
    }
}

impl Drop for DeviceMemory {
    fn drop(&mut self) {
        if self.hide().is_err() {
            // The guest would be shown whatever is mapped there next. So nothing will be.
            std::mem::forget(self.memory.take());
        }
    }
}

/// A second descriptor of what `file` has open, for those that only tell the number of theirs.
pub fn duplicate(file: &impl AsRawFd) -> io::Result<OwnedFd> {
    // SAFETY: `file` is borrowed, and so is its descriptor, for as long as this takes.
    unsafe { BorrowedFd::borrow_raw(file.as_raw_fd()) }.try_clone_to_owned()
}
