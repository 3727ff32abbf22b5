//! The border between ring 0 and ring 3. Entering ring 3 is a function call, `enter`, that returns at the thread's next
//! trap: a `syscall`, an exception or an interrupt. Ring 0 needs no stack of its own per thread.
//!
//! In ring 0 the GS base points to this core's `PerCore`; in ring 3 it is the thread's. Each way across the border has
//! its `swapgs`, and ring 0 runs with interrupts off, so nothing comes in between but NMIs and machine checks, whose
//! handlers do not use GS when they interrupt ring 0.
//!
//! What ring 3 leaves in RFLAGS and MXCSR does not reach ring 0: `syscall` masks the flags, the other way in reloads
//! them (a set AC would switch SMAP off), and MXCSR is reloaded (an unmasked exception would fault ring 0).

use super::context::{Context, INITIAL_MXCSR, Resume};
use super::gdt;
use super::smp::MAX_CORES;
use ::x86_64::VirtAddr;
use ::x86_64::registers::model_specific::{
    Efer, EferFlags, FsBase, GsBase, KernelGsBase, LStar, Msr, SFMask, Star,
};
use ::x86_64::registers::rflags::RFlags;
use core::arch::naked_asm;
use core::cell::UnsafeCell;
use core::mem::offset_of;
use ix_abi::app::trap::BASE;

/// Why [`enter`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Trap {
    /// `syscall` with one of our numbers.
    Call = 0,
    /// `syscall` with a Linux number.
    LinuxCall = 1,
    /// An exception or interrupt: see `vector` and `error_code` of the [`Context`].
    Exception = 2,
    /// The thread was not entered: its `rip` is no ring-3 address.
    BadAddress = 3,
}

/// What the entry code must find with nothing but GS. Each core has lines of the cache to itself.
#[repr(C, align(64))]
struct PerCore {
    /// Stack pointer of ring 0 while ring 3 runs.
    kernel_rsp: u64,
    /// Stack pointer of ring 3, for a moment.
    user_rsp: u64,
    /// The thread that runs.
    context: *mut Context,
    /// Number of the core.
    core: u32,
    mxcsr: u32,
}

#[repr(transparent)]
struct PerCoreCell(UnsafeCell<PerCore>);

// SAFETY: reached only through GS, by the one core that was given it in `init`.
unsafe impl Sync for PerCoreCell {}

impl PerCoreCell {
    const fn new() -> Self {
        PerCoreCell(UnsafeCell::new(PerCore {
            kernel_rsp: 0,
            user_rsp: 0,
            context: core::ptr::null_mut(),
            core: 0,
            mxcsr: INITIAL_MXCSR,
        }))
    }
}

static CORES: [PerCoreCell; MAX_CORES] = [const { PerCoreCell::new() }; MAX_CORES];

/// Bits of RFLAGS that `syscall` clears (AMD64 manual 2, section 6.1.1): traps, interrupts, direction, nesting,
/// alignment checks, which double as SMAP's override.
const FLAG_MASK: RFlags = RFlags::TRAP_FLAG
    .union(RFlags::INTERRUPT_FLAG)
    .union(RFlags::DIRECTION_FLAG)
    .union(RFlags::NESTED_TASK)
    .union(RFlags::ALIGNMENT_CHECK);

/// `sysret` takes SS from 8 and CS from 16 above this (AMD64 manual 2, section 6.1.1).
const SYSRET_BASE: u16 = gdt::USER_DATA.0 - 8;
const _: () = assert!(gdt::USER_CODE.0 == SYSRET_BASE + 16 && gdt::KERNEL_DATA.0 == gdt::KERNEL_CODE.0 + 8);

/// Switches `syscall` on, on the core that calls. The GDT must be loaded, with selectors in the order that `sysret` wants.
pub fn init(core: usize) {
    let per_core = CORES[core].0.get();
    // SAFETY: the caller is the core that this is for.
    unsafe { (*per_core).core = u32::try_from(core).unwrap_or(0) };
    GsBase::write(VirtAddr::from_ptr(per_core));
    KernelGsBase::write(VirtAddr::zero());
    LStar::write(VirtAddr::from_ptr(syscall_entry as *const ()));
    SFMask::write(FLAG_MASK);
    // SAFETY: STAR and LSTAR are set; ring 3 does not exist yet.
    unsafe {
        Star::write_raw(SYSRET_BASE, gdt::KERNEL_CODE.0);
        Efer::update(|flags| flags.insert(EferFlags::SYSTEM_CALL_EXTENSIONS));
    }
}

