//! The app's ELF file, checked: everything the loader relies on is found out here, before any memory is touched. An
//! [`Image`] is a file that can be loaded.

use super::window::{PAGE, Protection};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use elf::ElfBytes;
use elf::abi;
use elf::endian::AnyEndian;
use elf::file::Class;
use elf::segment::ProgramHeader;
use ix_abi::app::layout;

/// Most loadable segments of a program; linkers make four to six.
const MAX_SEGMENTS: usize = 64;

/// Segments aligned to more than this are only aligned to this.
const MAX_ALIGN: u64 = 1 << 21;

/// Why a file cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the messages below say what each means")]
pub enum LoadError {
    NoFile,
    NotElf,
    NotX86_64,
    NotAProgram,
    Truncated,
    Dynamic { interpreter: String },
    NoSegments,
    TooManySegments,
    BadSegment { address: u64 },
    WritableCode { address: u64 },
    Overlap { first: u64, second: u64 },
    OutOfRange { address: u64 },
    BadEntry { address: u64 },
    ArgumentsTooLong,
    OutOfMemory { wanted_bytes: u64 },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::NoFile => f.write_str("no program was given to the kernel (no PVH module)"),
            LoadError::NotElf => f.write_str("not an ELF file"),
            LoadError::NotX86_64 => f.write_str("not a 64-bit little-endian program for x86-64"),
            LoadError::NotAProgram => {
                f.write_str("an ELF file, but no program: a library, an object file or a core dump")
            }
            LoadError::Truncated => {
                f.write_str("truncated: its headers name bytes beyond the end of the file")
            }
            LoadError::Dynamic { interpreter } => write!(
                f,
                "dynamically linked (it wants {interpreter}); link it statically: RUSTFLAGS='-C target-feature=+crt-static'"
            ),
            LoadError::NoSegments => f.write_str("has no loadable segment"),
            LoadError::TooManySegments => write!(f, "has more than {MAX_SEGMENTS} loadable segments"),
            LoadError::BadSegment { address } => {
                write!(f, "the segment at {address:#x} is malformed (sizes or alignment)")
            }
            LoadError::WritableCode { address } => {
                write!(f, "the segment at {address:#x} is both writable and executable")
            }
            LoadError::Overlap { first, second } => {
                write!(
                    f,
                    "the segments at {first:#x} and {second:#x} overlap or share a page"
                )
            }
            LoadError::OutOfRange { address } => write!(
                f,
                "the segment at {address:#x} lies outside {:#x}..{:#x}, where programs with fixed addresses may lie",
                layout::FIXED_IMAGE.start,
                layout::FIXED_IMAGE.end
            ),
            LoadError::BadEntry { address } => {
                write!(f, "its entry point {address:#x} is in no executable segment")
            }
            LoadError::ArgumentsTooLong => f.write_str("arguments and environment do not fit its stack"),
            LoadError::OutOfMemory { wanted_bytes } => {
                write!(
                    f,
                    "needs {wanted_bytes} bytes, more memory than the machine has for it (--mem)"
                )
            }
        }
    }
}

impl core::error::Error for LoadError {}

/// Where a program lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    /// Anywhere: static-pie, which relocates itself.
    Anywhere,
    /// At its own addresses.
    Fixed,
}

/// A loadable segment. Addresses are the file's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment<'a> {
    pub(super) address: u64,
    /// Its bytes in the file; zeros follow to the end of `pages`.
    pub(super) data: &'a [u8],
    /// The whole pages it takes.
    pub(super) pages: Range<u64>,
    pub(super) protection: Protection,
}

/// A program that can be loaded.
#[derive(Clone, Debug)]
pub(super) struct Image<'a> {
    pub(super) placement: Placement,
    /// In ascending order, no two sharing a page.
    pub(super) segments: Vec<Segment<'a>>,
    /// What its own addresses must stay aligned to, a power of two.
    pub(super) align: u64,
    pub(super) entry: u64,
    /// Address of the program headers, or 0 if no segment holds them.
    pub(super) headers: u64,
    pub(super) header_count: u64,
}

impl<'a> Image<'a> {
    /// Checks a file.
    pub(super) fn parse(file: &'a [u8]) -> Result<Self, LoadError> {
        if file.is_empty() {
            return Err(LoadError::NoFile);
        }
        if !file.starts_with(&abi::ELFMAGIC) {
            return Err(LoadError::NotElf);
        }
        let elf = ElfBytes::<AnyEndian>::minimal_parse(file).map_err(|_| LoadError::Truncated)?;
        let header = &elf.ehdr;
        if header.class != Class::ELF64
            || header.endianness != AnyEndian::Little
            || header.e_machine != abi::EM_X86_64
        {
            return Err(LoadError::NotX86_64);
        }
        let placement = match header.e_type {
            abi::ET_EXEC => Placement::Fixed,
            abi::ET_DYN => Placement::Anywhere,
            _ => return Err(LoadError::NotAProgram),
        };
        let headers: Vec<ProgramHeader> = elf.segments().into_iter().flatten().collect();
        if let Some(interpreter) = headers.iter().find(|h| h.p_type == abi::PT_INTERP) {
            return Err(LoadError::Dynamic {
                interpreter: printable(bytes_of(file, interpreter)?),
            });
        }
        let segments = load_segments(file, &headers, placement)?;
        if header.e_entry == 0 && placement == Placement::Anywhere {
            return Err(LoadError::NotAProgram);
        }
        let is_code =
            |s: &Segment<'_>| s.protection == Protection::ReadExecute && s.pages.contains(&header.e_entry);
        if !segments.iter().any(is_code) {
            return Err(LoadError::BadEntry {
                address: header.e_entry,
            });
        }
        Ok(Image {
            placement,
            align: alignment(&headers),
            entry: header.e_entry,
            headers: headers_address(header.e_phoff, &headers),
            header_count: headers.len() as u64,
            segments,
        })
    }

