use crate::{held, stats, wait_until_it_holds, without};
use ixion_tests::lab::{self, E1000E, Lab};
use ixion_tests::{Traffic, peer};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

const IX: &str = "ix run --backend kvm --net tap:lab0 --ip 10.81.0.2/24 --mem 128M --name tap /ixion/echo";

#[test]
fn packets_move_over_a_tap_by_the_launchers_own_hands() {
    moves_packets(&without("/dev/vhost-net", IX), 0);
}

#[test]
fn packets_move_over_a_tap_by_vhost_net() {
    moves_packets(&format!("exec {IX}"), 1);
}

/// The tap is bridged with a card that stays Linux's, and the client is outside the lab.
fn moves_packets(script: &str, threads: usize) {
    let lab = lab::enter();
    bridge(&lab);
    let run = lab.start(&["unshare", "-m", "sh", "-c", script]);
    run.wait_for("echo: tcp and udp port 7");
    // A kernel thread of vhost-net bears the name of the process it works for.
    let found = lab.shell("cat /proc/[0-9]*/comm 2>/dev/null | grep -c ^vhost- || true");
    assert_eq!(found.trim(), threads.to_string(), "threads of vhost-net");
    let before = held(&stats(&lab, "tap"));
    Traffic::new(lab.namespace(), SocketAddr::from((E1000E.own, 7))).all();
    wait_until_it_holds(&lab, "tap", &before);
    run.stop().assert_code(0);
}

#[test]
fn each_core_has_a_queue_by_the_launchers_own_hands() {
    cores_have_queues(&without("/dev/vhost-net", &two_cores()), 0);
}

#[test]
fn each_core_has_a_queue_by_vhost_net() {
    cores_have_queues(&format!("exec {}", two_cores()), 2);
}

fn two_cores() -> String {
    IX.replace("--name", "--cores 2 --name")
}

/// The tap is made by `ix`, with a queue for each core. Where a flow is received the host decides, by where it was last sent from.
fn cores_have_queues(script: &str, threads: usize) {
    let lab = lab::enter();
    let run = lab.start(&["unshare", "-m", "sh", "-c", script]);
    run.wait_for("echo: tcp and udp port 7");
    lab.shell("ip address flush dev lab0");
    join(&lab);
    let found = lab.shell("cat /proc/[0-9]*/task/[0-9]*/comm 2>/dev/null | grep -c ^vhost- || true");
    assert_eq!(found.trim(), threads.to_string(), "threads of vhost-net");
    let before = held(&stats(&lab, "tap"));
    let server = SocketAddr::from((E1000E.own, 7));
    Traffic::new(lab.namespace(), server).all();

    let streams: Vec<_> = (0..16).map(|_| peer::connect(lab.namespace(), server)).collect();
    let exchange = |rounds: u64| {
        for number in 0..rounds {
            for stream in &streams {
                peer::exchange(stream, &peer::pattern(number, 100));
            }
        }
    };
    exchange(1);
    let settled = stats(&lab, "tap");
    exchange(20);
    let after = stats(&lab, "tap");
    let grown = |name: &str| after[name] - settled[name];
    for core in ["core0", "core1"] {
        for way in ["rx", "tx"] {
            let frames = grown(&format!("{core}.nic.{way}_frames"));
            assert!(frames >= 40, "{core} has {way} {frames}: {after:#?}");
        }
    }
    let (handed, received) = (grown("steer.handed"), grown("nic.rx_frames"));
    assert!(
        handed * 10 <= received,
        "{handed} of {received} frames came to the other core's queue"
    );
    drop(streams);
    wait_until_it_holds(&lab, "tap", &before);
    run.stop().assert_code(0);
}

#[test]
fn the_card_wakes_a_core_that_sleeps_by_the_launchers_own_hands() {
    wakes_cores(&without("/dev/vhost-net", &sleepers()));
}

#[test]
fn the_card_wakes_a_core_that_sleeps_by_vhost_net() {
    wakes_cores(&format!("exec {}", sleepers()));
}

fn sleepers() -> String {
    IX.replace("--name", "--cores 2 --poll adaptive --name")
}

/// Single requests, with pauses long enough for a core to sleep, on each core.
fn wakes_cores(script: &str) {
    let lab = lab::enter();
    let run = lab.start(&["unshare", "-m", "sh", "-c", script]);
    run.wait_for("echo: tcp and udp port 7");
    lab.shell("ip address flush dev lab0");
    join(&lab);
    let before = held(&stats(&lab, "tap"));
    let server = SocketAddr::from((E1000E.own, 7));
    let sockets: Vec<_> = (0..16).map(|_| peer::udp(lab.namespace(), server)).collect();
    let ask = |rounds: u64| -> Vec<Duration> {
        let one = |(number, socket): (u64, &UdpSocket)| {
            std::thread::sleep(Duration::from_millis(15));
            let (request, start) = (peer::pattern(number, 300), Instant::now());
            socket.send(&request).unwrap();
            let mut reply = [0; 500];
            let len = socket.recv(&mut reply).expect("a reply");
            peer::assert_same(&reply[..len], &request);
            start.elapsed()
        };
        (0..rounds).zip(sockets.iter().cycle()).map(one).collect()
    };
    ask(32);
    let settled = stats(&lab, "tap");
    let mut trips = ask(160);
    let after = stats(&lab, "tap");
    trips.sort();
    println!("one request in two takes {:?} at most", trips[80]);
    let grown = |name: &str| after[name] - settled[name];
    let roused = grown("core.roused");
    assert!(
        roused >= 80,
        "160 requests ended {roused} of {} sleeps: {after:#?}",
        grown("core.sleeps")
    );
    for core in ["core0.roused", "core1.roused"] {
        assert!(grown(core) >= 10, "{core}: {after:#?}");
    }
    wait_until_it_holds(&lab, "tap", &before);
    run.stop().assert_code(0);
}

/// Makes a tap and joins it to the Intel card's wire.
fn bridge(lab: &Lab) {
    lab.shell("tunctl -t lab0 >/dev/null");
    join(lab);
}

/// Joins the tap to the Intel card's wire, once that has a link.
fn join(lab: &Lab) {
    let interface = lab.shell(&format!("ls /sys/bus/pci/devices/{}/net", E1000E.address));
    let card = interface.trim();
    lab.shell(&format!(
        "brctl addbr lab1; \
         for port in lab0 {card}; do brctl addif lab1 $port; ip link set $port up; done; ip link set lab1 up; \
         until grep -q 1 /sys/class/net/{card}/carrier; do sleep 0.1; done"
    ));
}
