use crate::{echo_on, held, run_on, stats, wait_until_it_holds};
use ixion_tests::artifacts::{Build, guest};
use ixion_tests::lab::{self, E1000E, Lab, NICS, Nic, VIRTIO_NET};
use ixion_tests::{Traffic, peer};
use nix::sys::signal::Signal;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Requests of the steady state that is looked at.
const REQUESTS: u64 = 2000;

#[test]
fn packets_move_over_an_intel_card() {
    moves_packets(&E1000E);
}

#[test]
fn packets_move_over_a_virtio_card() {
    moves_packets(&VIRTIO_NET);
}

/// The client is outside the lab, so each frame goes through the card.
fn moves_packets(nic: &Nic) {
    let lab = lab::enter();
    let run = echo_on(&lab, nic, "echo");
    assert_eq!(lab.driver(nic), "vfio-pci");
    let before = held(&stats(&lab, "echo"));
    Traffic::new(lab.namespace(), SocketAddr::from((nic.own, 7))).all();
    wait_until_it_holds(&lab, "echo", &before);
    let counted = stats(&lab, "echo");
    for name in ["nic.rx_frames", "nic.tx_frames"] {
        assert!(counted[name] > Traffic::DATAGRAMS as u64, "{name}: {counted:#?}");
    }
    run.stop().assert_code(0);
    assert_eq!(lab.driver(nic), nic.driver);
    let log = lab.shell("dmesg");
    assert!(!log.contains("DMAR: [DMA"), "{log}");
}

/// The 82574L's two queues, for two cores, and its choice between them.
#[test]
fn two_cores_have_the_two_queues_of_an_intel_card() {
    let lab = lab::enter();
    let words = run_on(&E1000E, "two", &["--cores", "2", "/ixion/echo"]);
    let run = lab.start(&words.iter().map(String::as_str).collect::<Vec<_>>());
    run.wait_for("echo: tcp and udp port 7");
    let before = held(&stats(&lab, "two"));
    Traffic::new(lab.namespace(), SocketAddr::from((E1000E.own, 7))).all();
    let settled = stats(&lab, "two");
    assert_eq!(settled["steer.by_card"], 1, "{settled:#?}");
    let connect = |_| peer::connect(lab.namespace(), SocketAddr::from((E1000E.own, 7)));
    let streams: Vec<_> = (0..16).map(connect).collect();
    for number in 0..20 {
        for stream in &streams {
            peer::exchange(stream, &peer::pattern(number, 100));
        }
    }
    let after = stats(&lab, "two");
    let grown = |name: &str| after[name] - settled[name];
    for counter in [
        "core0.nic.rx_frames",
        "core1.nic.rx_frames",
        "core1.nic.tx_frames",
    ] {
        assert!(grown(counter) >= 40, "{counter}: {after:#?}");
    }
    assert!(
        grown("steer.handed") <= 4,
        "the card knows whose TCP is: {after:#?}"
    );
    drop(streams);
    wait_until_it_holds(&lab, "two", &before);
    run.stop().assert_code(0);
}

/// What the machine leaves the guest for is counted, and no request is a reason. What remains are interrupts: the lab's,
/// and those of the kernel's own timer.
#[test]
fn requests_cost_no_exit() {
    let lab = lab::enter();
    for nic in &NICS {
        let run = echo_on(&lab, nic, "steady");
        let stream = peer::connect(lab.namespace(), SocketAddr::from((nic.own, 7)));
        let exchange = || {
            for number in 0..REQUESTS {
                peer::exchange(&stream, &peer::pattern(number, 64));
            }
        };
        exchange();
        let before = stats(&lab, "steady");
        exchange();
        let after = stats(&lab, "steady");
        assert!(
            after["nic.rx_frames"] >= before["nic.rx_frames"] + REQUESTS,
            "{after:#?}"
        );
        let is_exit = |name: &str| {
            name.starts_with("machine.exits.")
                || ["machine.kvm.io_exits", "machine.kvm.mmio_exits"].contains(&name)
        };
        for (name, count) in after.iter().filter(|(name, _)| is_exit(name)) {
            assert_eq!(*count, before[name], "{name} on {}", nic.driver);
        }
        assert!(after.keys().any(|name| is_exit(name)), "{after:#?}");
        drop(stream);
        run.stop().assert_code(0);
    }
}

