//! The cards: each is a machine's only one in turn, and moves pings, datagrams, streams and connections, with the
//! checksums computed by the card where it can.

use ixion_tests::{Namespace, Run, Runner, artifacts, peer};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

/// The largest payload of one frame: 1500 bytes less the IPv4 and the ICMP or UDP header.
const LARGEST: usize = 1472;

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

/// Runs everything over a card; the kernel must name it. Returns the counters at the end.
fn moves_packets(nic: &str, named: &str) -> BTreeMap<String, u64> {
    let namespace = Namespace::new().unwrap();
    let run = Runner::new(artifacts::echo())
        .on(&namespace)
        .options(&["--nic", nic])
        .start();
    run.wait_for("echo: tcp and udp port 7");
    let before = held(&run.stats());
    ping(&namespace);
    datagrams(&namespace);
    streams(&namespace);
    two_hundred_connections(&namespace);
    run.wait_for_stats(&format!("it should hold what it held: {before:?}"), |stats| {
        held(stats) == before
    });
    let stats = run.stats();
    assert_everything_was_counted(&run, &stats);
    run.stop().assert_code(0).assert_logged(named);
    stats
}

fn ping(namespace: &Namespace) {
    let socket = peer::icmp(namespace);
    for size in (0..64).chain((64..LARGEST).step_by(61)).chain([LARGEST]) {
        let sequence = u16::try_from(size).unwrap();
        peer::ping(&socket, sequence, &peer::pattern(size as u64, size));
    }
}

fn datagrams(namespace: &Namespace) {
    let socket = peer::udp(namespace, 7);
    let mut room = [0; 2048];
    for size in 0..=LARGEST {
        let bytes = peer::pattern(size as u64, size);
        socket.send(&bytes).unwrap();
        let count = socket
            .recv(&mut room)
            .unwrap_or_else(|error| panic!("{size} bytes: {error}"));
        peer::assert_same(&room[..count], &bytes);
    }
}

fn streams(namespace: &Namespace) {
    for size in [1, 64, 1_447, 1_448, 1_449, 4_096, 65_536, 1 << 20] {
        let stream = peer::connect(namespace, peer::guest(7));
        peer::exchange_and_finish(stream, &peer::pattern(size as u64, size));
    }
}

fn two_hundred_connections(namespace: &Namespace) {
    namespace.enter(|| {
        let streams: Vec<TcpStream> = (0..200).map(|_| peer::open(peer::guest(7))).collect();
        for round in 0..3_u64 {
            for (number, stream) in (0..).zip(&streams) {
                (&*stream)
                    .write_all(&peer::pattern(round << 32 | number, 700))
                    .unwrap();
            }
            for (number, stream) in (0..).zip(&streams) {
                let mut echoed = [0; 700];
                (&*stream).read_exact(&mut echoed).unwrap();
                peer::assert_same(&echoed, &peer::pattern(round << 32 | number, 700));
            }
        }
    });
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
    let at_least = (LARGEST + (1 << 20) / 1_460) as u64;
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
