//! What the guest's CPUs say they are: what KVM can give of what the host's CPU has, without what the guest has no use
//! for, and with our own name.

use kvm_bindings::{CpuId, kvm_cpuid_entry2};

/// Leaf 0x40000000 (the hypervisor's name), in EBX, ECX and EDX.
const NAME: &[u8; 12] = b"IxionIxionIx";
const HYPERVISOR: u32 = 0x4000_0000;
/// The last of the hypervisor's leaves: TSC and bus frequency in kHz, as KVM, QEMU and VMware tell them.
const FREQUENCIES: u32 = 0x4000_0010;
/// What KVM's local APIC timer counts with.
const APIC_KHZ: u32 = 1_000_000;

/// A bit of a register of a leaf.
struct Bit {
    leaf: u32,
    register: fn(&mut kvm_cpuid_entry2) -> &mut u32,
    bit: u32,
}

fn ebx(entry: &mut kvm_cpuid_entry2) -> &mut u32 {
    &mut entry.ebx
}

fn ecx(entry: &mut kvm_cpuid_entry2) -> &mut u32 {
    &mut entry.ecx
}

const fn bit(leaf: u32, register: fn(&mut kvm_cpuid_entry2) -> &mut u32, bit: u32) -> Bit {
    Bit { leaf, register, bit }
}

/// Features taken away, although KVM could give them.
const REMOVED: [Bit; 11] = [
    // MONITOR, VMX, SVM: the guest starts no machines, and waits by polling.
    bit(1, ecx, 3),
    bit(1, ecx, 5),
    bit(0x8000_0001, ecx, 2),
    // PDCM, and with it the performance counters of leaf 0xa: they would show the host's other work.
    bit(1, ecx, 15),
    // The same of AMD's: of the core, the northbridge, the last cache.
    bit(0x8000_0001, ecx, 23),
    bit(0x8000_0001, ecx, 24),
    bit(0x8000_0001, ecx, 28),
    // SGX, and the transactions of HLE and RTM, which are switched off on many hosts.
    bit(7, ebx, 2),
    bit(7, ebx, 4),
    bit(7, ebx, 11),
    // The TSC deadline timer counts only where KVM says so apart; the kernel does not ask for it.
    bit(1, ecx, 24),
];

/// Leaves that are emptied: performance counters, SGX, and KVM's own (its clock and its other paravirtual devices).
const EMPTIED: [u32; 5] = [0xa, 0x12, 0x4000_0001, 0x8000_001f, 0x8000_0022];

const HYPERVISOR_PRESENT: u32 = 1 << 31;

/// Leaf 1, EBX: the initial APIC id, and how many ids a package has room for.
const APIC_ID_SHIFT: u32 = 24;
const IDS_SHIFT: u32 = 16;

/// The leaves for virtual CPU `id` of `cpus`, made from what KVM supports. `None` if they are more than KVM takes.
#[must_use]
pub fn filter(supported: &CpuId, id: u8, cpus: u8, tsc_khz: Option<u32>) -> Option<CpuId> {
    let ours = |entry: &&kvm_cpuid_entry2| !(HYPERVISOR..=HYPERVISOR + 0xff).contains(&entry.function);
    let mut entries: Vec<kvm_cpuid_entry2> = supported.as_slice().iter().filter(ours).copied().collect();
    for entry in &mut entries {
        let leaf = (entry.function, entry.index);
        for removed in REMOVED.iter().filter(|bit| (bit.leaf, 0) == leaf) {
            *(removed.register)(entry) &= !(1 << removed.bit);
        }
        if EMPTIED.contains(&entry.function) {
            (entry.eax, entry.ebx, entry.ecx, entry.edx) = (0, 0, 0, 0);
        }
        place(entry, id, cpus, tsc_khz);
    }
    entries.extend(hypervisor(tsc_khz));
    CpuId::from_entries(&entries).ok()
}

