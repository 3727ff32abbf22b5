//! The kernel's own mistakes, made on purpose: each ends the machine with its own code and says where it was.

use ixion_tests::artifacts::{self, Build, guest};
use ixion_tests::{Ended, Runner};
use std::process::Command;

/// Runs a machine whose kernel is told this; what QEMU is told last is what counts.
fn with_command_line(line: &str) -> Ended {
    let line = format!("--qemu-arg=host=0xf00000 ip=10.0.2.15/24 {line} -- app");
    Runner::new(artifacts::echo())
        .options(&["--qemu-arg=-append", &line])
        .finish()
}

#[test]
fn a_panic_of_the_kernel_has_a_code_of_its_own_and_a_backtrace() {
    let ended = with_command_line("selftest=panic");
    ended.assert_code(123);
    for part in ["self_test.rs:", "self_test::make", "rip"] {
        ended.assert_logged(part);
    }
}

#[test]
fn faults_of_the_kernel_end_the_same_way() {
    for mistake in ["fault", "doublefault", "stackoverflow"] {
        let ended = with_command_line(&format!("selftest={mistake}"));
        ended.assert_code(123);
        for part in ["rip", "cr2", "self_test::"] {
            ended.assert_logged(part);
        }
        assert!(!ended.stderr.contains("triple"), "{mistake}: {}", ended.stderr);
    }
}

#[test]
fn a_command_line_that_makes_no_sense_is_named() {
    let ended = with_command_line("what=ever");
    ended.assert_code(124);
    ended.assert_logged("what=ever");
}

/// Without a launcher there is no host area: the app's output is on the serial line.
#[test]
fn the_kernel_runs_under_a_bare_qemu() {
    let output = Command::new("timeout")
        .args([
            "60",
            "qemu-system-x86_64",
            "-M",
            "q35",
            "-accel",
            "tcg",
            "-cpu",
            "max",
            "-m",
            "256M",
        ])
        .args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
            "-serial",
            "stdio",
        ])
        .args([
            "-device",
            "isa-debug-exit,iobase=0xf4,iosize=1",
            "-netdev",
            "user,id=n0",
        ])
        .args(["-device", "virtio-net-pci,netdev=n0,disable-legacy=on"])
        .arg("-kernel")
        .arg(artifacts::ix().with_file_name("ixion-kernel"))
        .arg("-initrd")
        .arg(guest("hello", Build::Plain))
        .args([
            "-append",
            "ip=10.0.2.15/24 gw=10.0.2.2 env=GREETING=hi -- hello 0 by%20hand",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(33), "{said}");
    assert!(said.contains(r#"arguments: ["0", "by hand"]"#), "{said}");
    assert!(said.contains(r#"GREETING: Ok("hi")"#), "{said}");
}
