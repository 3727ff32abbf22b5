//! The command line of `ix`.

use clap::{Args, Parser, Subcommand};
use host_launcher::config::{Bdf, Options};
use host_launcher::scaffold::{CrateName, Template};
use std::path::PathBuf;

/// Launches and watches dataplanes: one app each, on a kernel and a TCP/IP stack of its own
#[derive(Parser)]
#[command(name = "ix", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run an app until it ends; its output and exit code are ours
    ///
    /// Ctrl-C asks the app to finish, a second one ends it at once. Exit status: the app's own; 128+N if it was
    /// killed by signal N; 123 kernel panic; 124 the machine does not fit; 125 ix itself failed; 126 the app is no
    /// program that can run here; 127 the app was not found.
    Run(Box<RunArgs>),
    /// List the runs of this user
    Ps {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the counters of a run
    Stats {
        /// Its name
        name: String,
        /// As JSON, zeros included
        #[arg(long)]
        json: bool,
        /// Again every second
        #[arg(long)]
        watch: bool,
    },
    /// Be the machine that standard input describes (started by `ix run`)
    #[command(hide = true)]
    Machine,
    /// Give a run more cores or fewer, while it works; its connections notice nothing
    Scale {
        /// Its name
        name: String,
        /// How many, from 1 to its --max-cores
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
        cores: u16,
    },
    /// Ask a run to finish, and wait until it has
    Stop {
        /// Its name
        name: String,
    },
    /// Make a crate to start from, in a folder of its name: it builds, runs and has tests
    New {
        /// What it is called
        name: CrateName,
        /// What it begins with
        #[arg(long, value_enum, default_value_t = Template::Echo)]
        template: Template,
        /// Where libix is: Ixion's checkout, or the folder libix in it [default: the checkout that ix was built in]
        #[arg(long, value_name = "PATH")]
        libix: Option<PathBuf>,
    },
    /// Tell whether `ix run` works here, what could work better, and what to do about it
    ///
    /// Exit status: 0 if `ix run` works, 1 if it does not.
    Doctor {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the host's network cards, or give one to VFIO for good
    #[command(subcommand)]
    Nic(NicCommand),
}

#[derive(Subcommand)]
pub(crate) enum NicCommand {
    /// List the host's network cards, and whether a dataplane can have them
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a card from its driver until `ix nic unbind`, so that runs of users who are not root can use it
    ///
    /// `ix run --nic vfio:BDF` does this by itself for as long as it runs.
    Bind {
        /// The card's address on PCI, such as 0000:01:00.0
        bdf: Bdf,
        /// Also if the host works with it; its interfaces and their addresses are gone then
        #[arg(long)]
        force: bool,
    },
    /// Give a card back to the driver it had, after `ix nic bind` or after an `ix run` that was killed
    Unbind {
        /// The card's address on PCI
        bdf: Bdf,
    },
}

#[derive(Args)]
pub(crate) struct RunArgs {
    /// Take what is not said here from this TOML file; its keys are the long options' names, `app` and `args`
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) options: Options,
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }
}
