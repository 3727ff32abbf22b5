//! Backtraces. The kernel is compiled without frame pointers (stable Rust sets that for all crates or none, apps
//! included), but unwind tables are part of every build for Linux targets, so the frames are found by them. Where they
//! end (in a broken stack, or in assembly), what looks like a return address is shown with a question mark.

use super::symbols::Symbols;
use crate::arch::idt::TrapFrame;
use crate::arch::image::{self, Layout};
use core::fmt::Write;
use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, EndianSlice, LittleEndian, Register, RegisterRule,
    UnwindContext, UnwindContextStorage, UnwindSection, UnwindTableRow,
};

/// Frames shown, at most.
const MAX_FRAMES: usize = 30;
/// Words of the stack looked at when there are no tables.
const MAX_WORDS: u64 = 512;
const WORD_BYTES: u64 = 8;

/// Registers in DWARF's numbering (x86-64 psABI, figure 3.36) up to the return address.
const DWARF_REGISTERS: usize = 17;
const RSP: usize = 7;
/// For each of DWARF's first 16, its place in [`TrapFrame::general`]; the stack pointer has none.
const FROM_TRAP: [Option<usize>; 16] = [
    Some(14),
    Some(12),
    Some(13),
    Some(11),
    Some(9),
    Some(8),
    Some(10),
    None,
    Some(7),
    Some(6),
    Some(5),
    Some(4),
    Some(3),
    Some(2),
    Some(1),
    Some(0),
];

/// Room for one unwinding, on the stack.
struct Storage;

impl UnwindContextStorage<usize> for Storage {
    type Rules = [(Register, RegisterRule<usize>); 24];
    type Stack = [UnwindTableRow<usize, Self>; 4];
}

type Section = EndianSlice<'static, LittleEndian>;

/// Writes where `frame` was, and its callers.
pub(super) fn print(out: &mut impl Write, frame: &TrapFrame) {
    let mut walk = Walk::new(frame);
    let symbols = Symbols::parse(image::symbol_table());
    let mut line = |address: u64, mark: &str| {
        let named = symbols.and_then(|symbols| symbols.find(address));
        let (name, offset) = named.unwrap_or(("nowhere", 0));
        // The serial line takes everything, so there is no error to handle.
        let _ = writeln!(out, "  {address:#018x} {mark}{name}+{offset:#x}");
    };
    line(walk.rip, "");
    for _ in 0..MAX_FRAMES {
        if walk.step().is_none() {
            walk.candidates()
                .take(MAX_FRAMES)
                .for_each(|address| line(address, "? "));
            return;
        }
        // The bottom of the stack.
        if walk.rip == 0 {
            return;
        }
        line(walk.rip, "");
    }
    let _ = writeln!(out, "  and so on");
}

/// A position on the way from callee to caller.
struct Walk {
    layout: Layout,
    rip: u64,
    /// By DWARF's numbers; `None` if it is not known any more.
    registers: [Option<u64>; DWARF_REGISTERS],
    /// What `rip` points behind: a call, or nothing in particular at the place of a trap.
    behind_call: u64,
}

impl Walk {
    fn new(frame: &TrapFrame) -> Self {
        let mut registers = [None; DWARF_REGISTERS];
        for (register, place) in registers.iter_mut().zip(FROM_TRAP) {
            *register = Some(place.map_or(frame.rsp, |place| frame.general[place]));
        }
        Walk {
            layout: image::layout(),
            rip: frame.rip,
            registers,
            behind_call: 0,
        }
    }

    /// Goes to the caller.
    fn step(&mut self) -> Option<()> {
        let tables = image::unwind_tables();
        let address = |table: &[u8]| table.as_ptr().addr() as u64;
        let bases = BaseAddresses::default()
            .set_eh_frame_hdr(address(tables.index))
            .set_eh_frame(address(tables.frames))
            .set_text(self.layout.text.start);
        let frames: EhFrame<Section> = EhFrame::new(tables.frames, LittleEndian);
        let index = EhFrameHdr::new(tables.index, LittleEndian)
            .parse(&bases, 8)
            .ok()?;
        let place = self.rip.checked_sub(self.behind_call)?;
        let entry = index
            .table()?
            .fde_for_address(&frames, &bases, place, EhFrame::cie_from_offset)
            .ok()?;
        let mut context = UnwindContext::<usize, Storage>::new_in();
        let row = entry
            .unwind_info_for_address(&frames, &bases, &mut context, place)
            .ok()?;
        self.apply(row)
    }

    fn apply(&mut self, row: &UnwindTableRow<usize, Storage>) -> Option<()> {
        let CfaRule::RegisterAndOffset { register, offset } = row.cfa() else {
            return None;
        };
        let frame = self
            .registers
            .get(usize::from(register.0))
            .copied()??
            .checked_add_signed(*offset)?;
        let mut caller = self.registers;
        for (number, register) in (0u16..).zip(&mut caller) {
            match row.register(Register(number)) {
                None | Some(RegisterRule::SameValue) => {}
                Some(RegisterRule::Offset(offset)) => {
                    *register = image::stack_word(&self.layout, frame.checked_add_signed(offset)?)
                }
                Some(_) => *register = None,
            }
        }
        caller[RSP] = Some(frame);
        self.rip = caller[DWARF_REGISTERS - 1]?;
        self.registers = caller;
        self.behind_call = 1;
        Some(())
    }

    /// Words above the stack pointer that point into the code.
    fn candidates(&self) -> impl Iterator<Item = u64> + '_ {
        let start = self.registers[RSP].unwrap_or(0) & !(WORD_BYTES - 1);
        let words = (0..MAX_WORDS)
            .map_while(move |index| image::stack_word(&self.layout, start.checked_add(index * WORD_BYTES)?));
        words.filter(|word| self.layout.text.contains(word))
    }
}