/// The number of the core that asks. On the host, in tests, it is as the test says.
#[inline(always)]
pub fn this_core() -> usize {
    #[cfg(test)]
    return testing::CORE.get();
    #[cfg(not(test))]
    core_of_gs()
}

#[cfg(not(test))]
#[inline(always)]
fn core_of_gs() -> usize {
    let core: u32;
    // SAFETY: in ring 0, from `init` on, the GS base is that of this core's `PerCore`.
    unsafe {
        core::arch::asm!("mov {0:e}, gs:[{1}]", out(reg) core, const offset_of!(PerCore, core),
            options(nostack, preserves_flags, readonly));
    }
    core as usize
}

/// FS base, ring 3's for ring 0 has no use for one.
pub fn fs_base() -> u64 {
    base(FsBase::MSR)
}

/// Sets the FS base; to an address that is not canonical, its low 48 bits count.
pub fn set_fs_base(address: u64) {
    FsBase::write(VirtAddr::new_truncate(address));
}

/// GS base that ring 3 will find.
pub fn user_gs_base() -> u64 {
    base(KernelGsBase::MSR)
}

/// Sets the GS base that ring 3 will find; as [`set_fs_base`].
pub fn set_user_gs_base(address: u64) {
    KernelGsBase::write(VirtAddr::new_truncate(address));
}

/// Ring 3 sets these bases itself (`wrfsbase`, `wrgsbase`). A processor lets it set no address that is not canonical,
/// but QEMU's emulator does, so nothing may rely on it.
fn base(register: Msr) -> u64 {
    // SAFETY: every 64-bit processor has these registers, and reading them changes nothing.
    unsafe { register.read() }
}

/// Runs the thread until its next trap. Its extended state must be in the processor.
///
/// # Safety
/// The core must be initialised, and ring 3's page tables must not let it write what is ring 0's.
#[inline]
pub unsafe fn enter(context: &mut Context) -> Trap {
    // SAFETY: as above; `context` outlives the call.
    unsafe { enter_ring3(context) }
}

