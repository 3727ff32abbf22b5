//! Dnsmasq: a DHCP and name server on the Linux side, as many a network has it.

use crate::{Folder, HOST, Namespace};
use std::process::{Child, Stdio};

/// One at work. Dropping it kills it.
#[derive(Debug)]
pub struct Dnsmasq {
    child: Child,
    _folder: Folder,
}

impl Dnsmasq {
    /// Starts one at [`HOST`], with these words of its command line, and nothing of this host's.
    ///
    /// # Panics
    /// If it is not there (`scripts/deps test` installs it), or does not come up.
    #[must_use]
    pub fn start(namespace: &Namespace, words: &[&str]) -> Self {
        let folder = Folder::new();
        let leases = folder.join("leases");
        let mut command = namespace.command("dnsmasq");
        command.args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--no-ping",
            "--user=root",
            "--pid-file=",
            "--log-facility=/dev/null",
            "--dhcp-authoritative",
            "--bind-interfaces",
        ]);
        command.arg(format!("--listen-address={HOST}"));
        command.arg(format!("--dhcp-leasefile={}", leases.display()));
        let child = command
            .args(words)
            .stdout(Stdio::null())
            .spawn()
            .expect("dnsmasq can be started");
        let mut server = Dnsmasq {
            child,
            _folder: folder,
        };
        server.wait(namespace);
        server
    }

    /// Until its name server listens; the DHCP server does then, too.
    fn wait(&mut self, namespace: &Namespace) {
        for _ in 0..500 {
            let ended = self.child.try_wait().expect("our own child");
            assert!(ended.is_none(), "dnsmasq ended: {ended:?}");
            if namespace.enter(|| std::net::TcpStream::connect((HOST, 53)).is_ok()) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("dnsmasq does not listen");
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        // Both fail if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
