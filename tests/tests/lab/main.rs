//! Ixion on a machine with KVM, an IOMMU and network cards: the real path, in the lab.

/// The harness itself.
mod harness;

/// `ix doctor`: what the lab is told about itself.
mod doctor;

/// The machine on KVM: which backend is chosen, how kernels and apps end.
mod machine;

/// `ix nic`: which cards there are, and who has them.
mod cards;

/// What the machine's process may still do once it runs, and files for it.
mod jail;

/// Users who are not root.
mod users;

/// A card that is passed through moves packets, and goes back to its driver, whatever happens.
mod passthrough;

/// Taps.
mod tap;

/// Two dataplanes.
mod two;

/// What a card that was passed through cannot reach.
mod dma;

use ixion_tests::lab::{Lab, Nic, Process};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long counters may take to become what they should be.
const PATIENCE: Duration = Duration::from_secs(30);

/// The words of an `ix run` on KVM that has this card.
fn run_on<'a>(nic: &Nic, name: &'a str, more: &[&'a str]) -> Vec<String> {
    let card = format!("vfio:{}", nic.address);
    let own = format!("{}/24", nic.own);
    let words = [
        "ix",
        "run",
        "--backend",
        "kvm",
        "--nic",
        &card,
        "--ip",
        &own,
        "--mem",
        "128M",
        "--name",
        name,
    ];
    words.iter().chain(more).map(|&word| word.to_owned()).collect()
}

/// Starts the echo server on a card, and waits until it serves.
fn echo_on<'a>(lab: &'a Lab, nic: &Nic, name: &str) -> Process<'a> {
    let words = run_on(nic, name, &["/ixion/echo"]);
    let run = lab.start(&words.iter().map(String::as_str).collect::<Vec<_>>());
    run.wait_for("echo: tcp and udp port 7");
    run
}

/// The counters of a run.
fn stats(lab: &Lab, name: &str) -> BTreeMap<String, u64> {
    serde_json::from_str(&lab.shell(&format!("ix stats {name} --json"))).unwrap()
}

/// What must be as it was once all connections are gone: gauges of flows and of buffers.
fn held(stats: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let gauges = ["flows", "held", "free", "in_use"];
    let held = stats
        .iter()
        .filter(|(name, _)| gauges.iter().any(|gauge| name.contains(gauge)));
    held.map(|(name, value)| (name.clone(), *value)).collect()
}

/// Waits until the run holds what it held.
fn wait_until_it_holds(lab: &Lab, name: &str, before: &BTreeMap<String, u64>) {
    let until = Instant::now() + PATIENCE;
    loop {
        let now = held(&stats(lab, name));
        if now == *before {
            return;
        }
        assert!(Instant::now() < until, "it holds {now:?}, but held {before:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A script that runs `command` where this device does not exist.
fn without(device: &str, command: &str) -> String {
    format!(
        "mkdir -p /tmp/dev; cp -a /dev/. /tmp/dev; rm -r /tmp{device}; mount --bind /tmp/dev /dev; exec {command}"
    )
}
