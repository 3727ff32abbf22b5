//! Executes what only ring 0 may, as the argument says.

use core::arch::asm;

fn main() {
    let which = std::env::args().nth(1).unwrap_or_default();
    println!("executing {which}");
    // SAFETY: none; the fault is the point.
    unsafe {
        match which.as_str() {
            "hlt" => asm!("hlt"),
            "cli" => asm!("cli"),
            "out" => asm!("out dx, al", in("dx") 0xf4u16, in("al") 0x10u8),
            "in" => asm!("in al, dx", in("dx") 0x3f8u16, out("al") _),
            "cr3" => asm!("mov {}, cr3", out(reg) _),
            "wrmsr" => asm!("wrmsr", in("ecx") 0xc000_0082u32, in("eax") 0, in("edx") 0),
            "lgdt" => asm!("lgdt [{}]", in(reg) &[0u8; 10]),
            "ud2" => asm!("ud2"),
            "int3" => asm!("int3"),
            "int0x80" => asm!("int 0x80", inout("rax") 1u64 => _),
            "divide" => asm!("div {:e}", in(reg) 0, inout("eax") 1 => _, inout("edx") 0 => _),
            other => panic!("no such instruction: {other}"),
        }
    }
    println!("executed");
}
