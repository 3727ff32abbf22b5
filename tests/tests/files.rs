//! Host calls: files of the volumes a run was given, standard input, and nothing else.

use ixion_tests::artifacts::{Build, guest};
use ixion_tests::{Ended, Folder, Run, Runner};
use nix::sys::stat::Mode;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Stdio;

/// A folder to be granted.
fn volume(folder: &Folder, name: &str) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir(&path).unwrap();
    path
}

fn run(guest_name: &str, volumes: &[String]) -> Ended {
    let mut runner = Runner::new(&guest(guest_name, Build::Plain));
    for volume in volumes {
        runner = runner.options(&["--volume", volume]);
    }
    runner.finish()
}

#[test]
fn the_tour_of_files_succeeds() {
    let folder = Folder::new();
    let data = volume(&folder, "data");
    let ended = run("files_tour", &[format!("{}:/data", data.display())]);
    ended.assert_code(0).assert_said("files tour done");
    assert_eq!(
        fs::read_to_string(data.join("note")).unwrap(),
        "first line\nsecond line\n"
    );
    let large = fs::read(data.join("large")).unwrap();
    assert_eq!(large.len(), 8 << 20);
    let words = large.as_chunks::<4>().0.iter().zip(0u32..);
    let right = words
        .into_iter()
        .all(|(word, i)| u32::from_le_bytes(*word) == i.wrapping_mul(0x9e37_79b9));
    assert!(right, "the host sees other bytes");
    let mode = fs::metadata(data.join("note")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7000, 0);
    assert_eq!(fs::read_dir(data.join("many")).unwrap().count(), 600);
    assert!(!ended.log.contains("is not served"), "{}", ended.log);
}

#[test]
fn nothing_leads_out_of_a_volume() {
    let folder = Folder::new();
    let (data, fixed, outside) = (
        volume(&folder, "data"),
        volume(&folder, "fixed"),
        volume(&folder, "outside"),
    );
    fs::write(outside.join("secret"), "the secret").unwrap();
    fs::write(fixed.join("file"), "as it was").unwrap();
    symlink(outside.join("secret"), data.join("link")).unwrap();
    symlink("../outside", data.join("folder")).unwrap();
    symlink("../../../../../../..", data.join("up")).unwrap();
    nix::unistd::mkfifo(&data.join("pipe"), Mode::S_IRWXU).unwrap();
    let _socket = UnixListener::bind(data.join("socket")).unwrap();
    let ended = run(
        "files_escape",
        &[
            format!("{}:/data", data.display()),
            format!("{}:/fixed:ro", fixed.display()),
        ],
    );
    ended.assert_code(0).assert_said("still inside");
    assert!(!ended.stdout.contains("escaped"), "{}", ended.stdout);
    ended.assert_said("/data/pipe: Permission denied");
    ended.assert_said("/data/socket: Permission denied");
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "the secret");
    assert_eq!(fs::read_dir(&fixed).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(fixed.join("file")).unwrap(), "as it was");
}

fn copy_input(input: Stdio, volume: Option<&str>) -> Run {
    let mut runner = Runner::new(&guest("copy_input", Build::Plain)).input(input);
    if let Some(volume) = volume {
        runner = runner.options(&["--volume", volume]).args(&["/data"]);
    }
    runner.start()
}

#[test]
fn input_arrives_and_ends() {
    let text = "a line of input\n".repeat(20_000);
    let (reader, mut writer) = std::io::pipe().unwrap();
    let run = copy_input(reader.into(), None);
    writer.write_all(text.as_bytes()).unwrap();
    drop(writer);
    let ended = run.finish();
    ended.assert_code(0);
    assert!(ended.stderr.contains("copied 320000 bytes"), "{}", ended.stderr);
    assert!(ended.stdout == text, "other bytes came out");
}

#[test]
fn input_can_be_a_file_or_nothing() {
    let folder = Folder::new();
    fs::write(folder.join("input"), "from a file").unwrap();
    let file = fs::File::open(folder.join("input")).unwrap();
    let ended = copy_input(file.into(), None).finish();
    ended.assert_code(0).assert_said("from a file");
    let ended = copy_input(Stdio::null(), None).finish();
    ended.assert_code(0);
    assert_eq!(ended.stdout, "");
}

#[test]
fn waiting_for_input_holds_up_nothing_else() {
    let folder = Folder::new();
    let data = volume(&folder, "data");
    let (reader, mut writer) = std::io::pipe().unwrap();
    let run = copy_input(reader.into(), Some(&format!("{}:/data", data.display())));
    run.wait_for_error("files went on");
    writer.write_all(b"late\n").unwrap();
    run.wait_for("late");
    let before = run.stat("app.host_calls");
    assert!(before > 20, "{before} host calls");
    drop(writer);
    run.finish().assert_code(0);
}

#[test]
fn a_run_that_waits_for_input_can_be_stopped() {
    let (reader, _writer) = std::io::pipe().unwrap();
    let run = Runner::new(&guest("copy_input", Build::Plain))
        .options(&["--grace", "1"])
        .input(reader.into())
        .start();
    run.wait_for_error("reading");
    run.stop().assert_code(128 + 15);
}

#[test]
fn a_volume_that_is_none_is_refused_in_one_line() {
    for (volume, part) in [
        ("/nowhere/at/all:/data", "cannot open the volume /nowhere/at/all"),
        ("/etc/passwd:/data", "it must be a directory"),
        ("/tmp:data", "no place for a volume"),
        ("/tmp", "write HOST:GUEST"),
    ] {
        let ended = run("hello", &[volume.to_owned()]);
        ended.assert_code(125);
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
        let lines = ended
            .stderr
            .lines()
            .filter(|line| line.starts_with("ix: "))
            .count();
        assert_eq!(lines, 1, "{}", ended.stderr);
    }
}
