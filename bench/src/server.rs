//! What is served, on which machine, and by which program.

use crate::guest::Guest;
use crate::netns::GUEST;
use serde::{Deserialize, Serialize};
use std::net::SocketAddrV4;

/// Our apps on Linux stand beside its own servers, this far above their ports.
const HOSTED_OFFSET: u16 = 10_000;

/// What is served.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Service {
    /// Bytes come back, over TCP and UDP.
    Echo,
    /// memcached's protocol.
    Memcached,
    /// One small file.
    Http,
    /// Messages of any length, after NetPIPE.
    PingPong,
    /// One end of a bulk transfer; of no other comparison.
    #[value(skip)]
    Bulk,
}

impl Service {
    /// Those that are compared under many loads.
    pub(crate) const ALL: [Service; 4] = [
        Service::Echo,
        Service::Memcached,
        Service::Http,
        Service::PingPong,
    ];

    /// Its port, on which Linux' own server and Ixion's listen.
    pub(crate) fn port(self) -> u16 {
        match self {
            Self::Echo => 7,
            Self::Memcached => 11_211,
            Self::Http => 80,
            Self::PingPong => 5002,
            Self::Bulk => 5201,
        }
    }

    /// Linux' own server with its arguments.
    fn native(self) -> &'static [&'static str] {
        match self {
            Self::Echo => &["echosrv"],
            Self::Memcached => &["memcached", "-u", "root", "-c", "16384"],
            Self::Http => &["nginx", "-c", "/etc/nginx.conf"],
            Self::PingPong => &["pingpong"],
            Self::Bulk => &["iperf3", "-s"],
        }
    }

    /// Linux' own server has a thread for each CPU, if it can have several.
    fn threads(self, cpus: usize) -> Vec<String> {
        match self {
            Self::Echo | Self::Memcached => vec!["-t".to_owned(), cpus.to_string()],
            Self::Http | Self::PingPong | Self::Bulk => Vec::new(),
        }
    }

    /// Our app, and its arguments but for the port, which follows.
    pub(crate) fn app(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Echo => ("echo", &["--port"]),
            Self::Memcached => ("kv", &["-c", "16384", "-p"]),
            Self::Http => ("http", &["--port"]),
            Self::PingPong => ("netpipe", &["respond", "--port"]),
            Self::Bulk => ("bulk", &[]),
        }
    }
}

/// A service on a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    /// Who runs it.
    pub(crate) guest: Guest,
    /// What it serves.
    pub(crate) service: Service,
}

impl Server {
    /// Where it listens.
    pub(crate) fn address(self) -> SocketAddrV4 {
        SocketAddrV4::new(GUEST, self.port())
    }

    fn port(self) -> u16 {
        match self.guest {
            Guest::LinuxHosted => self.service.port() + HOSTED_OFFSET,
            _ => self.service.port(),
        }
    }

    /// What a Linux guest of so many CPUs starts, word by word.
    pub(crate) fn linux_words(self, cpus: usize) -> Vec<String> {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        match self.guest {
            Guest::LinuxHosted => {
                let (app, arguments) = self.service.app();
                let mut words = owned(&[app]);
                words.extend(owned(arguments));
                words.push(self.port().to_string());
                words
            }
            Guest::LinuxSpin if self.service == Service::Echo => owned(&["echosrv", "-b"]),
            _ => [owned(self.service.native()), self.service.threads(cpus)].concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Server, Service};
    use crate::guest::Guest;
    use std::collections::HashSet;

    #[test]
    fn our_apps_and_the_native_servers_share_a_linux_guest_without_sharing_ports() {
        let servers = [Guest::LinuxTuned, Guest::LinuxHosted]
            .into_iter()
            .flat_map(|guest| Service::ALL.map(|service| Server { guest, service }));
        let ports: HashSet<u16> = servers.map(|server| server.address().port()).collect();
        assert_eq!(ports.len(), 2 * Service::ALL.len());
    }

    #[test]
    fn a_hosted_app_is_told_its_own_port() {
        let server = Server {
            guest: Guest::LinuxHosted,
            service: Service::Memcached,
        };
        assert_eq!(server.linux_words(1), ["kv", "-c", "16384", "-p", "21211"]);
    }
}
