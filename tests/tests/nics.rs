//! The cards: each is a machine's only one in turn, and moves pings, datagrams, streams and connections, with the
//! checksums computed by the card where it can.

use ixion_tests::{Namespace, Run, Runner, Traffic, artifacts, peer};
use std::collections::BTreeMap;

#[test]
fn virtio_net() {
    moves_packets("virtio-net", "virtio network device at");
}

/// Intel's 82574L.
#[test]
fn e1000e() {
    let stats = moves_packets("e1000e", "Intel 82574L");
    assert_card_worked(&stats);
}

/// Intel's 82540EM.
#[test]
fn e1000() {
    let stats = moves_packets("e1000", "Intel 82540EM");
    assert_card_worked(&stats);
}

/// VMware's.
#[test]
fn vmxnet3() {
    let stats = moves_packets("vmxnet3", "vmxnet3 network card at");
    assert!(stats["nic.tx_doorbells"] < stats["nic.tx_frames"], "{stats:#?}");
    let failed = [
        "nic.tx_errors",
        "nic.tx_discarded",
        "nic.rx_errors",
        "nic.rx_cut_short",
    ];
    assert_eq!(failed.map(|name| stats[name]), [0; 4], "{stats:#?}");
}

/// Runs everything over a card; the kernel must name it. Returns the counters at the end.
fn moves_packets(nic: &str, named: &str) -> BTreeMap<String, u64> {
    let namespace = Namespace::new().unwrap();
    let run = Runner::new(artifacts::echo())
        .on(&namespace)
        .options(&["--nic", nic])
        .start();
    run.wait_for("echo: tcp and udp port 7");
    let before = held(&run.stats());
    Traffic::new(&namespace, peer::guest(7)).all();
    run.wait_for_stats(&format!("it should hold what it held: {before:?}"), |stats| {
        held(stats) == before
    });
    let stats = run.stats();
    assert_everything_was_counted(&run, &stats);
    run.stop().assert_code(0).assert_logged(named);
    stats
}

/// What must be as it was once all connections are gone: gauges of flows and of buffers.
fn held(stats: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let gauges = ["flows", "held", "free", "in_use"];
    stats
        .iter()
        .filter(|(name, _)| gauges.iter().any(|gauge| name.contains(gauge)))
        .map(|(name, value)| (name.clone(), *value))
        .collect()
}

/// No frame that the card or the driver found wrong.
fn assert_everything_was_counted(run: &Run, stats: &BTreeMap<String, u64>) {
    let bad: Vec<_> = stats
        .iter()
        .filter(|(name, value)| name.starts_with("nic.") && name.contains("bad") && **value > 0)
        .collect();
    assert!(bad.is_empty(), "{bad:?}\n{}", run.log());
    // A megabyte each way, after a datagram of each size.
    let at_least = (Traffic::DATAGRAMS + (1 << 20) / 1_460) as u64;
    for name in ["nic.rx_frames", "nic.tx_frames"] {
        assert!(stats[name] > at_least, "{name}: {stats:#?}");
    }
}

/// The Intel cards: batches share doorbells, and the card computed checksums of both kinds.
fn assert_card_worked(stats: &BTreeMap<String, u64>) {
    assert!(stats["nic.tx_doorbells"] < stats["nic.tx_frames"], "{stats:#?}");
    assert!(
        stats["nic.rx_doorbells"] * 50 < stats["nic.rx_frames"],
        "{stats:#?}"
    );
    assert!(stats["nic.tx_contexts"] >= 2, "{stats:#?}");
}
