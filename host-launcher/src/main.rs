//! The command `ix`.
#![forbid(unsafe_code)]

mod cli;

mod show;

use clap::Parser;
use clap::error::ErrorKind;
use cli::{Cli, Command, NicCommand, RunArgs};
use host_launcher::config::{FileError, Options, Plan};
use host_launcher::control::{self, ClientError, Stats};
use host_launcher::doctor::{Report, Trials};
use host_launcher::host::Host;
use host_launcher::nic::{self, Force, Nic, NicError};
use host_launcher::run::{self, RunError};
use host_launcher::scaffold::{self, CrateName, Library, ScaffoldError, Template};
use host_launcher::vmm::{self, Blueprint, BlueprintError, MachineError};
use ix_abi::host::exit::status;
use std::error::Error as _;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Nic(#[from] NicError),
    #[error(transparent)]
    Blueprint(#[from] BlueprintError),
    #[error(transparent)]
    Machine(#[from] MachineError),
    #[error(transparent)]
    Scaffold(#[from] ScaffoldError),
    #[error("cannot write to standard output")]
    Output(#[from] io::Error),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    match obey(cli.command) {
        Ok(code) => ExitCode::from(code),
        // Whoever read our list has seen enough of it.
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let causes = std::iter::successors(error.source(), |&cause| cause.source());
            let causes: String = causes.map(|cause| format!(" [{cause}]")).collect();
            say(&format!("{error}{causes}"));
            let code = if let Error::Run(error) = &error {
                error.status()
            } else {
                status::LAUNCHER
            };
            ExitCode::from(code)
        }
    }
}

fn obey(command: Command) -> Result<u8, Error> {
    let mut out = io::stdout().lock();
    match command {
        Command::Run(args) => {
            drop(out);
            return run(*args);
        }
        Command::Ps { json: true } => writeln!(out, "{}", to_json(&control::list()))?,
        Command::Ps { json: false } => show::runs(&control::list(), &mut out)?,
        Command::Stats {
            name,
            json,
            watch: true,
        } => {
            drop(out);
            show::watch(&name, |stats| json.then(|| to_json(&stats.counters)))??;
        }
        Command::Stats {
            name,
            json,
            watch: false,
        } => {
            let stats: Stats = control::stats(&name)?;
            if json {
                writeln!(out, "{}", to_json(&stats.counters))?;
            } else {
                show::counters(&stats, None, &mut out)?;
            }
        }
        Command::Scale { name, cores } => {
            let cores = control::scale(&name, cores)?;
            writeln!(out, "{name} works on {cores} cores")?;
        }
        Command::Stop { name } => control::stop(&name)?,
        Command::Doctor { json } => return doctor(json, &mut out),
        Command::Machine => {
            let blueprint = Blueprint::read(io::stdin().lock())?;
            return Ok(vmm::run(&blueprint)?.status());
        }
        Command::Nic(command) => nic(&command, &mut out)?,
        Command::New {
            name,
            template,
            libix,
        } => new(&name, template, libix.as_deref(), &mut out)?,
    }
    Ok(0)
}

fn new(
    name: &CrateName,
    template: Template,
    libix: Option<&Path>,
    out: &mut impl Write,
) -> Result<(), Error> {
    let library = Library::find(libix).map_err(ScaffoldError::from)?;
    let folder = scaffold::create(Path::new(""), name, template, &library)?;
    show::new_crate(&folder, template, out)?;
    Ok(())
}

fn doctor(json: bool, out: &mut impl Write) -> Result<u8, Error> {
    let report = Report::of(&Host::this(), &Trials::here());
    if json {
        writeln!(out, "{}", to_json(&report))?;
    } else {
        show::report(&report, out)?;
    }
    Ok(u8::from(!report.runs))
}

fn nic(command: &NicCommand, out: &mut impl Write) -> Result<(), Error> {
    let host = Host::this();
    match *command {
        NicCommand::List { json: true } => writeln!(out, "{}", to_json(&Nic::all(&host)))?,
        NicCommand::List { json: false } => show::nics(&Nic::all(&host), out)?,
        NicCommand::Bind { bdf, force } => {
            nic::bind(&host, bdf, if force { Force::Yes } else { Force::No })?;
            writeln!(out, "{bdf} is VFIO's until: ix nic unbind {bdf}")?;
        }
        NicCommand::Unbind { bdf } => {
            let driver = nic::unbind(&host, bdf)?;
            let driver = driver.as_deref().unwrap_or("no driver, as before");
            writeln!(out, "{bdf} is back at {driver}")?;
        }
    }
    Ok(())
}

fn run(args: RunArgs) -> Result<u8, Error> {
    let file = args.config.as_deref().map(Options::from_file).transpose()?;
    let plan = Plan::new(args.options.over(file.unwrap_or_default())).map_err(RunError::from)?;
    repair();
    Ok(run::run(&plan)?)
}

/// What an `ix` that was killed could not put back.
fn repair() {
    for (bdf, outcome) in nic::repair(&Host::this()) {
        match outcome {
            Ok(Some(driver)) => say(&format!(
                "{bdf}, which an ix that was killed had taken, is back at {driver}"
            )),
            Ok(None) => say(&format!(
                "{bdf}, which an ix that was killed had taken, is free again"
            )),
            Err(error) => say(&format!("an ix that was killed had taken {bdf}: {error}")),
        }
    }
}

fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| error.to_string())
}

/// Tells the user; a closed standard error is no reason to fail differently.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "ix: {line}");
}

/// Help and version are no failure. A bad value is one line; what is wrong with the words themselves needs the usage.
fn refuse(error: &clap::Error) -> ExitCode {
    if let ErrorKind::ValueValidation | ErrorKind::InvalidValue = error.kind() {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        say(line.strip_prefix("error: ").unwrap_or(line));
    } else {
        let _ = error.print();
    }
    ExitCode::from(if error.use_stderr() { status::LAUNCHER } else { 0 })
}