/// Fills in what depends on the CPU: who it is among the others, how fast it counts.
fn place(entry: &mut kvm_cpuid_entry2, id: u8, cpus: u8, tsc_khz: Option<u32>) {
    let ids = u32::from(cpus).next_power_of_two();
    match entry.function {
        1 => {
            entry.ecx |= HYPERVISOR_PRESENT;
            entry.ebx = entry.ebx & 0xffff | ids << IDS_SHIFT | u32::from(id) << APIC_ID_SHIFT;
        }
        // SDM volume 2, CPUID leaf 4: EAX bits 31..26 are the package's cores less one, 25..14 who shares the cache.
        4 if entry.eax & 0x1f != 0 => {
            let sharing = if entry.eax >> 5 & 7 >= 3 { ids - 1 } else { 0 };
            entry.eax = entry.eax & 0x3fff | (ids - 1).min(63) << 26 | sharing << 14;
        }
        // Topology: level 0 is threads, one to a core; level 1 is cores; EAX says how many bits of the id they take.
        0xb | 0x1f => {
            let (shift, count, kind) = match entry.index {
                0 => (0, 1, 1),
                1 => (ids.trailing_zeros(), u32::from(cpus), 2),
                _ => (0, 0, 0),
            };
            (entry.eax, entry.ebx) = (shift, count);
            entry.ecx = entry.index & 0xff | kind << 8;
            entry.edx = id.into();
        }
        // TSC frequency as a crystal's, times 1 (SDM volume 3, section 18.7.3); 0 where it does not fit.
        0x15 => {
            let hz = tsc_khz.and_then(|khz| khz.checked_mul(1000)).unwrap_or(0);
            (entry.eax, entry.ebx, entry.ecx) = (u32::from(hz != 0), u32::from(hz != 0), hz);
        }
        // Cores of the package, less one, on AMD.
        0x8000_0008 => {
            entry.ecx = entry.ecx & !0xf0ff | u32::from(cpus - cpus.min(1)) | ids.trailing_zeros() << 12
        }
        // Extended APIC id, on AMD: a core of its own for each.
        0x8000_001e => (entry.eax, entry.ebx) = (id.into(), id.into()),
        _ => (),
    }
}

fn hypervisor(tsc_khz: Option<u32>) -> Vec<kvm_cpuid_entry2> {
    let word = |at: usize| u32::from_le_bytes([NAME[at], NAME[at + 1], NAME[at + 2], NAME[at + 3]]);
    let leaf = |function, eax, ebx, ecx, edx| kvm_cpuid_entry2 {
        function,
        eax,
        ebx,
        ecx,
        edx,
        ..Default::default()
    };
    let last = if tsc_khz.is_some() {
        FREQUENCIES
    } else {
        HYPERVISOR
    };
    let mut leaves = vec![leaf(HYPERVISOR, last, word(0), word(4), word(8))];
    leaves.extend(tsc_khz.map(|khz| leaf(FREQUENCIES, khz, APIC_KHZ, 0, 0)));
    leaves
}

/// How many bits a guest-physical address has, as these leaves tell.
#[must_use]
pub fn physical_bits(leaves: &CpuId) -> u8 {
    /// Of every processor with long mode whose leaf does not say otherwise.
    const LEAST: u8 = 36;
    let told = leaves
        .as_slice()
        .iter()
        .find(|entry| entry.function == 0x8000_0008);
    told.map_or(LEAST, |entry| entry.eax.to_le_bytes()[0].clamp(LEAST, 52))
}

#[cfg(test)]
mod tests {
    use super::{APIC_KHZ, filter, physical_bits};
    use kvm_bindings::{CpuId, kvm_cpuid_entry2};

    fn full(function: u32, index: u32) -> kvm_cpuid_entry2 {
        kvm_cpuid_entry2 {
            function,
            index,
            eax: u32::MAX,
            ebx: u32::MAX,
            ecx: u32::MAX,
            edx: u32::MAX,
            ..Default::default()
        }
    }

    fn leaves() -> CpuId {
        let plain = [
            0,
            1,
            4,
            7,
            0xa,
            0x15,
            0x4000_0000,
            0x4000_0001,
            0x8000_0001,
            0x8000_0008,
        ];
        let mut entries: Vec<_> = plain.into_iter().map(|function| full(function, 0)).collect();
        entries.extend((0..3).map(|level| full(0xb, level)));
        CpuId::from_entries(&entries).unwrap()
    }

