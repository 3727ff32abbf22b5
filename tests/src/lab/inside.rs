//! What runs in the lab: process 1, which makes a system of the initramfs, and the agent, which does what the harness
//! asks.

use super::protocol::{self, Output, PORT, Report, Request, SHELL};
use anyhow::{Context, Result, bail};
use kvm_ioctls::{Kvm, VcpuFd, VmFd};
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::wait;
use nix::unistd::{Pid, getpid};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// File systems: what, where, of which kind.
const MOUNTS: [(&str, &str, &str); 7] = [
    ("proc", "/proc", "proc"),
    ("sys", "/sys", "sysfs"),
    ("dev", "/dev", "devtmpfs"),
    ("run", "/run", "tmpfs"),
    ("huge", "/dev/hugepages", "hugetlbfs"),
    ("security", "/sys/kernel/security", "securityfs"),
    ("debug", "/sys/kernel/debug", "debugfs"),
];

/// Where programs are looked for.
const PATH: &str = "/bin:/ixion";

/// The whole program, in both its roles.
///
/// # Errors
/// If the system cannot be made, or the harness cannot be understood. As process 1 it switches the machine off instead.
pub fn main() -> Result<()> {
    if getpid() != Pid::from_raw(1) {
        return serve();
    }
    if let Err(error) = init() {
        eprintln!("the lab's init: {error:#}");
    }
    reboot(RebootMode::RB_POWER_OFF)?;
    bail!("the machine does not switch off")
}

/// Mounts, loads modules, starts the agent or a shell, and reaps whatever ends until that does.
fn init() -> Result<()> {
    for (what, place, kind) in MOUNTS {
        fs::create_dir_all(place)?;
        mount(Some(what), place, Some(kind), MsFlags::empty(), None::<&str>)
            .with_context(|| format!("cannot mount {place}"))?;
    }
    load_modules()?;
    let _idle = idle_machine().context("cannot make a virtual machine")?;
    run(Command::new("/bin/busybox").args(["--install", "-s", "/bin"]))?;
    run(Command::new("/bin/ip").args(["link", "set", "lo", "up"]))?;
    let shell = fs::read_to_string("/proc/cmdline")?.contains(SHELL);
    let mut command = if shell {
        let mut command = Command::new("/bin/setsid");
        command.args(["cttyhack", "sh", "-l"]).env("HOME", "/");
        command
    } else {
        Command::new("/init")
    };
    let mut child = command.env("PATH", PATH).spawn()?;
    let leader = Pid::from_raw(child.id().cast_signed());
    while wait()?.pid() != Some(leader) {}
    // It is reaped already; this only lets go of it.
    let _ = child.try_wait();
    Ok(())
}

fn load_modules() -> Result<()> {
    let mut files: Vec<_> = fs::read_dir("/modules")?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.sort();
    for file in files {
        finit_module(&File::open(&file)?, c"", ModuleInitFlags::empty())
            .with_context(|| format!("cannot load {}", file.display()))?;
    }
    Ok(())
}

/// A virtual machine that never runs. Linux rewrites its own code, the scheduler's included, when the first one is made
/// and when the last one goes, and QEMU 7.2 loses such a change if another of its CPUs compiles that code at the same
/// time: all of them then take the breakpoint of the moment of change for ever. With this one there, no test makes the
/// first. Its CPU's interrupt controller, which stays switched off, does the same for KVM's code for those.
fn idle_machine() -> Result<(VmFd, VcpuFd)> {
    let machine = Kvm::new()?.create_vm()?;
    machine.create_irq_chip()?;
    let cpu = machine.create_vcpu(0)?;
    Ok((machine, cpu))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    anyhow::ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

/// The agent: takes requests until the harness is gone.
fn serve() -> Result<()> {
    let port = port()?;
    let mut requests = BufReader::new(port.try_clone()?);
    let agent = Agent {
        reports: Arc::new(Mutex::new(port)),
        running: Arc::default(),
    };
    agent.report(Report::Ready, &[]);
    while let Some((request, payload)) = protocol::receive::<Request>(&mut requests)? {
        agent.serve(request, &payload)?;
    }
    Ok(())
}

/// The virtio-serial port: found by name, as `/dev` calls it by number.
fn port() -> Result<File> {
    for entry in fs::read_dir("/sys/class/virtio-ports")? {
        let entry = entry?;
        let name = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
        if name.trim() == PORT {
            let device = Path::new("/dev").join(entry.file_name());
            return Ok(OpenOptions::new().read(true).write(true).open(device)?);
        }
    }
    bail!("there is no port {PORT}")
}

/// What the threads of the agent share.
#[derive(Clone)]
struct Agent {
    reports: Arc<Mutex<File>>,
    /// Processes that run.
    running: Arc<Mutex<HashMap<u32, Pid>>>,
}

impl Agent {
    fn serve(&self, request: Request, payload: &[u8]) -> Result<()> {
        match request {
            Request::Start { process, words } => self.start(process, &words),
            Request::Signal { process, signal } => {
                if let Some(&pid) = locked(&self.running).get(&process) {
                    // It may be ending just now.
                    let _ = kill(pid, Signal::try_from(signal)?);
                }
            }
            Request::Put { path } => {
                fs::write(&path, payload).with_context(|| format!("cannot write {path}"))?;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            }
            Request::KillAll => {
                // All but process 1 and this one; there may be nobody to kill.
                let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
                self.report(Report::AllKilled, &[]);
            }
        }
        Ok(())
    }

    fn start(&self, process: u32, words: &[String]) {
        let mut command = Command::new(words.first().map_or("", String::as_str));
        command
            .args(words.get(1..).unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        match command.spawn() {
            Ok(child) => {
                let pid = child.id().cast_signed();
                locked(&self.running).insert(process, Pid::from_raw(pid));
                self.report(Report::Started { process, pid }, &[]);
                let agent = self.clone();
                std::thread::spawn(move || agent.watch(process, child));
            }
            Err(error) => {
                let output = Output::Stderr;
                let reason = format!("{words:?}: {error}\n");
                self.report(Report::Said { process, output }, reason.as_bytes());
                self.report(Report::Ended { process, code: 127 }, &[]);
            }
        }
    }

    /// Passes on what a process says until it has ended and nobody is left who holds its streams.
    fn watch(&self, process: u32, mut child: Child) {
        let streams = (child.stdout.take(), child.stderr.take());
        std::thread::scope(|scope| {
            scope.spawn(|| self.pass_on(process, Output::Stdout, streams.0));
            scope.spawn(|| self.pass_on(process, Output::Stderr, streams.1));
        });
        let code = child.wait().map_or(127, exit_code);
        locked(&self.running).remove(&process);
        self.report(Report::Ended { process, code }, &[]);
    }

    fn pass_on(&self, process: u32, output: Output, from: Option<impl Read>) {
        let Some(mut from) = from else { return };
        let mut room = [0; 16384];
        while let Ok(count @ 1..) = from.read(&mut room) {
            self.report(Report::Said { process, output }, &room[..count]);
        }
    }

    /// # Panics
    /// If the harness is gone: there is nobody left to work for.
    fn report(&self, report: Report, payload: &[u8]) {
        let mut port = locked(&self.reports);
        protocol::send(&mut *port, report, payload).expect("the harness is there");
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    let signal = status.signal().map(|signal| 128 + signal);
    status.code().or(signal).unwrap_or(127)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
