//! Sets its FS and GS bases to an address that is not canonical (a processor refuses that, QEMU's emulator does not),
//! then makes ring 0 save and restore them, by a second thread that it lets run. Both threads end the program.

use core::arch::asm;

fn main() {
    println!("wild bases");
    // SAFETY: none; with FS go thread-local storage and all that is built on it, so nothing but calls follows.
    unsafe {
        asm!(
            "wrfsbase {wild}",
            "wrgsbase {wild}",
            // clone(VM | SIGHAND | THREAD), on the same stack, which neither thread uses any more.
            "mov eax, 56",
            "mov edi, 0x10900",
            "xor esi, esi",
            "xor edx, edx",
            "xor r10d, r10d",
            "xor r8d, r8d",
            "syscall",
            // sched_yield()
            "mov eax, 24",
            "syscall",
            // exit_group(0)
            "mov eax, 231",
            "xor edi, edi",
            "syscall",
            "ud2",
            wild = in(reg) 1u64 << 63,
            options(noreturn),
        );
    }
}
