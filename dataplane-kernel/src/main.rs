//! The kernel image: entry, and the symbols the linker wants exactly once. Everything else is in the library, so that
//! it can be tested on the host.
#![no_std]
#![no_main]

use core::arch::global_asm;
use core::fmt;
use core::panic::PanicInfo;
use dataplane_kernel::boot_info::{BootInfo, Machine};
use dataplane_kernel::mem::GuestPhys;
use dataplane_kernel::mem::heap::Heap;
use dataplane_kernel::settings::{self, Settings};
use dataplane_kernel::{arch, host, logger, mem, panic, start};
use ix_abi::host::exit;

#[global_allocator]
static HEAP: Heap = Heap::new();

global_asm!(
    include_str!("arch/x86_64/boot.s"),
    kernel_main = sym kernel_main,
    boot_failed = const exit::BOOT_FAILED,
    kernel_panic = const exit::KERNEL_PANIC,
    serial_port = const arch::serial::COM1,
    exit_port = const exit::PORT,
    options(att_syntax)
);

global_asm!(
    include_str!("arch/x86_64/trampoline.s"),
    launch = sym arch::smp::LAUNCH,
    secondary_main = sym arch::smp::secondary_main,
    options(att_syntax)
);

/// Called once by the entry code, on the kernel stack, with the low 4 GiB mapped.
extern "C" fn kernel_main(start_info: u64) -> ! {
    arch::init();
    logger::init();
    // SAFETY: the entry code passes on what the loader put into EBX.
    let machine = fit(unsafe { Machine::read(GuestPhys(start_info)) });
    logger::set_level(settings::early_log_level(machine.command_line));
    log::info!(
        "{} MiB of RAM, time-stamp counter at {} kHz ({})",
        machine.ram.total() >> 20,
        arch::tsc::hz() / 1000,
        arch::tsc::source()
    );
    let mut frames = fit(mem::init(&machine, &HEAP));
    fit(arch::init_interrupts(&mut frames));
    let settings = fit(Settings::parse(machine.command_line));
    fit(host::init(&machine, settings.host));
    fit(arch::smp::start(
        settings.cores,
        &machine.processors,
        machine.low_page(),
        &mut frames,
    ));
    if let Some(mistake) = settings.self_test {
        panic::self_test::make(mistake, &mut frames);
    }
    start::start(BootInfo {
        frames,
        module: machine.module(),
        settings,
    })
}

/// Ends the machine if it, or what it was told, will not do.
fn fit<T, E: fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| {
        log::error!("cannot boot: {error}");
        host::exit(exit::BOOT_FAILED)
    })
}

#[panic_handler]
fn on_panic(info: &PanicInfo) -> ! {
    panic::on_panic(info)
}

/// Named by unwind tables; with `panic = "abort"` never called.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// Named by `alloc`, which is compiled for unwinding; never called.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    arch::halt()
}
