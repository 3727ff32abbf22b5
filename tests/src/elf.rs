//! Programs that are none: a good ELF file with one thing wrong (the fields of the System V ABI's ELF-64 object format).

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The second half is missing.
    Truncated,
    /// It ends within the ELF header.
    HeaderCut,
    /// It is not an ELF file at all.
    Magic,
    /// For AArch64.
    Machine,
    /// For 32 bits.
    Class,
    /// An object file.
    Relocatable,
    /// It wants an interpreter.
    Dynamic,
    /// A segment both writable and executable.
    WritableExecutable,
    /// The second segment lies on the first.
    Overlapping,
    /// A segment's bytes lie beyond the file.
    OffsetBeyondEnd,
    /// A segment's place in the file wraps around.
    OffsetWraps,
    /// A segment larger than any memory.
    Enormous,
    /// A segment smaller than its own bytes.
    FileLongerThanMemory,
    /// A segment in the kernel's half.
    KernelAddress,
    /// It starts where nothing of it is.
    Entry,
    /// More program headers than the file can hold.
    HeaderCount,
    /// No program headers.
    NoHeaders,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Flaw; 17] = [
        Flaw::Truncated,
        Flaw::HeaderCut,
        Flaw::Magic,
        Flaw::Machine,
        Flaw::Class,
        Flaw::Relocatable,
        Flaw::Dynamic,
        Flaw::WritableExecutable,
        Flaw::Overlapping,
        Flaw::OffsetBeyondEnd,
        Flaw::OffsetWraps,
        Flaw::Enormous,
        Flaw::FileLongerThanMemory,
        Flaw::KernelAddress,
        Flaw::Entry,
        Flaw::HeaderCount,
        Flaw::NoHeaders,
    ];

    /// `good` with this flaw.
    ///
    /// # Panics
    /// If `good` is not a 64-bit ELF file with two segments to load and a `PT_GNU_STACK`.
    #[must_use]
    pub fn put_into(self, good: &[u8]) -> Vec<u8> {
        const LOAD: u32 = 1;
        const INTERPRETER: u32 = 3;
        const GNU_STACK: u32 = 0x6474_e551;
        let mut file = Elf(good.to_vec());
        let loads = file.headers(LOAD);
        let (first, second) = (loads[0], loads[1]);
        match self {
            Flaw::Truncated => file.0.truncate(good.len() / 2),
            Flaw::HeaderCut => file.0.truncate(40),
            Flaw::Magic => file.0[0] = 0x7e,
            Flaw::Machine => file.0[18] = 0xb7,
            Flaw::Class => file.0[4] = 1,
            Flaw::Relocatable => file.0[16] = 1,
            Flaw::Dynamic => {
                let stack = file.headers(GNU_STACK)[0];
                file.set_u32(stack, INTERPRETER);
            }
            Flaw::WritableExecutable => file.set_u32(first + FLAGS, 7),
            Flaw::Overlapping => {
                let address = file.u64(first + ADDRESS);
                file.set_u64(second + ADDRESS, address);
            }
            Flaw::OffsetBeyondEnd => file.set_u64(first + OFFSET, (good.len() as u64 + 0xfff) & !0xfff),
            Flaw::OffsetWraps => file.set_u64(first + OFFSET, !0xfff),
            Flaw::Enormous => file.set_u64(second + MEMORY_BYTES, 1 << 46),
            Flaw::FileLongerThanMemory => file.set_u64(first + MEMORY_BYTES, 16),
            Flaw::KernelAddress => file.set_u64(second + ADDRESS, 0xffff_ffff_8000_0000),
            Flaw::Entry => file.set_u64(24, 0xdead_0000),
            Flaw::HeaderCount => file.0[56..58].fill(0xff),
            Flaw::NoHeaders => file.0[56..58].fill(0),
        }
        file.0
    }
}

/// Offsets in a program header.
const FLAGS: usize = 4;
const OFFSET: usize = 8;
const ADDRESS: usize = 16;
const MEMORY_BYTES: usize = 40;

struct Elf(Vec<u8>);

impl Elf {
    fn u64(&self, place: usize) -> u64 {
        u64::from_le_bytes(self.0[place..place + 8].try_into().expect("eight bytes"))
    }

    fn set_u32(&mut self, place: usize, value: u32) {
        self.0[place..place + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn set_u64(&mut self, place: usize, value: u64) {
        self.0[place..place + 8].copy_from_slice(&value.to_le_bytes());
    }

    /// Where the program headers of this type lie.
    fn headers(&self, kind: u32) -> Vec<usize> {
        let start = usize::try_from(self.u64(32)).expect("a small file");
        let count = u16::from_le_bytes([self.0[56], self.0[57]]);
        (0..usize::from(count))
            .map(|number| start + number * 56)
            .filter(|&header| self.0[header..header + 4] == kind.to_le_bytes())
            .collect()
    }
}