    /// Addresses from the first segment's first page to the last one's end.
    pub(super) fn span(&self) -> Range<u64> {
        let start = self.segments.first().map_or(0, |s| s.pages.start);
        let end = self.segments.last().map_or(0, |s| s.pages.end);
        start..end
    }
}

fn bytes_of<'a>(file: &'a [u8], header: &ProgramHeader) -> Result<&'a [u8], LoadError> {
    let start = usize::try_from(header.p_offset).map_err(|_| LoadError::Truncated)?;
    let len = usize::try_from(header.p_filesz).map_err(|_| LoadError::Truncated)?;
    let end = start.checked_add(len).ok_or(LoadError::Truncated)?;
    file.get(start..end).ok_or(LoadError::Truncated)
}

fn printable(name: &[u8]) -> String {
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    name.iter()
        .take(64)
        .map(|&byte| {
            if byte.is_ascii_graphic() {
                char::from(byte)
            } else {
                '?'
            }
        })
        .collect()
}

fn load_segments<'a>(
    file: &'a [u8],
    headers: &[ProgramHeader],
    placement: Placement,
) -> Result<Vec<Segment<'a>>, LoadError> {
    let loadable = || {
        headers
            .iter()
            .filter(|h| h.p_type == abi::PT_LOAD && h.p_memsz != 0)
    };
    if loadable().count() > MAX_SEGMENTS {
        return Err(LoadError::TooManySegments);
    }
    let mut segments = loadable()
        .map(|h| segment(file, h, placement))
        .collect::<Result<Vec<_>, _>>()?;
    segments.sort_by_key(|segment| segment.address);
    if segments.is_empty() {
        return Err(LoadError::NoSegments);
    }
    for (before, after) in segments.iter().zip(segments.iter().skip(1)) {
        if after.pages.start < before.pages.end {
            return Err(LoadError::Overlap {
                first: before.address,
                second: after.address,
            });
        }
    }
    Ok(segments)
}

fn segment<'a>(
    file: &'a [u8],
    header: &ProgramHeader,
    placement: Placement,
) -> Result<Segment<'a>, LoadError> {
    let address = header.p_vaddr;
    let protection = match (header.p_flags & abi::PF_W != 0, header.p_flags & abi::PF_X != 0) {
        (true, true) => return Err(LoadError::WritableCode { address }),
        (true, false) => Protection::ReadWrite,
        (false, true) => Protection::ReadExecute,
        (false, false) => Protection::Read,
    };
    let data = bytes_of(file, header)?;
    if header.p_filesz > header.p_memsz || header.p_offset % PAGE != address % PAGE {
        return Err(LoadError::BadSegment { address });
    }
    let limits = match placement {
        Placement::Fixed => layout::FIXED_IMAGE,
        Placement::Anywhere => 0..layout::USER_END,
    };
    let end = address
        .checked_add(header.p_memsz)
        .filter(|&end| end <= limits.end);
    let end = end
        .filter(|_| address >= limits.start)
        .ok_or(LoadError::OutOfRange { address })?;
    let pages = address & !(PAGE - 1)..end.next_multiple_of(PAGE);
    Ok(Segment {
        address,
        data,
        pages,
        protection,
    })
}

/// The strictest alignment of a segment, within reason.
fn alignment(headers: &[ProgramHeader]) -> u64 {
    let aligns = headers
        .iter()
        .filter(|h| h.p_type == abi::PT_LOAD)
        .map(|h| h.p_align);
    aligns
        .filter(|align| align.is_power_of_two())
        .max()
        .unwrap_or(PAGE)
        .clamp(PAGE, MAX_ALIGN)
}

/// Where the program headers are in memory, for AT_PHDR: what PT_PHDR says, or the segment whose bytes include them.
fn headers_address(offset: u64, headers: &[ProgramHeader]) -> u64 {
    let table = headers
        .iter()
        .find(|h| h.p_type == abi::PT_PHDR)
        .map(|h| h.p_vaddr);
    let holder = || {
        let within =
            |h: &&ProgramHeader| h.p_type == abi::PT_LOAD && offset.wrapping_sub(h.p_offset) < h.p_filesz;
        headers
            .iter()
            .find(within)
            .map(|h| h.p_vaddr.wrapping_add(offset - h.p_offset))
    };
    table.or_else(holder).unwrap_or(0)
}

/// Name of the function at `address` (the file's own addressing) and the distance from its start, if the file has symbols.
pub(super) fn symbol(file: &[u8], address: u64) -> Option<(&str, u64)> {
    let elf = ElfBytes::<AnyEndian>::minimal_parse(file).ok()?;
    let (symbols, names) = elf.symbol_table().ok()??;
    let symbol = symbols
        .iter()
        .find(|s| s.st_symtype() == abi::STT_FUNC && address.wrapping_sub(s.st_value) < s.st_size)?;
    let name = names.get(usize::try_from(symbol.st_name).ok()?).ok()?;
    Some((name, address - symbol.st_value))
}
