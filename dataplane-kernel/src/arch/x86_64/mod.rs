//! x86-64. The entry code (`boot.s`) belongs to the binary; what follows it is in the order of `init`.

/// Input and output ports.
pub mod port;

/// The serial lines.
pub mod serial;

/// Control registers and what the processor can do.
pub mod control;

/// Segments and stacks for traps.
pub mod gdt;

/// Traps.
pub mod idt;

/// Time.
pub mod tsc;

/// The local interrupt controller: ticks for ring 3.
pub mod apic;

/// The other cores.
pub mod smp;

/// Who carries which core of the dataplane.
pub mod places;

/// Sleep.
pub mod sleep;

/// What other cores remember of page tables.
pub mod shootdown;

/// Copying, filling and comparing memory.
pub(crate) mod memory;

/// What the processor holds of a ring-3 thread.
pub mod context;

/// The border between ring 0 and ring 3.
pub mod syscall_entry;

/// Where the kernel's image lies.
pub mod image;

use crate::mem::MemoryError;
use crate::mem::frames::Frames;

/// First thing after entry: from here on a fault is reported.
pub fn init() {
    serial::init();
    gdt::prepare(0, image::trap_stack_tops());
    gdt::load(0);
    idt::load();
    control::init();
    syscall_entry::init(0);
    memory::init();
    apic::mask_legacy_controllers();
    tsc::init();
}

/// The same on a core that another has started; its stacks are known to [`gdt`].
fn init_secondary(core: usize) {
    gdt::load(core);
    idt::load();
    control::init();
    syscall_entry::init(core);
    apic::init_secondary();
}

/// What needs memory to be mapped.
///
/// # Errors
/// See [`MemoryError`].
pub fn init_interrupts(frames: &mut Frames) -> Result<(), MemoryError> {
    apic::init(frames).map_err(MemoryError::Map)
}

/// Stops this processor for ever.
pub fn halt() -> ! {
    loop {
        // SAFETY: interrupts are off in ring 0, so the processor sleeps until an NMI, which does not come back here.
        unsafe { core::arch::asm!("cli", "hlt", options(nomem, nostack)) };
    }
}
