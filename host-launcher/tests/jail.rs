//! The jail from inside, by processes that try it (`examples/jailed.rs`).

use nix::libc::SIGSYS;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};

fn jailed(words: &[&str]) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_ix"))
        .with_file_name("examples")
        .join("jailed");
    assert!(
        program.is_file(),
        "{} is built by cargo test without --test",
        program.display()
    );
    Command::new(program)
        .args(words)
        .env_remove("RUST_BACKTRACE")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_machines_threads_can_do_their_work() {
    for kind in ["watch", "vcpu"] {
        let output = jailed(&[kind, "work"]);
        assert!(output.status.success(), "{kind}: {output:?}");
        assert!(said(&output).contains("done: 10485760 bytes"), "{output:?}");
    }
}

#[test]
fn the_machine_ends_when_it_does_what_it_never_does() {
    for kind in ["watch", "vcpu", "data-plane"] {
        for action in ["open", "write", "connect", "exec", "thread", "chmod"] {
            let output = jailed(&[kind, action]);
            assert_eq!(
                output.status.signal(),
                Some(SIGSYS),
                "{kind} {action}: {output:?}"
            );
            assert!(said(&output).starts_with("entered"), "{output:?}");
        }
    }
}

#[test]
fn the_launchers_threads_are_refused_and_live() {
    for kind in [&["input"][..], &["files"]] {
        for action in ["open", "write", "connect", "exec"] {
            let volume = format!("{}:/data", env!("CARGO_MANIFEST_DIR"));
            let mut words = vec![kind[0], action];
            if kind[0] == "files" {
                words.push(&volume);
            }
            let output = jailed(&words);
            assert_eq!(output.status.code(), Some(0), "{words:?}: {output:?}");
            assert!(said(&output).contains("refused: "), "{words:?}: {output:?}");
        }
    }
}

/// Where the kernel has Landlock, it holds what the filter has to let through.
#[test]
fn files_are_those_of_the_volumes() {
    let here = env!("CARGO_MANIFEST_DIR");
    let volume = format!("{here}:/data:ro");
    let inside = format!("{here}/Cargo.toml");
    let output = jailed(&["files", &inside, &volume]);
    assert!(said(&output).contains("done: opened"), "{output:?}");
    let output = jailed(&["files", "/etc/passwd", &volume]);
    let enforced = said(&output).contains("entered: Enforced");
    let refused = said(&output).contains("refused: Permission denied");
    assert_eq!(enforced, refused, "{output:?}");
}
