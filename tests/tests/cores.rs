//! Machines of several cores.

use ixion_tests::artifacts::{self, Build, guest};
use ixion_tests::{Ended, Folder, GUEST, HOST, Moved, Namespace, Run, Runner, Sharing, peer};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

fn kernel_told(line: &str, cores: &str) -> Ended {
    Runner::new(artifacts::echo())
        .options(&["--cores", cores, "--kernel-arg", line])
        .finish()
}

#[test]
fn every_core_asked_for_starts() {
    for cores in ["2", "4", "8"] {
        let ended = Runner::new(&guest("hello", Build::Plain))
            .options(&["--cores", cores])
            .args(&["0"])
            .finish();
        ended.assert_code(0);
        ended.assert_logged(&format!("{cores} cores"));
    }
}

#[test]
fn cores_that_are_not_there_are_missed() {
    let ended = kernel_told("cores=3", "2");
    ended.assert_code(124);
    ended.assert_logged("3 cores are wanted, but the machine has 2");
}

#[test]
fn a_fault_of_the_kernel_names_its_core_and_ends_all() {
    for (mistake, part) in [
        ("corefault", "page fault reading"),
        ("corestackoverflow", "a kernel stack has overflowed"),
    ] {
        let ended = kernel_told(&format!("selftest={mistake}"), "4");
        ended.assert_code(123);
        ended.assert_logged("core 3: KERNEL FAULT");
        ended.assert_logged(part);
        ended.assert_logged("self_test::");
    }
}

fn program(name: &str, cores: &str, args: &[&str]) -> Ended {
    Runner::new(&guest(name, Build::Plain))
        .options(&["--cores", cores])
        .args(args)
        .finish()
}

#[test]
fn threads_are_bound_to_cores_one_to_one() {
    for cores in ["1", "4"] {
        let ended = program("core_bind", cores, &[]);
        ended.assert_code(0);
        ended.assert_said(&format!("cores: {cores}"));
        ended.assert_said("bound as it should be");
    }
}

#[test]
fn threads_without_a_core_run_on_several() {
    let ended = program("core_threads", "4", &[]);
    ended.assert_code(0);
    ended.assert_said("threads done");
}

#[test]
fn memory_taken_away_is_gone_on_all_cores() {
    for way in ["munmap", "mprotect"] {
        program("core_stale", "2", &[way]).assert_code(128 + 11);
    }
}

#[test]
fn the_end_of_the_app_is_the_end_on_all_cores() {
    program("core_end", "4", &["exit"]).assert_code(7);
    let fault = program("core_end", "4", &["fault"]);
    fault.assert_code(128 + 11);
    fault.assert_logged("on core 3: read at 0x8");
}

#[test]
fn a_core_that_computes_for_too_long_is_named_and_ended() {
    let ended = Runner::new(&guest("core_end", Build::Plain))
        .options(&["--cores", "2", "--watchdog", "1", "--watchdog-kill", "2"])
        .args(&["late"])
        .finish();
    ended.assert_code(128 + 24);
    ended.assert_logged("ring 3 on core 1 has computed for 1.");
    ended.assert_logged("it is ended");
}

/// An echo server on four cores.
fn echo(namespace: &Namespace, options: &[&str]) -> Run {
    echo_on("4", namespace, options)
}

/// The same on so many.
fn echo_on(cores: &str, namespace: &Namespace, options: &[&str]) -> Run {
    let run = Runner::new(artifacts::echo())
        .on(namespace)
        .options(&["--cores", cores])
        .options(options)
        .start();
    run.wait_for("echo: tcp and udp port 7");
    run
}

/// Whether the card hands flows to their cores' queues by itself.
fn is_steered_by_card(stats: &BTreeMap<String, u64>) -> bool {
    stats.get("steer.by_card") == Some(&1)
}

#[test]
fn connections_are_spread_over_all_cores_and_each_gets_its_own_bytes() {
    connections(&Namespace::new().unwrap());
}

#[test]
fn connections_are_spread_over_all_cores_and_each_gets_its_own_bytes_with_a_queue_each() {
    connections(&Namespace::of_queues().unwrap());
}

