use nix::fcntl::{OFlag, open};
use nix::libc::{
    IFF_ATTACH_QUEUE, IFF_DETACH_QUEUE, IFF_MULTI_QUEUE, IFF_NO_PI, IFF_TAP, IFF_VNET_HDR, c_char, c_int,
    c_short, c_uint, ifreq,
};
use nix::sys::stat::Mode;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

mod call {
    use super::{c_int, c_uint, ifreq};

    nix::ioctl_write_ptr_bad! {
        /// TUNSETIFF: attaches the descriptor to the interface that the request names.
        set_interface, nix::request_code_write!(b'T', 202, size_of::<c_int>()), ifreq
    }

    nix::ioctl_write_ptr_bad! {
        /// TUNSETVNETHDRSZ: how long the header before every frame is.
        set_header_bytes, nix::request_code_write!(b'T', 216, size_of::<c_int>()), c_int
    }

    nix::ioctl_write_int_bad! {
        /// TUNSETOFFLOAD: what the host may leave to us of the frames we read.
        set_offload, nix::request_code_write!(b'T', 208, size_of::<c_uint>())
    }

    nix::ioctl_write_ptr_bad! {
        /// TUNSETQUEUE: attaches a queue that was detached, or detaches it.
        set_queue, nix::request_code_write!(b'T', 217, size_of::<c_int>()), ifreq
    }
}

/// How many descriptors a tap may have at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TapKind {
    /// One.
    OneQueue,
    /// Any number, each with a queue of its own.
    ManyQueues,
}

/// Attaches to the tap interface `name`, which is made if there is none; one that was made goes with the last
/// descriptor to it. Frames carry a virtio-net header, so that checksums can be left to the other side. `EINVAL`: the interface
/// is of another kind.
pub fn attach_tap(name: &str, kind: TapKind) -> nix::Result<OwnedFd> {
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
    let queues = match kind {
        TapKind::OneQueue => 0,
        TapKind::ManyQueues => IFF_MULTI_QUEUE,
    };
    let flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | queues;
    request.ifr_ifru.ifru_flags = c_short::try_from(flags).unwrap_or_default();
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which lives through the call.
    unsafe { call::set_interface(device.as_raw_fd(), &raw const request) }?;
    Ok(device)
}

/// Lets frames carry a header of `bytes` bytes: `struct virtio_net_hdr`, and zeros or whatever the reader had there.
pub fn set_tap_header(tap: BorrowedFd<'_>, bytes: usize) -> nix::Result<()> {
    let bytes = c_int::try_from(bytes).map_err(|_| nix::errno::Errno::EINVAL)?;
    // SAFETY: TUNSETVNETHDRSZ reads one `int`, which lives through the call.
    unsafe { call::set_header_bytes(tap.as_raw_fd(), &raw const bytes) }?;
    Ok(())
}

/// Whether a tap's queue takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TapQueue {
    /// The host sends through it, too.
    Attached,
    /// It does not, and nothing can be read or written.
    Detached,
}

/// Lets a queue of a tap that has several take part or not.
pub fn set_tap_queue(tap: BorrowedFd<'_>, state: TapQueue) -> nix::Result<()> {
    let flags = match state {
        TapQueue::Attached => IFF_ATTACH_QUEUE,
        TapQueue::Detached => IFF_DETACH_QUEUE,
    };
    // SAFETY: all zero is a legal `ifreq`, as above.
    let mut request: ifreq = unsafe { std::mem::zeroed() };
    request.ifr_ifru.ifru_flags = c_short::try_from(flags).unwrap_or_default();
    // SAFETY: TUNSETQUEUE reads one `ifreq`, which lives through the call.
    unsafe { call::set_queue(tap.as_raw_fd(), &raw const request) }?;
    Ok(())
}

bitflags::bitflags! {
    /// What the host may leave undone in frames that are read from a tap, where the header says so.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct TapOffload: c_int {
        /// Checksums: `TUN_F_CSUM`.
        const CHECKSUM = 1;
        /// The cutting of TCP segments over IPv4: `TUN_F_TSO4`.
        const TSO4 = 2;
        /// The same over IPv6: `TUN_F_TSO6`.
        const TSO6 = 4;
    }
}

/// Sets what the host may leave undone.
pub fn set_tap_offload(tap: BorrowedFd<'_>, offload: TapOffload) -> nix::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes its argument as a number and touches no memory of ours.
    unsafe { call::set_offload(tap.as_raw_fd(), offload.bits()) }?;
    Ok(())
}
