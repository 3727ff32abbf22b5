//! The app's ELF file, checked: everything the loader relies on is found out here, before any memory is touched. An
//! `Image` is a file that can be loaded.

use super::window::{PAGE, Protection};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use elf::ElfBytes;
use elf::abi;
use elf::endian::AnyEndian;
use elf::segment::ProgramHeader;
use ix_abi::app::layout;

/// Most loadable segments of a program; linkers make four to six.
const MAX_SEGMENTS: usize = 64;

/// Where a file says how wide its words are and in which order their bytes come.
const CLASS_AND_ORDER: Range<usize> = 4..6;

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
        // Before the rest, which would be read as something else.
        if file
            .get(CLASS_AND_ORDER)
            .is_some_and(|found| found != [abi::ELFCLASS64, abi::ELFDATA2LSB])
        {
            return Err(LoadError::NotX86_64);
        }
        let elf = ElfBytes::<AnyEndian>::minimal_parse(file).map_err(|_| LoadError::Truncated)?;
        let header = &elf.ehdr;
        if header.e_machine != abi::EM_X86_64 {
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
    if header.p_filesz == 0 {
        return Ok(&[]);
    }
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
            .map(|h| h.p_vaddr.wrapping_add(offset.wrapping_sub(h.p_offset)))
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
    Some((name, address.wrapping_sub(symbol.st_value)))
}

#[cfg(test)]
mod tests {
    use super::{Image, LoadError, PAGE, Placement, Protection, symbol};
    use elf::abi;
    use std::string::ToString;
    use std::vec;
    use std::vec::Vec;

    const READ: u32 = abi::PF_R;
    const CODE: u32 = abi::PF_R | abi::PF_X;
    const DATA: u32 = abi::PF_R | abi::PF_W;
    const HEADERS: usize = 64;

    /// A program header: type, flags, address, bytes in file, bytes in memory. Its offset is its address.
    type Header = (u32, u32, u64, u64, u64);

    fn put<const N: usize>(file: &mut [u8], at: usize, bytes: [u8; N]) {
        file[at..at + N].copy_from_slice(&bytes);
    }

    fn file(kind: u16, base: u64, entry: u64, headers: &[Header]) -> Vec<u8> {
        let mut file = vec![0x90; 4 * 4096];
        file[..64].fill(0);
        put(&mut file, 0, *b"\x7fELF\x02\x01\x01");
        put(&mut file, 16, kind.to_le_bytes());
        put(&mut file, 18, abi::EM_X86_64.to_le_bytes());
        put(&mut file, 20, 1u32.to_le_bytes());
        put(&mut file, 24, entry.to_le_bytes());
        put(&mut file, 32, (HEADERS as u64).to_le_bytes());
        put(&mut file, 52, 64u16.to_le_bytes());
        put(&mut file, 54, 56u16.to_le_bytes());
        put(&mut file, 56, u16::try_from(headers.len()).unwrap().to_le_bytes());
        for (index, &(kind, flags, address, in_file, in_memory)) in headers.iter().enumerate() {
            let at = HEADERS + 56 * index;
            put(&mut file, at, kind.to_le_bytes());
            put(&mut file, at + 4, flags.to_le_bytes());
            put(&mut file, at + 8, (address - base).to_le_bytes());
            put(&mut file, at + 16, address.to_le_bytes());
            put(&mut file, at + 32, in_file.to_le_bytes());
            put(&mut file, at + 40, in_memory.to_le_bytes());
            put(&mut file, at + 48, PAGE.to_le_bytes());
        }
        file
    }

    const GOOD: [Header; 3] = [
        (abi::PT_LOAD, READ, 0, 0x800, 0x800),
        (abi::PT_LOAD, CODE, 0x1000, 0x500, 0x500),
        (abi::PT_LOAD, DATA, 0x2010, 0x20, 0x3000),
    ];

    fn error(file: &[u8]) -> LoadError {
        Image::parse(file).map(|_| ()).unwrap_err()
    }

    fn with(header: Header) -> Vec<u8> {
        file(abi::ET_DYN, 0, 0x1000, &[&GOOD[..], &[header]].concat())
    }

    #[test]
    fn a_good_file_is_laid_out_page_by_page() {
        let file = file(abi::ET_DYN, 0, 0x1234, &GOOD);
        let image = Image::parse(&file).unwrap();
        assert_eq!(
            (image.placement, image.entry, image.headers),
            (Placement::Anywhere, 0x1234, 64)
        );
        assert_eq!(image.span(), 0..0x6000);
        let protections: Vec<_> = image.segments.iter().map(|s| s.protection).collect();
        assert_eq!(
            protections,
            [Protection::Read, Protection::ReadExecute, Protection::ReadWrite]
        );
        assert_eq!(image.segments[2].pages, 0x2000..0x6000);
        assert_eq!(image.segments[2].data.len(), 0x20);
    }

