//! The processor: everything that is instructions, registers and tables of it. One architecture so far.
#![allow(unsafe_code, reason = "this is the wall around the processor")]

mod x86_64;

pub use self::x86_64::{
    apic, context, control, gdt, halt, idt, image, init, init_interrupts, places, port, serial, shootdown,
    sleep, smp, syscall_entry, tsc,
};
