//! Whose code an address is.

use anyhow::{Context, Result};
use object::elf::{FileHeader64, STT_FUNC, STT_OBJECT};
use object::read::elf::{FileHeader, SectionHeader, Sym};
use object::{Endianness, elf};
use std::collections::BTreeMap;
use std::path::Path;

/// Which ring runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Ring 0.
    Kernel,
    /// Ring 3.
    App,
}

/// Functions, and what else there is to know of a kernel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Symbols {
    functions: BTreeMap<u64, String>,
    /// Statics, with their lengths.
    objects: BTreeMap<u64, (u64, String)>,
}

impl Symbols {
    /// Adds those of an ELF file, shifted by `base`.
    pub(crate) fn add(&mut self, file: &Path, base: u64) -> Result<()> {
        let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let header = FileHeader64::<Endianness>::parse(&*bytes)?;
        let endian = header.endian()?;
        let sections = header.sections(endian, &*bytes)?;
        let symbols = sections.symbols(endian, &*bytes, elf::SHT_SYMTAB)?;
        let is_code = |index: u16| {
            let section = sections.section(object::SectionIndex(index.into()));
            section.is_ok_and(|section| section.sh_flags(endian) & u64::from(elf::SHF_EXECINSTR) != 0)
        };
        for symbol in symbols.iter() {
            let is_object = symbol.st_type() == STT_OBJECT;
            if !is_object && symbol.st_type() != STT_FUNC && !is_code(symbol.st_shndx(endian)) {
                continue;
            }
            let Ok(name) = std::str::from_utf8(symbol.name(endian, symbols.strings())?) else {
                continue;
            };
            if name.is_empty() {
                continue;
            }
            let name = format!("{:#}", rustc_demangle::demangle(name));
            let at = symbol.st_value(endian).wrapping_add(base);
            if is_object {
                self.objects.insert(at, (symbol.st_size(endian), name));
            } else {
                self.functions.insert(at, name);
            }
        }
        Ok(())
    }

    /// Where the functions begin whose names contain `part`.
    pub(crate) fn find(&self, part: &str) -> Vec<u64> {
        let found = self.functions.iter().filter(|(_, name)| name.contains(part));
        found.map(|(&pc, _)| pc).collect()
    }

    /// The static that an address lies in.
    pub(crate) fn object(&self, address: u64) -> Option<&str> {
        let (at, (len, name)) = self.objects.range(..=address).next_back()?;
        (address - at < *len).then_some(name)
    }

    /// Which ring code at `pc` runs in.
    pub(crate) fn owner(pc: u64) -> Owner {
        if pc >> 63 == 1 { Owner::Kernel } else { Owner::App }
    }

    /// The function that `pc` lies in, or else the ring.
    pub(crate) fn name(&self, pc: u64) -> &str {
        let owner = Self::owner(pc);
        let nearest = self.functions.range(..=pc).next_back();
        // The app's last function is not the kernel's first.
        match nearest.filter(|&(&at, _)| Self::owner(at) == owner) {
            Some((_, name)) => name,
            None if owner == Owner::Kernel => "[kernel]",
            None => "[app]",
        }
    }
}
