use ixion_tests::lab::{self, E1000E, Lab, Nic, VIRTIO_NET};
use ixion_tests::{Ended, artifacts, peer};
use std::io::Read;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// The Ethernet protocol of the frames that the kernel's self test sends.
const EXPERIMENT: u16 = 0x88b5;

#[test]
fn an_intel_card_reaches_nothing_but_its_machine() {
    let stopped = tried_at_foreign_memory(&E1000E);
    assert_eq!(stopped, ["Read", "Write"]);
}

#[test]
fn a_virtio_card_reaches_nothing_but_its_machine() {
    // It breaks down at the first, whichever that is.
    let stopped = tried_at_foreign_memory(&VIRTIO_NET);
    assert!(!stopped.is_empty());
}

/// A kernel that points the card at the lab's memory: nothing is read or written there. Which accesses the IOMMU says it
/// has stopped.
fn tried_at_foreign_memory(nic: &Nic) -> Vec<&'static str> {
    let lab = lab::enter();
    lab.put(
        "/tmp/canary",
        &std::fs::read(artifacts::beside("lab-canary")).unwrap(),
    );
    let canary = lab.start(&["/tmp/canary"]);
    let said = canary.wait_for("canary at 0x");
    let at = u64::from_str_radix(said.trim().rsplit_once("0x").unwrap().1, 16).unwrap();
    assert!(at >= 64 << 20, "{at:#x} is inside the machine's own addresses");

    let (_, frames) = point_at(&lab, nic, at);
    assert!(
        !frames.iter().any(|frame| contains(frame, b"canary")),
        "memory has leaked"
    );
    canary.stop().assert_code(0).assert_said("unharmed");
    let log = lab.shell("dmesg");
    let device = nic.address.trim_start_matches("0000:");
    let is_inside =
        |line: &str| fault_address(line).is_some_and(|found| (at..at + (64 << 12)).contains(&found));
    let was_stopped = |access: &&str| {
        let fault = format!("DMAR: [DMA {access}");
        log.lines()
            .any(|line| line.contains(&fault) && line.contains(device) && is_inside(line))
    };
    ["Read", "Write"].into_iter().filter(was_stopped).collect()
}

/// The same with an address of its own, to show that frames do come from where the card is pointed.
#[test]
fn a_card_sends_what_its_machine_has() {
    let lab = lab::enter();
    let (ended, frames) = point_at(&lab, &E1000E, 48 << 20);
    assert!(
        frames.len() > 10,
        "{} frames came out: {}",
        frames.len(),
        ended.stderr
    );
    let log = lab.shell("dmesg");
    assert!(!log.contains("DMAR: [DMA"), "{log}");
}

/// Runs a kernel that points the card there while frames come in; how that ended, and what came out.
fn point_at(lab: &Lab, nic: &Nic, at: u64) -> (Ended, Vec<Vec<u8>>) {
    let socket = peer::frames(lab.namespace(), EXPERIMENT);
    let sender = lab
        .namespace()
        .enter(|| UdpSocket::bind((nic.client, 0)).unwrap());
    sender.set_broadcast(true).unwrap();
    let run = lab.start(&[
        "ix",
        "run",
        "--backend",
        "kvm",
        "--nic",
        &format!("vfio:{}", nic.address),
        "--ip",
        &format!("{}/24", nic.own),
        "--mem",
        "64M",
        "--kernel-arg",
        &format!("selftest=foreigndma:{at:#x}"),
        "/ixion/echo",
    ]);
    run.wait_for_complaint("self test: frames may come in");
    let mut frames = Vec::new();
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        sender
            .send_to(b"to whom it may concern", (nic.broadcast(), 9))
            .unwrap();
        let mut room = [0; 2048];
        if let Ok(count) = (&socket).read(&mut room) {
            frames.push(room[..count].to_vec());
        }
    }
    let ended = run.finish();
    ended.assert_code(123);
    (ended, frames)
}

fn contains(frame: &[u8], word: &[u8]) -> bool {
    frame.windows(word.len()).any(|part| part == word)
}

/// `... fault addr 0x7d401000 [fault reason ...`
fn fault_address(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("fault addr 0x")?;
    let digits = rest.split(|c: char| !c.is_ascii_hexdigit()).next()?;
    u64::from_str_radix(digits, 16).ok()
}
