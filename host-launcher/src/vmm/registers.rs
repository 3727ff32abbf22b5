//! The state in which a CPU enters the kernel: 32-bit protected mode without paging, flat segments (Xen,
//! docs/misc/pvh.pandoc), and those model-specific registers that firmware would have set.

use super::layout;
use kvm_bindings::{Msrs, kvm_msr_entry, kvm_regs, kvm_segment, kvm_sregs};
use kvm_ioctls::VcpuFd;

const CR0_PROTECTED: u64 = 1 << 0;
const CR0_EXTENSION_TYPE: u64 = 1 << 4;
/// The bit of the flags that is always one.
const RFLAGS_RESERVED: u64 = 1 << 1;

/// Segment types (SDM volume 3, section 3.4.5).
const CODE: u8 = 0xb;
const DATA: u8 = 0x3;
const BUSY_TSS: u8 = 0xb;

const MISC_ENABLE: u32 = 0x1a0;
const FAST_STRINGS: u64 = 1 << 0;
const MTRR_DEFAULT_TYPE: u32 = 0x2ff;
const MTRR_ENABLED: u64 = 1 << 11;
const WRITE_BACK: u64 = 6;

/// Puts the CPU that boots to the kernel's entry.
///
/// # Errors
/// KVM's.
pub fn enter_at(vcpu: &VcpuFd, entry: u32) -> Result<(), kvm_ioctls::Error> {
    let mut special = vcpu.get_sregs()?;
    set_protected_mode(&mut special);
    vcpu.set_sregs(&special)?;
    vcpu.set_regs(&at_entry(entry))
}

/// Sets what firmware sets on each CPU.
///
/// # Errors
/// KVM's; a register it does not know is none.
pub fn set_firmware_msrs(vcpu: &VcpuFd) -> Result<(), kvm_ioctls::Error> {
    let entry = |index, data| kvm_msr_entry {
        index,
        data,
        ..Default::default()
    };
    // Without a default type, memory counts as uncached once a device without snooping is passed through.
    let msrs = [
        entry(MTRR_DEFAULT_TYPE, MTRR_ENABLED | WRITE_BACK),
        entry(MISC_ENABLE, FAST_STRINGS),
    ];
    for msr in msrs {
        if let Ok(list) = Msrs::from_entries(&[msr]) {
            vcpu.set_msrs(&list)?;
        }
    }
    Ok(())
}

fn at_entry(entry: u32) -> kvm_regs {
    kvm_regs {
        rip: entry.into(),
        rbx: layout::START_INFO,
        rflags: RFLAGS_RESERVED,
        ..Default::default()
    }
}

fn set_protected_mode(special: &mut kvm_sregs) {
    let flat = |type_, selector| kvm_segment {
        base: 0,
        limit: u32::MAX,
        selector,
        type_,
        present: 1,
        dpl: 0,
        db: 1,
        s: 1,
        l: 0,
        g: 1,
        ..Default::default()
    };
    special.cs = flat(CODE, 0x08);
    let data = flat(DATA, 0x10);
    (special.ds, special.es, special.ss) = (data, data, data);
    (special.fs, special.gs) = (data, data);
    special.tr = kvm_segment {
        limit: 0x67,
        type_: BUSY_TSS,
        present: 1,
        ..Default::default()
    };
    special.cr0 = CR0_PROTECTED | CR0_EXTENSION_TYPE;
    special.cr3 = 0;
    special.cr4 = 0;
    special.efer = 0;
}

#[cfg(test)]
mod tests {
    use super::{at_entry, set_protected_mode};
    use kvm_bindings::kvm_sregs;

    #[test]
    fn the_kernel_is_entered_as_the_protocol_says() {
        let mut special = kvm_sregs {
            efer: 0x500,
            cr4: 0x20,
            cr0: u64::MAX,
            ..Default::default()
        };
        set_protected_mode(&mut special);
        assert_eq!((special.cr0 & 0x8000_0001, special.cr4, special.efer), (1, 0, 0));
        let code = special.cs;
        assert_eq!(
            (code.base, code.limit, code.db, code.l, code.type_),
            (0, u32::MAX, 1, 0, 0xb)
        );
        assert_eq!((special.ds.type_, special.ss.g, special.tr.limit), (3, 1, 0x67));
        let registers = at_entry(0x10_0040);
        assert_eq!(
            (registers.rip, registers.rbx, registers.rflags),
            (0x10_0040, 0x1000, 2)
        );
    }
}
