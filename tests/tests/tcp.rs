//! TCP against Linux: sizes, many at once, half close, peers that vanish, and nothing left behind.

use ixion_tests::{GUEST, Namespace, Run, Runner, artifacts, peer};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use socket2::SockRef;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

fn echo(namespace: &Namespace) -> Run {
    let run = Runner::new(artifacts::echo()).on(namespace).start();
    run.wait_for("echo: tcp and udp port 7");
    run
}

#[test]
fn streams_of_all_sizes_come_back_equal() {
    let namespace = Namespace::new().unwrap();
    let run = echo(&namespace);
    let before = run.held();
    let sizes = [
        1,
        2,
        3,
        63,
        64,
        65,
        1_000,
        1_447,
        1_448,
        1_449,
        1_459,
        1_460,
        1_461,
        2_048,
        4_096,
        65_535,
        65_536,
        100_000,
        1 << 20,
    ];
    let stream = peer::connect(&namespace, peer::guest(7));
    for size in sizes {
        peer::exchange(&stream, &peer::pattern(size as u64, size));
    }
    drop(stream);
    for size in sizes {
        let stream = peer::connect(&namespace, peer::guest(7));
        peer::exchange_and_finish(stream, &peer::pattern(size as u64, size));
    }
    run.wait_until_home(&before);
    run.stop().assert_code(0);
}

#[test]
fn two_hundred_connections_at_once() {
    let namespace = Namespace::new().unwrap();
    let run = echo(&namespace);
    let before = run.held();
    namespace.enter(|| {
        let streams: Vec<TcpStream> = (0..200).map(|_| peer::open(peer::guest(7))).collect();
        for round in 0..5u64 {
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
    run.wait_until_home(&before);
    run.stop().assert_code(0);
}

#[test]
fn half_a_close_leaves_the_other_half_open() {
    let namespace = Namespace::new().unwrap();
    let run = echo(&namespace);
    for size in [0, 1, 300_000] {
        let stream = peer::connect(&namespace, peer::guest(7));
        peer::exchange_and_finish(stream, &peer::pattern(1, size));
    }

    // FIN before the first byte of the echo is read.
    let mut stream = peer::connect(&namespace, peer::guest(7));
    let bytes = peer::pattern(2, 20_000);
    stream.write_all(&bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let mut echoed = Vec::new();
    stream.read_to_end(&mut echoed).unwrap();
    peer::assert_same(&echoed, &bytes);
    run.stop().assert_code(0);
}

#[test]
fn a_peer_that_does_not_read_stops_only_itself() {
    let namespace = Namespace::new().unwrap();
    let run = echo(&namespace);
    let before = run.held();
    let deaf: Vec<TcpStream> = (0..4)
        .map(|_| {
            let stream = peer::connect(&namespace, peer::guest(7));
            stream.set_nonblocking(true).unwrap();
            // Until the machine's window, and everything between, is full.
            let until = Instant::now() + Duration::from_millis(700);
            while Instant::now() < until {
                if (&stream).write(&[7; 65_536]).is_err() {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            stream
        })
        .collect();
    let other = peer::connect(&namespace, peer::guest(7));
    for round in 0..20 {
        peer::exchange(&other, &peer::pattern(round, 1_000));
    }
    drop((deaf, other));
    run.wait_until_home(&before);
    run.stop().assert_code(0);
}

#[test]
fn a_client_killed_in_the_middle_leaves_nothing_behind() {
    let namespace = Namespace::new().unwrap();
    let run = echo(&namespace);
    let before = run.held();
    for _ in 0..5 {
        let script = format!("exec 3<>/dev/tcp/{GUEST}/7; cat <&3 >/dev/null & exec cat /dev/zero >&3");
        let mut client = namespace.enter(|| {
            std::process::Command::new("setsid")
                .args(["bash", "-c", &script])
                .spawn()
                .unwrap()
        });
        std::thread::sleep(Duration::from_millis(300));
        // The whole session, so that the reading half dies as well.
        let group = Pid::from_raw(client.id().try_into().unwrap());
        killpg(group, Signal::SIGKILL).unwrap();
        client.wait().unwrap();
    }
    for _ in 0..20 {
        // Closed with data unread and a lingering time of zero: a reset.
        let stream = peer::connect(&namespace, peer::guest(7));
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        (&stream).write_all(&peer::pattern(3, 30_000)).unwrap();
    }
    let stream = peer::connect(&namespace, peer::guest(7));
    peer::exchange(&stream, b"and others are served");
    drop(stream);
    run.wait_until_home(&before);
    run.stop().assert_code(0);
}

#[test]
fn ten_thousand_short_connections_leave_nothing_behind() {
    let namespace = Namespace::new().unwrap();
    let run = echo(&namespace);
    let before = run.held();
    namespace.enter(|| {
        for number in 0..10_000u64 {
            let stream = peer::open(peer::guest(7));
            let bytes = peer::pattern(number, 32);
            (&stream).write_all(&bytes).unwrap();
            let mut echoed = [0; 32];
            (&stream).read_exact(&mut echoed).unwrap();
            peer::assert_same(&echoed, &bytes);
        }
    });
    run.wait_until_home(&before);
    run.stop().assert_code(0);
}

#[test]
fn a_lossy_link_loses_no_byte() {
    let namespace = Namespace::new().unwrap();
    let run = echo(&namespace);
    let before = run.held();
    // Both ways, so that both sides have to send again.
    for (chain, every) in [("INPUT", "31"), ("OUTPUT", "23")] {
        let rule = format!("-A {chain} -m statistic --mode nth --every {every} --packet 0 -j DROP");
        let iptables = namespace
            .command("iptables")
            .args(rule.split(' '))
            .output()
            .unwrap();
        assert!(
            iptables.status.success(),
            "{}",
            String::from_utf8_lossy(&iptables.stderr)
        );
    }
    for round in 0..4 {
        let stream = peer::connect(&namespace, peer::guest(7));
        peer::exchange_and_finish(stream, &peer::pattern(round, 100_000));
    }
    run.wait_until_home(&before);
    run.stop().assert_code(0);
}