fn connections(namespace: &Namespace) {
    let run = echo(namespace, &[]);
    let before = run.held();
    let streams: Vec<_> = (0..48)
        .map(|_| peer::connect(namespace, peer::guest(7)))
        .collect();
    for round in 0..3 {
        for (number, stream) in (0..).zip(&streams) {
            peer::exchange(stream, &peer::pattern(round << 32 | number, 3_000));
        }
    }
    let stats = run.stats();
    let by_core: Vec<u64> = (0..4).map(|core| stats[&format!("core{core}.flows")]).collect();
    assert!(by_core.iter().all(|&flows| flows > 2), "{by_core:?}");
    assert_eq!(by_core.iter().sum::<u64>(), stats["flows"]);
    assert_eq!(stats["flows"], 48);
    // One of another size, to its end.
    peer::exchange_and_finish(
        peer::connect(namespace, peer::guest(7)),
        &peer::pattern(9, 400_000),
    );
    drop(streams);
    run.wait_until_home(&before);
    run.stop().assert_code(0);
}

#[test]
fn datagrams_pings_and_ipv6_are_served_beside() {
    datagrams_pings_and_ipv6(&Namespace::new().unwrap());
}

#[test]
fn datagrams_pings_and_ipv6_are_served_beside_with_a_queue_each() {
    datagrams_pings_and_ipv6(&Namespace::of_queues().unwrap());
}

