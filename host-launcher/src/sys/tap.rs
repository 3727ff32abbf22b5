use rustix::fs::{Mode, OFlags};
use rustix::io;
use rustix::ioctl::{self, Ioctl, IoctlOutput, Opcode};
use std::ffi::c_void;
use std::os::fd::OwnedFd;

/// `struct ifreq` as TUNSETIFF reads it: a name and flags.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

const IFF_TAP: u16 = 0x0002;
const IFF_NO_PI: u16 = 0x1000;
/// Frames carry a virtio-net header, so that checksums can be left to the other side.
const IFF_VNET_HDR: u16 = 0x4000;

const TUNSETIFF: Opcode = ioctl::opcode::write::<i32>(b'T', 202);

struct SetInterface(InterfaceRequest);

// SAFETY: TUNSETIFF reads and writes one `struct ifreq` (40 bytes), which is what the pointer leads to.
unsafe impl Ioctl for SetInterface {
    type Output = ();

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        TUNSETIFF
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut self.0).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> io::Result<()> {
        Ok(())
    }
}

const _: () = assert!(size_of::<InterfaceRequest>() == 40);

/// Attaches to the tap interface `name`, which is made if there is none; one that was made goes with the last
/// descriptor to it.
pub fn attach_tap(name: &str) -> io::Result<OwnedFd> {
    let device = rustix::fs::open(
        "/dev/net/tun",
        OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK,
        Mode::empty(),
    )?;
    let mut request = InterfaceRequest {
        name: [0; 16],
        flags: IFF_TAP | IFF_NO_PI | IFF_VNET_HDR,
        rest: [0; 22],
    };
    // The last byte stays zero: the kernel wants a terminated name.
    let room = &mut request.name[..15];
    let bytes = name.as_bytes().get(..room.len()).unwrap_or(name.as_bytes());
    room[..bytes.len()].copy_from_slice(bytes);
    // SAFETY: the request is one TUNSETIFF takes, see the implementation above.
    unsafe { ioctl::ioctl(&device, SetInterface(request)) }?;
    Ok(device)
}
