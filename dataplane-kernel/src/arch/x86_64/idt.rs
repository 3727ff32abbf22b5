//! Traps: 256 vectors, all through one path.
//!
//! A stub per vector leaves on its trap stack `vector, error code (or 0), rip, cs, rflags, rsp, ss` and touches no
//! register. From ring 3 it goes on to `user_trap`, which keeps the registers of ring 3 and returns from
//! `user::enter`. From ring 0, where interrupts are off, any trap is a fault of ours: registers, backtrace, end.

use super::gdt;
use crate::panic;
use ::x86_64::VirtAddr;
use ::x86_64::instructions::tables::lidt;
use ::x86_64::registers::control::Cr2;
use ::x86_64::structures::DescriptorTablePointer;
use core::arch::global_asm;
use spin::Once;

/// Non-maskable interrupt.
pub const NMI: u64 = 2;
/// Double fault.
pub const DOUBLE_FAULT: u64 = 8;
/// Page fault.
pub const PAGE_FAULT: u64 = 14;
/// Machine check.
pub const MACHINE_CHECK: u64 = 18;
/// First vector that is not the processor's own.
pub const FIRST_EXTERNAL: u8 = 32;
/// Vector of the local timer.
pub const TIMER: u8 = 0x40;
/// Vector of the local controller's spurious interrupts.
pub const SPURIOUS: u8 = 0xff;

/// Stubs lie this far apart.
const STUB_BYTES: u64 = 16;

global_asm!(
    ".balign 16",
    ".global trap_stubs",
    "trap_stubs:",
    ".set vector, 0",
    ".rept 256",
    ".balign 16",
    // These push an error code themselves (AMD64 manual, volume 2, section 8.2; SDM volume 3, section 6.15).
    ".if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30",
    ".else",
    "push 0",
    ".endif",
    "push vector",
    "jmp trap",
    ".set vector, vector + 1",
    ".endr",
    "",
    "trap:",
    "test byte ptr [rsp + 24], 3",
    "jnz {user_trap}",
    "push rax",
    "push rcx",
    "push rdx",
    "push rbx",
    "push rbp",
    "push rsi",
    "push rdi",
    "push r8",
    "push r9",
    "push r10",
    "push r11",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "mov rdi, rsp",
    "cld",
    "call {kernel_trap}",
    "ud2",
    kernel_trap = sym kernel_trap,
    user_trap = sym super::syscall_entry::user_trap,
);

unsafe extern "C" {
    static trap_stubs: u8;
}

/// What the stubs leave on the stack after a trap from ring 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct TrapFrame {
    /// In the order of [`TrapFrame::GENERAL`].
    pub(crate) general: [u64; 15],
    pub(crate) vector: u64,
    pub(crate) error: u64,
    pub(crate) rip: u64,
    pub(crate) cs: u64,
    pub(crate) rflags: u64,
    pub(crate) rsp: u64,
    pub(crate) ss: u64,
}

impl TrapFrame {
    /// The general registers, the one pushed last first.
    pub(crate) const GENERAL: [&str; 15] = [
        "r15", "r14", "r13", "r12", "r11", "r10", "r9", "r8", "rdi", "rsi", "rbp", "rbx", "rdx", "rcx", "rax",
    ];
}

extern "C" fn kernel_trap(frame: &TrapFrame) -> ! {
    panic::on_trap(frame)
}

/// One interrupt gate (SDM volume 3, section 6.14.1).
#[repr(C)]
#[derive(Clone, Copy)]
struct Gate {
    low: u64,
    high: u64,
}

impl Gate {
    /// Present, 64-bit interrupt gate (interrupts stay off), not callable by ring 3.
    const ATTRIBUTES: u64 = 0x8e << 40;

    fn new(handler: u64, stack: u16) -> Self {
        let selector = u64::from(gdt::KERNEL_CODE.0);
        // Entries of the interrupt stack table count from 1 here.
        let stack = u64::from(stack) + 1;
        let low = handler & 0xffff
            | selector << 16
            | stack << 32
            | Self::ATTRIBUTES
            | (handler >> 16 & 0xffff) << 48;
        Gate {
            low,
            high: handler >> 32,
        }
    }
}

/// Where the latest page fault wanted to go.
pub fn page_fault_address() -> u64 {
    Cr2::read_raw()
}

static IDT: Once<[Gate; 256]> = Once::new();

/// Routes every vector.
pub fn init() {
    let idt = IDT.call_once(|| {
        let stubs = (&raw const trap_stubs).addr() as u64;
        let mut vector = 0;
        [(); 256].map(|()| {
            let stack = match vector {
                NMI => gdt::NMI_STACK,
                DOUBLE_FAULT => gdt::DOUBLE_FAULT_STACK,
                MACHINE_CHECK => gdt::MACHINE_CHECK_STACK,
                _ => gdt::TRAP_STACK,
            };
            let gate = Gate::new(stubs + vector * STUB_BYTES, stack);
            vector += 1;
            gate
        })
    });
    let base = VirtAddr::from_ptr(idt);
    // SAFETY: a table of 256 gates that is never changed; each leads to code that expects what the gate makes.
    unsafe {
        lidt(&DescriptorTablePointer {
            limit: 256 * 16 - 1,
            base,
        })
    };
}
