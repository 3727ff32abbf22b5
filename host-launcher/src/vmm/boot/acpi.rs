//! ACPI tables (ACPI 6.5, chapter 5): which CPUs there are (MADT), where configuration space lies (MCFG), and around them
//! what the standard wants: RSDP, XSDT, FADT, an empty DSDT. QEMU gives the kernel the same, and more.

use crate::vmm::layout::{ECAM, LOCAL_APIC};
use acpi_tables::Aml;
use acpi_tables::fadt::{FADTBuilder, Flags};
use acpi_tables::madt::{EnabledStatus, LocalInterruptController, MADT, ProcessorLocalApic};
use acpi_tables::mcfg::MCFG;
use acpi_tables::rsdp::Rsdp;
use acpi_tables::sdt::Sdt;
use acpi_tables::xsdt::XSDT;

const OEM: [u8; 6] = *b"IXION ";
const TABLE: [u8; 8] = *b"MACHINE ";
const REVISION: u32 = 1;
/// Of the DSDT, whose AML, if it had any, would count in 64 bits.
const DSDT_REVISION: u8 = 2;
const HEADER_BYTES: u32 = 36;

/// Tables that lie one after the other.
pub(super) struct Tables {
    /// All of them.
    pub(super) bytes: Vec<u8>,
    /// Where the first one to look at is.
    pub(super) rsdp: u64,
    start: u64,
}

impl Tables {
    fn add(&mut self, table: &dyn Aml) -> u64 {
        let room = self.bytes.len().next_multiple_of(16);
        self.bytes.resize(room, 0);
        table.to_aml_bytes(&mut self.bytes);
        self.start + room as u64
    }
}

/// The tables of a machine with so many CPUs, to be put at `start`.
pub(super) fn tables(start: u64, cpus: usize) -> Tables {
    let mut tables = Tables {
        bytes: Vec::new(),
        rsdp: 0,
        start,
    };
    let dsdt = tables.add(&Sdt::new(
        *b"DSDT",
        HEADER_BYTES,
        DSDT_REVISION,
        OEM,
        TABLE,
        REVISION,
    ));
    let fadt = FADTBuilder::new(OEM, TABLE, REVISION)
        .dsdt_64(dsdt)
        .flag(Flags::HwReducedAcpi)
        .flag(Flags::Headless)
        .finalize();
    let mut mcfg = MCFG::new(OEM, TABLE, REVISION);
    mcfg.add_ecam(ECAM.start, 0, 0, u8::MAX);
    let mut xsdt = XSDT::new(OEM, TABLE, REVISION);
    for table in [&fadt as &dyn Aml, &madt(cpus), &mcfg] {
        xsdt.add_entry(tables.add(table));
    }
    let xsdt = tables.add(&xsdt);
    tables.rsdp = tables.add(&Rsdp::new(OEM, xsdt));
    tables
}

fn madt(cpus: usize) -> MADT {
    let mut madt = MADT::new(
        OEM,
        TABLE,
        REVISION,
        LocalInterruptController::Address(LOCAL_APIC),
    );
    for id in (0..cpus).filter_map(|cpu| u8::try_from(cpu).ok()) {
        madt.add_structure(ProcessorLocalApic::new(id, id, EnabledStatus::Enabled));
    }
    madt
}

#[cfg(test)]
mod tests {
    use super::tables;

    const START: u64 = 0xe_0000;

    fn number(bytes: &[u8]) -> u64 {
        bytes
            .iter()
            .rev()
            .fold(0, |number, &byte| number << 8 | u64::from(byte))
    }

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum, &byte| sum.wrapping_add(byte))
    }

    /// The table at a guest-physical address, its checksum checked.
    fn table(bytes: &[u8], address: u64) -> &[u8] {
        let table = &bytes[usize::try_from(address - START).unwrap()..];
        let len = usize::try_from(number(&table[4..8])).unwrap();
        assert_eq!(sum(&table[..len]), 0);
        &table[..len]
    }

    #[test]
    fn a_reader_finds_cpus_and_configuration_space() {
        let tables = tables(START, 3);
        let bytes = &tables.bytes;
        let rsdp = &bytes[usize::try_from(tables.rsdp - START).unwrap()..][..36];
        assert!(rsdp.starts_with(b"RSD PTR ") && sum(&rsdp[..20]) == 0 && sum(rsdp) == 0);
        let xsdt = table(bytes, number(&rsdp[24..32]));
        assert!(xsdt.starts_with(b"XSDT"));
        let found: Vec<&[u8]> = xsdt[36..]
            .chunks(8)
            .map(|entry| table(bytes, number(entry)))
            .collect();
        let [fadt, madt, mcfg] = found[..] else {
            panic!("{} tables", found.len())
        };
        assert!(fadt.starts_with(b"FACP") && madt.starts_with(b"APIC") && mcfg.starts_with(b"MCFG"));
        assert!(table(bytes, number(&fadt[140..148])).starts_with(b"DSDT"));
        assert_eq!(number(&madt[36..40]), 0xfee0_0000);
        let cpus: Vec<&[u8]> = madt[44..].chunks(8).collect();
        assert_eq!(
            cpus,
            [
                [0, 8, 0, 0, 1, 0, 0, 0],
                [0, 8, 1, 1, 1, 0, 0, 0],
                [0, 8, 2, 2, 1, 0, 0, 0]
            ]
        );
        assert_eq!((number(&mcfg[44..52]), mcfg[54], mcfg[55]), (0xd000_0000, 0, 255));
    }
}
