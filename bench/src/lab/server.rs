//! Who serves on a card: the lab's Linux, or a dataplane that has the card for itself.

use crate::server::Service;
use anyhow::{Context, Result, bail};
use ixion_tests::lab::{Lab, Nic, Process};
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

/// The name of Ixion's run.
const NAME: &str = "bench";
/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the lab's Linux is told, as bench/linux-guest tells its own.
const TUNING: &str = "echo 65535 > /proc/sys/net/core/somaxconn; \
                      echo 65535 > /proc/sys/net/ipv4/tcp_max_syn_backlog; \
                      echo 0 > /proc/sys/net/ipv4/tcp_syncookies";

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Server {
    /// The lab's kernel with the epoll server of bench/linux-guest.
    Linux,
    /// Ours, under KVM.
    Ixion,
}

/// A server that has been started. Dropping it ends it.
pub(super) struct Running<'a> {
    pub(super) lab: &'a Lab,
    pub(super) nic: &'a Nic,
    server: Server,
    started: Instant,
    _process: Process<'a>,
}

impl Server {
    /// Its column's title.
    pub(super) fn title(self) -> &'static str {
        match self {
            Server::Linux => "Linux",
            Server::Ixion => "Ixion",
        }
    }

    /// Starts it on a card.
    pub(super) fn start<'a>(self, lab: &'a Lab, nic: &'a Nic, images: &Path) -> Result<Running<'a>> {
        let address = format!("{}/24", nic.own);
        let port = Service::Echo.port().to_string();
        let (started, process) = match self {
            Server::Linux => {
                let program = std::fs::read(images.join("echosrv")).context("bench/run builds echosrv")?;
                lab.put("/tmp/echosrv", &program);
                let interface = interface(lab, nic);
                lab.shell(&format!(
                    "{TUNING}; ip address add {address} dev {interface}; ip link set {interface} up"
                ));
                (Instant::now(), lab.start(&["/tmp/echosrv", "-p", &port]))
            }
            Server::Ixion => {
                let card = format!("vfio:{}", nic.address);
                let words = [
                    "ix",
                    "run",
                    "--backend",
                    "kvm",
                    "--nic",
                    &card,
                    "--cpus",
                    "1",
                    "--ip",
                    &address,
                    "--name",
                    NAME,
                    "/ixion/echo",
                    "--",
                    "--port",
                    &port,
                ];
                (Instant::now(), lab.start(&words))
            }
        };
        Ok(Running {
            lab,
            nic,
            server: self,
            started,
            _process: process,
        })
    }
}

impl Running<'_> {
    /// Asks until there is an answer; how long that took from the start.
    pub(super) fn wait_until_it_answers(&self) -> Result<Duration> {
        self.lab.namespace().enter(|| {
            let socket = UdpSocket::bind((self.nic.client, 0))?;
            socket.connect((self.nic.own, Service::Echo.port()))?;
            socket.set_read_timeout(Some(Duration::from_millis(2)))?;
            while self.started.elapsed() < PATIENCE {
                // Refused while nobody listens.
                let _ = socket.send(b"there?");
                if socket.recv(&mut [0; 16]).is_ok() {
                    return Ok(self.started.elapsed());
                }
            }
            bail!("{} does not answer on {}", self.server.title(), self.nic.driver)
        })
    }

    /// How often its machine has left the guest for the launcher so far.
    pub(super) fn exits(&self) -> Option<u64> {
        if self.server == Server::Linux {
            return None;
        }
        let output = self.lab.shell(&format!("ix stats {NAME} --json"));
        let stats: BTreeMap<String, u64> = serde_json::from_str(&output).ok()?;
        let exits = stats
            .iter()
            .filter(|(name, _)| name.starts_with("machine.exits."));
        Some(exits.map(|(_, count)| count).sum())
    }
}

/// The name the lab's Linux gives the card.
fn interface(lab: &Lab, nic: &Nic) -> String {
    let device = format!("/sys/bus/pci/devices/{}", nic.address);
    let found = lab.shell(&format!(
        "ls -d {device}/net/* {device}/virtio*/net/* 2>/dev/null || true"
    ));
    found.trim().rsplit('/').next().unwrap_or_default().to_owned()
}
