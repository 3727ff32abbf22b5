//! Where the kernel's image lies, as the linker script says. On the host (tests) there is no such image and everything
//! is empty.

use crate::mem::{self, stacks};
use crate::panic::symbols;
use core::arch::asm;
use core::ops::Range;

/// Virtual address of physical address 0 in the image's mapping.
pub const IMAGE_BASE: u64 = 0xffff_ffff_8000_0000;

/// Virtual addresses of the parts of the image; page-aligned, but for the end of the last.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Code.
    pub text: Range<u64>,
    /// Constants.
    pub rodata: Range<u64>,
    /// Variables, then stacks.
    pub data: Range<u64>,
    /// Names of functions.
    pub symbols: Range<u64>,
    /// All stacks, each with its guard.
    pub stacks: Range<u64>,
    /// The pages below the stacks, not to be mapped.
    pub guards: [u64; 5],
}

/// The unwind tables (LSB core specification, section 10.6), with their addresses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UnwindTables {
    /// `.eh_frame_hdr`: an index.
    pub(crate) index: &'static [u8],
    /// `.eh_frame`.
    pub(crate) frames: &'static [u8],
}

#[cfg(not(test))]
mod linked {
    unsafe extern "C" {
        pub(super) static __text_start: u8;
        pub(super) static __rodata_start: u8;
        pub(super) static __eh_frame_hdr_start: u8;
        pub(super) static __eh_frame_hdr_end: u8;
        pub(super) static __eh_frame_start: u8;
        pub(super) static __eh_frame_end: u8;
        pub(super) static __data_start: u8;
        pub(super) static __stacks_start: u8;
        pub(super) static __kernel_stack_top: u8;
        pub(super) static __trap_stack_top: u8;
        pub(super) static __double_fault_stack_top: u8;
        pub(super) static __nmi_stack_top: u8;
        pub(super) static __machine_check_stack_top: u8;
        pub(super) static __symbols_start: u8;
        pub(super) static trampoline_start: u8;
        pub(super) static trampoline_end: u8;
    }

    pub(super) fn address(symbol: *const u8) -> u64 {
        symbol.addr() as u64
    }

    pub(super) fn bytes(start: *const u8, end: *const u8) -> &'static [u8] {
        // SAFETY: both are the linker's, around one read-only section.
        unsafe { core::slice::from_raw_parts(start, end.addr() - start.addr()) }
    }
}

/// A word of one of the kernel's stacks; `None` if the address is not that of one.
pub(crate) fn stack_word(layout: &Layout, address: u64) -> Option<u64> {
    let of_first_core = layout.stacks.contains(&address) && !layout.guards.contains(&(address & !0xfff));
    let readable =
        (of_first_core || stacks::contains(address)) && address.is_multiple_of(size_of::<u64>() as u64);
    // SAFETY: a whole word of a mapped page, which nobody else is changing: this core is looking at its own stacks.
    readable.then(|| unsafe { core::ptr::with_exposed_provenance::<u64>(mem::size(address)).read_volatile() })
}

/// Reads where nothing is, on purpose. Ends in a page fault.
pub(crate) fn touch(nowhere: u64) {
    // SAFETY: a load that faults before it does anything; ring 0 maps nothing in the lower half.
    unsafe { asm!("mov {0}, [{0}]", inout(reg) nowhere => _, options(nostack, readonly)) };
}

/// The linker script's layout.
#[cfg(not(test))]
pub fn layout() -> Layout {
    use linked::address;
    let text = address(&raw const linked::__text_start);
    let rodata = address(&raw const linked::__rodata_start);
    let data = address(&raw const linked::__data_start);
    let symbols = address(&raw const linked::__symbols_start);
    Layout {
        text: text..rodata,
        rodata: rodata..data,
        data: data..symbols,
        symbols: symbols..symbols + symbol_table().len() as u64,
        stacks: address(&raw const linked::__stacks_start)..symbols,
        guards: [
            address(&raw const linked::__stacks_start),
            address(&raw const linked::__kernel_stack_top),
            address(&raw const linked::__trap_stack_top),
            address(&raw const linked::__double_fault_stack_top),
            address(&raw const linked::__nmi_stack_top),
        ],
    }
}

/// Tops of the stacks that the processor switches to on a trap: ordinary, double fault, NMI, machine check.
#[cfg(not(test))]
pub fn trap_stack_tops() -> [u64; 4] {
    [
        linked::address(&raw const linked::__trap_stack_top),
        linked::address(&raw const linked::__double_fault_stack_top),
        linked::address(&raw const linked::__nmi_stack_top),
        linked::address(&raw const linked::__machine_check_stack_top),
    ]
}

/// What other cores start with.
#[cfg(not(test))]
pub(super) fn trampoline() -> &'static [u8] {
    linked::bytes(
        &raw const linked::trampoline_start,
        &raw const linked::trampoline_end,
    )
}

/// The names of functions.
#[cfg(not(test))]
pub(crate) fn symbol_table() -> &'static [u8] {
    let start = &raw const linked::__symbols_start;
    // SAFETY: the header, at least, is part of the image.
    let bytes = symbols::table_bytes(unsafe { &*start.cast() }).unwrap_or(0);
    // SAFETY: as long as the loader has been told, by the same number.
    unsafe { core::slice::from_raw_parts(start, bytes) }
}

/// The unwind tables.
#[cfg(not(test))]
pub(crate) fn unwind_tables() -> UnwindTables {
    UnwindTables {
        index: linked::bytes(
            &raw const linked::__eh_frame_hdr_start,
            &raw const linked::__eh_frame_hdr_end,
        ),
        frames: linked::bytes(
            &raw const linked::__eh_frame_start,
            &raw const linked::__eh_frame_end,
        ),
    }
}

/// No image on the host.
#[cfg(test)]
pub fn layout() -> Layout {
    Layout::default()
}

/// No stacks on the host.
#[cfg(test)]
pub fn trap_stack_tops() -> [u64; 4] {
    [0; 4]
}

/// No other cores on the host.
#[cfg(test)]
pub(super) fn trampoline() -> &'static [u8] {
    &[]
}

/// No names on the host.
#[cfg(test)]
pub(crate) fn symbol_table() -> &'static [u8] {
    &[0; symbols::HEADER_BYTES]
}

/// No tables on the host.
#[cfg(test)]
pub(crate) fn unwind_tables() -> UnwindTables {
    UnwindTables::default()
}
