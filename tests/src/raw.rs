//! A station of our own on a network: frames in and out of an interface, past the kernel's own TCP/IP.

use anyhow::{Context, Result};
use nix::libc;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::ErrorKind;
use std::mem::size_of;
use std::time::Duration;

/// All kinds of frames, in the byte order of the call.
const ETH_P_ALL: u16 = 3_u16.to_be();

/// A packet socket on one interface.
#[derive(Debug)]
pub struct RawStation {
    socket: Socket,
}

impl RawStation {
    /// One on this interface, of the network that this thread is in.
    ///
    /// # Errors
    /// Without root, or if there is no such interface.
    pub fn new(interface: &str) -> Result<Self> {
        let socket = Socket::new(
            Domain::PACKET,
            Type::RAW,
            Some(Protocol::from(i32::from(ETH_P_ALL))),
        )
        .context("a packet socket needs root")?;
        let index = nix::net::if_::if_nametoindex(interface).with_context(|| interface.to_owned())?;
        socket.bind(&link_address(index)?)?;
        Ok(RawStation { socket })
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// If the interface is down.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        self.socket.send(frame)?;
        Ok(())
    }

    /// The next frame, of anybody's; `None` if there is none for so long.
    ///
    /// # Errors
    /// If the interface goes away.
    pub fn receive(&self, patience: Duration) -> Result<Option<Vec<u8>>> {
        self.socket
            .set_read_timeout(Some(patience.max(Duration::from_millis(1))))?;
        let mut frame = vec![0; 2048];
        match std::io::Read::read(&mut &self.socket, &mut frame) {
            Ok(len) => {
                frame.truncate(len);
                Ok(Some(frame))
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The interface as an address.
fn link_address(index: u32) -> Result<SockAddr> {
    let index = i32::try_from(index)?;
    // SAFETY: the closure writes a whole `sockaddr_ll`, which fits into the zeroed storage and for which all bit patterns are
    // valid, and says its length.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, len| {
            let link = storage.cast::<libc::sockaddr_ll>();
            (*link).sll_family = u16::try_from(libc::AF_PACKET).unwrap_or(0);
            (*link).sll_protocol = ETH_P_ALL;
            (*link).sll_ifindex = index;
            *len = u32::try_from(size_of::<libc::sockaddr_ll>()).unwrap_or(0);
            Ok(())
        })?
    };
    Ok(address)
}