#[unsafe(naked)]
unsafe extern "C" fn enter_ring3(context: *mut Context) -> Trap {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov gs:[{kernel_rsp}], rsp",
        "mov gs:[{current}], rdi",
        "mov rcx, [rdi + {rip}]",
        // `sysret` and `iret` to an address that is not canonical would fault in ring 0.
        "mov rax, rcx",
        "shr rax, 47",
        "jnz 3f",
        "ldmxcsr [rdi + {mxcsr}]",
        "mov rbx, [rdi + {rbx}]",
        "mov rbp, [rdi + {rbp}]",
        "mov r12, [rdi + {r12}]",
        "mov r13, [rdi + {r13}]",
        "mov r14, [rdi + {r14}]",
        "mov r15, [rdi + {r15}]",
        "cmp dword ptr [rdi + {resume}], {resume_call}",
        "jne 2f",
        "mov rax, [rdi + {rax}]",
        "mov r11, [rdi + {rflags}]",
        "mov rsp, [rdi + {rsp}]",
        "xor edi, edi",
        "xor esi, esi",
        "xor edx, edx",
        "xor r8d, r8d",
        "xor r9d, r9d",
        "xor r10d, r10d",
        "pxor xmm0, xmm0",
        "pxor xmm1, xmm1",
        "pxor xmm2, xmm2",
        "pxor xmm3, xmm3",
        "pxor xmm4, xmm4",
        "pxor xmm5, xmm5",
        "pxor xmm6, xmm6",
        "pxor xmm7, xmm7",
        "pxor xmm8, xmm8",
        "pxor xmm9, xmm9",
        "pxor xmm10, xmm10",
        "pxor xmm11, xmm11",
        "pxor xmm12, xmm12",
        "pxor xmm13, xmm13",
        "pxor xmm14, xmm14",
        "pxor xmm15, xmm15",
        "swapgs",
        "sysretq",
        // Everything is restored.
        "2:",
        "movaps xmm0, [rdi + {xmm}]",
        "movaps xmm1, [rdi + {xmm} + 0x10]",
        "movaps xmm2, [rdi + {xmm} + 0x20]",
        "movaps xmm3, [rdi + {xmm} + 0x30]",
        "movaps xmm4, [rdi + {xmm} + 0x40]",
        "movaps xmm5, [rdi + {xmm} + 0x50]",
        "movaps xmm6, [rdi + {xmm} + 0x60]",
        "movaps xmm7, [rdi + {xmm} + 0x70]",
        "movaps xmm8, [rdi + {xmm} + 0x80]",
        "movaps xmm9, [rdi + {xmm} + 0x90]",
        "movaps xmm10, [rdi + {xmm} + 0xa0]",
        "movaps xmm11, [rdi + {xmm} + 0xb0]",
        "movaps xmm12, [rdi + {xmm} + 0xc0]",
        "movaps xmm13, [rdi + {xmm} + 0xd0]",
        "movaps xmm14, [rdi + {xmm} + 0xe0]",
        "movaps xmm15, [rdi + {xmm} + 0xf0]",
        "mov rdx, [rdi + {rdx}]",
        "mov rsi, [rdi + {rsi}]",
        "mov r8, [rdi + {r8}]",
        "mov r9, [rdi + {r9}]",
        "mov r10, [rdi + {r10}]",
        "mov r11, [rdi + {rflags}]",
        "cmp dword ptr [rdi + {resume}], {resume_linux_call}",
        "jne 4f",
        "mov rax, [rdi + {rax}]",
        "mov rsp, [rdi + {rsp}]",
        "mov rdi, [rdi + {rdi}]",
        "swapgs",
        "sysretq",
        "4:",
        "push {user_data}",
        "push [rdi + {rsp}]",
        "push r11",
        "push {user_code}",
        "push rcx",
        "mov rax, [rdi + {rax}]",
        "mov rcx, [rdi + {rcx}]",
        "mov r11, [rdi + {r11}]",
        "mov rdi, [rdi + {rdi}]",
        "swapgs",
        "iretq",
        "3:",
        "mov eax, {bad_address}",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
        kernel_rsp = const offset_of!(PerCore, kernel_rsp),
        current = const offset_of!(PerCore, context),
        xmm = const offset_of!(Context, xmm),
        rax = const offset_of!(Context, rax),
        rbx = const offset_of!(Context, rbx),
        rcx = const offset_of!(Context, rcx),
        rdx = const offset_of!(Context, rdx),
        rsi = const offset_of!(Context, rsi),
        rdi = const offset_of!(Context, rdi),
        rbp = const offset_of!(Context, rbp),
        r8 = const offset_of!(Context, r8),
        r9 = const offset_of!(Context, r9),
        r10 = const offset_of!(Context, r10),
        r11 = const offset_of!(Context, r11),
        r12 = const offset_of!(Context, r12),
        r13 = const offset_of!(Context, r13),
        r14 = const offset_of!(Context, r14),
        r15 = const offset_of!(Context, r15),
        rip = const offset_of!(Context, rip),
        rsp = const offset_of!(Context, rsp),
        rflags = const offset_of!(Context, rflags),
        resume = const offset_of!(Context, resume),
        mxcsr = const offset_of!(Context, mxcsr),
        resume_call = const Resume::Call as u32,
        resume_linux_call = const Resume::LinuxCall as u32,
        user_code = const gdt::USER_CODE.0,
        user_data = const gdt::USER_DATA.0,
        bad_address = const Trap::BadAddress as u32,
    )
}

