//! The end, when ring 0 has made a mistake: what happened, registers, how it came there; then the machine ends with a
//! code that nothing else uses. It writes to the serial line itself: the log may be what is broken, or switched off.

/// How it came there.
mod backtrace;

/// Mistakes on purpose.
pub mod self_test;

/// Names of functions.
pub(crate) mod symbols;

use crate::arch::idt::{self, TrapFrame};
use crate::arch::serial::Serial;
use crate::arch::{self, image, smp};
use crate::host;
use crate::mem::stacks;
use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicUsize, Ordering};
use ix_abi::host::exit;

/// The core that is ending the machine, counted from 1; 0: none is.
static ENDING: AtomicUsize = AtomicUsize::new(0);

/// A trap from ring 0.
pub(crate) fn on_trap(frame: &TrapFrame) -> ! {
    end(format_args!("KERNEL FAULT: {}", Cause(frame)), frame)
}

/// A panic of the kernel's code.
pub fn on_panic(info: &PanicInfo) -> ! {
    end(format_args!("KERNEL PANIC: {info}"), &idt::registers_here())
}

fn end(what: fmt::Arguments, frame: &TrapFrame) -> ! {
    let core = smp::this_core();
    // The serial line takes everything, so there is no error to handle.
    match ENDING.compare_exchange(0, core + 1, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => {}
        Err(ending) if ending == core + 1 => {
            let _ = writeln!(
                Serial,
                "\n{what}\nwhile reporting the above; rip {:#x}",
                frame.rip
            );
            host::exit(exit::KERNEL_PANIC)
        }
        // Another core's report is under way, and with it the end.
        Err(_) => arch::halt(),
    }
    let _ = writeln!(Serial, "\ncore {core}: {what}\n{}", Registers(frame));
    backtrace::print(&mut Serial, frame);
    host::exit(exit::KERNEL_PANIC)
}

/// What a trap is about.
struct Cause<'a>(&'a TrapFrame);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let TrapFrame { vector, error, .. } = self.0;
        if *vector != idt::PAGE_FAULT {
            return write!(
                f,
                "{} (vector {vector}, error code {error:#x})",
                idt::name(*vector)
            );
        }
        let address = idt::page_fault_address();
        let access = match error {
            error if error & 1 << 4 != 0 => "executing",
            error if error & 1 << 1 != 0 => "writing",
            _ => "reading",
        };
        let why = if error & 1 == 0 {
            "is not mapped"
        } else {
            "does not allow it"
        };
        write!(
            f,
            "page fault {access} {address:#x}, which {why} (error code {error:#x})"
        )?;
        if image::layout().guards.contains(&(address & !0xfff)) || stacks::is_guard(address) {
            f.write_str(": a kernel stack has overflowed")?;
        }
        Ok(())
    }
}

/// The registers, four a line.
struct Registers<'a>(&'a TrapFrame);

impl fmt::Display for Registers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let frame = self.0;
        let general = TrapFrame::GENERAL.into_iter().zip(frame.general);
        let special = [
            ("rsp", frame.rsp),
            ("rip", frame.rip),
            ("flg", frame.rflags),
            ("cs", frame.cs),
            ("cr2", idt::page_fault_address()),
        ];
        for (place, (name, value)) in general.chain(special).enumerate() {
            let end = if place % 4 == 3 { "\n" } else { "  " };
            write!(f, "{name:>3} {value:016x}{end}")?;
        }
        Ok(())
    }
}
