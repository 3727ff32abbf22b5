//! Programs that behave: what `std` needs is there, exit codes arrive, every kind of static file is loaded, and what is no
//! program is refused in one line.

use ixion_tests::artifacts::{Build, guest};
use ixion_tests::elf::Flaw;
use ixion_tests::{Ended, Folder, Runner};
use std::os::unix::fs::PermissionsExt;

fn run(name: &str, build: Build, args: &[&str]) -> Ended {
    Runner::new(&guest(name, build)).args(args).finish()
}

#[test]
fn arguments_variables_and_streams_arrive() {
    let ended = Runner::new(&guest("hello", Build::Plain))
        .options(&["--env", "GREETING=good day, 100%"])
        .args(&["0", "two words", "", "--flag=ä"])
        .finish();
    ended.assert_code(0);
    ended.assert_said("hello from");
    ended.assert_said(r#"arguments: ["0", "two words", "", "--flag=ä"]"#);
    ended.assert_said(r#"GREETING: Ok("good day, 100%")"#);
    assert!(ended.stderr.contains("a word on stderr"), "{}", ended.stderr);
}

#[test]
fn the_exit_code_is_the_apps() {
    for code in ["1", "42", "255"] {
        run("hello", Build::Plain, &[code]).assert_code(code.parse().unwrap());
    }
}

#[test]
fn the_tour_of_std_succeeds() {
    let ended = run("std_tour", Build::Plain, &[]);
    ended.assert_code(0);
    ended.assert_said("tour done");
}

#[test]
fn a_program_at_fixed_addresses_runs_as_well() {
    let path = guest("std_tour", Build::Fixed);
    assert_eq!(std::fs::read(&path).unwrap()[16], 2, "it should be ET_EXEC");
    Runner::new(&path)
        .finish()
        .assert_code(0)
        .assert_said("tour done");
}

#[test]
fn fixed_and_movable_programs_send_from_their_own_memory() {
    for build in [Build::Plain, Build::Fixed] {
        run("kernel_pointer", build, &[])
            .assert_code(0)
            .assert_said("every address refused");
    }
}

#[test]
fn a_panic_aborts_with_its_message() {
    let ended = run("panic", Build::Plain, &[]);
    ended.assert_code(128 + 6);
    assert!(ended.stderr.contains("the last panic"), "{}", ended.stderr);
}

#[test]
fn a_panic_unwinds_where_the_program_is_built_for_it() {
    let ended = run("panic", Build::Unwinding, &[]);
    ended.assert_code(101);
    ended.assert_said("caught: true");
    ended.assert_said("joined: true");
    assert!(ended.stderr.contains("the last panic"), "{}", ended.stderr);
}

#[test]
fn what_is_no_program_is_refused_in_one_line() {
    for build in [Build::Plain, Build::Fixed] {
        let good = std::fs::read(guest("hello", build)).unwrap();
        for flaw in Flaw::ALL {
            let ended = run_bytes(&flaw.put_into(&good));
            println!(
                "{build:?} {flaw:?}: {} {} {}",
                ended.code,
                ended.stderr.trim(),
                last_error(&ended.log)
            );
            assert_eq!(ended.stdout, "", "{flaw:?} ran");
            ended.assert_code(126);
            let lines = ended
                .stderr
                .lines()
                .filter(|line| line.starts_with("ix: "))
                .count();
            assert_eq!(lines, 1, "{flaw:?}: {}", ended.stderr);
        }
    }
}

fn last_error(log: &str) -> &str {
    log.lines()
        .rfind(|line| line.contains("ERROR"))
        .unwrap_or_default()
}

fn run_bytes(bytes: &[u8]) -> Ended {
    let folder = Folder::new();
    let path = folder.join("flawed");
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    Runner::new(&path).finish()
}