    fn leaf(cpuid: &CpuId, function: u32, index: u32) -> kvm_cpuid_entry2 {
        let mut found = cpuid
            .as_slice()
            .iter()
            .filter(|entry| (entry.function, entry.index) == (function, index));
        let entry = *found.next().unwrap_or_else(|| panic!("no leaf {function:#x}"));
        assert!(found.next().is_none(), "leaf {function:#x} twice");
        entry
    }

    #[test]
    fn the_machine_has_our_name_and_tells_its_frequency() {
        let cpuid = filter(&leaves(), 0, 1, Some(2_600_000)).unwrap();
        let name = leaf(&cpuid, 0x4000_0000, 0);
        let text: Vec<u8> = [name.ebx, name.ecx, name.edx]
            .into_iter()
            .flat_map(u32::to_le_bytes)
            .collect();
        assert_eq!((text.as_slice(), name.eax), (&b"IxionIxionIx"[..], 0x4000_0010));
        let frequencies = leaf(&cpuid, 0x4000_0010, 0);
        assert_eq!((frequencies.eax, frequencies.ebx), (2_600_000, APIC_KHZ));
        let tsc = leaf(&cpuid, 0x15, 0);
        assert_eq!(
            u64::from(tsc.ecx) * u64::from(tsc.ebx) / u64::from(tsc.eax),
            2_600_000_000
        );
        let fast = filter(&leaves(), 0, 1, Some(5_000_000)).unwrap();
        assert_eq!(leaf(&fast, 0x15, 0).ebx, 0, "5 GHz do not fit");
        let unknown = filter(&leaves(), 0, 1, None).unwrap();
        assert_eq!(leaf(&unknown, 0x4000_0000, 0).eax, 0x4000_0000);
        assert!(cpuid.as_slice().iter().all(|entry| entry.function != 0x4000_0001));
    }

    #[test]
    fn features_without_use_are_gone_and_the_others_stay() {
        let cpuid = filter(&leaves(), 0, 1, None).unwrap();
        let removed = 1 << 3 | 1 << 5 | 1 << 15 | 1 << 24;
        assert_eq!(leaf(&cpuid, 1, 0).ecx, u32::MAX - removed);
        assert_eq!(leaf(&cpuid, 7, 0).ebx, u32::MAX - (1 << 2 | 1 << 4 | 1 << 11));
        let removed = 1 << 2 | 1 << 23 | 1 << 24 | 1 << 28;
        assert_eq!(leaf(&cpuid, 0x8000_0001, 0).ecx, u32::MAX - removed);
        assert_eq!(leaf(&cpuid, 0xa, 0).eax, 0);
        assert_eq!(leaf(&cpuid, 0, 0), full(0, 0));
    }

    #[test]
    fn each_cpu_knows_its_place() {
        let cpuid = filter(&leaves(), 2, 3, None).unwrap();
        assert_eq!(leaf(&cpuid, 1, 0).ebx, 0x0204_ffff);
        let levels = [0, 1, 2].map(|index| leaf(&cpuid, 0xb, index));
        assert_eq!(levels.map(|level| level.eax), [0, 2, 0]);
        assert_eq!(levels.map(|level| level.ebx), [1, 3, 0]);
        assert_eq!(levels.map(|level| level.ecx), [0x100, 0x201, 2]);
        assert_eq!(levels.map(|level| level.edx), [2, 2, 2]);
        assert_eq!(leaf(&cpuid, 4, 0).eax, 3 << 26 | 3 << 14 | 0x3fff);
        assert_eq!(leaf(&cpuid, 0x8000_0008, 0).ecx & 0xf0ff, 0x2002);
    }

    #[test]
    fn address_bits_are_believed_within_reason() {
        let told = |eax| {
            let entry = kvm_cpuid_entry2 {
                eax,
                ..full(0x8000_0008, 0)
            };
            physical_bits(&CpuId::from_entries(&[entry]).unwrap())
        };
        assert_eq!([0x3028, 0xff, 0].map(told), [40, 52, 36]);
        assert_eq!(physical_bits(&CpuId::from_entries(&[full(0, 0)]).unwrap()), 36);
    }
}
