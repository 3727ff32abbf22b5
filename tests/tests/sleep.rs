//! Processors that sleep while nothing comes (`--poll adaptive`), and what wakes them.

use ixion_tests::{GUEST, Namespace, Run, Runner, artifacts, peer};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// Longer than a core looks before it sleeps, shorter than a tick, at which it looks in any case.
const PAUSE: Duration = Duration::from_millis(5);

fn echo(namespace: &Namespace, options: &[&str]) -> Run {
    let run = Runner::new(artifacts::echo())
        .on(namespace)
        .options(options)
        .start();
    run.wait_for("echo: tcp and udp port 7");
    run
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

/// Sockets whose flows are spread over the cores.
fn sockets(namespace: &Namespace) -> Vec<UdpSocket> {
    let socket = |_| {
        let socket = peer::udp(namespace, peer::guest(7));
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket
    };
    (0..16).map(socket).collect()
}

/// A request after each of these pauses; how long the replies took.
fn ask(sockets: &[UdpSocket], pauses: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let one = |((number, pause), socket): ((u64, Duration), &UdpSocket)| {
        std::thread::sleep(pause);
        let (request, start) = (peer::pattern(number, 300), Instant::now());
        socket.send(&request).unwrap();
        let mut reply = [0; 500];
        let len = socket.recv(&mut reply).expect("a reply");
        peer::assert_same(&reply[..len], &request);
        start.elapsed()
    };
    (0..).zip(pauses).zip(sockets.iter().cycle()).map(one).collect()
}

/// Of 200 requests after pauses, how many interrupted a core that slept.
fn interrupts(run: &Run, namespace: &Namespace, counter: &str) -> u64 {
    let sockets = sockets(namespace);
    ask(&sockets, std::iter::repeat_n(PAUSE, 20));
    let before = run.stat(counter);
    ask(&sockets, std::iter::repeat_n(PAUSE, 200));
    run.stat(counter) - before
}

fn without_interrupts() -> [&'static str; 4] {
    ["--qemu-arg", "-global", "--qemu-arg", "virtio-net-pci.vectors=0"]
}

#[test]
fn a_processor_without_cores_sleeps() {
    let namespace = Namespace::new().unwrap();
    let run = echo(&namespace, &["--cores", "1", "--max-cores", "4"]);
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
    let measure = |name: &str, options: &[&str]| {
        let run = echo(&namespace, options);
        let used = use_of_cpu(run.children()[0]);
        let sockets = sockets(&namespace);
        let mut trips = ask(
            &sockets,
            (0..200).map(|round| Duration::from_micros(round * 191 % 39_000)),
        );
        trips.sort();
        println!(
            "{name}: idle, QEMU uses {used:.3} of a core; the first exchange after 0 to 38 ms takes {:?} in one case of ten \
             at most, {:?} in half of them, {:?} in nine",
            trips[20], trips[100], trips[180]
        );
        let stats = run.stats();
        run.stop().assert_code(0);
        (used, stats["core.sleeps"])
    };
    let (always, no_sleeps) = measure("always", &["--poll", "always"]);
    let (timer, naps) = measure(
        "timer",
        &[&["--poll", "adaptive"], &without_interrupts()[..]].concat(),
    );
    let (interrupt, sleeps) = measure("interrupt", &["--poll", "adaptive"]);
    assert_eq!(no_sleeps, 0);
    assert!(naps > 100 && sleeps > 100, "{naps} and {sleeps} sleeps");
    for (how, used) in [("timer", timer), ("interrupt", interrupt)] {
        assert!(
            used < always / 2.0,
            "of a core: {used:.2} asleep with the {how}, {always:.2} awake"
        );
    }
}

#[test]
fn four_cores_that_sleep_rouse_each_other() {
    let namespace = Namespace::new().unwrap();
    let run = echo(&namespace, &["--cores", "4", "--poll", "adaptive"]);
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

/// Single requests, with pauses around the time that a core looks before it sleeps; and then the card wakes it.
fn no_request_is_slept_over(namespace: &Namespace, options: &[&str], counter: &str) {
    let run = echo(namespace, &[&["--poll", "adaptive"], options].concat());
    let icmp = peer::icmp(namespace);
    icmp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let sockets = sockets(namespace);
    for round in 0..10_u64 {
        let pauses = (0..200).map(|number| Duration::from_micros((round * 37 + number * 61) % 400));
        ask(&sockets, pauses);
        for number in 0..20 {
            std::thread::sleep(Duration::from_micros(number * 20));
            peer::ping(
                &icmp,
                GUEST,
                u16::try_from(round * 20 + number).unwrap(),
                &[7; 100],
            );
        }
    }
    let interrupts = interrupts(&run, namespace, counter);
    assert!(
        interrupts >= 100,
        "{options:?}: {interrupts} of 200 requests woke a core"
    );
    run.stop().assert_code(0);
}

#[test]
fn the_card_wakes_a_core_that_sleeps() {
    let namespace = Namespace::new().unwrap();
    no_request_is_slept_over(&namespace, &[], "core.roused");
    no_request_is_slept_over(&namespace, &["--nic", "e1000e"], "core.roused");
}

#[test]
fn a_card_with_a_queue_for_each_core_wakes_the_core_that_it_has_something_for() {
    no_request_is_slept_over(&Namespace::of_queues().unwrap(), &["--cores", "4"], "core.roused");
    let of_two = ["--nic", "e1000e", "--cores", "2"];
    no_request_is_slept_over(&Namespace::new().unwrap(), &of_two, "core.roused");
}

#[test]
fn a_card_that_four_cores_share_wakes_the_one_with_the_queue() {
    no_request_is_slept_over(&Namespace::new().unwrap(), &["--cores", "4"], "core0.roused");
}

#[test]
fn without_an_interrupt_a_core_wakes_by_itself() {
    let namespace = Namespace::new().unwrap();
    for options in [&without_interrupts()[..], &["--nic", "e1000"]] {
        let run = echo(&namespace, &[&["--poll", "adaptive"], options].concat());
        let interrupts = interrupts(&run, &namespace, "core.roused");
        assert!(interrupts < 20, "{options:?}: {interrupts}");
        assert!(run.stat("core.sleeps") > 200);
        run.stop().assert_code(0);
    }
}

#[test]
fn the_interrupt_goes_where_the_core_goes() {
    for namespace in [Namespace::of_queues(), Namespace::new()] {
        let namespace = namespace.unwrap();
        let run = echo(
            &namespace,
            &["--cores", "1", "--max-cores", "4", "--poll", "adaptive"],
        );
        let sockets = sockets(&namespace);
        for cores in ["4", "1", "3", "2", "4", "2", "3", "1", "4"] {
            let said = run.ix(&["scale", "test", "--cores", cores]);
            assert_eq!(said, format!("test works on {cores} cores\n"));
            ask(&sockets, std::iter::repeat_n(PAUSE, 32));
            let (before, asleep) = (run.stat("core.roused"), run.stat("core.sleeps"));
            ask(&sockets, std::iter::repeat_n(PAUSE, 96));
            let (roused, sleeps) = (run.stat("core.roused") - before, run.stat("core.sleeps") - asleep);
            assert!(
                roused >= 48,
                "on {cores}, 96 requests woke {roused} of {sleeps} sleeps"
            );
        }
        run.stop().assert_code(0);
    }
}
