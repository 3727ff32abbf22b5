//! [`Lookup`] over UDP, for tasks.

use super::{Addresses, Error, Kind, Lookup, Step};
use crate::Status;
use crate::task::{UdpSocket, scope, timeout};
use core::hash::{BuildHasher, Hasher};
use core::net::SocketAddr;
use std::hash::RandomState;

/// Ports to ask from: the dynamic ones (RFC 6335 section 6).
const FIRST_PORT: u16 = 49152;
/// How many ports are tried before they pass for all in use.
const PORT_TRIES: usize = 16;

/// The addresses of `name`, from the servers of [`crate::Io::name_servers`]. See [`Resolver::resolve`].
///
/// # Errors
/// As [`Error`] says.
///
/// # Panics
/// Outside of a task.
pub async fn resolve(name: &str) -> Result<Addresses, Error> {
    Resolver::new().resolve(name).await
}

/// Asks name servers, for a task.
#[derive(Clone, Debug)]
pub struct Resolver {
    servers: Vec<SocketAddr>,
}

impl Resolver {
    /// Asks those of [`crate::Io::name_servers`].
    ///
    /// # Panics
    /// Outside of a task.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "it depends on where it is called")]
    pub fn new() -> Self {
        Self::with_servers(&scope::with_io(|io| io.name_servers().collect::<Vec<_>>()))
    }

    /// Asks these, in this order.
    #[must_use]
    pub fn with_servers(servers: &[SocketAddr]) -> Self {
        let servers = servers.to_vec();
        Resolver { servers }
    }

    /// The IPv4 addresses of `name`, or if it has none, its IPv6 addresses.
    ///
    /// # Errors
    /// As [`Error`] says.
    ///
    /// # Panics
    /// Outside of a task.
    pub async fn resolve(&self, name: &str) -> Result<Addresses, Error> {
        match self.lookup(name, Kind::A).await {
            Err(Error::NoAddress) => self.lookup(name, Kind::Aaaa).await,
            answer => answer,
        }
    }

    /// Its addresses of one kind.
    ///
    /// # Errors
    /// As [`Error`] says.
    ///
    /// # Panics
    /// Outside of a task.
    pub async fn lookup(&self, name: &str, kind: Kind) -> Result<Addresses, Error> {
        let mut lookup = Lookup::new(name, kind, &self.servers)?;
        let socket = bind()?;
        loop {
            let now = scope::with_io(|io| io.now());
            match lookup.step(now, random()) {
                Step::Send { to, query } => socket.send_to_now(query, to),
                Step::Wait { until } => {
                    let received = timeout(until.saturating_sub(now), socket.recv_from()).await;
                    if let Ok((datagram, from)) = received
                        && let Some(answer) = lookup.receive(from, &datagram)
                    {
                        return answer;
                    }
                }
                Step::Failed(error) => return Err(error),
            }
        }
    }
}

/// A random port: the next free one could be guessed.
fn bind() -> Result<UdpSocket, Status> {
    let ports = u64::from(u16::MAX - FIRST_PORT) + 1;
    for _ in 0..PORT_TRIES {
        let offset = u16::try_from(random() % ports).unwrap_or(0);
        match UdpSocket::bind(FIRST_PORT + offset) {
            Err(Status::AddressInUse) => {}
            bound => return bound,
        }
    }
    Err(Status::AddressInUse)
}

/// Nobody else's to guess: a keyed hash whose keys come from the system.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
