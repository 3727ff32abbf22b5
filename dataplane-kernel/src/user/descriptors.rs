//! What the program's descriptors stand for. Several may stand for one file, which is closed with the last of them.

use alloc::sync::Arc;
use alloc::vec::Vec;
use ix_abi::host::Stream;
use syscalls::Errno;

/// Most descriptors of a program.
pub(super) const MAX_DESCRIPTORS: usize = 256;

/// A file the launcher holds open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    /// The launcher's name for it.
    pub(super) handle: u32,
    /// The flags it was opened with.
    pub(super) flags: i32,
    /// The path by which it was opened, if it is a directory.
    pub(super) directory: Option<Arc<[u8]>>,
}

/// What a descriptor stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Open {
    /// Standard input.
    Input,
    /// One of the output streams.
    Output(Stream),
    /// A file.
    File(File),
}

/// Whether a descriptor would close at an `execve`, which there is none of: it is told, not heeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnExec {
    Keep,
    Close,
}

#[derive(Clone, Debug)]
enum Entry {
    Free,
    /// Its file is being opened.
    Reserved,
    Taken(Open, OnExec),
}

/// All descriptors.
#[derive(Debug)]
pub(super) struct Descriptors {
    entries: Vec<Entry>,
}

/// What became of a descriptor that was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// The file is closed with it.
    Last(File),
    /// What it stood for stays open.
    Shared,
}

impl Default for Descriptors {
    fn default() -> Self {
        let standard = [
            Open::Input,
            Open::Output(Stream::Stdout),
            Open::Output(Stream::Stderr),
        ];
        Descriptors {
            entries: standard.map(|open| Entry::Taken(open, OnExec::Keep)).into(),
        }
    }
}

impl Descriptors {
    fn entry(&mut self, number: i32) -> Result<&mut Entry, Errno> {
        let entry = usize::try_from(number).ok().and_then(|n| self.entries.get_mut(n));
        entry
            .filter(|entry| matches!(entry, Entry::Taken(..)))
            .ok_or(Errno::EBADF)
    }

    /// What a descriptor stands for.
    pub(super) fn get(&self, number: i32) -> Result<&Open, Errno> {
        match usize::try_from(number).ok().and_then(|n| self.entries.get(n)) {
            Some(Entry::Taken(open, _)) => Ok(open),
            _ => Err(Errno::EBADF),
        }
    }

    /// The file it stands for. Streams are none: `errno` says what that means.
    pub(super) fn file(&self, number: i32, errno: Errno) -> Result<&File, Errno> {
        match self.get(number)? {
            Open::File(file) => Ok(file),
            _ => Err(errno),
        }
    }

    pub(super) fn on_exec(&self, number: i32) -> Result<OnExec, Errno> {
        match usize::try_from(number).ok().and_then(|n| self.entries.get(n)) {
            Some(Entry::Taken(_, on_exec)) => Ok(*on_exec),
            _ => Err(Errno::EBADF),
        }
    }

    pub(super) fn set_on_exec(&mut self, number: i32, wanted: OnExec) -> Result<(), Errno> {
        if let Entry::Taken(_, on_exec) = self.entry(number)? {
            *on_exec = wanted;
        }
        Ok(())
    }

    /// The lowest free number that is at least `from`, taken for a file that is being opened.
    pub(super) fn reserve(&mut self, from: usize) -> Result<i32, Errno> {
        let number = (from..MAX_DESCRIPTORS)
            .find(|&n| matches!(self.entries.get(n), None | Some(Entry::Free)))
            .ok_or(Errno::EMFILE)?;
        if number >= self.entries.len() {
            self.entries.resize(number + 1, Entry::Free);
        }
        if let Some(entry) = self.entries.get_mut(number) {
            *entry = Entry::Reserved;
        }
        i32::try_from(number).map_err(|_| Errno::EMFILE)
    }

    /// Gives a reserved number its meaning.
    pub(super) fn fill(&mut self, number: i32, open: Open, on_exec: OnExec) {
        self.set(number, Entry::Taken(open, on_exec));
    }

    /// Gives a reserved number back.
    pub(super) fn release(&mut self, number: i32) {
        self.set(number, Entry::Free);
    }

    fn set(&mut self, number: i32, entry: Entry) {
        let place = usize::try_from(number).ok().and_then(|n| self.entries.get_mut(n));
        if let Some(place) = place.filter(|place| matches!(place, Entry::Reserved)) {
            *place = entry;
        }
    }

    /// Closes a descriptor.
    pub(super) fn close(&mut self, number: i32) -> Result<Closed, Errno> {
        let entry = core::mem::replace(self.entry(number)?, Entry::Free);
        let Entry::Taken(Open::File(file), _) = entry else {
            return Ok(Closed::Shared);
        };
        let shared = self
            .entries
            .iter()
            .any(|other| matches!(other, Entry::Taken(Open::File(other), _) if other.handle == file.handle));
        Ok(if shared {
            Closed::Shared
        } else {
            Closed::Last(file)
        })
    }

