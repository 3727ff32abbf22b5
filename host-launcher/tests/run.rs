//! `ix` from outside, with a machine that plays what it is told (`examples/fake_qemu.rs`).

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const IX: &str = env!("CARGO_BIN_EXE_ix");

/// A directory for control sockets and files, removed with its contents.
struct Place(PathBuf);

impl Place {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ix-run-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn ix(&self) -> Command {
        let mut command = Command::new(IX);
        let qemu = Path::new(IX).with_file_name("examples").join("fake_qemu");
        assert!(
            qemu.is_file(),
            "{} is built by cargo test without --test",
            qemu.display()
        );
        command
            .env("IX_RUNTIME_DIR", &self.0)
            .env("IX_QEMU", qemu)
            .env("IX_KERNEL", IX);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// `ix run` with these options, of an app that plays these words.
    fn run(&self, options: &[&str], words: &[&str]) -> Command {
        let mut command = self.ix();
        command.arg("run").args(options).arg(IX).arg("--").args(words);
        command
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn signal(process: &Child, name: &str) {
    let signal: Signal = format!("SIG{name}").parse().unwrap();
    kill(Pid::from_raw(process.id().try_into().unwrap()), signal).unwrap();
}

/// Starts it and waits for its first line of output.
fn started(mut command: Command) -> Child {
    let mut child = command.spawn().unwrap();
    let mut byte = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
    child
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The one line of an `ix` that failed with `status`.
fn complaint(output: &Output, status: i32) -> &str {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    let lines: Vec<&str> = stderr
        .lines()
        .filter(|line| !line.contains("backend qemu"))
        .collect();
    let [line] = lines[..] else {
        panic!("one line is wanted: {stderr}")
    };
    line.strip_prefix("ix: ").unwrap_or_else(|| panic!("{line}"))
}

#[test]
fn streams_are_kept_apart_and_the_exit_code_is_the_apps() {
    let place = Place::new("streams");
    let words = [
        "out:one",
        "log:[  0.1] INFO  x: booted",
        "err:two",
        "out:three",
        "exit:42",
    ];
    let output = place.run(&["--backend", "qemu"], &words).output().unwrap();
    assert_eq!(output.status.code(), Some(42));
    assert_eq!(text(&output.stdout), "one\nthree\n");
    let mut lines: Vec<&str> = text(&output.stderr).lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["kernel: [  0.1] INFO  x: booted", "two"]);
    assert_eq!(
        std::fs::read_dir(&place.0).unwrap().count(),
        0,
        "the control socket is gone"
    );
}

#[test]
fn the_kernels_log_can_go_into_a_file() {
    let place = Place::new("logfile");
    let file = place.0.join("kernel.log");
    let options = ["--kernel-log", file.to_str().unwrap(), "--backend", "qemu"];
    let output = place.run(&options, &["log:hello", "exit:0"]).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    assert_eq!(std::fs::read_to_string(file).unwrap(), "hello\r\n");
}

#[test]
fn much_output_arrives_complete() {
    let place = Place::new("flood");
    let output = place.run(&[], &["flood:3000000", "exit:0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout.len(), 3_000_000);
    let right = output
        .stdout
        .iter()
        .zip(0u32..)
        .all(|(&byte, i)| byte == i.to_le_bytes()[0]);
    assert!(right, "a byte is not where it belongs");
}

#[test]
fn ends_have_their_statuses() {
    let place = Place::new("ends");
    for (word, status, part) in [
        ("signal:11", 139, "the app was killed by SIGSEGV"),
        ("refuse", 126, "cannot load the app"),
        ("status:65", 123, "the kernel panicked"),
        ("status:97", 124, "cannot run on this machine"),
        ("status:0", 123, "triple fault"),
        ("status:1", 125, "QEMU ended: it gave no reason"),
    ] {
        let output = place.run(&[], &[word]).output().unwrap();
        let line = complaint(&output, status);
        assert!(line.contains(part), "{line}");
    }
    let words = [
        "complain:-netdev user,id=n: Could not set up host forwarding rule 'tcp::80-:80'",
        "status:1",
    ];
    let output = place.run(&[], &words).output().unwrap();
    assert!(complaint(&output, 125).contains("a forwarded port is in use"));
}

#[test]
fn an_app_that_finishes_when_asked_keeps_its_code() {
    let place = Place::new("stop");
    for name in ["INT", "TERM", "HUP"] {
        let child = started(place.run(&[], &["out:up", "stopped", "out:bye", "exit:5"]));
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(5));
        assert!(text(&output.stdout).ends_with("bye\n"));
    }
}

#[test]
fn an_app_that_does_not_finish_is_ended() {
    let place = Place::new("grace");
    for (words, name, status) in [
        (["out:up", "ended", "signal:9"], "TERM", 143),
        (["out:up", "hang", "exit:0"], "INT", 130),
    ] {
        let child = started(place.run(&["--grace", "1"], &words));
        let asked = Instant::now();
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(status));
        let taken = asked.elapsed();
        assert!(
            taken > Duration::from_millis(900) && taken < Duration::from_secs(4),
            "{taken:?}"
        );
    }
}

#[test]
fn a_second_ctrl_c_is_immediate() {
    let place = Place::new("twice");
    let child = started(place.run(&["--grace", "60"], &["out:up", "hang"]));
    signal(&child, "INT");
    std::thread::sleep(Duration::from_millis(100));
    signal(&child, "INT");
    let asked = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(asked.elapsed() < Duration::from_secs(2));
}

#[test]
fn no_machine_outlives_its_launcher() {
    let place = Place::new("orphan");
    let mut child = started(place.run(&[], &["out:up", "hang"]));
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let machine = std::fs::read_to_string(children).unwrap().trim().to_owned();
    let alive = || Path::new("/proc").join(&machine).join("exe").read_link().is_ok();
    assert!(!machine.is_empty() && alive());
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    let killed = Instant::now();
    while alive() {
        assert!(killed.elapsed() < Duration::from_secs(2), "the machine lives on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_run() {
    let place = Place::new("pipe");
    let mut child = started(place.run(&[], &["out:up", "flood:2000000", "stopped", "exit:3"]));
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn runs_can_be_listed_asked_and_stopped() {
    let place = Place::new("control");
    let child = started(place.run(
        &["--name", "one", "--ip", "10.0.2.99/24"],
        &["out:up", "stopped", "exit:0"],
    ));
    let ask = |args: &[&str]| place.ix().args(args).output().unwrap();
    let list = ask(&["ps"]);
    let rows: Vec<&str> = text(&list.stdout).lines().collect();
    assert!(
        rows[0].starts_with("NAME ") && rows[1].starts_with("one ") && rows[1].contains("10.0.2.99/24"),
        "{rows:?}"
    );
    let json = text(&ask(&["ps", "--json"]).stdout).to_owned();
    assert!(
        json.contains("\"name\":\"one\"") && json.contains("\"state\":\"running\""),
        "{json}"
    );
    let stats = ask(&["stats", "one"]);
    assert!(text(&stats.stdout).starts_with("(the kernel does not answer"));
    let again = place.run(&["--name", "one"], &["exit:0"]).output().unwrap();
    assert!(complaint(&again, 125).contains("a run named one is already there"));
    assert_eq!(ask(&["stop", "one"]).status.code(), Some(0));
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
    for verb in ["stats", "stop"] {
        assert!(complaint(&ask(&[verb, "one"]), 125).contains("no run is named one"));
    }
    assert_eq!(text(&ask(&["ps"]).stdout).lines().count(), 1);
}

#[test]
fn two_runs_of_one_app_get_two_names() {
    let place = Place::new("names");
    let first = started(place.run(&[], &["out:up", "stopped", "exit:0"]));
    let second = started(place.run(&[], &["out:up", "stopped", "exit:0"]));
    let list = place.ix().args(["ps"]).output().unwrap();
    let second_name = format!("ix-{}", second.id());
    let mut names = text(&list.stdout)
        .lines()
        .skip(1)
        .filter_map(|row| row.split(' ').next());
    assert_eq!(
        (names.next(), names.next()),
        (Some("ix"), Some(second_name.as_str()))
    );
    for child in [first, second] {
        signal(&child, "TERM");
        assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
    }
}

#[test]
fn a_file_and_the_command_line_make_one_plan() {
    let place = Place::new("config");
    let file = place.0.join("app.toml");
    let text_of_file =
        format!("app = '{IX}'\nargs = ['env', 'exit:0']\nlog = 'debug'\nenv = ['A=b c']\nbatch = 7\n");
    std::fs::write(&file, text_of_file).unwrap();
    let output = place
        .ix()
        .args(["run", "--config"])
        .arg(&file)
        .args(["--log", "off"])
        .output()
        .unwrap();
    let line = text(&output.stdout);
    assert!(line.contains(" log=off batch=7 env=A=b%20c -- "), "{line}");
}

#[test]
fn mistakes_are_one_line_with_a_cure() {
    let place = Place::new("mistakes");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let forward = format!("{}:80", listener.local_addr().unwrap().port());
    let cases: [(&[&str], i32, &str); 14] = [
        (&["/nowhere/app"], 127, "not found; check the path"),
        (&["/etc/passwd"], 126, "chmod +x"),
        (&["/bin/sh"], 126, "link it statically"),
        (&["/tmp"], 126, "is not an executable file"),
        (&["--ip", "10.0.0.300/24", IX], 125, "write it as 10.0.2.15/24"),
        (&["--ip", "10.0.2.0/24", IX], 125, "choose one in between"),
        (&["--net", "tap:t0", IX], 125, "a tap needs --ip"),
        (&["--net", "bridge", IX], 125, "write user, or tap:NAME"),
        (&["--mem", "1M", IX], 125, "at least 64 MiB"),
        (
            &["--gateway", "1.2.3.4", IX],
            125,
            "no other host in 10.0.2.15/24",
        ),
        (
            &["--forward", &forward, IX],
            125,
            "in use; choose another host port",
        ),
        (&["--forward", "x", IX], 125, "write [tcp:|udp:]"),
        (
            &["--kernel", "/nowhere/kernel", IX],
            125,
            "check --kernel or $IX_KERNEL",
        ),
        (
            &["--config", "/nowhere.toml", IX],
            125,
            "cannot read the configuration file",
        ),
    ];
    for (args, status, part) in cases {
        let output = place.ix().arg("run").args(args).output().unwrap();
        let line = complaint(&output, status);
        assert!(line.contains(part), "{line}");
    }
    let output = place
        .run(&[], &[])
        .env("IX_QEMU", "/nowhere/qemu")
        .output()
        .unwrap();
    assert!(complaint(&output, 125).contains("$IX_QEMU is /nowhere/qemu"));
    let output = place
        .run(&[], &[])
        .env_remove("IX_QEMU")
        .env("PATH", "")
        .output()
        .unwrap();
    assert!(complaint(&output, 125).contains("apt-get install qemu-system-x86"));
}

#[test]
fn the_default_backend_is_named_in_one_line() {
    let place = Place::new("backend");
    let mut child = place.run(&[], &["exit:0"]).spawn().unwrap();
    let lines: Vec<String> = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap)
        .collect();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(
        lines.len() == 1 && lines[0].starts_with("ix: backend qemu"),
        "{lines:?}"
    );
}

/// Wherever this runs, KVM does not get as far as a kernel: it is not usable, or the tap is not, or the image is none.
#[test]
fn kvm_is_there_or_the_reason_is_told_in_one_line() {
    let place = Place::new("kvm");
    let asked = Instant::now();
    let options = [
        "--backend",
        "kvm",
        "--net",
        "tap:ix-no-tap0",
        "--ip",
        "10.99.0.2/24",
    ];
    let output = place.run(&options, &["exit:0"]).output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{stderr}");
    let last = stderr.lines().last().unwrap();
    let unusable = last.starts_with("ix: --backend kvm needs KVM, and ") && stderr.lines().count() == 1;
    let tap = last.contains("/dev/net/tun") || last.contains("no right to use tap");
    assert!(unusable || tap || last.contains("has no PVH entry"), "{stderr}");
    assert!(
        asked.elapsed() < Duration::from_secs(20),
        "a probe takes milliseconds"
    );
}

#[test]
fn without_a_machine_ix_becomes_the_app() {
    let place = Place::new("linux");
    let output = place
        .run(&["--backend", "linux"], &["--version"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).starts_with("ix "), "{output:?}");
    let output = place
        .run(&["--backend", "linux"], &["no-such-command"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(125), "the app's own status");
    let output = place
        .run(&["--backend", "linux", "--ip", "10.1.0.2/24"], &[])
        .output()
        .unwrap();
    let told = complaint(&output, 125);
    assert!(told.contains("--ip is about a machine"), "{told}");
}

#[test]
fn a_machine_that_nobody_describes_is_none() {
    let output = Place::new("machine").ix().arg("machine").output().unwrap();
    assert!(complaint(&output, 125).contains("is told what to be by `ix run`"));
}
