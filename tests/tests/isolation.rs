//! Programs that misbehave: each is contained, reported, and hurts nobody but itself.

use ixion_tests::artifacts::{Build, guest};
use ixion_tests::{Ended, GUEST, Namespace, Runner, peer};
use nix::sys::signal::Signal;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

const SIGILL: i32 = 4;
const SIGTRAP: i32 = 5;
const SIGFPE: i32 = 8;
const SIGSEGV: i32 = 11;

fn run(name: &str, args: &[&str]) -> Ended {
    Runner::new(&guest(name, Build::Plain)).args(args).finish()
}

/// The app dies of a signal, and the kernel lives to say so.
fn assert_killed(ended: &Ended, signal: i32, name: &str) {
    ended.assert_code(128 + signal);
    ended.assert_logged(name);
    ended.assert_logged("rip");
    assert!(!ended.log.contains("KERNEL"), "{}", ended.log);
}

/// The misdeed is refused, and the program goes on to its end.
fn assert_refused(name: &str, last_words: &str) {
    let ended = run(name, &[]);
    ended.assert_code(0);
    ended.assert_said(last_words);
}

#[test]
fn kernel_pointers_as_buffers_are_refused() {
    assert_refused("kernel_pointer", "every address refused");
}

#[test]
fn lengths_that_overflow_are_refused() {
    assert_refused("length_overflow", "every length refused");
}

#[test]
fn forged_and_stale_handles_are_refused() {
    assert_refused("forged_handle", "every handle refused");
}

#[test]
fn random_command_arrays_are_survived() {
    assert_refused("wild_batch", "still batching");
}

#[test]
fn wild_system_calls_are_survived() {
    assert_refused("wild_calls", "still here, most refused");
}

#[test]
fn memory_calls_reach_nothing_but_the_apps_memory() {
    assert_refused("wild_memory", "the heap is whole");
}

#[test]
fn what_is_read_only_cannot_be_written() {
    for what in ["window", "events", "info", "code"] {
        let ended = run("write_window", &[what]);
        ended.assert_said("writing to");
        assert!(!ended.stdout.contains("written"), "{what}");
        assert_killed(&ended, SIGSEGV, "SIGSEGV");
    }
}

#[test]
fn bases_that_are_not_canonical_are_survived() {
    let ended = run("wild_base", &[]);
    ended.assert_said("wild bases");
    assert!(!ended.log.contains("KERNEL"), "{}", ended.log);
    assert!([0, 128 + SIGSEGV].contains(&ended.code), "{}", ended.code);
}

#[test]
fn privileged_instructions_kill_the_app() {
    for what in ["hlt", "cli", "out", "in", "cr3", "wrmsr", "lgdt", "int0x80"] {
        assert_killed(&run("privileged", &[what]), SIGSEGV, "SIGSEGV");
    }
    assert_killed(&run("privileged", &["ud2"]), SIGILL, "SIGILL");
    assert_killed(&run("privileged", &["int3"]), SIGTRAP, "SIGTRAP");
    assert_killed(&run("privileged", &["divide"]), SIGFPE, "SIGFPE");
}

#[test]
fn wild_reads_and_jumps_kill_the_app() {
    let kernel = ["ffffffff80100000", "ffff800000100000", "8000000000000000", "0"];
    for address in kernel {
        for what in ["read", "jump"] {
            let ended = run("wild_jump", &[what, address]);
            assert!(!ended.stdout.contains("survived"));
            assert_killed(&ended, SIGSEGV, "SIGSEGV");
        }
    }
    // Data is not code: the receive window and the app's own stack.
    assert_killed(&run("wild_jump", &["jump", "200000000000"]), SIGSEGV, "SIGSEGV");
    for stack in ["ffffffff80100000", "8000000000000000", "0", "7fffffffffff"] {
        assert_killed(&run("wild_jump", &["stack", stack]), SIGSEGV, "SIGSEGV");
    }
}

#[test]
fn a_stack_that_overflows_kills_the_app() {
    assert_killed(&run("stack_overflow", &[]), SIGSEGV, "SIGSEGV");
    assert_killed(&run("stack_overflow", &["thread"]), SIGSEGV, "SIGSEGV");
}

#[test]
fn an_infinite_loop_is_reported_and_can_be_stopped() {
    let app = guest("infinite_loop", Build::Plain);
    let run = Runner::new(&app).options(&["--grace", "1"]).start();
    run.wait_for("looping");
    let start = Instant::now();
    let ended = run.stop();
    ended.assert_code(128 + Signal::SIGTERM as i32);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn an_app_that_waits_and_does_not_listen_is_ended_by_the_kernel() {
    let run = Runner::new(&guest("deaf", Build::Plain))
        .options(&["--grace", "1"])
        .start();
    run.wait_for("deaf");
    let ended = run.stop();
    ended.assert_code(128 + Signal::SIGTERM as i32);
    ended.assert_logged("did not finish in time");
}

#[test]
fn the_network_answers_while_the_app_loops() {
    let namespace = Namespace::new().unwrap();
    let app = guest("infinite_loop", Build::Plain);
    let run = Runner::new(&app)
        .on(&namespace)
        .options(&["--grace", "1"])
        .args(&["dataplane"])
        .start();
    run.wait_for("looping");
    let socket = peer::icmp(&namespace);
    for sequence in 0..5 {
        peer::ping(&socket, GUEST, sequence, b"are you there");
    }
    // The handshake is ring 0's; nobody accepts, but nobody is left without an answer either.
    let stream = peer::connect(&namespace, peer::guest(7));
    let until = Instant::now() + Duration::from_secs(10);
    while !run.log().contains("ring 3 on core 0 has computed") {
        assert!(Instant::now() < until, "the watchdog is silent: {}", run.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(stream);
    run.stop().assert_code(128 + Signal::SIGTERM as i32);
}

#[test]
fn exit_with_open_connections_leaves_no_peer_waiting() {
    let namespace = Namespace::new().unwrap();
    let app = guest("exit_open", Build::Plain);
    let run = Runner::new(&app).on(&namespace).start();
    run.wait_for("listening");
    let mut others: Vec<_> = (0..10)
        .map(|_| peer::connect(&namespace, peer::guest(7)))
        .collect();
    let start = Instant::now();
    others[3].write_all(b"go").unwrap();
    for stream in &mut others {
        // Closed or reset: an end either way.
        assert!(matches!(stream.read(&mut [0; 8]), Ok(0) | Err(_)));
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    run.finish().assert_code(3);
}
