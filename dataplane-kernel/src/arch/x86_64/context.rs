//! What the processor holds of a ring-3 thread while the thread is not running: `Context` for what every trap saves,
//! `ExtendedState` for what only a change of threads has to.
//!
//! Ring 0 is compiled for SSE2 and does no floating-point arithmetic, so of the vector state a trap endangers only the
//! low 128 bits of `xmm0` to `xmm15`; those stand in `Context`. Everything wider, and the x87 state, stays in the
//! registers until another thread needs them.

use super::control;
use alloc::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use core::arch::asm;
use core::ptr::NonNull;

/// MXCSR and x87 control word of a new thread (System V ABI, section 3.4.1): all exceptions masked.
pub const INITIAL_MXCSR: u32 = 0x1f80;
const INITIAL_FCW: u16 = 0x37f;

/// RFLAGS of a new thread: interrupts on, and the bit that is always one.
pub const INITIAL_RFLAGS: u64 = 0x202;

/// How a thread goes back to ring 3; follows from how it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Resume {
    /// After `run_io`, by `sysret`: callee-saved registers are restored, the others zeroed.
    Call = 0,
    /// After a Linux call, by `sysret`: all but `rcx` and `r11` are restored.
    LinuxCall = 1,
    /// After an exception or an interrupt, or for the first time, by `iret`: everything is restored.
    Interrupted = 2,
}

/// A ring-3 thread's registers. The entry code in [`super::syscall_entry`] knows the layout.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct Context {
    /// `xmm0` to `xmm15`.
    pub xmm: [u128; 16],
    /// Call number, and where its result goes.
    pub rax: u64,
    /// General-purpose registers, by name.
    pub rbx: u64,
    #[allow(missing_docs, reason = "as its neighbours")]
    pub rcx: u64,
    #[allow(missing_docs, reason = "as its neighbours")]
    pub rdx: u64,
    #[allow(missing_docs, reason = "as its neighbours")]
    pub rsi: u64,
    #[allow(missing_docs, reason = "as its neighbours")]
    pub rdi: u64,
    #[allow(missing_docs, reason = "as its neighbours")]
    pub rbp: u64,
    #[allow(missing_docs, reason = "as its neighbours")]
    pub r8: u64,
    #[allow(missing_docs, reason = "as its neighbours")]
    pub r9: u64,
    #[allow(missing_docs, reason = "as its neighbours")]
    pub r10: u64,
    #[allow(missing_docs, reason = "as its neighbours")]
    pub r11: u64,
    #[allow(missing_docs, reason = "as its neighbours")]
    pub r12: u64,
    #[allow(missing_docs, reason = "as its neighbours")]
    pub r13: u64,
    #[allow(missing_docs, reason = "as its neighbours")]
    pub r14: u64,
    #[allow(missing_docs, reason = "as its neighbours")]
    pub r15: u64,
    /// Where it goes on.
    pub rip: u64,
    #[allow(missing_docs, reason = "as its neighbours")]
    pub rsp: u64,
    #[allow(missing_docs, reason = "as its neighbours")]
    pub rflags: u64,
    /// How it goes on.
    pub resume: Resume,
    /// Vector of the exception or interrupt that stopped it, if one did.
    pub vector: u64,
    /// That exception's error code, or 0.
    pub error_code: u64,
    /// SSE control and status.
    pub mxcsr: u32,
}

impl Context {
    /// A thread that has not run: it will start at `rip` with its stack at `rsp`, all else zero.
    #[must_use]
    pub fn new(rip: u64, rsp: u64) -> Self {
        Context {
            xmm: [0; 16],
            rax: 0,
            rbx: 0,
            rcx: 0,
            rdx: 0,
            rsi: 0,
            rdi: 0,
            rbp: 0,
            r8: 0,
            r9: 0,
            r10: 0,
            r11: 0,
            r12: 0,
            r13: 0,
            r14: 0,
            r15: 0,
            rip,
            rsp,
            rflags: INITIAL_RFLAGS,
            resume: Resume::Interrupted,
            vector: 0,
            error_code: 0,
            mxcsr: INITIAL_MXCSR,
        }
    }
}

/// The legacy part and the header, without which no XSAVE area exists (Intel SDM 1, section 13.4).
const LEGACY_BYTES: usize = 512 + 64;
const FCW: usize = 0;
const MXCSR: usize = 24;
const ALIGN: usize = 64;

/// x87, AVX and wider state of a thread, together with its FS and GS bases.
#[derive(Debug)]
pub struct ExtendedState {
    area: NonNull<u8>,
    layout: Layout,
    /// FS base: where thread-local storage lies.
    pub fs_base: u64,
    /// GS base of ring 3.
    pub gs_base: u64,
}

// SAFETY: memory of its own, reached by nothing else.
unsafe impl Send for ExtendedState {}

impl ExtendedState {
    /// The state a program starts with.
    #[must_use]
    pub fn new() -> Self {
        let layout = Layout::from_size_align(control::xsave_bytes().max(LEGACY_BYTES), ALIGN)
            .unwrap_or(Layout::new::<[u8; LEGACY_BYTES]>());
        // SAFETY: the layout's size is not zero.
        let area = unsafe { alloc_zeroed(layout) };
        let Some(area) = NonNull::new(area) else {
            handle_alloc_error(layout)
        };
        // SAFETY: both offsets lie in the legacy part, and are aligned as the area is.
        unsafe {
            area.add(FCW).cast::<u16>().write(INITIAL_FCW);
            area.add(MXCSR).cast::<u32>().write(INITIAL_MXCSR);
        }
        ExtendedState {
            area,
            layout,
            fs_base: 0,
            gs_base: 0,
        }
    }

    /// Saves what the processor holds: of the thread that ran last.
    pub fn save(&mut self) {
        let area = self.area.as_ptr();
        if control::has_xsave() {
            // SAFETY: the area is aligned and as large as CPUID says XCR0's components need.
            unsafe { asm!("xsave64 [{}]", in(reg) area, in("eax") u32::MAX, in("edx") u32::MAX) };
        } else {
            // SAFETY: the area is aligned and has 512 bytes.
            unsafe { asm!("fxsave64 [{}]", in(reg) area) };
        }
        self.fs_base = super::syscall_entry::fs_base();
        self.gs_base = super::syscall_entry::user_gs_base();
    }

    /// Gives the processor what was saved. What the compiler keeps in `xmm` registers is lost, as the assembly says.
    pub fn restore(&self) {
        let area = self.area.as_ptr();
        if control::has_xsave() {
            // SAFETY: the area holds what `xsave64` or `new` left there: a header with no reserved bit set.
            unsafe {
                asm!("xrstor64 [{}]", in(reg) area, in("eax") u32::MAX, in("edx") u32::MAX,
                    out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
                    out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                    out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _);
            }
        } else {
            // SAFETY: the area holds what `fxsave64` or `new` left there.
            unsafe {
                asm!("fxrstor64 [{}]", in(reg) area,
                    out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
                    out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                    out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _);
            }
        }
        super::syscall_entry::set_fs_base(self.fs_base);
        super::syscall_entry::set_user_gs_base(self.gs_base);
    }
}

impl Default for ExtendedState {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for ExtendedState {
    fn drop(&mut self) {
        // SAFETY: allocated by `new` with this layout.
        unsafe { dealloc(self.area.as_ptr(), self.layout) };
    }
}
