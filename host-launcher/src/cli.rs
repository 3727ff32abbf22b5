//! The command line of `ix`.

use clap::{Args, Parser, Subcommand};
use host_launcher::config::Options;
use std::path::PathBuf;

/// Launches and watches dataplanes: one app each, on a kernel and a TCP/IP stack of its own
#[derive(Parser)]
#[command(version, disable_help_subcommand = true)]
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
    /// Ask a run to finish, and wait until it has
    Stop {
        /// Its name
        name: String,
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