    #[test]
    fn a_program_with_fixed_addresses_stays_in_its_range() {
        let at = |base: u64| GOOD.map(|(kind, flags, address, a, b)| (kind, flags, address + base, a, b));
        let image = |base: u64| file(abi::ET_EXEC, base, base + 0x1000, &at(base));
        assert_eq!(
            Image::parse(&image(0x40_0000)).unwrap().placement,
            Placement::Fixed
        );
        assert_eq!(error(&image(0)), LoadError::OutOfRange { address: 0 });
        assert_eq!(
            error(&image(0x4000_0000)),
            LoadError::OutOfRange { address: 0x4000_0000 }
        );
        assert_eq!(
            error(&image(0x3fff_f000)),
            LoadError::OutOfRange { address: 0x4000_0000 }
        );
        let kernel = 0xffff_ffff_8010_0000;
        assert_eq!(error(&image(kernel)), LoadError::OutOfRange { address: kernel });
    }

    #[test]
    fn what_is_no_program_is_refused_in_words() {
        assert_eq!(error(b""), LoadError::NoFile);
        assert_eq!(error(b"#!/bin/sh"), LoadError::NotElf);
        assert_eq!(error(b"\x7fELF"), LoadError::Truncated);
        let good = file(abi::ET_DYN, 0, 0x1000, &GOOD);
        let changed = |at: usize, byte: u8| {
            let mut file = good.clone();
            file[at] = byte;
            error(&file)
        };
        assert_eq!(changed(18, 183), LoadError::NotX86_64, "AArch64");
        assert_eq!(changed(5, 2), LoadError::NotX86_64, "big-endian");
        assert_eq!(changed(16, 1), LoadError::NotAProgram, "object file");
        assert_eq!(changed(25, 0), LoadError::NotAProgram, "library");
        assert_eq!(changed(25, 0x20), LoadError::BadEntry { address: 0x2000 });
        assert_eq!(changed(56, 0), LoadError::NoSegments);
        assert_eq!(error(&good[..0x1400]), LoadError::Truncated);
        let wanted = "/lib64/ld-linux-x86-64.so.2";
        let mut dynamic = with((abi::PT_INTERP, READ, 0x600, wanted.len() as u64 + 1, 0));
        dynamic[0x600..0x600 + wanted.len()].copy_from_slice(wanted.as_bytes());
        dynamic[0x600 + wanted.len()] = 0;
        assert_eq!(
            error(&dynamic),
            LoadError::Dynamic {
                interpreter: wanted.to_string()
            }
        );
        assert!(error(&dynamic).to_string().contains("crt-static"));
    }

    #[test]
    fn segments_that_cannot_be_protected_or_placed_are_refused() {
        let load = |flags, address, in_file, in_memory| {
            error(&with((abi::PT_LOAD, flags, address, in_file, in_memory)))
        };
        let writable_code = load(CODE | abi::PF_W, 0x8000, 0, 16);
        assert_eq!(writable_code, LoadError::WritableCode { address: 0x8000 });
        assert_eq!(
            load(READ, 0x1400, 16, 16),
            LoadError::Overlap {
                first: 0x1000,
                second: 0x1400
            }
        );
        assert_eq!(
            load(DATA, 0x1f00, 16, 16),
            LoadError::Overlap {
                first: 0x1000,
                second: 0x1f00
            },
            "shares a page"
        );
        assert_eq!(
            load(DATA, 0x8000, 0, u64::MAX),
            LoadError::OutOfRange { address: 0x8000 }
        );
        assert_eq!(
            load(DATA, 0x3000, 0x40, 0x30),
            LoadError::BadSegment { address: 0x3000 }
        );
        assert_eq!(load(DATA, 0x3800, 0x1000, 0x1000), LoadError::Truncated);
        let mut shifted = with((abi::PT_LOAD, DATA, 0x8000, 16, 16));
        put(&mut shifted, HEADERS + 56 * 3 + 8, 0x10u64.to_le_bytes());
        assert_eq!(error(&shifted), LoadError::BadSegment { address: 0x8000 });
        let many: Vec<Header> = (0..65).map(|n| (abi::PT_LOAD, READ, n * PAGE, 0, 1)).collect();
        assert_eq!(
            error(&file(abi::ET_DYN, 0, 0x1000, &many)),
            LoadError::TooManySegments
        );
    }

    #[test]
    fn an_empty_segment_may_claim_any_bytes_of_the_file() {
        let empty = (abi::PT_LOAD, READ, 0x8000, u64::MAX, 0);
        let file = file(abi::ET_DYN, 0, 0x1000, &[&[empty], &GOOD[..]].concat());
        assert_eq!(Image::parse(&file).unwrap().segments.len(), GOOD.len());
    }

    #[test]
    fn no_change_of_a_byte_or_of_the_length_panics() {
        let good = file(abi::ET_DYN, 0, 0x1000, &GOOD);
        for at in 0..HEADERS + 56 * GOOD.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut file = good.clone();
                file[at] = byte;
                let _ = Image::parse(&file);
                let _ = symbol(&file, 0x1000);
            }
        }
        for len in 0..0x200 {
            let _ = Image::parse(&good[..len]);
        }
    }
}
