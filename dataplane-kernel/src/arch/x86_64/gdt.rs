//! Segments, and the stacks traps are taken on. Every trap switches stacks: `core` is compiled with a red zone, so what
//! lies below the interrupted stack pointer is in use.

use super::smp::MAX_CORES;
use ::x86_64::instructions::segmentation::{CS, Segment};
use ::x86_64::instructions::tables::load_tss;
use ::x86_64::registers::segmentation::{DS, ES, SS};
use ::x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable, SegmentSelector};
use ::x86_64::structures::tss::TaskStateSegment;
use ::x86_64::{PrivilegeLevel, VirtAddr};
use spin::Once;

/// Ring 0, code.
pub const KERNEL_CODE: SegmentSelector = SegmentSelector::new(1, PrivilegeLevel::Ring0);
/// Ring 0, data: `syscall` wants it right behind the code.
pub const KERNEL_DATA: SegmentSelector = SegmentSelector::new(2, PrivilegeLevel::Ring0);
/// Ring 3, data.
pub const USER_DATA: SegmentSelector = SegmentSelector::new(3, PrivilegeLevel::Ring3);
/// Ring 3, code: `sysret` wants it right behind the data.
pub const USER_CODE: SegmentSelector = SegmentSelector::new(4, PrivilegeLevel::Ring3);

/// Entry of the interrupt stack table for ordinary traps, counted from 0.
pub const TRAP_STACK: u16 = 0;
/// Entry for double faults.
pub const DOUBLE_FAULT_STACK: u16 = 1;
/// Entry for NMIs.
pub const NMI_STACK: u16 = 2;
/// Entry for machine checks.
pub const MACHINE_CHECK_STACK: u16 = 3;

static TSS: [Once<TaskStateSegment>; MAX_CORES] = [const { Once::new() }; MAX_CORES];
static GDT: [Once<GlobalDescriptorTable>; MAX_CORES] = [const { Once::new() }; MAX_CORES];

/// Makes the tables of a core: the tops of its stacks are for ordinary traps, double faults, NMIs and machine checks.
pub fn prepare(core: usize, trap_stack_tops: [u64; 4]) {
    let tss = TSS[core].call_once(|| {
        let mut tss = TaskStateSegment::new();
        let [trap, double_fault, nmi, machine_check] = trap_stack_tops.map(VirtAddr::new);
        let mut table = tss.interrupt_stack_table;
        table[usize::from(TRAP_STACK)] = trap;
        table[usize::from(DOUBLE_FAULT_STACK)] = double_fault;
        table[usize::from(NMI_STACK)] = nmi;
        table[usize::from(MACHINE_CHECK_STACK)] = machine_check;
        tss.interrupt_stack_table = table;
        // Unused as long as every vector names an entry of the table, but never left pointing nowhere.
        tss.privilege_stack_table = [trap; 3];
        tss
    });
    GDT[core].call_once(|| {
        let mut gdt = GlobalDescriptorTable::new();
        gdt.append(Descriptor::kernel_code_segment());
        gdt.append(Descriptor::kernel_data_segment());
        gdt.append(Descriptor::user_data_segment());
        gdt.append(Descriptor::user_code_segment());
        gdt.append(Descriptor::tss_segment(tss));
        gdt
    });
}

/// Loads our segments and stacks on the core that calls, whose number is `core` and whose tables were made.
pub fn load(core: usize) {
    if let Some(gdt) = GDT[core].get() {
        gdt.load();
    }
    // SAFETY: the selectors name the descriptors just appended, in this order, and the table is never changed.
    unsafe {
        CS::set_reg(KERNEL_CODE);
        SS::set_reg(KERNEL_DATA);
        DS::set_reg(SegmentSelector::NULL);
        ES::set_reg(SegmentSelector::NULL);
        load_tss(SegmentSelector::new(5, PrivilegeLevel::Ring0));
    }
}
