//! Reads or jumps where nothing of its own is, as the arguments say: `read|jump|stack ADDRESS`.

use core::arch::asm;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let address = u64::from_str_radix(&arguments[2], 16).expect("a hexadecimal address");
    println!("{} {address:#x}", arguments[1]);
    // SAFETY: none; the fault is the point.
    unsafe {
        match arguments[1].as_str() {
            "read" => println!("{}", (address as *const u8).read_volatile()),
            "jump" => asm!("jmp {}", in(reg) address),
            // A system call with a stack pointer that is not the app's: ring 0 must not step on it.
            "stack" => {
                asm!("mov rsp, {0}", "mov eax, 39", "syscall", "push rax", in(reg) address, options(noreturn))
            }
            other => panic!("no such thing: {other}"),
        }
    }
    println!("survived");
}
