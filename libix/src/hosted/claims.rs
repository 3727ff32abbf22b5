//! Ports that several cores share. On Ixion a port can be had once by each core, and what comes to it is spread over
//! those that have it; here, each core has a socket of its own, and Linux spreads connections and datagrams over sockets
//! that are bound with `SO_REUSEPORT`.
//!
//! That option lets in anybody of the same user. So it is set for those only who follow the first core of this process;
//! the first must find the port free, as without it, and sets it once it has the port.

use socket2::{SockAddr, Socket};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

/// What cores of this process have, and which.
static CLAIMS: Mutex<Option<HashMap<Port, Vec<u16>>>> = Mutex::new(None);

/// A port that can be shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Port {
    kind: Kind,
    address: SocketAddr,
}

/// Whose ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Tcp,
    Udp,
}

/// A core's right to a port, for as long as it has its socket.
#[derive(Debug)]
pub(super) struct Claim {
    port: Port,
    core: u16,
}

/// Binds `socket` for `core`. A port that Linux chooses is nobody else's, and there is nothing to claim.
///
/// # Errors
/// `AddrInUse` if the core has the port already, or another process.
pub(super) fn bind(socket: &Socket, kind: Kind, address: SocketAddr, core: u16) -> io::Result<Option<Claim>> {
    let linux = SockAddr::from(address);
    if address.port() == 0 {
        return socket.bind(&linux).map(|()| None);
    }
    let port = Port { kind, address };
    let mut claims = CLAIMS.lock().unwrap_or_else(PoisonError::into_inner);
    let claims = claims.get_or_insert_default();
    let cores = claims.get(&port).map_or(&[][..], Vec::as_slice);
    if cores.contains(&core) {
        return Err(io::Error::from_raw_os_error(libc::EADDRINUSE));
    }
    if cores.is_empty() {
        socket.bind(&linux)?;
        socket.set_reuse_port(true)?;
    } else {
        socket.set_reuse_port(true)?;
        socket.bind(&linux)?;
    }
    claims.entry(port).or_default().push(core);
    Ok(Some(Claim { port, core }))
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claims = CLAIMS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(claims) = claims.as_mut()
            && let Some(cores) = claims.get_mut(&self.port)
        {
            cores.retain(|core| *core != self.core);
            if cores.is_empty() {
                claims.remove(&self.port);
            }
        }
    }
}
