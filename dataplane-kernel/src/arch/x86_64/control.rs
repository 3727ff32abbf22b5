//! Control registers: what of the processor is switched on, once.

use ::x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags};
use ::x86_64::registers::xcontrol::{XCr0, XCr0Flags};
use core::arch::x86_64::{__cpuid_count, CpuidResult};
use core::sync::atomic::{AtomicU32, Ordering};

/// CPUID leaf 7, EBX and ECX.
const SMEP: u32 = 1 << 7;
const SMAP: u32 = 1 << 20;
const FSGSBASE: u32 = 1 << 0;
const UMIP: u32 = 1 << 2;
/// CPUID leaf 1, ECX.
const XSAVE: u32 = 1 << 26;

/// What ring 3 may use of the extended state, where it is there: x87, SSE, AVX, AVX-512.
const WANTED: XCr0Flags = XCr0Flags::X87
    .union(XCr0Flags::SSE)
    .union(XCr0Flags::AVX)
    .union(XCr0Flags::OPMASK)
    .union(XCr0Flags::ZMM_HI256)
    .union(XCr0Flags::HI16_ZMM);

/// Bytes of the legacy `fxsave` area.
const FXSAVE_BYTES: u32 = 512;

static XSAVE_BYTES: AtomicU32 = AtomicU32::new(FXSAVE_BYTES);

/// One leaf of CPUID; zeros if the processor does not have it.
pub fn cpuid(leaf: u32, subleaf: u32) -> CpuidResult {
    let highest = __cpuid_count(leaf & 0xffff_0000, 0).eax;
    if highest >= leaf && highest & 0xffff_0000 == leaf & 0xffff_0000 {
        __cpuid_count(leaf, subleaf)
    } else {
        CpuidResult {
            eax: 0,
            ebx: 0,
            ecx: 0,
            edx: 0,
        }
    }
}

/// Switches on SSE (kernel and ring 3), the extended state ring 3 may use, and what protects ring 0 from following
/// ring 3's pointers or running its code.
pub fn init() {
    let features = cpuid(7, 0);
    let mut cr4 = Cr4::read() | Cr4Flags::OSFXSR | Cr4Flags::OSXMMEXCPT_ENABLE;
    let xsave = cpuid(1, 0).ecx & XSAVE != 0;
    cr4.set(
        Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION,
        features.ebx & SMEP != 0,
    );
    cr4.set(
        Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION,
        features.ebx & SMAP != 0,
    );
    cr4.set(
        Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION,
        features.ecx & UMIP != 0,
    );
    cr4.set(Cr4Flags::FSGSBASE, features.ebx & FSGSBASE != 0);
    cr4.set(Cr4Flags::OSXSAVE, xsave);
    let cr0 =
        (Cr0::read() | Cr0Flags::MONITOR_COPROCESSOR | Cr0Flags::NUMERIC_ERROR | Cr0Flags::WRITE_PROTECT)
            - Cr0Flags::EMULATE_COPROCESSOR
            - Cr0Flags::TASK_SWITCHED
            - Cr0Flags::CACHE_DISABLE
            - Cr0Flags::NOT_WRITE_THROUGH;
    // SAFETY: each bit is one that CPUID has reported, or that every 64-bit processor has; no lower-half page is in
    // use by ring 0 any more, so SMEP and SMAP find nothing to object to.
    unsafe {
        Cr0::write(cr0);
        Cr4::write(cr4);
    }
    if xsave {
        init_extended_state();
    }
}

fn init_extended_state() {
    let supported = cpuid(0xd, 0);
    let supported = XCr0Flags::from_bits_truncate(u64::from(supported.edx) << 32 | u64::from(supported.eax));
    let mut enabled = WANTED & supported;
    let avx512 = XCr0Flags::OPMASK | XCr0Flags::ZMM_HI256 | XCr0Flags::HI16_ZMM;
    if !enabled.contains(avx512 | XCr0Flags::AVX) {
        enabled -= avx512;
    }
    // SAFETY: a legal combination (SDM volume 1, section 13.3) of what CPUID has reported.
    unsafe { XCr0::write(enabled) };
    XSAVE_BYTES.store(cpuid(0xd, 0).ebx, Ordering::Relaxed);
}

/// Bytes an `xsave` of all enabled state needs; 512, for `fxsave`, if the processor has no `xsave` (see [`has_xsave`]).
pub fn xsave_bytes() -> usize {
    XSAVE_BYTES.load(Ordering::Relaxed) as usize
}

/// `xsave` and `xrstor` may be used.
pub fn has_xsave() -> bool {
    Cr4::read().contains(Cr4Flags::OSXSAVE)
}

/// `wrfsbase` and its kin may be used, in ring 3 as well.
pub fn has_fsgsbase() -> bool {
    Cr4::read().contains(Cr4Flags::FSGSBASE)
}