/// Where `syscall` goes: `rcx` is ring 3's `rip`, `r11` its RFLAGS. Stores into the running thread's [`Context`] and
/// returns from [`enter_ring3`]. The stack pointer serves as pointer to the context for a while: NMIs and machine checks
/// have stacks of their own, and nothing else comes in between.
#[unsafe(naked)]
unsafe extern "C" fn syscall_entry() {
    naked_asm!(
        "swapgs",
        "mov gs:[{user_rsp}], rsp",
        "mov rsp, gs:[{current}]",
        "mov [rsp + {rip}], rcx",
        "mov rcx, gs:[{user_rsp}]",
        "mov [rsp + {rsp_}], rcx",
        "mov [rsp + {rflags}], r11",
        "stmxcsr [rsp + {mxcsr}]",
        "mov [rsp + {rax}], rax",
        "mov [rsp + {rdi}], rdi",
        "mov [rsp + {rsi}], rsi",
        "mov [rsp + {rdx}], rdx",
        "mov [rsp + {rbx}], rbx",
        "mov [rsp + {rbp}], rbp",
        "mov [rsp + {r12}], r12",
        "mov [rsp + {r13}], r13",
        "mov [rsp + {r14}], r14",
        "mov [rsp + {r15}], r15",
        "cmp rax, {base}",
        "jb 2f",
        "mov dword ptr [rsp + {resume}], {resume_call}",
        "xor eax, eax",
        "5:",
        "mov rsp, gs:[{kernel_rsp}]",
        "ldmxcsr gs:[{default_mxcsr}]",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
        // Linux keeps the other registers, too, and all of SSE's.
        "2:",
        "mov [rsp + {r8}], r8",
        "mov [rsp + {r9}], r9",
        "mov [rsp + {r10}], r10",
        "movaps [rsp + {xmm}], xmm0",
        "movaps [rsp + {xmm} + 0x10], xmm1",
        "movaps [rsp + {xmm} + 0x20], xmm2",
        "movaps [rsp + {xmm} + 0x30], xmm3",
        "movaps [rsp + {xmm} + 0x40], xmm4",
        "movaps [rsp + {xmm} + 0x50], xmm5",
        "movaps [rsp + {xmm} + 0x60], xmm6",
        "movaps [rsp + {xmm} + 0x70], xmm7",
        "movaps [rsp + {xmm} + 0x80], xmm8",
        "movaps [rsp + {xmm} + 0x90], xmm9",
        "movaps [rsp + {xmm} + 0xa0], xmm10",
        "movaps [rsp + {xmm} + 0xb0], xmm11",
        "movaps [rsp + {xmm} + 0xc0], xmm12",
        "movaps [rsp + {xmm} + 0xd0], xmm13",
        "movaps [rsp + {xmm} + 0xe0], xmm14",
        "movaps [rsp + {xmm} + 0xf0], xmm15",
        "mov dword ptr [rsp + {resume}], {resume_linux_call}",
        "mov eax, {linux_call}",
        "jmp 5b",
        user_rsp = const offset_of!(PerCore, user_rsp),
        kernel_rsp = const offset_of!(PerCore, kernel_rsp),
        current = const offset_of!(PerCore, context),
        default_mxcsr = const offset_of!(PerCore, mxcsr),
        xmm = const offset_of!(Context, xmm),
        rax = const offset_of!(Context, rax),
        rbx = const offset_of!(Context, rbx),
        rdx = const offset_of!(Context, rdx),
        rsi = const offset_of!(Context, rsi),
        rdi = const offset_of!(Context, rdi),
        rbp = const offset_of!(Context, rbp),
        r8 = const offset_of!(Context, r8),
        r9 = const offset_of!(Context, r9),
        r10 = const offset_of!(Context, r10),
        r12 = const offset_of!(Context, r12),
        r13 = const offset_of!(Context, r13),
        r14 = const offset_of!(Context, r14),
        r15 = const offset_of!(Context, r15),
        rip = const offset_of!(Context, rip),
        rsp_ = const offset_of!(Context, rsp),
        rflags = const offset_of!(Context, rflags),
        resume = const offset_of!(Context, resume),
        mxcsr = const offset_of!(Context, mxcsr),
        base = const BASE,
        resume_call = const Resume::Call as u32,
        resume_linux_call = const Resume::LinuxCall as u32,
        linux_call = const Trap::LinuxCall as u32,
    )
}

