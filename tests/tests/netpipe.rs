//! The ping-pong over message sizes, each side once on a machine and once on Linux.

use ixion_tests::{GUEST, HOST, Namespace, Runner, artifacts, peer};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Killed when the test ends, however.
struct Responder(Child);

impl Drop for Responder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn netpipe(namespace: &Namespace) -> Command {
    namespace.command(artifacts::netpipe().to_str().unwrap())
}

/// Every size has its line, and goodput grows from the smallest to the largest by more than `growth`.
fn assert_curve(csv: &str, sizes: &[u32], growth: f64) {
    let rows: Vec<Vec<f64>> = csv
        .lines()
        .skip_while(|line| !line.starts_with("bytes,"))
        .skip(1)
        .map(|line| {
            line.split(',')
                .map(|cell| cell.parse().expect("a number"))
                .collect()
        })
        .collect();
    let found: Vec<f64> = rows.iter().map(|row| row[0]).collect();
    let wanted: Vec<f64> = sizes.iter().map(|&size| f64::from(size)).collect();
    assert_eq!(found, wanted, "{csv}");
    for row in &rows {
        assert!(
            row[1] >= 5.0 && row[2] > 0.0 && row[2] <= row[3] && row[2] <= row[4],
            "{csv}"
        );
    }
    assert!(rows.last().unwrap()[5] > growth * rows[0][5], "{csv}");
}

#[test]
fn messages_up_to_eight_mebibytes_come_back_from_the_machine() {
    let namespace = Namespace::new().unwrap();
    let run = Runner::new(artifacts::netpipe())
        .on(&namespace)
        .args(&["respond"])
        .start();
    run.wait_for("netpipe: responding");
    let before = run.held();
    let output = netpipe(&namespace)
        .args([
            "measure",
            &format!("{GUEST}:5002"),
            "--time-ms",
            "1",
            "--perturbation",
            "0",
        ])
        .output()
        .expect("it can be started");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let sizes: Vec<u32> = (0..24)
        .flat_map(|power| [1 << power, (1 << power) + (1 << power) / 2])
        .filter(|size| *size <= 8 << 20)
        .collect::<BTreeSet<u32>>()
        .into_iter()
        .collect();
    assert_curve(&String::from_utf8(output.stdout).unwrap(), &sizes, 10.0);

    // A message longer than the longest, or of no length, ends the connection.
    for header in [[0xff; 4], [0; 4]] {
        let mut stream = peer::connect(&namespace, peer::guest(5002));
        stream.write_all(&header).unwrap();
        assert!(stream.read(&mut [0]).is_err(), "it should be reset");
    }
    // Half a message, and then nothing, is no harm.
    let stream = peer::connect(&namespace, peer::guest(5002));
    (&stream).write_all(&[0, 0, 1, 0, 7, 7]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!((&stream).read(&mut [0]).unwrap(), 0);
    drop(stream);
    run.wait_until_home(&before);
    run.stop().assert_code(0);
}

#[test]
fn debians_nptcp_measures_the_machine() {
    let namespace = Namespace::new().unwrap();
    let run = Runner::new(artifacts::netpipe())
        .on(&namespace)
        .args(&["respond"])
        .start();
    run.wait_for("netpipe: responding");
    let before = run.held();
    let folder = ixion_tests::Folder::new();
    let curve = folder.join("curve");
    let mut nptcp = namespace.command("NPtcp");
    nptcp.args([
        "-h",
        &GUEST.to_string(),
        "-P",
        "5002",
        "-n",
        "3",
        "-u",
        "1048576",
        "-o",
    ]);
    let output = nptcp.arg(&curve).output().expect("it can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // Bytes, megabits a second, seconds.
    let curve = std::fs::read_to_string(&curve).expect("it has written it");
    let sizes: Vec<u32> = curve
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect();
    // The largest size has a neighbour above it.
    assert_eq!(
        (sizes.first(), sizes.last()),
        (Some(&1), Some(&1_048_579)),
        "{curve}"
    );
    assert!(sizes.len() > 60 && sizes.is_sorted(), "{curve}");
    run.wait_until_home(&before);
    run.stop().assert_code(0);
}

#[test]
fn the_machine_measures_a_responder_on_linux() {
    let namespace = Namespace::new().unwrap();
    let responder = netpipe(&namespace).args(["respond", "--port", "5003"]).spawn();
    let _responder = Responder(responder.expect("it can be started"));
    let until = Instant::now() + Duration::from_secs(20);
    while namespace.enter(|| TcpStream::connect((HOST, 5003)).is_err()) {
        assert!(Instant::now() < until, "it does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    let server = format!("{HOST}:5003");
    let args = [
        "measure",
        &server,
        "--from",
        "1000",
        "--to",
        "40000",
        "--time-ms",
        "5",
    ];
    let ended = Runner::new(artifacts::netpipe())
        .on(&namespace)
        .args(&args)
        .finish();
    ended.assert_code(0);
    let sizes = [
        1000, 1021, 1024, 1027, 1533, 1536, 1539, 2045, 2048, 2051, 3069, 3072, 3075, 4093, 4096, 4099, 6141,
        6144, 6147, 8189, 8192, 8195, 12285, 12288, 12291, 16381, 16384, 16387, 24573, 24576, 24579, 32765,
        32768, 32771, 40000,
    ];
    assert_curve(&ended.stdout, &sizes, 1.0);
    let ended = Runner::new(artifacts::netpipe())
        .on(&namespace)
        .args(&["measure", "10.77.0.1:9"])
        .finish();
    ended.assert_code(1);
    assert!(ended.stderr.contains("connection refused"), "{}", ended.stderr);
}
