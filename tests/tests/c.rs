//! A program in C, on Ixion's kernel: the example of libix' C library.

use ixion_tests::{Namespace, Runner, artifacts, peer};

#[test]
fn the_echo_in_c_serves_tcp_and_udp() {
    let namespace = Namespace::new().unwrap();
    let run = Runner::new(&artifacts::echo_in_c())
        .on(&namespace)
        .args(&["7"])
        .start();
    run.wait_for("echo: tcp and udp port 7");
    for size in [1, 1_460, 300_000] {
        let stream = peer::connect(&namespace, peer::guest(7));
        peer::exchange_and_finish(stream, &peer::pattern(size as u64, size));
    }
    let socket = peer::udp(&namespace, peer::guest(7));
    let datagram = peer::pattern(1, 1_000);
    socket.send(&datagram).unwrap();
    let mut echoed = [0; 2_000];
    let count = socket.recv(&mut echoed).unwrap();
    peer::assert_same(&echoed[..count], &datagram);
    run.stop().assert_code(0);
}
