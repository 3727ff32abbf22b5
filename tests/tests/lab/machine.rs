use crate::without;
use ixion_tests::Ended;
use ixion_tests::artifacts::{Build, guest};
use ixion_tests::lab::{self, Lab};
use std::fs;

/// Runs a guest program on a tap of its own.
fn run(lab: &Lab, options: &[&str], program: &str, args: &[&str]) -> Ended {
    let path = format!("/tmp/{program}");
    lab.put(&path, &fs::read(guest(program, Build::Plain)).unwrap());
    let mut words = vec![
        "ix",
        "run",
        "--net",
        "tap:lab0",
        "--ip",
        "10.83.0.2/24",
        "--mem",
        "128M",
    ];
    words.extend(options);
    words.extend([path.as_str(), "--"]);
    words.extend(args);
    lab.run(&words)
}

fn with_tap() -> lab::Turn {
    let lab = lab::enter();
    lab.shell("tunctl -t lab0 >/dev/null; ip link set lab0 up");
    lab
}

#[test]
fn kvm_is_chosen_where_its_ring_0_runs_and_said_so() {
    let lab = with_tap();
    let ended = run(&lab, &["--backend", "auto"], "hello", &["3"]);
    ended.assert_code(3);
    ended.assert_said("arguments: [\"3\"]");
    let choice = ended.stderr.lines().find(|line| line.contains("backend kvm"));
    assert!(choice.is_some(), "{}", ended.stderr);
}

#[test]
fn without_a_card_an_app_can_talk_to_itself() {
    let lab = lab::enter();
    let path = "/tmp/self_talk";
    lab.put(path, &fs::read(guest("self_talk", Build::Plain)).unwrap());
    for cores in ["1", "2"] {
        let options = ["--backend", "kvm", "--nic", "loopback", "--mem", "256M"];
        let talk = ["--cores", cores, path, "--", cores, "127.0.0.1", "::1"];
        let ended = lab.run(&[&["ix", "run"][..], &options, &talk].concat());
        ended.assert_code(0);
        ended.assert_said("all of it came back");
    }
}

#[test]
fn without_kvm_it_is_said_what_is_missing() {
    let lab = with_tap();
    let ix = "ix run --backend auto --net tap:lab0 --ip 10.83.0.2/24 /ixion/echo";
    let ended = lab.run(&["unshare", "-m", "sh", "-c", &without("/dev/kvm", ix)]);
    ended.assert_code(125);
    for part in ["/dev/kvm", "qemu"] {
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
}

#[test]
fn faults_of_the_kernel_end_the_machine_with_their_code() {
    let lab = with_tap();
    for mistake in ["panic", "fault", "doublefault", "stackoverflow"] {
        let ended = run(
            &lab,
            &["--backend", "kvm", "--kernel-arg", &format!("selftest={mistake}")],
            "hello",
            &[],
        );
        ended.assert_code(123);
        for part in ["rip", "self_test::"] {
            assert!(ended.stderr.contains(part), "{mistake}: {}", ended.stderr);
        }
        assert!(!ended.stderr.contains("triple"), "{mistake}: {}", ended.stderr);
    }
}

#[test]
fn misdeeds_of_the_app_end_only_the_app() {
    let lab = with_tap();
    let kvm = ["--backend", "kvm"];
    for (program, args, code) in [
        ("wild_jump", &["read", "ffff800000000000"][..], 128 + 11),
        ("wild_jump", &["jump", "ffffffff80000000"], 128 + 11),
        ("wild_jump", &["stack", "ffff800000000000"], 128 + 11),
        ("stack_overflow", &[], 128 + 11),
        ("write_window", &["window"], 128 + 11),
        ("panic", &[], 128 + 6),
    ] {
        let ended = run(&lab, &kvm, program, args);
        assert_eq!(ended.code, code, "{program} {args:?}: {}", ended.stderr);
    }
    for (program, last_words) in [
        ("kernel_pointer", "every address refused"),
        ("length_overflow", "every length refused"),
        ("forged_handle", "every handle refused"),
        ("wild_batch", "still batching"),
        ("wild_calls", "still here, most refused"),
        ("wild_memory", "the heap is whole"),
    ] {
        run(&lab, &kvm, program, &[])
            .assert_code(0)
            .assert_said(last_words);
    }
}

#[test]
fn a_programs_whole_world_is_there() {
    let lab = with_tap();
    run(&lab, &["--backend", "kvm"], "std_tour", &[]).assert_code(0);
}
