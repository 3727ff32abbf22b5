//! Cores that come and go while clients work.

use ixion_tests::{Namespace, Run, Runner, artifacts, peer};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

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

/// How much of a core a process uses, while nothing is asked of it.
fn use_of_cpu(process: u32) -> f64 {
    let used = || -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
        tasks
            .flatten()
            .filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok())
            .map(|line| Duration::from_nanos(line.split(' ').next().unwrap().parse().unwrap()))
            .sum()
    };
    let (before, start) = (used(), Instant::now());
    std::thread::sleep(Duration::from_secs(2));
    (used() - before).div_duration_f64(start.elapsed())
}

#[test]
fn a_processor_without_cores_sleeps() {
    let namespace = Namespace::new().unwrap();
    let run = echo(&namespace, &[]);
    let qemu = run.children()[0];
    let one = use_of_cpu(qemu);
    assert!(
        one < 1.3,
        "one polls and three sleep, and they use {one:.2} of a core"
    );
    peer::exchange(
        &peer::connect(&namespace, peer::guest(7)),
        &peer::pattern(1, 50_000),
    );
    run.stop().assert_code(0);
}

#[test]
fn cores_that_sleep_wake_for_packets_and_use_a_fraction() {
    let namespace = Namespace::new().unwrap();
    let idle_use = |options: &[&str]| {
        let run = echo(&namespace, options);
        let used = use_of_cpu(run.children()[0]);
        let stream = peer::connect(&namespace, peer::guest(7));
        let socket = peer::udp(&namespace, peer::guest(7));
        let mut trips: Vec<Duration> = (0..40)
            .map(|round| {
                std::thread::sleep(Duration::from_millis(round));
                let start = Instant::now();
                peer::exchange(&stream, &peer::pattern(round, 64));
                let trip = start.elapsed();
                peer::exchange(&stream, &peer::pattern(round, 5_000));
                socket.send(&peer::pattern(round, 300)).unwrap();
                assert_eq!(socket.recv(&mut [0; 500]).unwrap(), 300);
                trip
            })
            .collect();
        trips.sort();
        println!(
            "{options:?}: idle, QEMU uses {used:.3} of a core; the first exchange after 0 to 39 ms takes {:?}, the \
             median",
            trips[20]
        );
        let sleeps = run.stat("core0.sleeps");
        run.stop().assert_code(0);
        (used, sleeps)
    };
    let (always, no_sleeps) = idle_use(&["--poll", "always"]);
    let (adaptive, sleeps) = idle_use(&["--poll", "adaptive"]);
    assert_eq!(no_sleeps, 0);
    assert!(sleeps > 100, "{sleeps} sleeps");
    assert!(
        adaptive < always / 2.0,
        "of a core: {adaptive:.2} asleep, {always:.2} awake"
    );
}

#[test]
fn four_cores_that_sleep_rouse_each_other() {
    let namespace = Namespace::new().unwrap();
    let run = echo(&namespace, &["--poll", "adaptive"]);
    scale(&run, "4");
    let streams: Vec<_> = (0..16)
        .map(|_| peer::connect(&namespace, peer::guest(7)))
        .collect();
    for round in 0..10 {
        for (number, stream) in (0..).zip(&streams) {
            peer::exchange(stream, &peer::pattern(round << 32 | number, 2_000));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let stats = run.stats();
    for core in 0..4 {
        assert!(
            stats[&format!("core{core}.sleeps")] > 0 && stats[&format!("core{core}.flows")] > 0,
            "core {core}: {stats:#?}"
        );
    }
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
