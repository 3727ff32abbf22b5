use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};

mod call {
    nix::ioctl_none_bad! {
        /// KVM_GET_STATS_FD (Linux 5.14): a descriptor to read the counters of a virtual machine or CPU from.
        get_stats_fd, nix::request_code_none!(0xae, 0xce)
    }
}

/// The file of KVM's counters for this virtual CPU.
///
/// # Errors
/// If this kernel has none.
pub fn kvm_stats(vcpu: &impl AsRawFd) -> io::Result<File> {
    // SAFETY: the call takes no argument, and fails on a descriptor that is not KVM's.
    let number = unsafe { call::get_stats_fd(vcpu.as_raw_fd()) }?;
    // SAFETY: the descriptor is new, so nobody else owns it.
    Ok(unsafe { File::from_raw_fd(number) })
}
