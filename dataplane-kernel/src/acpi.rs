//! ACPI, as far as it tells which processors there are: the root pointer leads to a list of tables, one of which (the
//! MADT) lists interrupt controllers, a local one per processor (ACPI 6.5, sections 5.2.5 to 5.2.12).
#![allow(
    unsafe_code,
    reason = "the firmware's tables are found by their physical addresses"
)]

use crate::arch::smp::MAX_CORES;
use crate::mem::{GuestPhys, direct, size};

/// Where a PC's firmware puts the root pointer, if nobody tells.
const FIRMWARE: core::ops::Range<u64> = 0xe_0000..0x10_0000;

/// The entry code's tables map this much.
const MAPPED_BYTES: u64 = 1 << 32;

/// Bytes of the root pointer that its first checksum is over, and of its newer form.
const ROOT_BYTES: u64 = 20;
const NEW_ROOT_BYTES: u64 = 36;

/// Bytes of a table's header.
const HEADER_BYTES: usize = 36;

/// Longest table that is looked at.
const MAX_TABLE_BYTES: u32 = 1 << 20;

/// What stands in the MADT between its header and the controllers.
const MADT_FIELDS_BYTES: usize = 8;

/// Kinds of controllers, and the flag of one whose processor can be used.
const LOCAL_APIC: u8 = 0;
const LOCAL_X2APIC: u8 = 9;
const ENABLED: u32 = 1;

/// The processors that can be used, by the identifiers of their local interrupt controllers.
#[derive(Clone, Copy, Debug)]
pub struct Processors {
    ids: [u32; MAX_CORES],
    count: usize,
}

impl Processors {
    const NONE: Self = Processors {
        ids: [0; MAX_CORES],
        count: 0,
    };

    /// The identifiers, in the order of the table. Empty if the machine has no such table.
    pub fn ids(&self) -> &[u32] {
        self.ids.get(..self.count).unwrap_or_default()
    }

    fn add(&mut self, id: u32) {
        if !self.ids().contains(&id)
            && let Some(place) = self.ids.get_mut(self.count)
        {
            *place = id;
            self.count += 1;
        }
    }
}

/// Finds the processors. `root` is the address of the root pointer, 0 if the loader does not tell.
///
/// # Safety
/// The firmware's tables must be mapped by [`direct`], and unchanged from now on.
pub unsafe fn processors(root: u64) -> Processors {
    let candidates = FIRMWARE.step_by(16).filter(|_| root == 0 && !cfg!(test));
    core::iter::once(root)
        .filter(|&root| root != 0)
        .chain(candidates)
        // SAFETY: the caller's promise.
        .find_map(|root| unsafe { list(root) })
        // SAFETY: the caller's promise.
        .and_then(|list| unsafe { list.find(*b"APIC") })
        .map_or(Processors::NONE, enabled)
}

/// The list of tables: addresses of `width` bytes each.
struct List {
    entries: &'static [u8],
    width: usize,
}

/// The list that the root pointer at `root`, if there is one, leads to.
///
/// # Safety
/// As for [`processors`].
unsafe fn list(root: u64) -> Option<List> {
    // SAFETY: the caller's promise.
    let pointer = unsafe { bytes(root, ROOT_BYTES) }?;
    if !pointer.starts_with(b"RSD PTR ") || !sums_to_zero(pointer) {
        return None;
    }
    let is_new = pointer.get(15).is_some_and(|&revision| revision >= 2);
    // SAFETY: the caller's promise.
    let new = is_new.then(|| unsafe { bytes(root, NEW_ROOT_BYTES) }).flatten();
    let (signature, address, width) = match new.and_then(|pointer| number(pointer, 24, 8)) {
        Some(address) if address != 0 => (*b"XSDT", address, 8),
        _ => (*b"RSDT", number(pointer, 16, 4)?, 4),
    };
    // SAFETY: the caller's promise.
    let entries = unsafe { table(address) }?.strip_prefix(&signature)?;
    Some(List {
        entries: entries.get(HEADER_BYTES - 4..)?,
        width,
    })
}

impl List {
    /// The table of this signature, whole.
    ///
    /// # Safety
    /// As for [`processors`].
    unsafe fn find(&self, signature: [u8; 4]) -> Option<&'static [u8]> {
        self.entries
            .chunks_exact(self.width)
            .filter_map(|entry| number(entry, 0, self.width))
            // SAFETY: the caller's promise.
            .filter_map(|address| unsafe { table(address) })
            .find(|table| table.starts_with(&signature))
    }
}

/// A table with its header, if its checksum is right.
///
/// # Safety
/// As for [`processors`].
unsafe fn table(address: u64) -> Option<&'static [u8]> {
    // SAFETY: the caller's promise.
    let header = unsafe { bytes(address, HEADER_BYTES as u64) }?;
    let len = number(header, 4, 4).filter(|&len| len <= MAX_TABLE_BYTES.into())?;
    // SAFETY: the caller's promise.
    let table = unsafe { bytes(address, len) }?;
    (table.len() >= HEADER_BYTES && sums_to_zero(table)).then_some(table)
}

