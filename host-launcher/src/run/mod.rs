//! `ix run`, from a [`Plan`] to an exit status.

/// The machine and its wires.
mod machine;
pub use machine::MachineError;

/// The cards it has of the host's.
mod card;

/// What a user may want to know at the start.
mod remarks;

/// Output on its way out.
mod streams;

/// The way to the end.
mod stopping;

/// What the end means.
mod verdict;

/// More cores, or fewer.
mod elastic;

/// The loop.
mod session;

use crate::backend::{self, Kind, NoBackend, linux, probe};
use crate::config::{Backend, ForwardError, Link, LinkPlan, Network, Plan, PlanError};
use crate::control::{self, ControlError, Info, Server};
use crate::host::Host;
use crate::hostcall::{self, ServerError, VolumeError, Volumes};
use crate::images::{self, AppError, KernelError};
use crate::nic::NicError;
use elastic::Elastic;
use ix_abi::host::exit::status;
use machine::Machine;
use session::{Session, Signals};
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Instant;
use stopping::Stopping;
use streams::{KernelLog, LogSink, Output};

/// Why a run failed. What the app does with its own exit code is no failure of the run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The settings are at odds.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The app cannot be run.
    #[error(transparent)]
    App(#[from] AppError),
    /// It cannot be run as a process of this host.
    #[error("cannot run {0} as a process")]
    Process(PathBuf, #[source] io::Error),
    /// No backend will do.
    #[error(transparent)]
    Backend(#[from] NoBackend),
    /// There is no kernel.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// A forward cannot be had.
    #[error(transparent)]
    Forward(#[from] ForwardError),
    /// A volume cannot be granted.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// Nobody answers the app's calls.
    #[error(transparent)]
    HostCalls(#[from] ServerError),
    /// Cores that poll would wait for each other.
    #[error(
        "--cores {wanted}, but ix may use {found} of this host's; on KVM each needs one of its own (taskset -p)"
    )]
    TooManyCores {
        /// How many were asked for.
        wanted: u16,
        /// How many there are.
        found: u16,
    },
    /// The name is taken, or there is nowhere to put the control socket.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The card cannot be had, or not given back.
    #[error(transparent)]
    Nic(#[from] NicError),
    /// There is no machine.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The file of `--kernel-log` cannot be made.
    #[error("cannot write the kernel's log to {0}; choose another --kernel-log")]
    KernelLogFile(PathBuf, #[source] io::Error),
    /// Or no longer be written.
    #[error("cannot write the kernel's log; is the disk full?")]
    KernelLog(#[source] io::Error),
    /// The host refused what the loop lives on.
    #[error("cannot watch over the machine")]
    Watch(#[source] io::Error),
    /// The app was killed by a signal of its own making.
    #[error("the app was killed by {}; the kernel's log says where (--log error)", signal_name(*.0))]
    AppKilled(u8),
    /// The kernel found the app unfit.
    #[error("the kernel cannot load the app; its log says why (--log error)")]
    AppRefused,
    /// The kernel ended the machine, but did not write down what became of the app.
    #[error("the kernel did not say how the app ended. This is a bug in Ixion")]
    NoOutcome,
    /// Ring 0 panicked.
    #[error("the kernel panicked; its log says where. This is a bug in Ixion")]
    KernelPanic,
    /// The machine was reset: a fault that not even the panic handler survived.
    #[error("the machine was reset under the kernel (a triple fault). This is a bug in Ixion")]
    Reset,
    /// The kernel found the machine unfit.
    #[error("the kernel cannot run on this machine; its log says why (--log error)")]
    BootFailed,
    /// The machine's process gave up by itself.
    #[error("{0} ended: {1}")]
    Ended(&'static str, String),
    /// The machine's process was ended by its jail.
    #[error(
        "the machine made a system call it has no use for, and was ended; journalctl -k has its number (type=1326). \
         This is a bug in Ixion, or the guest broke out of its machine"
    )]
    Jailed,
    /// Someone else killed it.
    #[error("{who} was killed by {}; was it the out-of-memory killer? (journalctl -k)", signal_name(u8::try_from(*.signal).unwrap_or(0)))]
    Killed {
        /// Which process.
        who: &'static str,
        /// By what.
        signal: i32,
    },
}

impl RunError {
    /// The exit status of `ix run`.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::App(AppError::NotFound(_)) => status::NOT_FOUND,
            Self::App(_) | Self::AppRefused => status::NOT_EXECUTABLE,
            Self::AppKilled(signal) => verdict::by_signal((*signal).into()),
            Self::KernelPanic | Self::Reset => status::KERNEL_PANIC,
            Self::BootFailed => status::BOOT_FAILED,
            _ => status::LAUNCHER,
        }
    }
}

fn signal_name(signal: u8) -> String {
    signal_hook::low_level::signal_name(signal.into())
        .map_or_else(|| format!("signal {signal}"), str::to_owned)
}

/// Runs the plan to its end. The result is the exit status.
pub fn run(plan: &Plan) -> Result<u8, RunError> {
    images::check_app(&plan.app)?;
    if plan.backend == Backend::Linux {
        return Err(RunError::Process(plan.app.clone(), linux::become_app(plan)));
    }
    let kernel = images::find_kernel(plan.kernel.as_deref())?;
    for link in &plan.links {
        if let Link::User(forwards) = &link.network.link {
            forwards.iter().try_for_each(|forward| forward.probe())?;
        }
    }
    let volumes = Volumes::open(&plan.volumes)?;
    let backend = backend::choose(plan, probe::probe)?;
    check_cores(plan, backend.kind)?;
    let (control, name) = open_control(plan)?;
    let log = kernel_log(plan)?;
    // Before the card is taken and the machine starts: a signal must leave neither alone.
    let signals = Signals::catch().map_err(RunError::Watch)?;
    let host = Host::this();
    let mut notes = card::repair(&host);
    let cards = card::take(plan, &host)?;
    notes.extend(cards.iter().filter_map(card::advice));
    let started = Instant::now();
    let machine = Machine::start(plan, &kernel, backend.kind).inspect_err(|_| {
        // Why this backend, if it was our choice: it may be the better end to begin with.
        if let Some(reason) = &backend.reason {
            let _ = writeln!(io::stderr(), "ix: backend {reason}");
        }
    })?;
    let host_calls = hostcall::Server::start(&machine.ram, volumes)?;
    let mut session = Session {
        machine,
        host_calls,
        log: KernelLog::new(log),
        stdout: Output::new(io::stdout()).map_err(RunError::Watch)?,
        stderr: Output::new(io::stderr()).map_err(RunError::Watch)?,
        signals,
        stopping: Stopping::new(plan.grace),
        elastic: plan.elastic.then(|| Elastic::new(plan.cores)),
        control,
        info: info(plan, name),
        started,
    };
    let landlock = session.host_calls.landlock();
    notes.extend(remarks::on(plan, &backend, &session.machine, landlock));
    notes.iter().for_each(|note| session.note(note));
    let ended = session.carry();
    // The machine's process is gone, and nobody has the cards open any more.
    for complaint in cards.into_iter().filter_map(card::give_back) {
        // A closed standard error is no reason to fail differently.
        let _ = writeln!(io::stderr(), "ix: {complaint}");
    }
    ended
}

/// How many of the host's cores this process may use.
fn host_cores() -> u16 {
    std::thread::available_parallelism().map_or(1, |count| u16::try_from(count.get()).unwrap_or(u16::MAX))
}

/// An emulated machine is slow on fewer cores than it has; one on KVM would be of no use.
fn check_cores(plan: &Plan, kind: Kind) -> Result<(), RunError> {
    let (wanted, found) = (plan.cores, host_cores());
    if kind == Kind::Kvm && plan.cpus.is_none() && wanted > found {
        return Err(RunError::TooManyCores { wanted, found });
    }
    Ok(())
}

/// Where the kernel's log goes.
fn kernel_log(plan: &Plan) -> Result<LogSink, RunError> {
    let Some(path) = &plan.kernel_log else {
        return Ok(LogSink::Stderr);
    };
    let file = File::create(path).map_err(|error| RunError::KernelLogFile(path.clone(), error))?;
    Ok(LogSink::File(file))
}

/// Listens under the name asked for, or else under the app's, or else under the app's with our process id.
fn open_control(plan: &Plan) -> Result<(Server, String), ControlError> {
    let directory = control::directory();
    let listen = |name: String| Server::listen(&directory, &name).map(|server| (server, name));
    if let Some(name) = plan.name.clone() {
        return listen(name);
    }
    let name = plan.app_name();
    match listen(name.clone()) {
        Err(ControlError::NameTaken(_)) => listen(format!("{name}-{}", std::process::id())),
        other => other,
    }
}

/// The address as `ix ps` shows it.
fn shown(network: &Network) -> String {
    match (network.ip, network.ip6) {
        (Some(ip), _) => ip.to_string(),
        (None, Some(ip6)) => ip6.to_string(),
        (None, None) => "-".to_owned(),
    }
}

fn info(plan: &Plan, name: String) -> Info {
    let all = |shown: fn(&LinkPlan) -> String| {
        let words: Vec<_> = plan.links.iter().map(shown).collect();
        words.join(",")
    };
    Info {
        name,
        pid: std::process::id(),
        state: String::new(),
        uptime_s: 0,
        cores: 0,
        max_cores: plan.cores,
        ip: all(|link| shown(&link.network)),
        net: all(|link| link.network.link.to_string()),
        app: plan.app.display().to_string(),
    }
}
