//! The load generator: from a machine at Linux servers, and over Linux sockets at servers on a machine.

use ixion_tests::{Ended, HOST, Namespace, Runner, artifacts, peer};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// An echo server on Linux, a thread for each connection. Its threads end with the test program.
fn linux_echo(namespace: &Namespace, port: u16) {
    let listener = namespace.enter(|| TcpListener::bind((HOST, port)).unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || serve(stream.unwrap()));
        }
    });
}

fn serve(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let mut room = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut room) {
        if stream.write_all(&room[..count]).is_err() {
            break;
        }
    }
}

/// Killed when the test ends, however.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Rows of CSV, by the names of the columns.
fn rows(csv: &str) -> Vec<BTreeMap<String, f64>> {
    let mut lines = csv.lines().skip_while(|line| !line.starts_with("offered_per_s,"));
    let names: Vec<&str> = lines.next().expect("a header").split(',').collect();
    lines
        .map(|line| {
            let numbers = line.split(',').map(|cell| cell.parse().expect("a number"));
            names.iter().map(|name| (*name).to_owned()).zip(numbers).collect()
        })
        .collect()
}

/// Each load was offered as it was to be, everything was answered, and well.
fn assert_complete(csv: &str, rates: &[f64]) {
    let rows = rows(csv);
    assert_eq!(rows.len(), rates.len(), "{csv}");
    for (row, rate) in rows.iter().zip(rates) {
        // Five deviations of a Poisson process in a second.
        let tolerance = 5.0 * rate.sqrt();
        assert!((row["sent_per_s"] - rate).abs() < tolerance, "{csv}");
        assert!((row["answered_per_s"] - row["sent_per_s"]).abs() < 1e-9, "{csv}");
        for bad in ["misses", "errors", "unanswered"] {
            assert!(row[bad] < 0.5, "{bad}: {csv}");
        }
        assert!(
            row["p50_us"] > 1.0 && row["p50_us"] <= row["p99_us"] && row["p99_us"] <= row["max_us"] * 1.01,
            "{csv}"
        );
    }
}

fn from_the_machine(namespace: &Namespace, args: &[&str]) -> Ended {
    Runner::new(artifacts::load()).on(namespace).args(args).finish()
}

fn from_linux(namespace: &Namespace, args: &[&str]) -> String {
    let output = namespace
        .command(artifacts::load().to_str().unwrap())
        .args(args)
        .output()
        .expect("it can be started");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "load {args:?}: {complaint}");
    String::from_utf8(output.stdout).expect("text")
}

const COMMON: [&str; 5] = ["--seconds", "1", "--warm-up", "0.3", "--format=csv"];

#[test]
fn a_linux_echo_server_is_measured_from_the_machine() {
    let namespace = Namespace::new().unwrap();
    linux_echo(&namespace, 7_000);
    let args = [
        "10.77.0.1:7000",
        "--rates",
        "200,800",
        "--connections",
        "8",
        "--size",
        "100",
    ];
    let ended = from_the_machine(&namespace, &[&args[..], &COMMON].concat());
    ended.assert_code(0);
    assert_complete(&ended.stdout, &[200.0, 800.0]);
    assert!(
        ended.stderr.contains("/s offered"),
        "a live line: {}",
        ended.stderr
    );
}

#[test]
fn memcached_on_linux_is_measured_with_facebooks_mixes() {
    let namespace = Namespace::new().unwrap();
    let mut memcached: Command = namespace.command("memcached");
    memcached.args(["-u", "nobody", "-l", "10.77.0.1", "-p", "11211"]);
    let _server = Server(memcached.spawn().expect("memcached can be started"));
    let until = Instant::now() + Duration::from_secs(20);
    while namespace.enter(|| TcpStream::connect((HOST, 11211)).is_err()) {
        assert!(Instant::now() < until, "memcached does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    for mix in ["etc", "usr"] {
        let args = [
            "10.77.0.1:11211",
            "--workload",
            mix,
            "--rates",
            "500",
            "--records",
            "2000",
        ];
        let ended = from_the_machine(&namespace, &[&args[..], &COMMON].concat());
        ended.assert_code(0);
        assert_complete(&ended.stdout, &[500.0]);
    }
}

#[test]
fn servers_on_the_machine_are_measured_from_linux_by_the_same_binary() {
    let namespace = Namespace::new().unwrap();
    let run = Runner::new(artifacts::echo()).on(&namespace).start();
    run.wait_for("echo: tcp and udp port 7");
    let before = run.held();
    let args = ["10.77.0.2:7", "--rates", "500,2000", "--quiet"];
    let csv = from_linux(&namespace, &[&args[..], &COMMON].concat());
    assert_complete(&csv, &[500.0, 2_000.0]);
    run.wait_until_home(&before);
    run.stop().assert_code(0);
}

#[test]
fn what_cannot_be_measured_is_told() {
    let namespace = Namespace::new().unwrap();
    let ended = from_the_machine(&namespace, &["10.77.0.1:9"]);
    ended.assert_code(1);
    let why = "load: cannot connect to 10.77.0.1:9: connection refused";
    assert!(ended.stderr.contains(why), "{}", ended.stderr);
    linux_echo(&namespace, 7_001);
    let ended = from_the_machine(&namespace, &["10.77.0.1:7001", "--workload", "http"]);
    ended.assert_code(1);
    assert!(ended.stderr.contains("is no answer"), "{}", ended.stderr);
    drop(peer::connect(&namespace, (HOST, 7_001).into()));
}