/// The processors of an MADT that are enabled (section 5.2.12).
fn enabled(madt: &[u8]) -> Processors {
    let mut found = Processors::NONE;
    let mut rest = madt.get(HEADER_BYTES + MADT_FIELDS_BYTES..).unwrap_or_default();
    while let [kind, len, ..] = *rest
        && let Some((entry, behind)) = rest.split_at_checked(len.into())
        && len >= 2
    {
        let (id, flags) = match kind {
            LOCAL_APIC => (number(entry, 3, 1), number(entry, 4, 4)),
            LOCAL_X2APIC => (number(entry, 4, 4), number(entry, 8, 4)),
            _ => (None, None),
        };
        if let (Some(id), Some(flags)) = (id, flags)
            && flags & u64::from(ENABLED) != 0
        {
            found.add(u32::try_from(id).unwrap_or(u32::MAX));
        }
        rest = behind;
    }
    found
}

fn sums_to_zero(bytes: &[u8]) -> bool {
    bytes.iter().fold(0u8, |sum, &byte| sum.wrapping_add(byte)) == 0
}

/// The little-endian number in `width` bytes at `at`.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + width)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |value, &byte| value << 8 | u64::from(byte)),
    )
}

/// # Safety
/// As for [`processors`].
unsafe fn bytes(at: u64, len: u64) -> Option<&'static [u8]> {
    // In tests an address may be anything.
    let mapped = at != 0 && (at.checked_add(len)? <= MAPPED_BYTES || cfg!(test));
    // SAFETY: mapped, as was just found, and constant, as the caller says.
    mapped.then(|| unsafe { core::slice::from_raw_parts(direct(GuestPhys(at)), size(len)) })
}

#[cfg(test)]
mod tests {
    use super::{HEADER_BYTES, processors};
    use std::vec::Vec;

    fn sealed(mut bytes: Vec<u8>, checksum_at: usize) -> u64 {
        let sum = bytes.iter().fold(0u8, |sum, &byte| sum.wrapping_add(byte));
        bytes[checksum_at] = bytes[checksum_at].wrapping_sub(sum);
        bytes.leak().as_ptr().expose_provenance() as u64
    }

    fn table(signature: [u8; 4], content: &[u8]) -> u64 {
        let len = u32::try_from(HEADER_BYTES + content.len()).unwrap();
        let mut bytes = [&signature[..], &len.to_le_bytes()].concat();
        bytes.resize(HEADER_BYTES, 0);
        bytes.extend(content);
        sealed(bytes, 9)
    }

    /// A root pointer of the newer form.
    fn root(tables: &[u64]) -> u64 {
        let list: Vec<u8> = tables.iter().flat_map(|table| table.to_le_bytes()).collect();
        let mut bytes = b"RSD PTR \0IXION \x02\0\0\0\0".to_vec();
        let sum = bytes.iter().fold(0u8, |sum, &byte| sum.wrapping_add(byte));
        bytes[8] = 0u8.wrapping_sub(sum);
        bytes.extend(36u32.to_le_bytes());
        bytes.extend(table(*b"XSDT", &list).to_le_bytes());
        bytes.resize(36, 0);
        sealed(bytes, 32)
    }

    fn madt(controllers: &[&[u8]]) -> u64 {
        table(*b"APIC", &[&[0; 8], &controllers.concat()[..]].concat())
    }

    fn ids(root: u64) -> Vec<u32> {
        // SAFETY: made of leaked memory above, or no table at all.
        unsafe { processors(root) }.ids().to_vec()
    }

    #[test]
    fn enabled_processors_are_found_each_once() {
        let controllers: [&[u8]; 6] = [
            &[0, 8, 0, 0, 1, 0, 0, 0],
            &[1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0],
            &[0, 8, 1, 2, 1, 0, 0, 0],
            &[0, 8, 2, 4, 0, 0, 0, 0],
            &[9, 16, 0, 0, 0x2c, 1, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0],
            &[9, 16, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0],
        ];
        assert_eq!(
            ids(root(&[table(*b"FACP", &[7; 80]), madt(&controllers)])),
            [0, 2, 300]
        );
    }

    #[test]
    fn entries_that_make_no_sense_end_the_list() {
        for bad in [&[0, 0, 1, 1][..], &[0, 1], &[0, 8, 5], &[0]] {
            assert_eq!(
                ids(root(&[madt(&[&[0, 8, 0, 3, 1, 0, 0, 0], bad])])),
                [3],
                "{bad:?}"
            );
        }
    }

    #[test]
    fn what_is_not_sealed_is_not_believed() {
        assert_eq!(ids(root(&[])), []);
        assert_eq!(ids(0), []);
        let mut broken = b"RSD PTR \0IXION \x00\0\0\0\0".to_vec();
        broken.resize(36, 1);
        assert_eq!(ids(broken.leak().as_ptr().expose_provenance() as u64), []);
        let many: Vec<[u8; 8]> = (0..255).map(|id| [0, 8, id, id, 1, 0, 0, 0]).collect();
        let many: Vec<&[u8]> = many.iter().map(|entry| &entry[..]).collect();
        assert_eq!(ids(root(&[madt(&many)])).len(), super::MAX_CORES);
    }
}
