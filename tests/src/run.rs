//! One `ix run` and everything that can be seen of it.

use crate::output::Stream;
use crate::{Folder, GUEST, Namespace, SUBNET, artifacts};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One machine at a time.
static TURN: Mutex<()> = Mutex::new(());

/// Waits until no machine runs, and keeps others from starting: for tests that start `ix run` in their own way.
pub fn take_turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The file of the kernel's log.
const LOG: &str = "kernel.log";

/// How long a machine may take to boot, a program to say what it should, or a run to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// An `ix run` to be started.
#[derive(Debug)]
pub struct Runner<'a> {
    namespace: Option<&'a Namespace>,
    options: Vec<OsString>,
    app: PathBuf,
    args: Vec<OsString>,
    input: Stdio,
}

/// An `ix run` under way. Dropping it kills it.
#[derive(Debug)]
pub struct Run {
    child: Child,
    stdout: Stream,
    stderr: Stream,
    /// For the control socket and the log.
    folder: Folder,
    _turn: MutexGuard<'static, ()>,
}

/// How an `ix run` ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Exit code; 128 + the signal if `ix` itself was killed.
    pub code: i32,
    /// What the app printed.
    pub stdout: String,
    /// What the app printed on its other stream, and `ix`'s own words.
    pub stderr: String,
    /// What the kernel logged.
    pub log: String,
}

impl<'a> Runner<'a> {
    /// Of this app, on user networking.
    #[must_use]
    pub fn new(app: &Path) -> Self {
        Runner {
            namespace: None,
            options: Vec::new(),
            app: app.to_owned(),
            args: Vec::new(),
            input: Stdio::null(),
        }
    }

    /// With this as its standard input.
    #[must_use]
    pub fn input(mut self, input: Stdio) -> Self {
        self.input = input;
        self
    }

    /// On the tap of `namespace`, at [`GUEST`].
    #[must_use]
    pub fn on(self, namespace: &'a Namespace) -> Self {
        self.on_link(namespace)
            .options(&["--ip", &format!("{GUEST}/{SUBNET}")])
    }

    /// On the tap of `namespace`, without an address.
    #[must_use]
    pub fn on_link(mut self, namespace: &'a Namespace) -> Self {
        self.namespace = Some(namespace);
        let tap = format!("tap:{}", Namespace::TAP);
        self.options(&["--net", &tap])
    }

