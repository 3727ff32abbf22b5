//! `memcpy` and its kin, which the compiler calls and `core` expects from somebody. Written in instructions: written in
//! Rust, the compiler would recognise them and have them call themselves.
//!
//! Up to 64 bytes, everything is loaded before anything is stored, in moves that overlap in the middle: no loop, and no
//! care for overlap. Beyond that, 64 bytes a round. From [`REP_FROM`] on, `rep movsb`, whose start costs tens of
//! cycles: only where the processor says that it is fast, and never under emulation, where each byte is a step.

use super::control::cpuid;
use core::arch::naked_asm;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Length from which string instructions are used.
static REP_FROM: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Where string instructions begin to win, on processors that have them fast.
const REP_WINS_FROM: usize = 1024;

/// CPUID leaf 7, EBX: enhanced `rep movsb` and `stosb`.
const ERMS: u32 = 1 << 9;

/// EBX of CPUID leaf 0x40000000 under QEMU's emulation: the start of "TCGTCGTCGTCG".
const TCG: u32 = u32::from_le_bytes(*b"TCGT");

/// Finds out whether string instructions pay.
pub(super) fn init() {
    if cpuid(7, 0).ebx & ERMS != 0 && cpuid(0x4000_0000, 0).ebx != TCG {
        REP_FROM.store(REP_WINS_FROM, Ordering::Relaxed);
    }
}

/// `rdi`: to, `rsi`: from, `rdx`: length. They may overlap.
macro_rules! copy {
    () => {
        naked_asm!(
            "mov rax, rdi",
            "cmp rdx, 16",
            "jbe 4f",
            "cmp rdx, 32",
            "ja 2f",
            "movups xmm0, [rsi]",
            "movups xmm1, [rsi + rdx - 16]",
            "movups [rdi], xmm0",
            "movups [rdi + rdx - 16], xmm1",
            "ret",
            // 33 to 64 bytes.
            "2:",
            "cmp rdx, 64",
            "ja 3f",
            "movups xmm0, [rsi]",
            "movups xmm1, [rsi + 16]",
            "movups xmm2, [rsi + rdx - 32]",
            "movups xmm3, [rsi + rdx - 16]",
            "movups [rdi], xmm0",
            "movups [rdi + 16], xmm1",
            "movups [rdi + rdx - 32], xmm2",
            "movups [rdi + rdx - 16], xmm3",
            "ret",
            // More: upwards, unless `to` lies inside `from`.
            "3:",
            "mov rcx, rdi",
            "sub rcx, rsi",
            "cmp rcx, rdx",
            "jb 7f",
            "cmp rdx, [rip + {rep_from}]",
            "jae 9f",
            "movups xmm4, [rsi + rdx - 64]",
            "movups xmm5, [rsi + rdx - 48]",
            "movups xmm6, [rsi + rdx - 32]",
            "movups xmm7, [rsi + rdx - 16]",
            "lea r8, [rdi + rdx - 64]",
            "33:",
            "movups xmm0, [rsi]",
            "movups xmm1, [rsi + 16]",
            "movups xmm2, [rsi + 32]",
            "movups xmm3, [rsi + 48]",
            "movups [rdi], xmm0",
            "movups [rdi + 16], xmm1",
            "movups [rdi + 32], xmm2",
            "movups [rdi + 48], xmm3",
            "add rsi, 64",
            "add rdi, 64",
            "cmp rdi, r8",
            "jb 33b",
            "movups [r8], xmm4",
            "movups [r8 + 16], xmm5",
            "movups [r8 + 32], xmm6",
            "movups [r8 + 48], xmm7",
            "ret",
            // At most 16 bytes.
            "4:",
            "cmp edx, 8",
            "jb 5f",
            "mov rcx, [rsi]",
            "mov r8, [rsi + rdx - 8]",
            "mov [rdi], rcx",
            "mov [rdi + rdx - 8], r8",
            "ret",
            "5:",
            "cmp edx, 4",
            "jb 6f",
            "mov ecx, [rsi]",
            "mov r8d, [rsi + rdx - 4]",
            "mov [rdi], ecx",
            "mov [rdi + rdx - 4], r8d",
            "ret",
            // At most 3: the first, the middle and the last.
            "6:",
            "test edx, edx",
            "jz 66f",
            "mov r11d, edx",
            "shr r11d, 1",
            "movzx ecx, byte ptr [rsi]",
            "movzx r8d, byte ptr [rsi + r11]",
            "movzx r9d, byte ptr [rsi + rdx - 1]",
            "mov [rdi], cl",
            "mov [rdi + r11], r8b",
            "mov [rdi + rdx - 1], r9b",
            "66:",
            "ret",
            // More than 64, downwards.
            "7:",
            "movups xmm4, [rsi]",
            "movups xmm5, [rsi + 16]",
            "movups xmm6, [rsi + 32]",
            "movups xmm7, [rsi + 48]",
            "lea r8, [rdi + 64]",
            "add rsi, rdx",
            "add rdx, rdi",
            "77:",
            "movups xmm0, [rsi - 16]",
            "movups xmm1, [rsi - 32]",
            "movups xmm2, [rsi - 48]",
            "movups xmm3, [rsi - 64]",
            "movups [rdx - 16], xmm0",
            "movups [rdx - 32], xmm1",
            "movups [rdx - 48], xmm2",
            "movups [rdx - 64], xmm3",
            "sub rsi, 64",
            "sub rdx, 64",
            "cmp rdx, r8",
            "ja 77b",
            "movups [rdi], xmm4",
            "movups [rdi + 16], xmm5",
            "movups [rdi + 32], xmm6",
            "movups [rdi + 48], xmm7",
            "ret",
            "9:",
            "mov rcx, rdx",
            "rep movsb",
            "ret",
            rep_from = sym REP_FROM,
        )
    };
}