    /// The lowest free number from `from` on, for what `number` stands for.
    pub(super) fn duplicate(&mut self, number: i32, from: usize, on_exec: OnExec) -> Result<i32, Errno> {
        let open = self.get(number)?.clone();
        let duplicate = self.reserve(from)?;
        self.fill(duplicate, open, on_exec);
        Ok(duplicate)
    }

    /// Lets `to`, which is closed if it is open, stand for what `number` stands for.
    pub(super) fn replace(&mut self, number: i32, to: i32, on_exec: OnExec) -> Result<Closed, Errno> {
        let open = self.get(number)?.clone();
        let index = usize::try_from(to)
            .ok()
            .filter(|&n| n < MAX_DESCRIPTORS)
            .ok_or(Errno::EBADF)?;
        if matches!(self.entries.get(index), Some(Entry::Reserved)) {
            return Err(Errno::EBUSY);
        }
        let closed = self.close(to).unwrap_or(Closed::Shared);
        self.reserve(index)?;
        self.fill(to, open, on_exec);
        Ok(closed)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        let taken = self.entries.iter().filter(|entry| !matches!(entry, Entry::Free));
        taken.count()
    }
}

#[cfg(test)]
mod tests {
    use super::{Closed, Descriptors, Errno, File, MAX_DESCRIPTORS, OnExec, Open};

    fn file(handle: u32) -> File {
        File {
            handle,
            flags: 0,
            directory: None,
        }
    }

    fn open(descriptors: &mut Descriptors, handle: u32) -> i32 {
        let number = descriptors.reserve(0).unwrap();
        descriptors.fill(number, Open::File(file(handle)), OnExec::Keep);
        number
    }

    #[test]
    fn the_lowest_free_number_is_used() {
        let mut descriptors = Descriptors::default();
        assert_eq!((open(&mut descriptors, 7), open(&mut descriptors, 8)), (3, 4));
        assert_eq!(descriptors.close(3), Ok(Closed::Last(file(7))));
        assert_eq!(descriptors.close(3), Err(Errno::EBADF));
        assert_eq!(open(&mut descriptors, 9), 3);
        assert_eq!(descriptors.close(0), Ok(Closed::Shared));
        assert_eq!(open(&mut descriptors, 10), 0);
        for number in [-1, 5, 255, 256, i32::MAX, i32::MIN] {
            assert_eq!(descriptors.get(number), Err(Errno::EBADF));
        }
    }

    #[test]
    fn a_file_is_closed_with_its_last_descriptor() {
        let mut descriptors = Descriptors::default();
        let first = open(&mut descriptors, 7);
        let second = descriptors.duplicate(first, 0, OnExec::Close).unwrap();
        assert_eq!(descriptors.on_exec(second), Ok(OnExec::Close));
        assert_eq!(descriptors.close(first), Ok(Closed::Shared));
        assert_eq!(
            descriptors.replace(1, second, OnExec::Keep),
            Ok(Closed::Last(file(7)))
        );
        assert_eq!(descriptors.replace(1, 200, OnExec::Keep), Ok(Closed::Shared));
        assert_eq!(descriptors.get(200), descriptors.get(1));
        let beyond = i32::try_from(MAX_DESCRIPTORS).unwrap();
        assert_eq!(descriptors.replace(1, beyond, OnExec::Keep), Err(Errno::EBADF));
    }

    #[test]
    fn a_reserved_number_is_nobodys_yet() {
        let mut descriptors = Descriptors::default();
        let number = descriptors.reserve(0).unwrap();
        assert_eq!(descriptors.get(number), Err(Errno::EBADF));
        assert_eq!(descriptors.close(number), Err(Errno::EBADF));
        assert_eq!(descriptors.replace(1, number, OnExec::Keep), Err(Errno::EBUSY));
        descriptors.release(number);
        assert_eq!(descriptors.reserve(0), Ok(number));
    }

    #[test]
    fn there_is_an_end_to_them() {
        let mut descriptors = Descriptors::default();
        for handle in 3..u32::try_from(MAX_DESCRIPTORS).unwrap() {
            open(&mut descriptors, handle);
        }
        assert_eq!(descriptors.reserve(0), Err(Errno::EMFILE));
        assert_eq!(descriptors.duplicate(0, 0, OnExec::Keep), Err(Errno::EMFILE));
        assert_eq!(descriptors.count(), MAX_DESCRIPTORS);
        descriptors.close(9).unwrap();
        assert_eq!(
            descriptors.duplicate(0, 10, OnExec::Keep),
            Err(Errno::EMFILE),
            "none from there on"
        );
        assert_eq!(descriptors.duplicate(0, 9, OnExec::Keep), Ok(9));
    }
}
