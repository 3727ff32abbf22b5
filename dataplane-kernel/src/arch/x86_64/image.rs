//! Where the kernel's image lies, as the linker script says. On the host (tests) there is no such image and everything
//! is empty.

use core::ops::Range;

/// Virtual address of physical address 0 in the image's mapping.
pub const IMAGE_BASE: u64 = 0xffff_ffff_8000_0000;

/// Virtual addresses of the parts of the image, page-aligned.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Code.
    pub text: Range<u64>,
    /// Constants.
    pub rodata: Range<u64>,
    /// Variables, then stacks.
    pub data: Range<u64>,
    /// The pages below the stacks, not to be mapped.
    pub guards: [u64; 5],
}

#[cfg(not(test))]
mod symbols {
    unsafe extern "C" {
        pub(super) static __text_start: u8;
        pub(super) static __rodata_start: u8;
        pub(super) static __data_start: u8;
        pub(super) static __stacks_start: u8;
        pub(super) static __kernel_stack_top: u8;
        pub(super) static __trap_stack_top: u8;
        pub(super) static __double_fault_stack_top: u8;
        pub(super) static __nmi_stack_top: u8;
        pub(super) static __machine_check_stack_top: u8;
        pub(super) static __image_end: u8;
    }
}

/// The linker script's layout.
#[cfg(not(test))]
pub fn layout() -> Layout {
    let at = |symbol: *const u8| symbol.addr() as u64;
    let [text, rodata, data, end] = [
        at(&raw const symbols::__text_start),
        at(&raw const symbols::__rodata_start),
        at(&raw const symbols::__data_start),
        at(&raw const symbols::__image_end),
    ];
    Layout {
        text: text..rodata,
        rodata: rodata..data,
        data: data..end,
        guards: [
            at(&raw const symbols::__stacks_start),
            at(&raw const symbols::__kernel_stack_top),
            at(&raw const symbols::__trap_stack_top),
            at(&raw const symbols::__double_fault_stack_top),
            at(&raw const symbols::__nmi_stack_top),
        ],
    }
}

/// Tops of the stacks that the processor switches to on a trap.
#[cfg(not(test))]
pub fn trap_stack_tops() -> [u64; 4] {
    let at = |symbol: *const u8| symbol.addr() as u64;
    [
        at(&raw const symbols::__trap_stack_top),
        at(&raw const symbols::__double_fault_stack_top),
        at(&raw const symbols::__nmi_stack_top),
        at(&raw const symbols::__machine_check_stack_top),
    ]
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
