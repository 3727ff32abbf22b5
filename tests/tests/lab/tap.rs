use crate::{held, stats, wait_until_it_holds, without};
use ixion_tests::Traffic;
use ixion_tests::lab::{self, E1000E, Lab};
use std::net::SocketAddr;

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

/// Makes a tap and joins it to the Intel card's wire, once that has a link.
fn bridge(lab: &Lab) {
    let interface = lab.shell(&format!("ls /sys/bus/pci/devices/{}/net", E1000E.address));
    let card = interface.trim();
    lab.shell(&format!(
        "tunctl -t lab0 >/dev/null; brctl addbr lab1; \
         for port in lab0 {card}; do brctl addif lab1 $port; ip link set $port up; done; ip link set lab1 up; \
         until grep -q 1 /sys/class/net/{card}/carrier; do sleep 0.1; done"
    ));
}
