//! Port forwards of user networking: `[tcp:|udp:][HOSTADDR:]HOSTPORT:PORT`.

use serde::Deserialize;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::str::FromStr;

/// Transport of a forwarded port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// One host port that leads into the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Forward {
    /// Transport.
    pub transport: Transport,
    /// Where the host listens.
    pub host: SocketAddrV4,
    /// The app's port.
    pub port: u16,
}

/// Why a text is no forward, or why one cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// Not of the form.
    #[error(
        "`{0}` is no forward; write [tcp:|udp:][HOSTADDR:]HOSTPORT:PORT, for example 8080:80 or udp:5353:53"
    )]
    Malformed(String),
    /// Another program listens there.
    #[error(
        "{transport} port {host} is in use; choose another host port, or stop who has it (ss -lnp shows who)"
    )]
    InUse {
        /// Transport.
        transport: Transport,
        /// The address in use.
        host: SocketAddrV4,
    },
    /// The host refuses the port for another reason.
    #[error(
        "cannot listen on {transport} port {host}; ports below 1024 need root, and the address must be this host's"
    )]
    Refused {
        /// Transport.
        transport: Transport,
        /// The address asked for.
        host: SocketAddrV4,
        /// The host's answer.
        source: std::io::Error,
    },
}

impl Forward {
    /// Listens on the host port for a moment, to find out now what QEMU would only say in its own words.
    pub fn probe(&self) -> Result<(), ForwardError> {
        let (transport, host) = (self.transport, self.host);
        let tried = match transport {
            Transport::Tcp => TcpListener::bind(host).map(drop),
            Transport::Udp => UdpSocket::bind(host).map(drop),
        };
        tried.map_err(|source| match source.kind() {
            std::io::ErrorKind::AddrInUse => ForwardError::InUse { transport, host },
            _ => ForwardError::Refused {
                transport,
                host,
                source,
            },
        })
    }
}

impl FromStr for Forward {
    type Err = ForwardError;

    fn from_str(text: &str) -> Result<Self, ForwardError> {
        let malformed = || ForwardError::Malformed(text.to_owned());
        let (transport, rest) = match text.split_once(':') {
            Some(("tcp", rest)) => (Transport::Tcp, rest),
            Some(("udp", rest)) => (Transport::Udp, rest),
            _ => (Transport::Tcp, text),
        };
        let (host, port) = rest.rsplit_once(':').ok_or_else(malformed)?;
        let (address, host_port) = match host.rsplit_once(':') {
            Some((address, port)) => (address.parse().map_err(|_| malformed())?, port),
            None => (Ipv4Addr::LOCALHOST, host),
        };
        let number = |digits: &str| {
            digits
                .parse()
                .ok()
                .filter(|&n: &u16| n != 0)
                .ok_or_else(malformed)
        };
        Ok(Self {
            transport,
            host: SocketAddrV4::new(address, number(host_port)?),
            port: number(port)?,
        })
    }
}

impl TryFrom<String> for Forward {
    type Error = ForwardError;

    fn try_from(text: String) -> Result<Self, ForwardError> {
        text.parse()
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.transport, self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::{Forward, ForwardError, Transport};
    use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};

    #[test]
    fn forms_of_a_forward() {
        let plain: Forward = "8080:80".parse().unwrap();
        let host = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080);
        assert_eq!(
            plain,
            Forward {
                transport: Transport::Tcp,
                host,
                port: 80
            }
        );
        let udp: Forward = "udp:0.0.0.0:5353:53".parse().unwrap();
        assert_eq!(udp.to_string(), "udp:0.0.0.0:5353:53");
        assert_eq!("tcp:8080:80".parse::<Forward>().unwrap(), plain);
        for text in [
            "",
            "80",
            "sctp:1:2",
            "1:2:3",
            "0:80",
            "8080:0",
            "70000:80",
            "udp:80",
            "::1:8080:80",
        ] {
            assert!(text.parse::<Forward>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_port_in_use_is_found_before_the_start() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(host) = listener.local_addr().unwrap() else {
            panic!("bound to IPv4")
        };
        let forward = Forward {
            transport: Transport::Tcp,
            host,
            port: 80,
        };
        assert!(matches!(forward.probe(), Err(ForwardError::InUse { .. })));
        drop(listener);
        forward.probe().unwrap();
    }
}