/// C's `memcpy`.
///
/// # Safety
/// As in C.
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    copy!()
}

/// C's `memmove`.
///
/// # Safety
/// As in C.
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    copy!()
}

/// C's `memset`.
///
/// # Safety
/// As in C.
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
    naked_asm!(
        "mov rax, rdi",
        "movzx ecx, sil",
        "movabs r8, 0x0101010101010101",
        "imul rcx, r8",
        "cmp rdx, 16",
        "jbe 4f",
        "movq xmm0, rcx",
        "punpcklqdq xmm0, xmm0",
        "cmp rdx, 64",
        "ja 3f",
        "movups [rdi], xmm0",
        "movups [rdi + rdx - 16], xmm0",
        "cmp rdx, 32",
        "jbe 2f",
        "movups [rdi + 16], xmm0",
        "movups [rdi + rdx - 32], xmm0",
        "2:",
        "ret",
        "3:",
        "cmp rdx, [rip + {rep_from}]",
        "jae 9f",
        "lea r8, [rdi + rdx - 64]",
        "33:",
        "movups [rdi], xmm0",
        "movups [rdi + 16], xmm0",
        "movups [rdi + 32], xmm0",
        "movups [rdi + 48], xmm0",
        "add rdi, 64",
        "cmp rdi, r8",
        "jb 33b",
        "movups [r8], xmm0",
        "movups [r8 + 16], xmm0",
        "movups [r8 + 32], xmm0",
        "movups [r8 + 48], xmm0",
        "ret",
        "4:",
        "cmp edx, 8",
        "jb 5f",
        "mov [rdi], rcx",
        "mov [rdi + rdx - 8], rcx",
        "ret",
        "5:",
        "cmp edx, 4",
        "jb 6f",
        "mov [rdi], ecx",
        "mov [rdi + rdx - 4], ecx",
        "ret",
        "6:",
        "test edx, edx",
        "jz 66f",
        "mov r11d, edx",
        "shr r11d, 1",
        "mov [rdi], cl",
        "mov [rdi + r11], cl",
        "mov [rdi + rdx - 1], cl",
        "66:",
        "ret",
        "9:",
        "mov r8, rdi",
        "mov eax, esi",
        "mov rcx, rdx",
        "rep stosb",
        "mov rax, r8",
        "ret",
        rep_from = sym REP_FROM,
    )
}

