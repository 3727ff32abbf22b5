//! Calls over UDP between a machine and Linux, each as server and as client; the same binary on both sides.

use ixion_tests::{GUEST, HOST, Namespace, Runner, artifacts, peer};
use std::net::UdpSocket;
use std::process::{Child, Command};
use std::time::Duration;

const ALL_RIGHT: &str = "226 calls, all as they should be";

/// Killed when the test ends, however.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn rpc(namespace: &Namespace) -> Command {
    namespace.command(artifacts::rpc().to_str().unwrap())
}

/// What the program says; it must succeed.
fn said(mut command: Command) -> String {
    let output = command.output().expect("it can be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn check(namespace: &Namespace, server: &str) -> String {
    let mut command = rpc(namespace);
    command.args(["check", server]);
    said(command)
}

#[test]
fn a_machine_answers_calls_of_all_lengths_and_takes_no_harm_from_rubbish() {
    let namespace = Namespace::new().unwrap();
    let run = Runner::new(artifacts::rpc())
        .on(&namespace)
        .args(&["serve"])
        .start();
    run.wait_for("rpc: serving");
    let server = format!("{GUEST}:7100");
    assert!(check(&namespace, &server).contains(ALL_RIGHT));
    let before = run.held();

    // Rubbish, and what begins like a packet, is dropped; who sends it gets nothing that is longer.
    let socket = namespace.enter(|| UdpSocket::bind((HOST, 0)).unwrap());
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    for kind in 0..=u8::MAX {
        let mut packet = [kind; 40];
        packet[0] = 1;
        packet[1] = kind % 16;
        packet[2] = 3;
        packet[3] = 0;
        let len = if kind < 128 { 32 } else { 40 };
        socket.send_to(&packet[..len], peer::guest(7100)).unwrap();
    }
    let mut room = [0; 2048];
    while let Ok(len) = socket.recv(&mut room) {
        assert!(len <= 40, "{len} bytes for 40");
    }

    assert!(check(&namespace, &server).contains(ALL_RIGHT));
    let mut measure = rpc(&namespace);
    measure.args(["measure", &server, "--time-ms", "500", "--sessions", "3"]);
    let measured = said(measure);
    assert!(measured.contains(" calls of 64 bytes in "), "{measured}");
    run.wait_until_home(&before);
    run.stop().assert_code(0);
}

#[test]
fn a_machine_calls_a_server_on_linux() {
    let namespace = Namespace::new().unwrap();
    let served = rpc(&namespace).args(["serve", "--port", "7101"]).spawn();
    let _served = Served(served.expect("it can be started"));
    let server = format!("{HOST}:7101");
    let ended = Runner::new(artifacts::rpc())
        .on(&namespace)
        .args(&["check", &server])
        .finish();
    ended.assert_code(0);
    assert!(ended.stdout.contains(ALL_RIGHT), "{}", ended.stdout);
    let ended = Runner::new(artifacts::rpc())
        .on(&namespace)
        .args(&["measure", "10.77.0.1:9"])
        .finish();
    ended.assert_code(1);
    assert!(ended.stderr.contains("no session"), "{}", ended.stderr);
}
