//! The stack a program starts with (System V ABI for AMD64, section 3.4.1): from `rsp` up, the argument count, pointers to
//! arguments and environment, the auxiliary vector, and then the strings.

use super::image::LoadError;
use alloc::vec::Vec;

/// Types of auxiliary vector entries (`getauxval(3)`).
pub(super) mod aux {
    pub(crate) const NULL: u64 = 0;
    pub(crate) const PHDR: u64 = 3;
    pub(crate) const PHENT: u64 = 4;
    pub(crate) const PHNUM: u64 = 5;
    pub(crate) const PAGESZ: u64 = 6;
    pub(crate) const BASE: u64 = 7;
    pub(crate) const FLAGS: u64 = 8;
    pub(crate) const ENTRY: u64 = 9;
    pub(crate) const UID: u64 = 11;
    pub(crate) const EUID: u64 = 12;
    pub(crate) const GID: u64 = 13;
    pub(crate) const EGID: u64 = 14;
    pub(crate) const PLATFORM: u64 = 15;
    pub(crate) const HWCAP: u64 = 16;
    pub(crate) const CLKTCK: u64 = 17;
    pub(crate) const SECURE: u64 = 23;
    pub(crate) const RANDOM: u64 = 25;
    pub(crate) const HWCAP2: u64 = 26;
    pub(crate) const EXECFN: u64 = 31;
    pub(crate) const MINSIGSTKSZ: u64 = 51;
}

const PLATFORM: &[u8] = b"x86_64";

/// What a program is told when it starts.
#[derive(Debug)]
pub(super) struct Start<'a> {
    /// `argv`; the first is the program's name.
    pub(super) args: &'a [&'a [u8]],
    /// `envp`, each `NAME=value`.
    pub(super) env: &'a [&'a [u8]],
    /// Auxiliary entries that are numbers; those that point to strings are added.
    pub(super) numbers: &'a [(u64, u64)],
    /// What AT_RANDOM points to.
    pub(super) random: [u8; 16],
}

impl Start<'_> {
    /// The bytes that end at `top` (a multiple of 16), at most `limit`; `rsp` starts at the first of them.
    pub(super) fn image(&self, top: u64, limit: usize) -> Result<Vec<u8>, LoadError> {
        let mut strings = Strings { bytes: Vec::new() };
        let platform = strings.push(PLATFORM);
        let name = strings.push(self.args.first().copied().unwrap_or_default());
        let args: Vec<_> = self.args.iter().map(|arg| strings.push(arg)).collect();
        let env: Vec<_> = self.env.iter().map(|var| strings.push(var)).collect();
        let random = strings.bytes.len();
        strings.bytes.extend_from_slice(&self.random);

        let words = 1 + args.len() + 1 + env.len() + 1 + 2 * (self.numbers.len() + 4);
        let total = (words * size_of::<u64>() + strings.bytes.len()).next_multiple_of(16);
        if total > limit {
            return Err(LoadError::ArgumentsTooLong);
        }
        let strings_at = top - strings.bytes.len() as u64;
        let address = |offset: usize| strings_at + offset as u64;
        let mut image = Vec::with_capacity(total);
        let mut word = |value: u64| image.extend_from_slice(&value.to_le_bytes());
        word(args.len() as u64);
        args.into_iter().map(address).chain([0]).for_each(&mut word);
        env.into_iter().map(address).chain([0]).for_each(&mut word);
        let pointers = [
            (aux::RANDOM, address(random)),
            (aux::EXECFN, address(name)),
            (aux::PLATFORM, address(platform)),
        ];
        for (kind, value) in self
            .numbers
            .iter()
            .copied()
            .chain(pointers)
            .chain([(aux::NULL, 0)])
        {
            word(kind);
            word(value);
        }
        image.resize(total - strings.bytes.len(), 0);
        image.append(&mut strings.bytes);
        Ok(image)
    }
}

struct Strings {
    bytes: Vec<u8>,
}

impl Strings {
    /// Adds a string and its zero; returns its offset.
    fn push(&mut self, string: &[u8]) -> usize {
        let offset = self.bytes.len();
        self.bytes.extend_from_slice(string);
        self.bytes.push(0);
        offset
    }
}

#[cfg(test)]
mod tests {
    use super::{LoadError, Start, aux};
    use std::vec;
    use std::vec::Vec;

    const TOP: u64 = 0x7000_0000;

    fn string(image: &[u8], address: u64) -> &[u8] {
        let at = image.len() - usize::try_from(TOP - address).unwrap();
        image[at..].split(|&b| b == 0).next().unwrap()
    }

    #[test]
    fn a_program_finds_what_it_is_told() {
        for extra in 0..4 {
            let args: Vec<&[u8]> = [b"app".as_slice(), b"--port", b""]
                .into_iter()
                .chain(vec![b"x".as_slice(); extra])
                .collect();
            let env: [&[u8]; 1] = [b"A=b"];
            let start = Start {
                args: &args,
                env: &env,
                numbers: &[(aux::PAGESZ, 4096)],
                random: [7; 16],
            };
            let image = start.image(TOP, 65536).unwrap();
            assert!(image.len().is_multiple_of(16), "rsp is aligned at entry");
            let words: Vec<u64> = image
                .as_chunks()
                .0
                .iter()
                .map(|w| u64::from_le_bytes(*w))
                .collect();
            assert_eq!(words[0], args.len() as u64);
            for (word, arg) in words[1..].iter().zip(&args) {
                assert_eq!(string(&image, *word), *arg);
            }
            let after = &words[1 + args.len()..];
            assert_eq!(after[0], 0);
            assert_eq!(string(&image, after[1]), b"A=b");
            assert_eq!(after[2..5], [0, aux::PAGESZ, 4096]);
            let value = |kind| after[3..].chunks(2).find(|pair| pair[0] == kind).unwrap()[1];
            assert_eq!(string(&image, value(aux::EXECFN)), b"app");
            assert_eq!(string(&image, value(aux::PLATFORM)), b"x86_64");
            let random = image.len() - usize::try_from(TOP - value(aux::RANDOM)).unwrap();
            assert_eq!(image[random..random + 16], [7; 16]);
        }
    }

    #[test]
    fn too_much_is_refused() {
        let long = vec![b'x'; 5000];
        let args = [long.as_slice()];
        let start = Start {
            args: &args,
            env: &[],
            numbers: &[],
            random: [0; 16],
        };
        assert_eq!(start.image(TOP, 4096), Err(LoadError::ArgumentsTooLong));
    }
}