/// C's `memcmp`.
///
/// # Safety
/// As in C.
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, len: usize) -> i32 {
    naked_asm!(
        "cmp rdx, 16",
        "jb 4f",
        // Blocks of 16, the last one overlapping its neighbour; `r8` is where that starts.
        "lea r8, [rdx - 16]",
        "xor r9d, r9d",
        "2:",
        "movups xmm0, [rdi + r9]",
        "movups xmm1, [rsi + r9]",
        "pcmpeqb xmm0, xmm1",
        "pmovmskb eax, xmm0",
        "xor eax, 0xffff",
        "jnz 3f",
        "cmp r9, r8",
        "jae 9f",
        "add r9, 16",
        "cmp r9, r8",
        "cmova r9, r8",
        "jmp 2b",
        "3:",
        "bsf ecx, eax",
        "add r9, rcx",
        "movzx eax, byte ptr [rdi + r9]",
        "movzx ecx, byte ptr [rsi + r9]",
        "sub eax, ecx",
        "ret",
        "4:",
        "cmp edx, 8",
        "jb 5f",
        "mov rax, [rdi]",
        "mov rcx, [rsi]",
        "cmp rax, rcx",
        "jne 7f",
        "mov rax, [rdi + rdx - 8]",
        "mov rcx, [rsi + rdx - 8]",
        "cmp rax, rcx",
        "jne 7f",
        "xor eax, eax",
        "ret",
        "5:",
        "cmp edx, 4",
        "jb 6f",
        "mov eax, [rdi]",
        "mov ecx, [rsi]",
        "cmp eax, ecx",
        "jne 7f",
        "mov eax, [rdi + rdx - 4]",
        "mov ecx, [rsi + rdx - 4]",
        "cmp eax, ecx",
        "jne 7f",
        "xor eax, eax",
        "ret",
        "6:",
        "sub edx, 1",
        "jb 9f",
        "movzx eax, byte ptr [rdi]",
        "movzx ecx, byte ptr [rsi]",
        "inc rdi",
        "inc rsi",
        "sub eax, ecx",
        "jz 6b",
        "ret",
        // The first byte in memory is the most significant for the order.
        "7:",
        "bswap rax",
        "bswap rcx",
        "cmp rax, rcx",
        "sbb eax, eax",
        "or eax, 1",
        "ret",
        "9:",
        "xor eax, eax",
        "ret",
    )
}

/// The old name of [`memcmp`], when only equality counts.
///
/// # Safety
/// As in C.
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, len: usize) -> i32 {
    naked_asm!("jmp {memcmp}", memcmp = sym memcmp)
}

/// What the optimiser makes of a loop that looks for a zero byte.
///
/// # Safety
/// As in C.
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn strlen(text: *const u8) -> usize {
    naked_asm!(
        "mov rax, -1",
        "2:",
        "inc rax",
        "cmp byte ptr [rdi + rax], 0",
        "jne 2b",
        "ret"
    )
}

#[cfg(test)]
mod tests {
    use super::{REP_FROM, bcmp, memcmp, memcpy, memmove, memset, strlen};
    use core::sync::atomic::Ordering;
    use std::vec::Vec;

    /// All of the short paths, and some rounds of the loops with every remainder.
    const LENGTHS: core::ops::Range<usize> = 0..280;
    const ROOM: usize = 600;

    fn pattern() -> Vec<u8> {
        (0..ROOM).map(|i| (i * 167 % 251).to_le_bytes()[0]).collect()
    }

