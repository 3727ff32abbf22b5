use nix::fcntl::{OFlag, open};
use nix::libc::{IFF_NO_PI, IFF_TAP, IFF_VNET_HDR, c_char, c_int, c_short, ifreq};
use nix::sys::stat::Mode;
use std::os::fd::{AsRawFd, OwnedFd};

mod call {
    use super::{c_int, ifreq};

    nix::ioctl_write_ptr_bad! {
        /// TUNSETIFF: attaches the descriptor to the interface that the request names.
        set_interface, nix::request_code_write!(b'T', 202, size_of::<c_int>()), ifreq
    }
}

/// Attaches to the tap interface `name`, which is made if there is none; one that was made goes with the last
/// descriptor to it. Frames carry a virtio-net header, so that checksums can be left to the other side.
pub fn attach_tap(name: &str) -> nix::Result<OwnedFd> {
    let device = open(
        "/dev/net/tun",
        OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK,
        Mode::empty(),
    )?;
    // SAFETY: all zero is a legal `ifreq`: it holds numbers, and pointers that no one follows here.
    let mut request: ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays zero: the kernel wants a terminated name.
    let room = request.ifr_name.iter_mut().take(15);
    for (place, byte) in room.zip(name.bytes()) {
        *place = c_char::from_ne_bytes([byte]);
    }
    request.ifr_ifru.ifru_flags = c_short::try_from(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR).unwrap_or_default();
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which lives through the call.
    unsafe { call::set_interface(device.as_raw_fd(), &raw const request) }?;
    Ok(device)
}
