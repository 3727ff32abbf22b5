use crate::config::Access;
use nix::errno::Errno;
use std::fs::File;

/// Most files that are open at a time.
pub(super) const MAX_HANDLES: usize = 256;

/// Bits of a handle that say which place it is; those above count how often the place was used.
const INDEX_BITS: u32 = 8;
const _: () = assert!(MAX_HANDLES == 1 << INDEX_BITS);

/// What is open.
#[derive(Debug)]
pub(super) enum Opened {
    /// Of a volume.
    File {
        file: File,
        /// What may be done in that volume.
        access: Access,
    },
    /// A directory above volumes: what is in it, and how far it has been read.
    Above { names: Vec<Vec<u8>>, next: usize },
}

#[derive(Debug, Default)]
struct Entry {
    uses: u32,
    opened: Option<Opened>,
}

/// All that is open.
#[derive(Debug)]
pub(super) struct Handles {
    entries: Vec<Entry>,
}

impl Handles {
    /// Nothing.
    pub(super) fn new() -> Self {
        let entries = std::iter::repeat_with(Entry::default);
        Self {
            entries: entries.take(MAX_HANDLES).collect(),
        }
    }

    /// A handle for what has been opened. A handle is not given twice, so a late call on a closed one harms no other file.
    pub(super) fn add(&mut self, opened: Opened) -> Result<u32, Errno> {
        let (index, entry) = (0u32..)
            .zip(&mut self.entries)
            .find(|(_, entry)| entry.opened.is_none())
            .ok_or(Errno::ENFILE)?;
        entry.uses = entry.uses.wrapping_add(1) % (1 << (u32::BITS - INDEX_BITS));
        entry.opened = Some(opened);
        Ok(entry.uses << INDEX_BITS | index)
    }

    fn entry(&mut self, handle: u64) -> Result<&mut Entry, Errno> {
        let handle = u32::try_from(handle).map_err(|_| Errno::EBADF)?;
        let index = usize::try_from(handle & ((1 << INDEX_BITS) - 1)).map_err(|_| Errno::EBADF)?;
        self.entries
            .get_mut(index)
            .filter(|entry| entry.uses == handle >> INDEX_BITS)
            .ok_or(Errno::EBADF)
    }

    /// What a handle stands for.
    pub(super) fn get(&mut self, handle: u64) -> Result<&mut Opened, Errno> {
        self.entry(handle)?.opened.as_mut().ok_or(Errno::EBADF)
    }

    /// The file it stands for; of a directory above volumes, `errno`.
    pub(super) fn file(&mut self, handle: u64, errno: Errno) -> Result<(&File, Access), Errno> {
        match self.get(handle)? {
            Opened::File { file, access } => Ok((file, *access)),
            Opened::Above { .. } => Err(errno),
        }
    }

    /// Forgets a handle.
    pub(super) fn close(&mut self, handle: u64) -> Result<(), Errno> {
        let opened = self.entry(handle)?.opened.take();
        opened.map(drop).ok_or(Errno::EBADF)
    }
}

#[cfg(test)]
mod tests {
    use super::{Errno, Handles, MAX_HANDLES, Opened};

    fn above() -> Opened {
        Opened::Above {
            names: Vec::new(),
            next: 0,
        }
    }

    #[test]
    fn a_handle_stands_for_one_opening_only() {
        let mut handles = Handles::new();
        let first = handles.add(above()).unwrap().into();
        handles.close(first).unwrap();
        let second = handles.add(above()).unwrap().into();
        assert_ne!(first, second);
        assert_eq!(handles.close(first), Err(Errno::EBADF));
        assert!(handles.get(second).is_ok());
        for wrong in [0, 1, second + 1, second + (1 << 32), u64::MAX] {
            assert_eq!(handles.get(wrong).err(), Some(Errno::EBADF), "{wrong}");
        }
    }

    #[test]
    fn there_is_an_end_to_them() {
        let mut handles = Handles::new();
        for _ in 0..MAX_HANDLES {
            handles.add(above()).unwrap();
        }
        assert_eq!(handles.add(above()), Err(Errno::ENFILE));
    }
}
