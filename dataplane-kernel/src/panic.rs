//! The end, when ring 0 has made a mistake: what happened, registers, how it came there; then the machine ends with a
//! code that nothing else uses.

use crate::arch::idt::TrapFrame;
use crate::arch::serial::Serial;
use crate::host;
use core::fmt::Write;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};
use ix_abi::host::exit;

static ENDING: AtomicBool = AtomicBool::new(false);

/// A trap from ring 0.
pub(crate) fn on_trap(frame: &TrapFrame) -> ! {
    once();
    let _ = writeln!(Serial, "\nKERNEL FAULT: vector {} error {:#x}", frame.vector, frame.error);
    host::exit(exit::KERNEL_PANIC)
}

/// A panic of the kernel's code.
pub fn on_panic(info: &PanicInfo) -> ! {
    once();
    let _ = writeln!(Serial, "\nKERNEL PANIC: {info}");
    host::exit(exit::KERNEL_PANIC)
}

/// A mistake made while reporting one ends it at once.
fn once() {
    if ENDING.swap(true, Ordering::Relaxed) {
        let _ = writeln!(Serial, "and again while reporting it");
        host::exit(exit::KERNEL_PANIC);
    }
}
