//! `ix` around a real machine: what goes wrong is one line and a code, and nothing is left running.

use ixion_tests::artifacts::{self, Build, guest};
use ixion_tests::{Ended, Folder, Namespace, Runner, peer};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A port that is free now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn is_alive(process: u32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // A zombie is only an entry; whoever inherited it reads it in its own time.
    !state.is_empty() && !state.contains(") Z ")
}

fn wait_until_gone(processes: &[u32]) {
    let until = Instant::now() + Duration::from_secs(5);
    while processes.iter().any(|&process| is_alive(process)) {
        assert!(Instant::now() < until, "still there: {processes:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// One line of `ix`'s own, with `part` in it, and this code.
fn assert_complaint(ended: &Ended, code: i32, part: &str) {
    ended.assert_code(code);
    let lines: Vec<&str> = ended
        .stderr
        .lines()
        .filter(|line| line.starts_with("ix: "))
        .collect();
    assert_eq!(lines.len(), 1, "{}", ended.stderr);
    assert!(lines[0].contains(part), "`{part}` is missing in {}", lines[0]);
}

#[test]
fn user_networking_forwards_without_any_right() {
    let (tcp, udp) = (free_port(), free_port());
    let forwards = [format!("{tcp}:7"), format!("udp:{udp}:7")];
    let run = Runner::new(artifacts::echo())
        .options(&["--forward", &forwards[0], "--forward", &forwards[1]])
        .start();
    run.wait_for("echo: tcp and udp port 7 on 10.0.2.15");
    let stream = peer::open(([127, 0, 0, 1], tcp).into());
    peer::exchange_and_finish(stream, &peer::pattern(1, 200_000));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.send_to(b"datagram", ("127.0.0.1", udp)).unwrap();
    let mut room = [0; 16];
    let count = socket.recv(&mut room).unwrap();
    assert_eq!(&room[..count], b"datagram");
    assert!(run.ix(&["ps"]).contains("test"));
    run.stop().assert_code(0);
}

#[test]
fn a_user_without_rights_can_run_it() {
    let place = Folder::new();
    for file in [
        artifacts::ix(),
        artifacts::echo(),
        &artifacts::ix().with_file_name("ixion-kernel"),
    ] {
        std::fs::copy(file, place.join(file.file_name().unwrap().to_str().unwrap())).unwrap();
    }
    let runtime = place.join("runtime");
    std::fs::create_dir_all(&runtime).unwrap();
    std::os::unix::fs::chown(&runtime, Some(65_534), Some(65_534)).unwrap();
    let port = free_port();
    let mut child = Command::new("setpriv")
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--no-new-privs",
        ])
        .arg(place.join("ix"))
        .args(["run", "--backend", "qemu", "--forward", &format!("{port}:7")])
        .arg(place.join("echo"))
        .env("IX_RUNTIME_DIR", &runtime)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 5];
    child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    assert_eq!(&said, b"echo:");
    peer::exchange(&peer::open(([127, 0, 0, 1], port).into()), b"as nobody");
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_signal_closes_connections_and_leaves_no_process_behind() {
    let namespace = Namespace::new().unwrap();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let run = Runner::new(artifacts::echo()).on(&namespace).start();
        run.wait_for("echo: tcp and udp port 7");
        let mut stream = peer::connect(&namespace, peer::guest(7));
        peer::exchange(&stream, b"still open");
        let children = run.children();
        assert!(!children.is_empty());
        run.signal(signal);
        // An orderly end: FIN, not a reset.
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
        drop(stream);
        run.finish().assert_code(0);
        wait_until_gone(&children);
    }
}

#[test]
fn ix_stop_stops() {
    let run = Runner::new(artifacts::echo()).start();
    run.wait_for("echo:");
    let _ = run.ix(&["stop", "test"]);
    run.finish().assert_code(0);
}

#[test]
fn a_killed_ix_takes_its_machine_along() {
    let run = Runner::new(artifacts::echo()).start();
    run.wait_for("echo:");
    let children = run.children();
    run.signal(Signal::SIGKILL);
    assert_eq!(run.finish().code, 128 + Signal::SIGKILL as i32);
    wait_until_gone(&children);
}

#[test]
fn a_tap_that_ix_made_goes_with_it() {
    let namespace = Namespace::without_tap().unwrap();
    let taps = || namespace.ip("-o link show").unwrap();
    let options = [
        "--net",
        "tap:ixt9",
        "--ip",
        "10.77.0.2/24",
        "--gateway",
        "10.77.0.1",
    ];
    let ended = namespace.enter(|| {
        let run = Runner::new(artifacts::echo()).options(&options).start();
        run.wait_for("echo: tcp and udp port 7 on 10.77.0.2");
        assert!(taps().contains("ixt9"), "{}", taps());
        peer::exchange(&peer::open(peer::guest(7)), b"over a tap of its own");
        run.stop()
    });
    ended.assert_code(0);
    assert!(!taps().contains("ixt9"), "{}", taps());
}

#[test]
fn mistakes_are_one_line_and_a_code() {
    let echo = artifacts::echo();
    let with = |options: &[&str]| Runner::new(echo).options(options).finish();
    let of = |path: &str| Runner::new(Path::new(path)).finish();
    assert_complaint(&of("/nowhere/app"), 127, "/nowhere/app");
    assert_complaint(&of("/etc/passwd"), 126, "/etc/passwd");
    assert_complaint(&of("/bin/sh"), 126, "static");
    assert_complaint(&with(&["--ip", "10.0.2/24"]), 125, "10.0.2/24");
    assert_complaint(&with(&["--kernel", "/nowhere/kernel"]), 125, "/nowhere/kernel");
    assert_complaint(&with(&["--net", "tap:ixt7"]), 125, "--ip");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    assert_complaint(
        &with(&["--forward", &format!("{port}:7")]),
        125,
        &port.to_string(),
    );
    // The app's own mistakes are the app's own.
    let ended = Runner::new(echo).args(&["--port", "x"]).finish();
    ended.assert_code(2);
}

#[test]
fn an_app_that_cannot_listen_says_so() {
    let ended = Runner::new(artifacts::echo()).args(&["--core", "1"]).finish();
    assert_ne!(ended.code, 0);
    assert!(ended.stderr.contains("core"), "{}", ended.stderr);
}

#[test]
fn an_app_started_without_ix_serves_on_linux() {
    let namespace = Namespace::without_tap().unwrap();
    let mut app = namespace
        .command(artifacts::echo().to_str().unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(app.stdout.take().unwrap());
    said.read_line(&mut String::new()).unwrap();
    let stream = peer::connect(&namespace, (Ipv4Addr::LOCALHOST, 7).into());
    peer::exchange_and_finish(stream, &peer::pattern(1, 1 << 16));
    kill(Pid::from_raw(app.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(app.wait().unwrap().code(), Some(0));
}

#[test]
fn output_of_any_length_arrives_whole_and_in_order() {
    let ended = Runner::new(&guest("talk", Build::Plain)).finish();
    ended.assert_code(0);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), 20_000);
    for (number, line) in lines.into_iter().enumerate() {
        assert_eq!(line, format!("line {number:05} of what this program has to say"));
    }
}

#[test]
fn an_app_nobody_listens_to_is_ended() {
    let run = Runner::new(&guest("talk", Build::Plain))
        .options(&["--grace", "1"])
        .args(&["forever"])
        .start();
    run.wait_for("line 00000");
    let ended = run.stop_listening();
    ended.assert_code(128 + Signal::SIGPIPE as i32);
}
