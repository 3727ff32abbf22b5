//! Forwards from link to link what is received, from where it was received: as a bridge, or as a router.

mod bridge;
mod forwarder;
mod stations;

use clap::Parser;
use forwarder::{Forwarder, Role};
use std::process::ExitCode;

/// Bridges links, or routes between them.
#[derive(Parser)]
#[command(group = clap::ArgGroup::new("role").required(true))]
struct Options {
    /// Bridge these links, as 0:1: each frame leaves by the other; of three and more, by that behind which its station is.
    #[arg(long, value_name = "LINK:LINK...", group = "role", value_parser = bridge::links)]
    bridge: Option<Links>,

    /// Route packets between all links.
    #[arg(long, group = "role")]
    route: bool,

    /// Say every so many seconds what was forwarded.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    interval: Option<u64>,

    /// Cores to forward on [default: all that there are].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    cores: Option<u16>,
}

/// Numbers of links.
type Links = Vec<u16>;

fn main() -> ExitCode {
    let options = &Options::parse();
    let cores = options.cores.unwrap_or_else(libix::cores);
    let ended = libix::run_on(cores, |core| {
        let role = match &options.bridge {
            Some(links) => Role::bridge(links),
            None => Role::Router,
        };
        Forwarder::new(core, role, options.interval)
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("forward: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Options;
    use clap::Parser;

    #[test]
    fn it_is_one_of_the_two() {
        let parse = |words: &[&str]| Options::try_parse_from([&["forward"], words].concat());
        assert_eq!(parse(&["--bridge", "0:1"]).unwrap().bridge, Some(vec![0, 1]));
        assert!(parse(&["--route"]).unwrap().route);
        for wrong in [
            &[][..],
            &["--route", "--bridge", "0:1"],
            &["--bridge", "0"],
            &["--bridge", "0:0"],
            &["--bridge", "0:x"],
            &["--route", "--interval", "0"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
