//! The launcher, as the kernel sees it: the area it lends, where the app's output goes, and the way to end.
#![allow(
    unsafe_code,
    reason = "the area is found by its physical address, the exit by its port"
)]

use crate::arch::{self, port, serial};
use crate::boot_info::Machine;
use crate::mem::{GuestPhys, direct};
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering, fence};
use ix_abi::host::area::{DOORBELL_PORT, HOST_AREA_BYTES, HostArea, MAGIC};
use ix_abi::host::{Stream, exit as codes};
use spin::Once;

static AREA: Once<&'static HostArea> = Once::new();

/// The address the command line gives is not that of a host area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoHostArea(GuestPhys);

impl fmt::Display for NoHostArea {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "there is no host area at {:#x}", self.0.0)
    }
}

/// Finds the area, or says in the log that there is none. It must be in RAM that nobody else uses.
///
/// # Errors
/// [`NoHostArea`].
pub fn init(machine: &Machine, at: Option<GuestPhys>) -> Result<(), NoHostArea> {
    let Some(at) = at else {
        log::info!("no host area: the app's output goes to this line");
        return Ok(());
    };
    let range = at.0..at.0.saturating_add(HOST_AREA_BYTES as u64);
    if !machine.ram.contains(&range) || !at.0.is_multiple_of(align_of::<HostArea>() as u64) {
        return Err(NoHostArea(at));
    }
    // SAFETY: RAM is in the direct map, aligned as just checked; the area consists of atomics, so any content is legal
    // and the launcher may change it at any time.
    let area = unsafe { &*direct(at).cast::<HostArea>() };
    if area.magic.load(Ordering::Acquire) != MAGIC {
        return Err(NoHostArea(at));
    }
    AREA.call_once(|| area);
    Ok(())
}

/// The area, unless the kernel was started without a launcher.
#[inline]
pub fn area() -> Option<&'static HostArea> {
    AREA.get().copied()
}

/// Writes to one of the app's output streams as much of `bytes` as the launcher has room for now; how much that was.
pub fn console_write(stream: Stream, bytes: &[u8]) -> usize {
    let Some(area) = area() else {
        serial::write(bytes);
        return bytes.len();
    };
    let mut taken = 0;
    while let Some(rest @ [_, ..]) = bytes.get(taken..)
        && let count @ 1.. = area.console.push(stream, rest)
    {
        taken += count;
    }
    ring_doorbell(area);
    taken
}

/// Wakes the launcher if it wants to hear of output.
pub fn ring_doorbell(area: &HostArea) {
    ring_if(&area.wants_doorbell);
}

/// Wakes the launcher if it wants to hear of calls.
pub fn ring_for_call() {
    if let Some(area) = area() {
        ring_if(&area.host_calls.wants_doorbell);
    }
}

fn ring_if(wanted: &AtomicU32) {
    // The launcher states its wish, then looks for work; we made work, and now look for a wish. Without an order
    // between the two steps of each side, both could miss the other's, and the launcher would sleep on.
    fence(Ordering::SeqCst);
    if wanted.load(Ordering::SeqCst) != 0 {
        // SAFETY: a serial port does not touch memory.
        unsafe { port::outb(DOORBELL_PORT, 1) };
    }
}

/// Ends the virtual machine with one of [`ix_abi::host::exit`]'s codes.
pub fn exit(code: u8) -> ! {
    if let Some(area) = area() {
        ring_doorbell(area);
    }
    // SAFETY: the exit device does not touch memory.
    unsafe { port::outb(codes::PORT, code) };
    // There is no such device: the machine was started by hand, and stays for somebody to look at.
    arch::halt()
}