#[test]
fn a_card_goes_back_when_the_app_crashes() {
    let lab = lab::enter();
    lab.put(
        "/tmp/wild_jump",
        &std::fs::read(guest("wild_jump", Build::Plain)).unwrap(),
    );
    let words = run_on(
        &VIRTIO_NET,
        "wild",
        &["/tmp/wild_jump", "--", "read", "ffff800000000000"],
    );
    let ended = lab.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
    ended.assert_code(128 + 11);
    assert_eq!(lab.driver(&VIRTIO_NET), VIRTIO_NET.driver);
}

#[test]
fn a_card_goes_back_when_the_kernel_panics() {
    let lab = lab::enter();
    let words = run_on(
        &E1000E,
        "panic",
        &["--kernel-arg", "selftest=panic", "/ixion/echo"],
    );
    let ended = lab.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
    ended.assert_code(123);
    assert_eq!(lab.driver(&E1000E), E1000E.driver);
}

#[test]
fn a_card_goes_back_when_the_machine_is_killed() {
    let lab = lab::enter();
    let run = echo_on(&lab, &E1000E, "echo");
    lab.shell(&format!("kill -KILL {}", machine_of(&lab, run.pid())));
    let ended = run.finish();
    ended.assert_code(125);
    assert!(ended.stderr.contains("killed by SIGKILL"), "{}", ended.stderr);
    assert_eq!(lab.driver(&E1000E), E1000E.driver);
}

/// The process that is the machine.
fn machine_of(lab: &Lab, ix: i32) -> String {
    let children = lab.shell(&format!("cat /proc/{ix}/task/*/children"));
    let mut words = children.split_whitespace();
    let machine = words.next().expect("ix has a child");
    assert_eq!(words.next(), None, "{children}");
    machine.to_owned()
}

#[test]
fn a_card_can_be_had_back_after_ix_was_killed() {
    let lab = lab::enter();
    kill_ix(&lab, &E1000E);
    lab.shell(&format!("ix nic unbind {}", E1000E.address));
    assert_eq!(lab.driver(&E1000E), E1000E.driver);
}

/// It is the next run's business, also if that wants another card.
#[test]
fn the_next_run_gives_back_what_a_killed_one_had() {
    let lab = lab::enter();
    for nic in &NICS {
        kill_ix(&lab, nic);
    }
    let run = echo_on(&lab, &VIRTIO_NET, "echo");
    assert_eq!(lab.driver(&E1000E), E1000E.driver);
    assert_eq!(lab.driver(&VIRTIO_NET), "vfio-pci");
    let server = SocketAddr::from((VIRTIO_NET.own, 7));
    peer::exchange(&peer::connect(lab.namespace(), server), b"still there?");
    run.stop().assert_code(0);
    assert_eq!(lab.driver(&VIRTIO_NET), VIRTIO_NET.driver);
}

/// Kills an `ix run` that serves on this card: its machine goes with it, the card stays where it was.
fn kill_ix(lab: &Lab, nic: &Nic) {
    let run = echo_on(lab, nic, "killed");
    let machine = machine_of(lab, run.pid());
    run.signal(Signal::SIGKILL);
    assert_eq!(run.finish().code, 128 + 9);
    let until = Instant::now() + Duration::from_secs(10);
    while lab.run(&["test", "-e", &format!("/proc/{machine}")]).code == 0 {
        assert!(Instant::now() < until, "the machine outlives ix");
    }
    assert_eq!(lab.driver(nic), "vfio-pci");
}
