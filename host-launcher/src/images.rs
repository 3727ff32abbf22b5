//! The two files a machine runs: the app, checked before anything starts, and the kernel image, looked for.

use nix::unistd::AccessFlags;
use object::Endianness;
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Why the app cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// There is no such file.
    #[error(
        "app {0} not found; check the path (an app built here lies in target/x86_64-unknown-linux-gnu/release/)"
    )]
    NotFound(PathBuf),
    /// It cannot be read.
    #[error("cannot read app {0}")]
    Unreadable(PathBuf, #[source] io::Error),
    /// It is a directory, or has no execute permission.
    #[error("app {0} is not an executable file; chmod +x it if it is the right one")]
    NotExecutable(PathBuf),
    /// It is no ELF file for this machine.
    #[error("app {path} cannot run here: {what}; build it for x86_64-unknown-linux-gnu")]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// It wants a dynamic loader.
    #[error(
        "app {0} is dynamically linked; link it statically (Rust: RUSTFLAGS=-Ctarget-feature=+crt-static, C: -static)"
    )]
    Dynamic(PathBuf),
}

/// Why there is no kernel.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// Not where the user said.
    #[error("kernel image {0} not found; check --kernel or $IX_KERNEL")]
    NotThere(PathBuf),
    /// Nowhere.
    #[error(
        "no kernel image beside ix ({0}); build it with make build, or name one with --kernel or $IX_KERNEL"
    )]
    Nowhere(PathBuf),
}

/// Checks that the app is a program the kernel can load, as far as its headers tell.
pub fn check_app(path: &Path) -> Result<(), AppError> {
    let own = || path.to_owned();
    let bytes = match std::fs::metadata(path) {
        Ok(meta) if !meta.is_file() => return Err(AppError::NotExecutable(own())),
        Ok(_) => read_headers(path).map_err(|error| AppError::Unreadable(own(), error))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(AppError::NotFound(own())),
        Err(error) => return Err(AppError::Unreadable(own(), error)),
    };
    if nix::unistd::access(path, AccessFlags::X_OK).is_err() {
        return Err(AppError::NotExecutable(own()));
    }
    match Headers::of(&bytes) {
        Headers::Static => Ok(()),
        Headers::Dynamic => Err(AppError::Dynamic(own())),
        Headers::NotOurs(what) => Err(AppError::NotOurs { path: own(), what }),
    }
}

/// Maps nothing and reads no more than headers can span: the first MiB.
fn read_headers(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(File::open(path)?, 1 << 20), &mut bytes)?;
    Ok(bytes)
}

#[derive(Debug, PartialEq, Eq)]
enum Headers {
    Static,
    Dynamic,
    NotOurs(&'static str),
}

impl Headers {
    fn of(bytes: &[u8]) -> Self {
        if bytes.starts_with(b"#!") {
            return Self::NotOurs("it is a script, not an ELF program");
        }
        if !bytes.starts_with(b"\x7fELF") {
            return Self::NotOurs("it is not an ELF program");
        }
        let parsed = FileHeader64::<Endianness>::parse(bytes).and_then(|header| {
            let endian = header.endian()?;
            Ok((header, endian, header.program_headers(endian, bytes)?))
        });
        let Ok((header, endian, segments)) = parsed else {
            return Self::NotOurs("its ELF headers are cut off or not 64-bit");
        };
        if header.e_machine(endian) != elf::EM_X86_64 {
            return Self::NotOurs("it is for another processor");
        }
        if !matches!(header.e_type(endian), elf::ET_EXEC | elf::ET_DYN) {
            return Self::NotOurs("it is an object or core file, not a program");
        }
        if segments
            .iter()
            .any(|segment| segment.p_type(endian) == elf::PT_INTERP)
        {
            return Self::Dynamic;
        }
        Self::Static
    }
}

/// Finds the kernel image: `asked` for, or named by `IX_KERNEL`, or beside this program.
pub fn find_kernel(asked: Option<&Path>) -> Result<PathBuf, KernelError> {
    let named = asked
        .map(Path::to_owned)
        .or_else(|| std::env::var_os("IX_KERNEL").map(PathBuf::from));
    if let Some(path) = named {
        return if path.is_file() {
            Ok(path)
        } else {
            Err(KernelError::NotThere(path))
        };
    }
    let ours = std::env::current_exe().unwrap_or_default();
    let beside = ours.with_file_name("ixion-kernel");
    if beside.is_file() {
        Ok(beside)
    } else {
        Err(KernelError::Nowhere(beside))
    }
}

#[cfg(test)]
mod tests {
    use super::{AppError, Headers, KernelError, check_app, find_kernel};
    use std::path::Path;

    #[test]
    fn programs_are_told_from_what_is_none() {
        let me = std::fs::read("/proc/self/exe").unwrap();
        assert_eq!(
            Headers::of(&me),
            Headers::Static,
            "tests are linked statically, too"
        );
        assert_eq!(Headers::of(&std::fs::read("/bin/sh").unwrap()), Headers::Dynamic);
        let mut other = me[..4096].to_vec();
        other[18] = 0xb7;
        assert_eq!(
            Headers::of(&other),
            Headers::NotOurs("it is for another processor")
        );
        other[16] = 1;
        other[18] = 0x3e;
        assert!(matches!(Headers::of(&other), Headers::NotOurs(what) if what.contains("object")));
        assert!(matches!(Headers::of(&me[..100]), Headers::NotOurs(what) if what.contains("cut off")));
        assert!(matches!(Headers::of(b"#!/bin/sh\n"), Headers::NotOurs(what) if what.contains("script")));
        assert!(matches!(Headers::of(b""), Headers::NotOurs(_)));
    }

    #[test]
    fn files_are_judged_before_their_contents() {
        let judge = |path: &str| check_app(Path::new(path)).unwrap_err();
        assert!(matches!(judge("/nowhere/app"), AppError::NotFound(_)));
        assert!(matches!(judge("/tmp"), AppError::NotExecutable(_)));
        assert!(matches!(judge("/etc/passwd"), AppError::NotExecutable(_)));
        assert!(matches!(judge("/bin/sh"), AppError::Dynamic(_)));
    }

    #[test]
    fn a_kernel_that_is_not_where_it_should_be() {
        let missing = find_kernel(Some(Path::new("/nowhere/kernel"))).unwrap_err();
        assert!(matches!(missing, KernelError::NotThere(_)));
    }
}
