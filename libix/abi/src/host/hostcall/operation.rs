/// `offset` of a read or write that means the file's own position, which it moves.
pub const HERE: u64 = u64::MAX;

/// Timeout that never comes.
pub const WITHOUT_END: u64 = u64::MAX;

/// Set in the value of an [`Operation::Open`] if what was opened is a directory.
pub const DIRECTORY: u64 = 1 << 32;

/// What can be asked for. Paths are absolute, in the program's view of the tree, and end where the data ends.
///
/// | operation | arguments | data | value | data of the answer |
/// |---|---|---|---|---|
/// | `Open` | flags, mode | path | handle, [`DIRECTORY`] | |
/// | `Close` | handle | | | |
/// | `Read` | handle, count, offset or [`HERE`] | | bytes read | the bytes |
/// | `Write` | handle, offset or [`HERE`] | the bytes | bytes written | |
/// | `Seek` | handle, offset, whence | | position | |
/// | `Status` | handle | | | [`super::FileStatus`] |
/// | `PathStatus` | 1: of a link itself | path | | [`super::FileStatus`] |
/// | `ReadDirectory` | handle, count | | bytes read | `struct linux_dirent64`s |
/// | `Truncate` | handle, size | | | |
/// | `Sync` | handle, 1: data only | | | |
/// | `SetMode` | handle, mode | | | |
/// | `SetPathMode` | mode | path | | |
/// | `MakeDirectory` | mode | path | | |
/// | `Remove` | 1: a directory | path | | |
/// | `Rename` | bytes of the first path, 1: replace nothing | both paths | | |
/// | `ReadLink` | | path | bytes | the path in it |
/// | `Access` | mode (4 read, 2 write, 1 execute) | path | | |
/// | `InputRead` | count | | bytes read; 0: the end | the bytes |
/// | `InputReady` | milliseconds to wait, or [`WITHOUT_END`] | | `revents` of `poll(2)` | |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs, reason = "the table has them all")]
pub enum Operation {
    Open = 1,
    Close,
    Read,
    Write,
    Seek,
    Status,
    PathStatus,
    ReadDirectory,
    Truncate,
    Sync,
    SetMode,
    SetPathMode,
    MakeDirectory,
    Remove,
    Rename,
    ReadLink,
    Access,
    InputRead,
    InputReady,
}

impl Operation {
    /// All of them, in the order of their numbers, which start at 1.
    pub const ALL: [Self; 19] = [
        Self::Open,
        Self::Close,
        Self::Read,
        Self::Write,
        Self::Seek,
        Self::Status,
        Self::PathStatus,
        Self::ReadDirectory,
        Self::Truncate,
        Self::Sync,
        Self::SetMode,
        Self::SetPathMode,
        Self::MakeDirectory,
        Self::Remove,
        Self::Rename,
        Self::ReadLink,
        Self::Access,
        Self::InputRead,
        Self::InputReady,
    ];

    /// The operation with this number.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        Self::ALL.get(index).copied()
    }
}
