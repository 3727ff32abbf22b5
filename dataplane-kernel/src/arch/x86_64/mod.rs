//! x86-64. The entry code (`boot.s`) belongs to the binary; what follows it is in the order of [`init`].

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

/// Copying, filling and comparing memory.
pub(crate) mod memory;

/// Where the kernel's image lies.
pub mod image;

/// First thing after entry: from here on a fault is reported.
pub fn init() {
    serial::init();
    gdt::init();
    idt::init();
    control::init();
    memory::init();
    apic::mask_legacy_controllers();
    tsc::init();
}

/// Stops this processor for ever.
pub fn halt() -> ! {
    loop {
        // SAFETY: interrupts are off in ring 0, so the processor sleeps until an NMI, which does not come back here.
        unsafe { core::arch::asm!("cli", "hlt", options(nomem, nostack)) };
    }
}
