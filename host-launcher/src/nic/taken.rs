//! Taking a card, and giving it back.

use super::card::Obstacle;
use super::group::{self, Iommu};
use super::journal::{self, Entry, Holder, Journal};
use super::{Nic, NicError, VFIO_PCI, binding, folder};
use crate::config::Bdf;
use crate::host::Host;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A card that is VFIO's for this process. It goes back to the driver it had when this is dropped.
pub struct TakenNic {
    host: Host,
    bdf: Bdf,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Ours, and written down.
    Ours,
    /// It was VFIO's before, and we may not write anything down: nothing is to be put back.
    Borrowed,
    /// Given back.
    Returned,
}

impl TakenNic {
    /// Where it is.
    #[must_use]
    pub fn bdf(&self) -> Bdf {
        self.bdf
    }

    /// Its folder in sysfs.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        folder(&self.host, self.bdf)
    }

    /// Gives it back to the driver it had. No process must have it open any more.
    pub fn give_back(mut self) -> Result<(), NicError> {
        self.release()
    }

    fn release(&mut self) -> Result<(), NicError> {
        match std::mem::replace(&mut self.state, State::Returned) {
            State::Borrowed | State::Returned => Ok(()),
            State::Ours => {
                let journal = Journal::of(&self.host);
                let _locked = journal.lock()?;
                match journal.read(self.bdf) {
                    Some(entry) => let_go(&self.host, &journal, self.bdf, entry),
                    None => Ok(()),
                }
            }
        }
    }
}

impl Drop for TakenNic {
    fn drop(&mut self) {
        // Where this fails there is no one left to tell; the journal keeps it for the next `ix`.
        let _ = self.release();
    }
}

/// Takes the card for this process: VFIO's driver gets it until the result is dropped. What an `ix` that was killed left
/// behind is taken over, with the driver that the card had before.
pub fn take(host: &Host, bdf: Bdf) -> Result<TakenNic, NicError> {
    let journal = Journal::of(host);
    let taken = |state| TakenNic {
        host: host.clone(),
        bdf,
        state,
    };
    let locked = match journal.lock() {
        Err(_) if find(host, bdf)?.is_bound() => {
            check(&find(host, bdf)?, |_| true)?;
            return Ok(taken(State::Borrowed));
        }
        locked => locked?,
    };
    let nic = find(host, bdf)?;
    check(&nic, |_| true)?;
    let entry = journal.read(bdf).unwrap_or_else(|| Entry {
        keep: nic.is_bound(),
        ..binding::snapshot(host, bdf)
    });
    let pid = std::process::id();
    let start_time = host.start_time(pid).ok_or(NicError::NoProc)?;
    move_to_vfio(
        host,
        &journal,
        bdf,
        Entry {
            holder: Some(Holder { pid, start_time }),
            ..entry
        },
    )?;
    drop(locked);
    Ok(taken(State::Ours))
}

/// `ix nic bind --force`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// A card that the host works with stays with it.
    No,
    /// It is taken all the same.
    Yes,
}

/// Gives the card to VFIO until [`unbind`].
pub fn bind(host: &Host, bdf: Bdf, force: Force) -> Result<(), NicError> {
    let journal = Journal::of(host);
    let _locked = journal.lock()?;
    let nic = find(host, bdf)?;
    check(&nic, |obstacle| match obstacle {
        Obstacle::InUse(..) => force == Force::No,
        // The other members of its group may be next, and are their owner's business.
        Obstacle::NoDriver(_) | Obstacle::Group(..) => false,
        Obstacle::NoIommu | Obstacle::NoIommuMode | Obstacle::Held(_) => true,
    })?;
    let entry = match journal.read(bdf) {
        None if nic.is_bound() => return Ok(()),
        entry => entry.unwrap_or_else(|| binding::snapshot(host, bdf)),
    };
    move_to_vfio(
        host,
        &journal,
        bdf,
        Entry {
            keep: true,
            holder: None,
            ..entry
        },
    )
}