/// Where the trap stubs jump to when they find that they have interrupted ring 3. On the stack, from its top: vector,
/// error code (or 0), and what the processor pushed (`rip`, `cs`, RFLAGS, `rsp`, `ss`); all registers are ring 3's.
/// Stores into the running thread's [`Context`] and returns from [`enter_ring3`].
///
/// # Safety
/// Not to be called, only jumped to.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn user_trap() {
    naked_asm!(
        "swapgs",
        "push rdi",
        "mov rdi, gs:[{current}]",
        "mov [rdi + {rax}], rax",
        "mov [rdi + {rbx}], rbx",
        "mov [rdi + {rcx}], rcx",
        "mov [rdi + {rdx}], rdx",
        "mov [rdi + {rsi}], rsi",
        "mov [rdi + {rbp}], rbp",
        "mov [rdi + {r8}], r8",
        "mov [rdi + {r9}], r9",
        "mov [rdi + {r10}], r10",
        "mov [rdi + {r11}], r11",
        "mov [rdi + {r12}], r12",
        "mov [rdi + {r13}], r13",
        "mov [rdi + {r14}], r14",
        "mov [rdi + {r15}], r15",
        "pop [rdi + {rdi_}]",
        "pop [rdi + {vector}]",
        "pop [rdi + {error_code}]",
        "pop [rdi + {rip}]",
        "pop rax",
        "pop [rdi + {rflags}]",
        "pop [rdi + {rsp_}]",
        "stmxcsr [rdi + {mxcsr}]",
        "movaps [rdi + {xmm}], xmm0",
        "movaps [rdi + {xmm} + 0x10], xmm1",
        "movaps [rdi + {xmm} + 0x20], xmm2",
        "movaps [rdi + {xmm} + 0x30], xmm3",
        "movaps [rdi + {xmm} + 0x40], xmm4",
        "movaps [rdi + {xmm} + 0x50], xmm5",
        "movaps [rdi + {xmm} + 0x60], xmm6",
        "movaps [rdi + {xmm} + 0x70], xmm7",
        "movaps [rdi + {xmm} + 0x80], xmm8",
        "movaps [rdi + {xmm} + 0x90], xmm9",
        "movaps [rdi + {xmm} + 0xa0], xmm10",
        "movaps [rdi + {xmm} + 0xb0], xmm11",
        "movaps [rdi + {xmm} + 0xc0], xmm12",
        "movaps [rdi + {xmm} + 0xd0], xmm13",
        "movaps [rdi + {xmm} + 0xe0], xmm14",
        "movaps [rdi + {xmm} + 0xf0], xmm15",
        "mov dword ptr [rdi + {resume}], {resume_interrupted}",
        "mov rsp, gs:[{kernel_rsp}]",
        "ldmxcsr gs:[{default_mxcsr}]",
        // All flags clear: AC and DF are still ring 3's.
        "push 2",
        "popfq",
        "mov eax, {exception}",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
        kernel_rsp = const offset_of!(PerCore, kernel_rsp),
        current = const offset_of!(PerCore, context),
        default_mxcsr = const offset_of!(PerCore, mxcsr),
        xmm = const offset_of!(Context, xmm),
        rax = const offset_of!(Context, rax),
        rbx = const offset_of!(Context, rbx),
        rcx = const offset_of!(Context, rcx),
        rdx = const offset_of!(Context, rdx),
        rsi = const offset_of!(Context, rsi),
        rdi_ = const offset_of!(Context, rdi),
        rbp = const offset_of!(Context, rbp),
        r8 = const offset_of!(Context, r8),
        r9 = const offset_of!(Context, r9),
        r10 = const offset_of!(Context, r10),
        r11 = const offset_of!(Context, r11),
        r12 = const offset_of!(Context, r12),
        r13 = const offset_of!(Context, r13),
        r14 = const offset_of!(Context, r14),
        r15 = const offset_of!(Context, r15),
        rip = const offset_of!(Context, rip),
        rsp_ = const offset_of!(Context, rsp),
        rflags = const offset_of!(Context, rflags),
        vector = const offset_of!(Context, vector),
        error_code = const offset_of!(Context, error_code),
        resume = const offset_of!(Context, resume),
        mxcsr = const offset_of!(Context, mxcsr),
        resume_interrupted = const Resume::Interrupted as u32,
        exception = const Trap::Exception as u32,
    )
}

#[cfg(test)]
pub(crate) mod testing {
    std::thread_local! {
        /// The core that the test's thread is on.
        pub(crate) static CORE: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }
}
