//! Makes an image's function names part of what a loader loads. `src/panic/symbols.rs` reads the result.

use object::elf::{FileHeader64, PT_LOAD, ProgramHeader64};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{LittleEndian, Object, ObjectSection, ObjectSymbol, SymbolKind};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

/// The section in which the linker script has left room for a header, alone in a segment at the image's end.
const SECTION: &str = ".symbols";

/// The table goes where pages of the file start, as the segment does in memory.
const PAGE_BYTES: usize = 4096;

/// Offsets of fields in a 64-bit program header (ELF, figure 2-1).
const P_OFFSET: usize = 8;
const P_FILESZ: usize = 32;
const P_MEMSZ: usize = 40;

/// Appends the table to the image at `path` and has the segment of [`SECTION`] load it. Does nothing to other files.
pub(crate) fn append(path: &Path) -> Result<(), Box<dyn Error>> {
    let mut file = fs::read(path)?;
    let elf = ElfFile64::<LittleEndian>::parse(&*file)?;
    let Some(section) = elf.section_by_name(SECTION) else {
        return Ok(());
    };
    let header = segment_header(&elf, section.address()).ok_or("no segment for the symbols")?;
    let table = table(&functions(&elf))?;
    let offset = file.len().next_multiple_of(PAGE_BYTES);
    file.resize(offset, 0);
    let bytes = table.len();
    file.extend(table);
    for (field, value) in [(P_OFFSET, offset), (P_FILESZ, bytes), (P_MEMSZ, bytes)] {
        file[header + field..][..8].copy_from_slice(&u64::try_from(value)?.to_le_bytes());
    }
    Ok(fs::write(path, file)?)
}

/// Where in the file the program header stands whose segment starts at `address`.
fn segment_header(elf: &ElfFile64<LittleEndian>, address: u64) -> Option<usize> {
    let headers = elf.elf_program_headers();
    let wanted = |header: &ProgramHeader64<LittleEndian>| {
        header.p_type(LittleEndian) == PT_LOAD && header.p_vaddr(LittleEndian) == address
    };
    let index = headers.iter().position(wanted)?;
    let file: &FileHeader64<LittleEndian> = elf.elf_header();
    let start = usize::try_from(file.e_phoff(LittleEndian)).ok()?;
    Some(start + index * size_of::<ProgramHeader64<LittleEndian>>())
}

/// Names of functions and of labels in assembly, by address.
fn functions(elf: &ElfFile64<LittleEndian>) -> BTreeMap<u64, String> {
    let is_code = |symbol: &object::read::elf::ElfSymbol64<LittleEndian>| {
        let section = symbol
            .section_index()
            .and_then(|index| elf.section_by_index(index).ok());
        matches!(
            symbol.kind(),
            SymbolKind::Text | SymbolKind::Unknown | SymbolKind::Label
        ) && section.is_some_and(|section| section.name() == Ok(".text"))
    };
    let named = elf.symbols().filter(is_code).filter_map(|symbol| {
        let name = symbol.name().ok().filter(|name| !name.is_empty())?;
        // The alternate form leaves out the hash.
        Some((symbol.address(), format!("{:#}", rustc_demangle::demangle(name))))
    });
    named.collect()
}

/// Magic, count of entries, length of all in bytes; per entry the low 32 bits of the address and where, from the end of
/// the entries, its name starts; names, one behind the other. All numbers are 32 bits, little-endian, but the magic.
fn table(functions: &BTreeMap<u64, String>) -> Result<Vec<u8>, Box<dyn Error>> {
    let names: usize = functions.values().map(String::len).sum();
    let bytes = 16 + 8 * functions.len() + names;
    let mut table = b"IXIONSYM".to_vec();
    table.extend(u32::try_from(functions.len())?.to_le_bytes());
    table.extend(u32::try_from(bytes)?.to_le_bytes());
    let mut start = 0;
    for (address, name) in functions {
        table.extend(&address.to_le_bytes()[..4]);
        table.extend(u32::try_from(start)?.to_le_bytes());
        start += name.len();
    }
    functions.values().for_each(|name| table.extend(name.bytes()));
    Ok(table)
}
