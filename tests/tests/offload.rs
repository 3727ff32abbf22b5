//! What cards do for TCP/IP, with it and without: the same bytes, over the same cards.

use ixion_tests::{GUEST, Namespace, Run, Runner, Traffic, artifacts, peer};
use std::collections::BTreeMap;

/// Bytes of a transfer that is compared, each way.
const BULK: usize = 4 << 20;

fn start(namespace: &Namespace, options: &[&str]) -> Run {
    let run = Runner::new(artifacts::echo())
        .on(namespace)
        .options(options)
        .start();
    run.wait_for("echo: tcp and udp port 7");
    run
}

/// Bulk both ways, and frames of all kinds; gives the counters after it.
fn exchange(namespace: &Namespace, run: &Run) -> BTreeMap<String, u64> {
    let stream = peer::connect(namespace, peer::guest(7));
    peer::exchange(&stream, &peer::pattern(1, BULK));
    drop(stream);
    Traffic::new(namespace, peer::guest(7)).pings();
    run.stats()
}

/// Sum of the counters that say that something was dropped by card or driver.
fn bad(stats: &BTreeMap<String, u64>) -> u64 {
    let bad = stats
        .iter()
        .filter(|(name, _)| name.starts_with("nic.") && name.contains("bad"));
    bad.map(|(_, count)| count).sum()
}

fn with_and_without(nic: &str, merges: bool) {
    let namespace = Namespace::new().unwrap();
    let run = start(&namespace, &["--nic", nic]);
    let with = exchange(&namespace, &run);
    run.stop().assert_code(0).assert_logged("TSO");

    let off = "tso=off,lro=off,gro=off,gso=off,rxcsum=off,txcsum=off";
    let run = start(&namespace, &["--nic", nic, "--offload", off]);
    let without = exchange(&namespace, &run);
    let ended = run.stop();
    ended.assert_code(0);
    assert!(!ended.log.contains("TSO"), "{}", ended.log);

    assert_eq!((bad(&with), bad(&without)), (0, 0), "{with:#?} {without:#?}");
    let segments = (BULK / 1460) as u64;
    assert_eq!((with["nic.offload_tso"], without["nic.offload_tso"]), (1, 0));
    assert_eq!(with["nic.offload_lro"], u64::from(merges));
    assert!(with["tx_tcp_to_cut"] > 0, "{with:#?}");
    assert!(with["nic.tx_frames"] < segments, "the card cut them: {with:#?}");
    assert_eq!((without["tx_tcp_to_cut"], without["tcp_merged"]), (0, 0));
    assert!(without["nic.tx_frames"] > segments);
    assert!(without["nic.rx_frames"] > segments);
    if merges {
        assert!(
            with["nic.rx_frames"] < segments,
            "the card merged them: {with:#?}"
        );
    } else {
        assert!(with["tcp_merged"] > 0, "the stack did: {with:#?}");
    }
}

#[test]
fn virtio_net_cuts_and_merges() {
    with_and_without("virtio-net", true);
}

#[test]
fn e1000e_cuts() {
    with_and_without("e1000e", false);
}

#[test]
fn e1000_cuts() {
    with_and_without("e1000", false);
}

#[test]
fn vmxnet3_cuts_and_merges() {
    with_and_without("vmxnet3", true);
}

#[test]
fn segments_over_ipv6_are_cut_and_merged_too() {
    let namespace = Namespace::new().unwrap();
    namespace.ip("-6 address add fd77::1/64 dev ixt0 nodad").unwrap();
    for nic in ["virtio-net", "e1000e", "e1000", "vmxnet3"] {
        let run = start(&namespace, &["--nic", nic, "--ip6", "fd77::2/64"]);
        // Until the address is known to be nobody else's.
        std::thread::sleep(std::time::Duration::from_millis(1500));
        let stream = peer::connect(&namespace, "[fd77::2]:7".parse().unwrap());
        peer::exchange(&stream, &peer::pattern(2, BULK));
        let stats = run.stats();
        assert!(stats["tx_tcp_to_cut"] > 0, "{nic}: {stats:#?}");
        assert_eq!(bad(&stats), 0, "{nic}: {stats:#?}");
        run.stop().assert_code(0);
    }
}

/// Jumbo frames: pings, datagrams and streams whose packets are as long as the link carries.
fn jumbo(nic: &str, offload: &str) {
    let namespace = Namespace::new().unwrap();
    let run = start(&namespace, &["--nic", nic, "--mtu", "9000", "--offload", offload]);
    assert!(namespace.ip("link show ixt0").unwrap().contains("mtu 9000"));

    let icmp = peer::icmp(&namespace);
    for (sequence, size) in (1..).zip([1472, 1473, 2000, 4000, 8000, 8971, 8972]) {
        peer::ping(&icmp, GUEST, sequence, &peer::pattern(size as u64, size));
    }
    let udp = peer::udp(&namespace, peer::guest(7));
    let mut room = [0; 10_000];
    for size in [1473, 2000, 8192, 8972] {
        let bytes = peer::pattern(size as u64, size);
        udp.send(&bytes).unwrap();
        let count = udp.recv(&mut room).unwrap();
        peer::assert_same(&room[..count], &bytes);
    }
    let stream = peer::connect(&namespace, peer::guest(7));
    peer::exchange(&stream, &peer::pattern(3, BULK));
    drop(stream);

    let stats = run.stats();
    assert_eq!(bad(&stats), 0, "{stats:#?}");
    assert_eq!(stats["rx_fragment"], 0, "nothing was in fragments: {stats:#?}");
    run.wait_for_stats("buffers should be home", |stats| {
        stats["buffers_udp"] == 0 && stats["buffers_lent"] == 0
    });
    run.stop().assert_code(0).assert_logged("MTU 9000");
}

#[test]
fn virtio_net_carries_jumbo_frames() {
    jumbo("virtio-net", "tso=on,lro=on");
    jumbo("virtio-net", "tso=off,lro=off,rxcsum=off");
}

#[test]
fn e1000e_carries_jumbo_frames() {
    jumbo("e1000e", "tso=on");
    jumbo("e1000e", "tso=off,rxcsum=off,txcsum=off");
}

#[test]
fn e1000_carries_jumbo_frames() {
    jumbo("e1000", "tso=on");
}

#[test]
fn vmxnet3_carries_jumbo_frames() {
    jumbo("vmxnet3", "tso=on,lro=on");
    jumbo("vmxnet3", "tso=off,lro=off,rxcsum=off,txcsum=off");
}

#[test]
fn packets_too_long_for_the_card_are_refused_at_the_start() {
    let namespace = Namespace::new().unwrap();
    let ended = Runner::new(artifacts::echo())
        .on(&namespace)
        .options(&[
            "--mtu",
            "9000",
            "--qemu-arg",
            "-global",
            "--qemu-arg",
            "virtio-net-pci.mrg_rxbuf=off",
        ])
        .finish();
    assert_ne!(ended.code, 0);
    assert!(ended.log.contains("9000 bytes were asked for"), "{}", ended.log);
}
