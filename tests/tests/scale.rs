//! Cores that come and go while clients work.

use ixion_tests::{Namespace, Run, Runner, artifacts, peer};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// An echo server that has four cores and works on one at first.
fn echo(namespace: &Namespace, options: &[&str]) -> Run {
    let run = Runner::new(artifacts::echo())
        .on(namespace)
        .options(&["--cores", "1", "--max-cores", "4"])
        .options(options)
        .start();
    run.wait_for("echo: tcp and udp port 7");
    run
}

fn scale(run: &Run, cores: &str) {
    let said = run.ix(&["scale", "test", "--cores", cores]);
    assert_eq!(said, format!("test works on {cores} cores\n"));
}

/// Exchanges on one connection until it is enough; how many that were.
fn chat(stream: &TcpStream, client: u64, enough: &AtomicBool) -> u64 {
    let mut rounds = 0;
    while !enough.load(Ordering::Relaxed) {
        let len = [100, 3_000, 40_000][usize::try_from(rounds % 3).unwrap()];
        peer::exchange(stream, &peer::pattern(client << 32 | rounds, len));
        rounds += 1;
    }
    rounds
}

/// Connections that last for one exchange each.
fn visits(client: u64, enough: &AtomicBool) -> u64 {
    let mut rounds = 0;
    while !enough.load(Ordering::Relaxed) {
        peer::exchange_and_finish(
            peer::open(peer::guest(7)),
            &peer::pattern(client << 32 | rounds, 2_000),
        );
        rounds += 1;
    }
    rounds
}

/// Lets clients end when it is dropped: also when what they wait for fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn connections_notice_nothing_of_cores_that_come_and_go_a_hundred_times() {
    cores_come_and_go(&Namespace::new().unwrap());
}

#[test]
fn nor_where_each_core_has_a_queue_of_the_card() {
    cores_come_and_go(&Namespace::of_queues().unwrap());
}

fn cores_come_and_go(namespace: &Namespace) {
    const CHATS: u64 = 8;
    let run = echo(namespace, &[]);
    let before = run.held();
    let enough = AtomicBool::new(false);
    let exchanged = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let ends = Ends(&enough);
        for client in 0..CHATS {
            let stream = peer::connect(namespace, peer::guest(7));
            let (exchanged, enough) = (&exchanged, &enough);
            scope.spawn(move || {
                let rounds = chat(&stream, client, enough);
                exchanged.fetch_add(rounds, Ordering::Relaxed);
            });
        }
        let (exchanged, enough) = (&exchanged, &enough);
        scope.spawn(move || {
            let rounds = namespace.enter(|| visits(CHATS, enough));
            exchanged.fetch_add(rounds, Ordering::Relaxed);
        });
        for _ in 0..100 {
            scale(&run, "4");
            scale(&run, "1");
        }
        scale(&run, "3");
        scale(&run, "2");
        drop(ends);
    });
    let rounds = exchanged.load(Ordering::Relaxed);
    assert!(rounds > 100, "{rounds} exchanges");
    run.wait_until_home(&before);
    let stats = run.stats();
    for core in 1..4 {
        let moves = stats[&format!("core{core}.moves")];
        assert!(moves >= 200, "core {core} has moved {moves} times");
    }
    for what in ["steer.dropped", "core0.moves"] {
        assert_eq!(stats[what], 0, "{what}: {stats:#?}");
    }
    run.stop().assert_code(0);
}

#[test]
fn more_cores_than_there_are_and_none_are_refused() {
    let run = Runner::new(artifacts::echo()).options(&["--cores", "2"]).start();
    run.wait_for("echo: tcp and udp port 7");
    assert!(run.ix(&["ps"]).contains("2/2"));
    let refusal = run.ix_fails(&["scale", "test", "--cores", "3"]);
    assert!(
        refusal.contains("it has 2 cores; start it with a larger --max-cores"),
        "{refusal}"
    );
    let none = run.ix_fails(&["scale", "test", "--cores", "0"]);
    assert!(none.contains("0 is not in 1..=64"), "{none}");
    let nobody = run.ix_fails(&["scale", "nobody", "--cores", "1"]);
    assert!(nobody.contains("no run is named nobody"), "{nobody}");
    scale(&run, "1");
    assert!(run.ix(&["ps"]).contains("1/2"));
    run.stop().assert_code(0);
}

#[test]
fn cores_come_when_packets_wait_and_go_when_none_do() {
    let namespace = Namespace::new().unwrap();
    // A millisecond for each answer: packets wait.
    let run = Runner::new(artifacts::echo())
        .on(&namespace)
        .options(&["--cores", "1", "--max-cores", "2", "--elastic"])
        .args(&["--work", "1000"])
        .start();
    run.wait_for("echo: tcp and udp port 7");
    let active = |cores: &str| run.ix(&["ps"]).contains(&format!(" {cores}/2 "));
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for client in 0..8 {
            let stream = peer::connect(&namespace, peer::guest(7));
            let enough = &enough;
            scope.spawn(move || chat(&stream, client, enough));
        }
        let ends = Ends(&enough);
        let came = (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            active("2")
        });
        drop(ends);
        assert!(came, "the second core has not come");
    });
    let went = (0..300).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        active("1")
    });
    assert!(went, "the second core has not gone");
    run.stop().assert_code(0);
}
