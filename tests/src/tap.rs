use anyhow::{Context, Result};
use nix::libc;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

mod request {
    use nix::libc;

    nix::ioctl_write_ptr_bad!(
        /// TUNSETIFF: attaches the descriptor to the interface that the request names.
        set_interface,
        libc::TUNSETIFF,
        libc::ifreq
    );
}

/// The far end of a tap: what Linux sends comes out here as whole Ethernet frames, and what is put in here Linux receives.
#[derive(Debug)]
pub struct Tap(File);

impl Tap {
    /// That of the tap called `name`, of the network that this thread is in. It never blocks.
    ///
    /// # Errors
    /// Without root, or without such a tap.
    pub fn open(name: &str) -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/net/tun")
            .context("no tun driver")?;
        let mut asked = [0; libc::IFNAMSIZ];
        for (to, from) in asked[..libc::IFNAMSIZ - 1].iter_mut().zip(name.bytes()) {
            *to = from.cast_signed();
        }
        let request = libc::ifreq {
            ifr_name: asked,
            ifr_ifru: libc::__c_anonymous_ifr_ifru {
                ifru_flags: i16::try_from(libc::IFF_TAP | libc::IFF_NO_PI)?,
            },
        };
        // SAFETY: the call reads one `ifreq`, which lives through it.
        unsafe { request::set_interface(file.as_raw_fd(), &raw const request) }
            .with_context(|| format!("cannot attach to the tap {name}"))?;
        Ok(Tap(file))
    }

    /// The next frame, into `room`; `None` if there is none now.
    ///
    /// # Errors
    /// If the tap goes away.
    pub fn receive<'a>(&mut self, room: &'a mut [u8]) -> Result<Option<&'a [u8]>> {
        match self.0.read(room) {
            Ok(len) => Ok(Some(&room[..len])),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts a frame in.
    ///
    /// # Errors
    /// If the interface is down.
    pub fn send(&mut self, frame: &[u8]) -> Result<()> {
        self.0.write_all(frame)?;
        Ok(())
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
