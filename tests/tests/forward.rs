//! Frames and packets of others, sent on from where they were received.

use ixion_tests::artifacts::{Build, guest};
use ixion_tests::{HOST, Namespace, Runner};
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Sends datagrams to all stations of the network until told to stop.
fn shout(namespace: &Namespace, until: &AtomicBool) {
    namespace.enter(|| {
        let socket = UdpSocket::bind((HOST, 0)).unwrap();
        socket.set_broadcast(true).unwrap();
        while !until.load(Ordering::Relaxed) {
            socket
                .send_to(b"to whom it may concern", "10.77.0.255:9")
                .unwrap();
            std::thread::sleep(Duration::from_millis(2));
        }
    });
}

#[test]
fn frames_that_were_not_lent_are_not_forwarded() {
    let namespace = Namespace::new().unwrap();
    let run = Runner::new(&guest("forged_frames", Build::Plain))
        .on(&namespace)
        .start();
    run.wait_for("bound");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| shout(&namespace, &stop));
        let ended = run.finish();
        stop.store(true, Ordering::Relaxed);
        ended.assert_code(0);
        ended.assert_said("every theft refused");
        ended.assert_said("the end");
        assert!(!ended.log.contains("KERNEL"), "{}", ended.log);
    });
}