fn datagrams_pings_and_ipv6(namespace: &Namespace) {
    namespace
        .ip(&format!("-6 address add fd77::1/64 dev {} nodad", Namespace::TAP))
        .unwrap();
    let run = echo(namespace, &["--ip6", "fd77::2/64"]);
    // Of random ports: so many that no core is left out by chance.
    for number in 0..200u64 {
        let socket = peer::udp(namespace, peer::guest(7));
        let datagram = peer::pattern(number, 700);
        socket.send(&datagram).unwrap();
        let mut answer = [0; 2048];
        let count = socket.recv(&mut answer).unwrap();
        peer::assert_same(&answer[..count], &datagram);
    }
    let stats = run.stats();
    assert!(
        (0..4).all(|core| stats[&format!("core{core}.rx_udp")] > 0),
        "{stats:#?}"
    );
    let pinged = namespace
        .command("ping")
        .args([
            "-c",
            "5",
            "-i",
            "0.1",
            "-W",
            "5",
            "-s",
            "4000",
            &GUEST.to_string(),
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&pinged.stdout).into_owned();
    assert!(said.contains("5 received"), "{said}");
    // An address is its owner's only a second after it was asked for, on each core.
    let ping6 = || {
        let words = ["-6", "-c", "1", "-W", "2", "fd77::2"];
        let output = namespace.command("ping").args(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains("1 received")
    };
    assert!((0..20).any(|_| ping6()));
    let address = "[fd77::2]:7".parse().unwrap();
    for number in 0..16 {
        let stream = peer::connect(namespace, address);
        peer::exchange(&stream, &peer::pattern(number, 5_000));
    }
    run.stop().assert_code(0);
}

#[test]
fn a_thousand_connections_live_on_four_cores() {
    a_thousand_connections(&Namespace::new().unwrap());
}

#[test]
fn a_thousand_connections_live_on_four_cores_with_a_queue_each() {
    a_thousand_connections(&Namespace::of_queues().unwrap());
}

fn a_thousand_connections(namespace: &Namespace) {
    let run = echo(namespace, &[]);
    let before = run.held();
    namespace.enter(|| {
        let streams: Vec<TcpStream> = (0..1000).map(|_| peer::open(peer::guest(7))).collect();
        for round in 0..2u64 {
            for (number, stream) in (0..).zip(&streams) {
                (&*stream)
                    .write_all(&peer::pattern(round << 32 | number, 300))
                    .unwrap();
            }
            for (number, stream) in (0..).zip(&streams) {
                let mut echoed = [0; 300];
                (&*stream).read_exact(&mut echoed).unwrap();
                peer::assert_same(&echoed, &peer::pattern(round << 32 | number, 300));
            }
        }
    });
    run.wait_until_home(&before);
    run.stop().assert_code(0);
}

#[test]
fn a_client_that_is_killed_leaves_nothing_on_any_core() {
    a_client_that_is_killed(&Namespace::new().unwrap());
}

#[test]
fn a_client_that_is_killed_leaves_nothing_on_any_core_with_a_queue_each() {
    a_client_that_is_killed(&Namespace::of_queues().unwrap());
}

fn a_client_that_is_killed(namespace: &Namespace) {
    let run = echo(namespace, &[]);
    let before = run.held();
    for _ in 0..4 {
        let script = format!("exec 3<>/dev/tcp/{GUEST}/7; cat <&3 >/dev/null & exec cat /dev/zero >&3");
        let mut client = namespace.enter(|| {
            Command::new("setsid")
                .args(["bash", "-c", &script])
                .spawn()
                .unwrap()
        });
        std::thread::sleep(Duration::from_millis(400));
        // The whole session, so that the reading half dies as well.
        killpg(Pid::from_raw(client.id().try_into().unwrap()), Signal::SIGKILL).unwrap();
        client.wait().unwrap();
    }
    run.wait_until_home(&before);
    run.stop().assert_code(0);
}

#[test]
fn what_a_core_opens_comes_back_to_it() {
    what_a_core_opens(&Namespace::new().unwrap());
}

#[test]
fn what_a_core_opens_comes_back_to_it_with_a_queue_each() {
    what_a_core_opens(&Namespace::of_queues().unwrap());
}

fn what_a_core_opens(namespace: &Namespace) {
    let listener = namespace.enter(|| TcpListener::bind("0.0.0.0:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    // Detached: it serves as long as the test runs.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    let ended = Runner::new(&guest("core_dial", Build::Plain))
        .on(namespace)
        .options(&["--cores", "4"])
        .args(&[&format!("{}:{port}", HOST)])
        .finish();
    ended.assert_code(0);
    for core in 0..4 {
        ended.assert_said(&format!("core {core} was answered"));
    }
    ended.assert_said("all were answered");
}

#[test]
fn with_a_queue_each_the_card_brings_flows_to_their_cores_and_cores_hand_on_nothing() {
    let namespace = Namespace::of_queues().unwrap();
    let run = echo(&namespace, &[]);
    let streams: Vec<_> = (0..48)
        .map(|_| peer::connect(&namespace, peer::guest(7)))
        .collect();
    let exchange = |round: u64| {
        for (number, stream) in (0..).zip(&streams) {
            peer::exchange(stream, &peer::pattern(round << 32 | number, 40_000));
        }
    };
    exchange(0);
    let before = run.stats();
    assert!(is_steered_by_card(&before), "{before:#?}");
    exchange(1);
    let stats = run.stats();
    let of = |core: u64, name: &str| {
        let name = format!("core{core}.{name}");
        stats[&name] - before[&name]
    };
    let received: u64 = (0..4).map(|core| of(core, "nic.rx_frames")).sum();
    for core in 0..4 {
        let (received, sent) = (of(core, "nic.rx_frames"), of(core, "nic.tx_frames"));
        assert!(received > 2 && sent > 2, "{stats:#?}");
    }
    // What is for no flow, such as the neighbour's questions, is core 0's to hand on.
    let handed: u64 = (0..4).map(|core| of(core, "steer.handed")).sum();
    assert!(handed * 20 < received, "{handed} of {received}");
    run.stop().assert_code(0).assert_logged("4 of each");
}

#[test]
fn with_one_queue_all_cores_share_it_and_the_log_says_who_steers() {
    for nic in ["virtio-net", "vmxnet3"] {
        let namespace = Namespace::new().unwrap();
        let run = echo(&namespace, &["--nic", nic]);
        let before = run.held();
        let streams: Vec<_> = (0..32)
            .map(|_| peer::connect(&namespace, peer::guest(7)))
            .collect();
        for (number, stream) in (0..).zip(&streams) {
            peer::exchange(stream, &peer::pattern(number, 20_000));
        }
        let stats = run.stats();
        assert!(!is_steered_by_card(&stats));
        assert!(
            stats["steer.handed"] > 20 && stats["steer.dropped"] == 0,
            "{nic}: {stats:#?}"
        );
        drop(streams);
        run.wait_until_home(&before);
        run.stop()
            .assert_code(0)
            .assert_logged("1 of 4 cores have a queue of the network card");
    }
}

#[test]
fn where_the_card_does_not_choose_frames_come_home_over_other_cores() {
    let namespace = Namespace::of_queues().unwrap();
    let run = echo(&namespace, &["--offload", "rss=off"]);
    let before = run.held();
    let streams: Vec<_> = (0..48)
        .map(|_| peer::connect(&namespace, peer::guest(7)))
        .collect();
    for (number, stream) in (0..).zip(&streams) {
        peer::exchange(stream, &peer::pattern(number, 20_000));
    }
    let stats = run.stats();
    assert!(!is_steered_by_card(&stats), "{stats:#?}");
    assert!(
        (0..4).all(|core| stats[&format!("core{core}.nic.tx_frames")] > 0),
        "{stats:#?}"
    );
    assert!(
        stats["steer.handed"] > 20 && stats["steer.dropped"] == 0,
        "{stats:#?}"
    );
    drop(streams);
    run.wait_until_home(&before);
    run.stop().assert_code(0);
}

#[test]
fn the_82574l_brings_tcp_to_two_cores_and_these_hand_on_what_is_for_others() {
    for (cores, handed) in [("2", false), ("4", true)] {
        let namespace = Namespace::new().unwrap();
        let run = echo_on(cores, &namespace, &["--nic", "e1000e"]);
        let streams: Vec<_> = (0..32)
            .map(|_| peer::connect(&namespace, peer::guest(7)))
            .collect();
        let before = run.stats();
        for (number, stream) in (0..).zip(&streams) {
            peer::exchange(stream, &peer::pattern(number, 20_000));
        }
        let stats = run.stats();
        assert!(is_steered_by_card(&stats), "{stats:#?}");
        let of = |name: &str| stats.get(name).unwrap_or(&0) - before.get(name).unwrap_or(&0);
        let (first, second) = (of("core0.nic.rx_frames"), of("core1.nic.rx_frames"));
        assert!(first > 20 && second > 20, "{stats:#?}");
        assert_eq!(of("steer.handed") * 20 > first + second, handed, "{stats:#?}");
        let socket = peer::udp(&namespace, peer::guest(7));
        let datagram = peer::pattern(5, 700);
        socket.send(&datagram).unwrap();
        let mut answer = [0; 2048];
        let count = socket.recv(&mut answer).unwrap();
        peer::assert_same(&answer[..count], &datagram);
        run.stop().assert_code(0);
    }
}

/// Lines of the cache that go from one of two cores to the other in so many exchanges on connections of both.
fn moved_in(namespace: &Namespace, exchanges: usize) -> Vec<Moved> {
    let folder = Folder::new();
    let seen = folder.join("lines");
    let plugin = artifacts::plugin("sharing");
    let plugin = format!("--qemu-arg={},out={}", plugin.display(), seen.display());
    let run = Runner::new(artifacts::echo())
        .on(namespace)
        .options(&["--cores", "2", "--qemu-arg=-plugin", &plugin])
        .start();
    run.wait_for("echo: tcp and udp port 7");
    let streams: Vec<_> = (0..16)
        .map(|_| peer::connect(namespace, peer::guest(7)))
        .collect();
    let message = peer::pattern(7, 64);
    let exchange = |times| {
        for stream in streams.iter().cycle().take(times) {
            peer::exchange(stream, &message);
        }
    };
    exchange(4 * streams.len());
    let sharing = Sharing::open(&seen).unwrap();
    sharing.begin().unwrap();
    exchange(exchanges);
    let moved = sharing.end().unwrap();
    let stats = run.stats();
    assert!(
        stats["core0.rx_tcp"] > 50 && stats["core1.rx_tcp"] > 50,
        "{stats:#?}"
    );
    run.stop().assert_code(0);
    moved
}

#[test]
fn requests_move_nothing_between_cores_that_have_a_queue_each() {
    const EXCHANGES: usize = 800;
    let moves = |moved: &[Moved]| moved.iter().map(|line| line.moves as usize).sum::<usize>();
    let moved = moved_in(&Namespace::of_queues().unwrap(), EXCHANGES);
    assert!(moves(&moved) < EXCHANGES / 20, "{moved:#x?}");
    // The way through another core's queue is seen: it is a frame's way in and a frame's way out, for every other request.
    let moved = moved_in(&Namespace::new().unwrap(), EXCHANGES);
    assert!(moves(&moved) > EXCHANGES / 2, "{moved:#x?}");
}
