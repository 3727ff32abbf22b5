//! A shell that is told to do what a document says, in a home and a network of its own. Each block is a process; the
//! folder and the variables that one leaves behind are those of the next.

use crate::document::{Command, missing};
use ixion_tests::{Folder, Namespace, artifacts};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a block may take, which may compile something.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long a program may take to end after Ctrl-C.
const FAREWELL: Duration = Duration::from_secs(30);

pub(crate) struct Session<'a> {
    namespace: &'a Namespace,
    folder: Folder,
    background: Vec<Running<'a>>,
    count: usize,
}

/// A block that has been started. Dropping it kills it, and what it has started.
struct Running<'a> {
    child: Child,
    command: &'a Command,
    output: PathBuf,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // It may have ended.
        let _ = killpg(self.group(), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

impl Running<'_> {
    fn group(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.output).unwrap()).into_owned()
    }

    fn fail(&self, what: &str) -> ! {
        let Command { place, script, .. } = self.command;
        panic!("{place}: {what}\n{script}--- it said\n{}", self.said());
    }

    /// Waits until it ends.
    fn ended(&mut self, patience: Duration) -> ExitStatus {
        let until = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            if Instant::now() > until {
                self.fail("it does not end");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Makes a home in which crates find what they depend on compiled already, by the tests of `ix new`: those anywhere in it
/// by cargo's configuration, those of the book where it has their target folder.
fn share_builds(home: &Path) {
    let target = artifacts::new_crates();
    for folder in [
        &target,
        &home.join("tmp"),
        &home.join(".cargo"),
        &home.join("ixion-hour"),
    ] {
        std::fs::create_dir_all(folder).unwrap();
    }
    let settings = format!("[build]\ntarget-dir = {target:?}\n");
    std::fs::write(home.join(".cargo/config.toml"), settings).unwrap();
    std::os::unix::fs::symlink(&target, home.join("ixion-hour/target")).unwrap();
}

impl<'a> Session<'a> {
    pub(crate) fn new(namespace: &'a Namespace, checkout: &Path) -> Self {
        let folder = Folder::new();
        share_builds(&folder.join("home"));
        std::fs::write(folder.join("variables"), "").unwrap();
        std::fs::write(folder.join("place"), checkout.to_str().unwrap()).unwrap();
        Session {
            namespace,
            folder,
            background: Vec::new(),
            count: 0,
        }
    }

    fn spawn(&mut self, command: &'a Command) -> Running<'a> {
        println!("{}: {}", command.place, command.script.trim_end());
        self.count += 1;
        let output = self.folder.join(&format!("output{}", self.count));
        let file = File::create(&output).unwrap();
        let state = self.folder.join("");
        let script = format!(
            "set -e; . {0}variables; cd \"$(cat {0}place)\"\n{1}\nexport -p >{0}variables; pwd >{0}place\n",
            state.display(),
            command.script
        );
        let mut bash = self.namespace.command("bash");
        bash.args(["--noprofile", "--norc", "-c", &script]);
        let own_home = PathBuf::from(std::env::var_os("HOME").expect("a home"));
        for (name, below) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            if std::env::var_os(name).is_none() {
                bash.env(name, own_home.join(below));
            }
        }
        artifacts::forget_cargo(&mut bash);
        bash.env_remove("CARGO_TARGET_DIR");
        bash.env("HOME", self.folder.join("home"))
            .env("TMPDIR", self.folder.join("home/tmp"))
            .env("no_proxy", "*")
            .env("IX_RUNTIME_DIR", self.folder.join("run"))
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .process_group(0);
        Running {
            child: bash.spawn().expect("bash can be started"),
            command,
            output,
        }
    }

    /// Runs a block to its end, and compares what it says.
    pub(crate) fn run(&mut self, command: &'a Command) {
        let mut running = self.spawn(command);
        let status = running.ended(PATIENCE);
        if !status.success() {
            running.fail(&format!("{status}"));
        }
        if let Some(line) = missing(&running.said(), &command.expected) {
            running.fail(&format!("it did not say `{line}`"));
        }
    }

    /// Starts a block that goes on, and waits until it has said what it should.
    pub(crate) fn start(&mut self, command: &'a Command) {
        assert!(
            !command.expected.is_empty(),
            "{}: when is it ready?",
            command.place
        );
        // The reader has one other terminal.
        self.end_chapter();
        let mut running = self.spawn(command);
        let until = Instant::now() + PATIENCE;
        while let Some(line) = missing(&running.said(), &command.expected) {
            if let Some(status) = running.child.try_wait().unwrap() {
                running.fail(&format!("{status}"));
            }
            if Instant::now() > until {
                running.fail(&format!("it did not say `{line}`"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.background.push(running);
    }

    /// Ctrl-C for what still runs.
    pub(crate) fn end_chapter(&mut self) {
        for mut running in self.background.drain(..) {
            // It may have been ended by a command.
            let _ = killpg(running.group(), Signal::SIGINT);
            running.ended(FAREWELL);
            let said = running.said();
            if said.contains("panicked") || said.contains("KERNEL FAULT") {
                running.fail("it did not end well");
            }
        }
    }
}
