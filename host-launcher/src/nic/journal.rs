//! The journal: what each card we took was before, written down before anything is changed, so that whoever comes after
//! an `ix` that was killed can put it back. One file per card; a machine that is started anew has lost both the changes
//! and the journal.

use super::NicError;
use crate::config::Bdf;
use crate::host::Host;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

/// Taking cards is for root, and the cards are the whole host's, so there is one place.
const FOLDER: &str = "/run/ix/nic";

/// What a card was, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// The driver it had.
    pub(super) old_driver: Option<String>,
    /// The `driver_override` it had.
    pub(super) old_override: Option<String>,
    /// Whether it stays bound when nobody holds it: `ix nic bind`.
    pub(super) keep: bool,
    /// The `ix run` that has it.
    pub(super) holder: Option<Holder>,
}

/// A process, told from a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Holder {
    /// Its number.
    pub(super) pid: u32,
    /// When it started, in ticks since boot.
    pub(super) start_time: u64,
}

/// Whether the process is still there.
pub(super) fn is_alive(host: &Host, holder: Holder) -> bool {
    host.start_time(holder.pid) == Some(holder.start_time)
}

/// The journal of a host.
pub(super) struct Journal {
    folder: PathBuf,
}

/// While it lives, no other `ix` changes a card or the journal.
pub(super) struct Locked(#[expect(dead_code, reason = "held, not used")] Flock<File>);

impl Journal {
    pub(super) fn of(host: &Host) -> Self {
        Self {
            folder: host.path(FOLDER),
        }
    }

    /// Waits until no other `ix` is at it.
    pub(super) fn lock(&self) -> Result<Locked, NicError> {
        let open = || -> io::Result<File> {
            fs::create_dir_all(&self.folder)?;
            File::create(self.folder.join(".lock"))
        };
        let file = open().map_err(|error| self.failed(error))?;
        let locked = Flock::lock(file, FlockArg::LockExclusive);
        locked.map(Locked).map_err(|(_, errno)| self.failed(errno.into()))
    }

    /// What is written about the card. An entry that cannot be read or understood is none: there is nothing to go by.
    pub(super) fn read(&self, bdf: Bdf) -> Option<Entry> {
        serde_json::from_slice(&fs::read(self.file(bdf)).ok()?).ok()
    }

    /// Every card with an entry.
    pub(super) fn all(&self) -> Vec<(Bdf, Entry)> {
        let names = crate::host::names(&self.folder);
        let cards = names.iter().filter_map(|name| name.parse().ok());
        cards.filter_map(|bdf| Some((bdf, self.read(bdf)?))).collect()
    }

    /// Writes `entry` down, whole or not at all, and not only into memory.
    pub(super) fn write(&self, bdf: Bdf, entry: &Entry) -> Result<(), NicError> {
        let write = || -> io::Result<()> {
            let draft = self.folder.join(format!(".{bdf}"));
            let mut file = File::create(&draft)?;
            serde_json::to_writer(&mut file, entry)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            fs::rename(&draft, self.file(bdf))?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|error| self.failed(error))
    }

    /// The card is what it was.
    pub(super) fn remove(&self, bdf: Bdf) -> Result<(), NicError> {
        fs::remove_file(self.file(bdf)).map_err(|error| self.failed(error))
    }

    fn file(&self, bdf: Bdf) -> PathBuf {
        self.folder.join(bdf.to_string())
    }

    fn failed(&self, error: io::Error) -> NicError {
        NicError::Journal(self.folder.clone(), error)
    }
}