    #[test]
    fn copies_are_exact_and_touch_nothing_else() {
        for len in LENGTHS {
            for (from_offset, to_offset) in [(0, 0), (1, 0), (0, 3), (13, 7)] {
                let from = pattern();
                let mut to = std::vec![0xee; ROOM];
                let mut expected = to.clone();
                expected[to_offset..to_offset + len].copy_from_slice(&from[from_offset..from_offset + len]);
                let target = to[to_offset..].as_mut_ptr();
                // SAFETY: both have `ROOM` bytes, more than offset and length.
                let result = unsafe { memcpy(target, from[from_offset..].as_ptr(), len) };
                assert_eq!(result, target);
                assert_eq!(to, expected, "{len} bytes");
            }
        }
    }

    #[test]
    fn moves_survive_every_overlap() {
        for len in LENGTHS {
            for distance in [1, 2, 7, 15, 16, 17, 31, 63, 64, 65, 100] {
                for (from, to) in [(distance, 0), (0, distance), (distance, distance)] {
                    let mut bytes = pattern();
                    let mut expected = bytes.clone();
                    expected.copy_within(from..from + len, to);
                    let base = bytes.as_mut_ptr();
                    // SAFETY: within `ROOM` bytes.
                    unsafe { memmove(base.add(to), base.add(from), len) };
                    assert_eq!(bytes, expected, "{len} bytes from {from} to {to}");
                }
            }
        }
    }

    #[test]
    fn texts_are_measured() {
        // SAFETY: they end with a zero byte.
        let measured = [c"", c"x", c"console=ttyS0"].map(|text| unsafe { strlen(text.as_ptr().cast()) });
        assert_eq!(measured, [0, 1, 13]);
    }

    #[test]
    fn fills_are_exact() {
        for len in LENGTHS {
            let mut bytes = pattern();
            let mut expected = bytes.clone();
            expected[5..5 + len].fill(0xa7);
            // SAFETY: within `ROOM` bytes. Only the low byte of the value counts.
            unsafe { memset(bytes[5..].as_mut_ptr(), 0x12a7, len) };
            assert_eq!(bytes, expected, "{len} bytes");
        }
    }

    #[test]
    fn comparisons_find_the_first_difference() {
        let left = pattern();
        for len in LENGTHS {
            let mut right = left.clone();
            let compare = |right: &[u8]| {
                // SAFETY: within `ROOM` bytes.
                unsafe {
                    (
                        memcmp(left.as_ptr(), right.as_ptr(), len),
                        bcmp(left.as_ptr(), right.as_ptr(), len),
                    )
                }
            };
            right[len] ^= 0xff;
            assert_eq!(compare(&right), (0, 0));
            for place in (0..len).step_by(3) {
                right[place] ^= 0x80;
                right[len - 1] ^= u8::from(place != len - 1);
                let (order, equal) = compare(&right);
                assert_eq!(
                    order.signum(),
                    if left[place] < right[place] { -1 } else { 1 },
                    "{place} of {len}"
                );
                assert_ne!(equal, 0);
                right = left.clone();
            }
        }
    }

    #[test]
    fn string_instructions_do_the_same() {
        let from = pattern();
        let mut to = std::vec![0; ROOM];
        REP_FROM.store(128, Ordering::Relaxed);
        // SAFETY: `ROOM` bytes each.
        unsafe { memcpy(to.as_mut_ptr(), from.as_ptr(), ROOM) };
        assert_eq!(to, from);
        // SAFETY: `ROOM` bytes.
        let result = unsafe { memset(to.as_mut_ptr(), 9, ROOM - 1) };
        REP_FROM.store(usize::MAX, Ordering::Relaxed);
        assert_eq!(result, to.as_mut_ptr());
        assert_eq!(to.iter().filter(|&&byte| byte == 9).count(), ROOM - 1);
    }
}
