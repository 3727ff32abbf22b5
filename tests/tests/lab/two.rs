use crate::{echo_on, stats};
use ixion_tests::lab::{self, NICS};
use ixion_tests::{Traffic, peer};
use nix::sys::signal::Signal;
use std::net::SocketAddr;

/// Each has its card and its network; one that is killed takes nothing from the other.
#[test]
fn two_dataplanes_do_not_know_of_each_other() {
    let lab = lab::enter();
    let [first, second] = &NICS;
    let one = echo_on(&lab, first, "one");
    let other = echo_on(&lab, second, "other");
    let servers = [first, second].map(|nic| SocketAddr::from((nic.own, 7)));
    std::thread::scope(|scope| {
        for server in servers {
            let traffic = Traffic::new(lab.namespace(), server);
            scope.spawn(move || {
                traffic.streams();
                traffic.connections(20);
            });
        }
    });
    let counted = ["one", "other"].map(|name| stats(&lab, name)["nic.rx_frames"]);

    // What one receives, the other does not.
    let stream = peer::connect(lab.namespace(), servers[0]);
    peer::exchange(&stream, &peer::pattern(3, 1 << 20));
    assert!(stats(&lab, "one")["nic.rx_frames"] > counted[0] + 700);
    assert!(stats(&lab, "other")["nic.rx_frames"] < counted[1] + 20);

    other.signal(Signal::SIGKILL);
    assert_eq!(other.finish().code, 128 + 9);
    peer::exchange(&stream, &peer::pattern(4, 1 << 16));
    drop(stream);
    one.stop().assert_code(0);
}
