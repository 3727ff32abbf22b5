use nix::libc::c_uint;
use std::os::fd::AsRawFd;

/// `struct vhost_vring_state`.
#[repr(C)]
struct VringState {
    index: c_uint,
    num: c_uint,
}

mod call {
    use super::VringState;

    nix::ioctl_write_ptr! {
        /// VHOST_SET_VRING_BUSYLOOP_TIMEOUT.
        set_busy_loop, 0xaf, 0x23, VringState
    }
}

/// Lets vhost-net go on looking at a queue for so many microseconds after it found nothing more.
pub fn set_vhost_busy_loop(device: &impl AsRawFd, queue: usize, us: u32) -> nix::Result<()> {
    let state = VringState {
        index: c_uint::try_from(queue).map_err(|_| nix::errno::Errno::EINVAL)?,
        num: us,
    };
    // SAFETY: the call reads one structure, which lives through it.
    unsafe { call::set_busy_loop(device.as_raw_fd(), &raw const state) }?;
    Ok(())
}
