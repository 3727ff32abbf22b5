//! Moving a card from one driver of the host's to another, by the files of sysfs (kernel documentation,
//! ABI/testing/sysfs-bus-pci).

use super::journal::Entry;
use super::{NicError, PCI, VFIO_PCI};
use crate::config::Bdf;
use crate::host::{self, Host};
use std::path::PathBuf;

/// What `driver_override` says when nothing is overridden.
const NOTHING: &str = "(null)";

/// What the card is now, as far as we change it.
pub(super) fn snapshot(host: &Host, bdf: Bdf) -> Entry {
    let folder = super::folder(host, bdf);
    let old_override = host::text(&folder.join("driver_override"));
    Entry {
        old_driver: host::link(&folder.join("driver")),
        old_override: old_override.filter(|text| !text.is_empty() && text != NOTHING),
        keep: false,
        holder: None,
    }
}

/// Gives the card to VFIO.
pub(super) fn to_vfio(host: &Host, bdf: Bdf) -> Result<(), NicError> {
    Card { host, bdf }.hand_to(Some(VFIO_PCI), Some(VFIO_PCI))
}

/// Gives the card back to whom it had. A card that was pulled out has nobody to be given to.
pub(super) fn back(host: &Host, bdf: Bdf, entry: &Entry) -> Result<(), NicError> {
    let card = Card { host, bdf };
    if !super::folder(host, bdf).exists() {
        return Ok(());
    }
    card.hand_to(entry.old_driver.as_deref(), entry.old_override.as_deref())
}

/// Has the host load VFIO's driver for PCI if it is not there.
pub(super) fn need_vfio(host: &Host) -> Result<(), NicError> {
    let present = || host.path(&format!("{PCI}/drivers/{VFIO_PCI}")).exists();
    if present() {
        return Ok(());
    }
    let why = match host.kernel().load(VFIO_PCI) {
        Ok(()) if present() => return Ok(()),
        Ok(()) => "it was loaded, and is not there".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(NicError::NoVfio(why))
}

struct Card<'a> {
    host: &'a Host,
    bdf: Bdf,
}

impl Card<'_> {
    fn hand_to(&self, driver: Option<&str>, overridden: Option<&str>) -> Result<(), NicError> {
        let folder = super::folder(self.host, self.bdf);
        // Empty but for the line's end: nothing is overridden.
        self.write(
            folder.join("driver_override"),
            &format!("{}\n", overridden.unwrap_or_default()),
        )?;
        if self.driver().as_deref() == driver {
            return Ok(());
        }
        if self.driver().is_some() {
            self.write(folder.join("driver/unbind"), &self.bdf.to_string())?;
        }
        let Some(driver) = driver else { return Ok(()) };
        self.write(
            self.host.path(&format!("{PCI}/drivers_probe")),
            &self.bdf.to_string(),
        )?;
        if self.driver().is_none() {
            // A driver that was loaded but does not claim the card by itself can still be told to.
            let bind = self.host.path(&format!("{PCI}/drivers/{driver}/bind"));
            let _ = self.host.kernel().write(&bind, &self.bdf.to_string());
        }
        match self.driver() {
            Some(now) if now == driver => Ok(()),
            now => Err(NicError::Refused {
                bdf: self.bdf,
                wanted: driver.to_owned(),
                now: now.unwrap_or_else(|| "no driver".to_owned()),
            }),
        }
    }

    fn driver(&self) -> Option<String> {
        host::link(&super::folder(self.host, self.bdf).join("driver"))
    }

    fn write(&self, path: PathBuf, text: &str) -> Result<(), NicError> {
        let written = self.host.kernel().write(&path, text);
        written.map_err(|error| NicError::Write(path, error))
    }
}