    /// With more options of `ix run`.
    #[must_use]
    pub fn options(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().map(OsString::from));
        self
    }

    /// With these arguments of the app's.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(OsString::from));
        self
    }

    /// Starts it, as soon as no other machine runs.
    ///
    /// # Panics
    /// If `ix` itself cannot be started.
    #[must_use]
    pub fn start(self) -> Run {
        let ix = artifacts::ix();
        let turn = take_turn();
        let folder = Folder::new();
        let mut command = Command::new(ix);
        command.env("IX_RUNTIME_DIR", folder.join("run"));
        command.args([
            "run",
            "--backend",
            "qemu",
            "--log",
            "info",
            "--name",
            "test",
            "--kernel-log",
        ]);
        command.arg(folder.join(LOG)).args(&self.options).arg(&self.app);
        if !self.args.is_empty() {
            command.arg("--").args(&self.args);
        }
        command
            .stdin(self.input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut spawn = move || command.spawn().expect("ix can be started");
        let mut child = match self.namespace {
            Some(namespace) => namespace.enter(spawn),
            None => spawn(),
        };
        Run {
            stdout: Stream::of(child.stdout.take().expect("it is piped")),
            stderr: Stream::of(child.stderr.take().expect("it is piped")),
            child,
            folder,
            _turn: turn,
        }
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// If it does not end.
    #[must_use]
    pub fn finish(self) -> Ended {
        self.start().finish()
    }
}

impl Run {
    /// Waits for a line on the app's standard output with `part` in it.
    ///
    /// # Panics
    /// If it does not come.
    pub fn wait_for(&self, part: &str) -> String {
        self.stdout
            .line_with(part, PATIENCE)
            .unwrap_or_else(|| self.fail(&format!("the app did not say `{part}`")))
    }

    /// Waits for a line with `part` in it on standard error, where the app and `ix` write.
    ///
    /// # Panics
    /// If it does not come.
    pub fn wait_for_error(&self, part: &str) {
        if self.stderr.line_with(part, PATIENCE).is_none() {
            self.fail(&format!("nobody said `{part}`"));
        }
    }

    /// The counters.
    ///
    /// # Panics
    /// If `ix stats` fails, or the kernel does not answer.
    #[must_use]
    pub fn stats(&self) -> BTreeMap<String, u64> {
        let output = self.ix(&["stats", "test", "--json"]);
        serde_json::from_str(&output)
            .unwrap_or_else(|error| self.fail(&format!("ix stats printed {output:?}: {error}")))
    }

    /// One counter.
    ///
    /// # Panics
    /// As [`Run::stats`], and if there is none of that name.
    #[must_use]
    pub fn stat(&self, name: &str) -> u64 {
        let stats = self.stats();
        match stats.get(name) {
            Some(&value) => value,
            None => self.fail(&format!("no counter is named {name}: {stats:#?}")),
        }
    }

    /// Waits until `wanted` is true of the counters.
    ///
    /// # Panics
    /// If it never is.
    pub fn wait_for_stats(&self, what: &str, wanted: impl Fn(&BTreeMap<String, u64>) -> bool) {
        let until = Instant::now() + PATIENCE;
        loop {
            let stats = self.stats();
            if wanted(&stats) {
                return;
            }
            if Instant::now() > until {
                self.fail(&format!("{what}: {stats:#?}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What must be as it was once all connections are gone: gauges of flows and of buffers. A neighbour's question that is
    /// under way from core to core takes buffers, too, so this is what is seen three times in a row: a core goes on between
    /// two answers.
    ///
    /// # Panics
    /// As [`Run::stats`], and if there is always something under way.
    #[must_use]
    pub fn held(&self) -> BTreeMap<String, u64> {
        let until = Instant::now() + PATIENCE;
        loop {
            let [first, second, third] = std::array::from_fn(|_| held(&self.stats()));
            if first == second && second == third {
                return third;
            }
            if Instant::now() > until {
                self.fail(&format!("it is never at rest: {second:?}, then {third:?}"));
            }
        }
    }

    /// Waits until nothing more is held than in `before`.
    ///
    /// # Panics
    /// If that never is so.
    pub fn wait_until_home(&self, before: &BTreeMap<String, u64>) {
        assert!(before.len() >= 2, "too few gauges: {before:?}");
        self.wait_for_stats(&format!("it should hold what it held: {before:?}"), |stats| {
            held(stats) == *before
        });
    }

    /// The standard output of another `ix` that talks to this run.
    ///
    /// # Panics
    /// If it fails.
    #[must_use]
    pub fn ix(&self, words: &[&str]) -> String {
        let output = self.other_ix(words);
        if !output.status.success() {
            self.fail(&format!(
                "ix {words:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn other_ix(&self, words: &[&str]) -> Output {
        Command::new(artifacts::ix())
            .env("IX_RUNTIME_DIR", self.folder.join("run"))
            .args(words)
            .output()
            .expect("ix can be started")
    }

    /// What another `ix` that talks to this run complains of.
    ///
    /// # Panics
    /// If it succeeds.
    #[must_use]
    pub fn ix_fails(&self, words: &[&str]) -> String {
        let output = self.other_ix(words);
        assert!(!output.status.success(), "ix {words:?} succeeds");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// The process id of `ix`.
    ///
    /// # Panics
    /// Never: Linux's process ids are 22 bits long.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }

    /// Sends `ix` a signal.
    ///
    /// # Panics
    /// If it is gone.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("ix is there");
    }

    /// The processes `ix` has started.
    ///
    /// # Panics
    /// If it is gone.
    #[must_use]
    pub fn children(&self) -> Vec<u32> {
        let id = self.child.id();
        let tasks = std::fs::read_dir(format!("/proc/{id}/task")).expect("ix is there");
        tasks
            .flatten()
            .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
            .flat_map(|line| {
                line.split_whitespace()
                    .map(|id| id.parse().expect("a number"))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    ///
    /// # Panics
    /// If it does not end.
    #[must_use]
    pub fn stop(self) -> Ended {
        self.signal(Signal::SIGTERM);
        self.finish()
    }

    /// Closes the pipe its standard output goes to, and waits until it has ended.
    ///
    /// # Panics
    /// If it does not end.
    #[must_use]
    pub fn stop_listening(self) -> Ended {
        self.stdout.close();
        self.finish()
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// If it does not.
    #[must_use]
    pub fn finish(mut self) -> Ended {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("our own child") {
                Some(status) => break status,
                None if Instant::now() > until => self.fail("the run did not end"),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let signal = status.signal().map(|signal| 128 + signal);
        Ended {
            code: status.code().or(signal).expect("one of the two ends a process"),
            stdout: self.stdout.whole(PATIENCE),
            stderr: self.stderr.whole(PATIENCE),
            log: self.log(),
        }
    }

    /// What the kernel has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.folder.join(LOG)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Fails the test, with all there is to know.
    fn fail(&self, what: &str) -> ! {
        panic!(
            "{what}\n--- stdout\n{}\n--- stderr\n{}\n--- kernel\n{}",
            self.stdout.text(),
            self.stderr.text(),
            self.log()
        )
    }
}

fn held(stats: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let gauges = ["flows", "held", "available", "free", "in_use", "bad_frees"];
    let is_gauge = |name: &str| gauges.iter().any(|gauge| name.contains(gauge));
    stats
        .iter()
        .filter(|(name, _)| is_gauge(name))
        .map(|(name, value)| (name.clone(), *value))
        .collect()
}

impl Drop for Run {
    fn drop(&mut self) {
        // Both fail if it has ended already. QEMU dies with ix.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Checks the exit code.
    ///
    /// # Panics
    /// If it is another one; says all there is to know.
    pub fn assert_code(&self, code: i32) -> &Self {
        assert_eq!(
            self.code, code,
            "exit code\n--- stdout\n{}\n--- stderr\n{}\n--- kernel\n{}",
            self.stdout, self.stderr, self.log
        );
        self
    }

    /// Checks that the app printed `part`.
    ///
    /// # Panics
    /// If it did not.
    pub fn assert_said(&self, part: &str) -> &Self {
        assert!(
            self.stdout.contains(part),
            "`{part}` is missing\n--- stdout\n{}\n--- stderr\n{}\n--- kernel\n{}",
            self.stdout,
            self.stderr,
            self.log
        );
        self
    }

    /// Checks that the kernel logged `part`.
    ///
    /// # Panics
    /// If it did not.
    pub fn assert_logged(&self, part: &str) -> &Self {
        assert!(
            self.log.contains(part),
            "`{part}` is missing in the kernel's log:\n{}",
            self.log
        );
        self
    }
}
