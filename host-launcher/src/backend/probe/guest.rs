//! The probe's guest: 32-bit protected mode, as a kernel is entered, to 64-bit mode, SSE, and a loop that counts. It says
//! how far it has come by a byte to the exit port.

/// It reached 64-bit mode.
pub(super) const LONG_MODE: u8 = 1;
/// SSE computes.
pub(super) const SSE: u8 = 2;
/// One more round of the loop is done.
pub(super) const ROUND: u8 = 3;
/// All are.
pub(super) const DONE: u8 = 4;

/// Instructions of a round.
pub(super) const ROUND_INSTRUCTIONS: u64 = 4 * 65_536;

/// Where the code lies and is entered, and where its page tables lie.
pub(super) const CODE: u64 = 0x8000;
const TABLES: u64 = 0x1000;

/// Page tables: the first 2 MiB, as they are, in one large page.
pub(super) fn page_tables() -> [(u64, u64); 3] {
    const PRESENT_WRITABLE: u64 = 0x3;
    const LARGE: u64 = 0x80;
    let level = |number: u64| TABLES + number * 0x1000;
    [
        (level(0), level(1) | PRESENT_WRITABLE),
        (level(1), level(2) | PRESENT_WRITABLE),
        (level(2), LARGE | PRESENT_WRITABLE),
    ]
}

/// The program, assembled for [`CODE`].
#[rustfmt::skip]
pub(super) const PROGRAM: &[u8] = &[
    // 32 bits: CR4 |= PAE, OSFXSR, OSXMMEXCPT; CR3 = page tables; EFER |= LME; CR0 |= PG, MP.
    0x0f, 0x20, 0xe0,                               // mov eax, cr4
    0x0d, 0x20, 0x06, 0x00, 0x00,                   // or eax, 0x620
    0x0f, 0x22, 0xe0,                               // mov cr4, eax
    0xb8, 0x00, 0x10, 0x00, 0x00,                   // mov eax, 0x1000
    0x0f, 0x22, 0xd8,                               // mov cr3, eax
    0xb9, 0x80, 0x00, 0x00, 0xc0,                   // mov ecx, 0xc0000080
    0x0f, 0x32,                                     // rdmsr
    0x0d, 0x00, 0x01, 0x00, 0x00,                   // or eax, 0x100
    0x0f, 0x30,                                     // wrmsr
    0x0f, 0x20, 0xc0,                               // mov eax, cr0
    0x0d, 0x02, 0x00, 0x00, 0x80,                   // or eax, 0x80000002
    0x0f, 0x22, 0xc0,                               // mov cr0, eax
    0x0f, 0x01, 0x15, 0x98, 0x80, 0x00, 0x00,       // lgdt [gdt pointer]
    0xea, 0x3a, 0x80, 0x00, 0x00, 0x08, 0x00,       // ljmp 8:long
    // long, 64 bits: the first word to the host.
    0xb0, 0x01, 0xe6, 0xf4,                         // mov al, 1; out 0xf4, al
    // 3 + 3 by SSE.
    0xb8, 0x03, 0x00, 0x00, 0x00,                   // mov eax, 3
    0x66, 0x48, 0x0f, 0x6e, 0xc0,                   // movq xmm0, rax
    0x66, 0x0f, 0xd4, 0xc0,                         // paddq xmm0, xmm0
    0x66, 0x48, 0x0f, 0x7e, 0xc3,                   // movq rbx, xmm0
    0x83, 0xfb, 0x06,                               // cmp ebx, 6
    0x75, 0x25,                                     // jne bad
    0xb0, 0x02, 0xe6, 0xf4,                         // mov al, 2; out 0xf4, al
    // 16 rounds of 65536 times 4 instructions.
    0xbb, 0x10, 0x00, 0x00, 0x00,                   // mov ebx, 16
    0xb9, 0x00, 0x00, 0x01, 0x00,                   // 1: mov ecx, 65536
    0x66, 0x0f, 0xef, 0xc8,                         // 2: pxor xmm1, xmm0
    0x48, 0x01, 0xca,                               // add rdx, rcx
    0xff, 0xc9,                                     // dec ecx
    0x75, 0xf5,                                     // jnz 2b
    0xb0, 0x03, 0xe6, 0xf4,                         // mov al, 3; out 0xf4, al
    0xff, 0xcb,                                     // dec ebx
    0x75, 0xe8,                                     // jnz 1b
    0xb0, 0x04, 0xe6, 0xf4,                         // mov al, 4; out 0xf4, al
    // bad: no word the host expects.
    0xb0, 0x05, 0xe6, 0xf4,                         // mov al, 5; out 0xf4, al
    0xf4,                                           // 3: hlt
    0xeb, 0xfd,                                     // jmp 3b
    0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00,             // (to a multiple of 8)
    // gdt: nothing; 64-bit code.
    0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0x9a, 0x20, 0,
    // gdt pointer.
    0x0f, 0x00, 0x88, 0x80, 0x00, 0x00,
];

#[cfg(test)]
mod tests {
    use super::{CODE, PROGRAM};

    #[test]
    fn what_the_program_names_by_address_is_there() {
        let at = |address: u64| &PROGRAM[usize::try_from(address - CODE).unwrap()..];
        assert_eq!(
            at(0x803a)[..4],
            [0xb0, 1, 0xe6, 0xf4],
            "64-bit mode begins with its word"
        );
        assert_eq!(
            at(0x8088)[8..16],
            0x0020_9a00_0000_0000_u64.to_le_bytes(),
            "a descriptor of 64-bit code"
        );
        assert_eq!(
            at(0x8098),
            [0x0f, 0, 0x88, 0x80, 0, 0],
            "the pointer to it ends the program"
        );
    }
}