/// Gives the card back to the driver it had before [`bind`] or before an `ix` that was killed; the result is that
/// driver.
pub fn unbind(host: &Host, bdf: Bdf) -> Result<Option<String>, NicError> {
    let journal = Journal::of(host);
    let _locked = journal.lock()?;
    let entry = journal.read(bdf).ok_or(NicError::NotOurs(bdf))?;
    if let Some(holder) = entry.holder.filter(|&holder| journal::is_alive(host, holder)) {
        return Err(NicError::StillHeld(bdf, holder.pid));
    }
    restore(host, &journal, bdf, &entry)?;
    Ok(entry.old_driver)
}

/// What became of a card that an `ix` left behind when it was killed.
pub type Repair = (Bdf, Result<Option<String>, NicError>);

/// Gives back what `ix` processes left behind that were killed, and tells to which drivers.
#[must_use]
pub fn repair(host: &Host) -> Vec<Repair> {
    let journal = Journal::of(host);
    if journal.all().is_empty() {
        return Vec::new();
    }
    let Ok(_locked) = journal.lock() else {
        return Vec::new();
    };
    let left = journal.all().into_iter().filter(|(_, entry)| {
        entry
            .holder
            .is_some_and(|holder| !journal::is_alive(host, holder))
    });
    left.map(|(bdf, entry)| {
        let goes_to = if entry.keep {
            Some(VFIO_PCI.to_owned())
        } else {
            entry.old_driver.clone()
        };
        (bdf, let_go(host, &journal, bdf, entry).map(|()| goes_to))
    })
    .collect()
}

fn find(host: &Host, bdf: Bdf) -> Result<Nic, NicError> {
    Nic::read(host, bdf).ok_or(NicError::NotANic(bdf))
}

fn check(nic: &Nic, counts: impl Fn(&Obstacle) -> bool) -> Result<(), NicError> {
    match nic.obstacles.iter().find(|obstacle| counts(obstacle)) {
        Some(Obstacle::InUse(interface, what)) => Err(NicError::InUse {
            bdf: nic.bdf,
            interface: interface.clone(),
            what: what.clone(),
        }),
        Some(obstacle) => Err(NicError::Unfit(nic.bdf, obstacle.clone())),
        None => Ok(()),
    }
}

/// Writes down, then does; what cannot be done is undone.
fn move_to_vfio(host: &Host, journal: &Journal, bdf: Bdf, entry: Entry) -> Result<(), NicError> {
    binding::need_vfio(host)?;
    journal.write(bdf, &entry)?;
    binding::to_vfio(host, bdf).inspect_err(|_| {
        // The first error is the one to tell. Where this fails too, the journal stays.
        let _ = restore(host, journal, bdf, &entry);
    })
}

/// Ends a run's claim.
fn let_go(host: &Host, journal: &Journal, bdf: Bdf, entry: Entry) -> Result<(), NicError> {
    if entry.keep && entry.old_driver.as_deref() != Some(VFIO_PCI) {
        return journal.write(
            bdf,
            &Entry {
                holder: None,
                ..entry
            },
        );
    }
    restore(host, journal, bdf, &entry)
}

fn restore(host: &Host, journal: &Journal, bdf: Bdf, entry: &Entry) -> Result<(), NicError> {
    wait_until_closed(host, bdf)?;
    binding::back(host, bdf, entry)?;
    journal.remove(bdf)
}

/// How long a machine that was killed may take to let go of its card.
const PATIENCE: Duration = Duration::from_secs(3);

/// To take a card from vfio-pci while a program has it open would take until that ends, and could not be interrupted.
fn wait_until_closed(host: &Host, bdf: Bdf) -> Result<(), NicError> {
    let Iommu::Group(number) = group::of(&folder(host, bdf)) else {
        return Ok(());
    };
    let file = host.path(&format!("/dev/vfio/{number}"));
    let start = Instant::now();
    while host.kernel().is_open(&file) {
        if start.elapsed() > PATIENCE {
            return Err(NicError::StillOpen(bdf, number));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
