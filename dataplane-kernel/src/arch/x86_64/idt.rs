//! Traps: 256 vectors, all through one path.
//!
//! A stub per vector leaves on its trap stack `vector, error code (or 0), rip, cs, rflags, rsp, ss` and touches no
//! register. From ring 3 it goes on to `user_trap`, which keeps the registers of ring 3 and returns from
//! `user::enter`. From ring 0, where interrupts are off, any trap is a fault of ours: registers, backtrace, end. But for an
//! interrupt that finds a processor asleep ([`super::sleep`]): it ends that, and nothing else.

use super::gdt;
use crate::panic;
use ::x86_64::VirtAddr;
use ::x86_64::instructions::tables::lidt;
use ::x86_64::registers::control::Cr2;
use ::x86_64::structures::DescriptorTablePointer;
use core::arch::{asm, global_asm};
use spin::Once;

/// Non-maskable interrupt.
pub const NMI: u64 = 2;
/// Double fault.
pub const DOUBLE_FAULT: u64 = 8;
/// Breakpoint.
const BREAKPOINT: u64 = 3;
/// Page fault.
pub const PAGE_FAULT: u64 = 14;
/// Machine check.
pub const MACHINE_CHECK: u64 = 18;
/// First vector that is not the processor's own.
pub const FIRST_EXTERNAL: u8 = 32;
/// Vector of the local timer.
pub const TIMER: u8 = 0x40;
/// Vector by which another core, or a device, asks for attention.
pub const LOOK: u8 = 0x41;
/// Vector of the local controller's spurious interrupts.
pub const SPURIOUS: u8 = 0xff;

/// Of RFLAGS.
const INTERRUPT_FLAG: i32 = 1 << 9;

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
    "cmp dword ptr [rsp], {first_external}",
    "jb 2f",
    "push rax",
    "lea rax, [rip + halted]",
    "cmp [rsp + 24], rax",
    "pop rax",
    "jne 2f",
    // Back from HLT with the vector as what it returns, it and the error code dropped, and interrupts off.
    "mov eax, [rsp]",
    "and qword ptr [rsp + 32], {without_interrupts}",
    "add rsp, 16",
    "iretq",
    "2:",
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
    first_external = const FIRST_EXTERNAL,
    without_interrupts = const !INTERRUPT_FLAG,
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

/// Names of the processor's own vectors (SDM volume 3, table 6-1).
const NAMES: [&str; 22] = [
    "division error",
    "debug trap",
    "non-maskable interrupt",
    "breakpoint",
    "overflow",
    "bound range exceeded",
    "invalid opcode",
    "device not available",
    "double fault",
    "coprocessor overrun",
    "invalid TSS",
    "segment not present",
    "stack segment fault",
    "general protection fault",
    "page fault",
    "reserved vector",
    "floating-point error",
    "alignment check",
    "machine check",
    "SIMD floating-point error",
    "virtualization exception",
    "control protection fault",
];

/// What a vector is for.
pub fn name(vector: u64) -> &'static str {
    usize::try_from(vector)
        .ok()
        .and_then(|vector| NAMES.get(vector))
        .copied()
        .unwrap_or("interrupt")
}

/// The registers as they are where this is called.
#[inline(always)]
pub(crate) fn registers_here() -> TrapFrame {
    let mut frame = core::mem::MaybeUninit::<TrapFrame>::uninit();
    // SAFETY: stores into the frame, all of it, and changes nothing else but `rax`, whose old value it stores first.
    unsafe {
        asm!(
            "mov [rdi], r15",
            "mov [rdi + 0x08], r14",
            "mov [rdi + 0x10], r13",
            "mov [rdi + 0x18], r12",
            "mov [rdi + 0x20], r11",
            "mov [rdi + 0x28], r10",
            "mov [rdi + 0x30], r9",
            "mov [rdi + 0x38], r8",
            "mov [rdi + 0x40], rdi",
            "mov [rdi + 0x48], rsi",
            "mov [rdi + 0x50], rbp",
            "mov [rdi + 0x58], rbx",
            "mov [rdi + 0x60], rdx",
            "mov [rdi + 0x68], rcx",
            "mov [rdi + 0x70], rax",
            "mov qword ptr [rdi + 0x78], 0",
            "mov qword ptr [rdi + 0x80], 0",
            "lea rax, [rip + 2f]",
            "2:",
            "mov [rdi + 0x88], rax",
            "mov rax, cs",
            "mov [rdi + 0x90], rax",
            "mov [rdi + 0xa0], rsp",
            "mov rax, ss",
            "mov [rdi + 0xa8], rax",
            "pushfq",
            "pop qword ptr [rdi + 0x98]",
            in("rdi") frame.as_mut_ptr(),
            out("rax") _,
        );
        frame.assume_init()
    }
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

    /// The same, callable by ring 3.
    const fn for_ring_3(self) -> Self {
        Gate {
            low: self.low | 3 << 45,
            ..self
        }
    }
}

/// Where the latest page fault wanted to go.
pub fn page_fault_address() -> u64 {
    Cr2::read_raw()
}

static IDT: Once<[Gate; 256]> = Once::new();

/// Routes every vector, on this core as on all.
pub fn load() {
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
            // Ring 3 may say INT3, so that it is a breakpoint to it and not a protection fault.
            let gate = if vector == BREAKPOINT {
                gate.for_ring_3()
            } else {
                gate
            };
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
