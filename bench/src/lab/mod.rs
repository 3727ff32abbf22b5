//! In the lab: echo by Ixion under KVM, with a card passed through, beside the lab's own Linux on the same card, for the
//! same client outside. The two take turns, so that what the machine does besides falls on both alike.

mod server;

mod report;

use crate::load::{self, float, seconds};
use crate::measure::Case;
use anyhow::Result;
use ixion_tests::lab::{self, Lab, NICS, Nic};
use server::{Running, Server};
use std::collections::HashMap;
use std::fs;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::time::Duration;

/// Options of `lab`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Folder with echosrv.
    #[arg(long, default_value = "target/bench")]
    images: PathBuf,
    /// Which loads, such as tcp:16,udp:16,connect:16.
    #[arg(long, value_delimiter = ',', default_values = ["tcp:1", "tcp:16", "tcp:100", "udp:16"])]
    cases: Vec<Case>,
    /// Rounds; the tables show medians.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds measured of each load.
    #[arg(long, default_value = "2", value_parser = seconds)]
    window: Duration,
    /// Put the tables into this file, between its markers.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// A cell of the tables.
type Key = (&'static str, Server, Case);

/// Result of one window.
#[derive(Clone, Copy, Debug)]
struct Measured {
    /// Requests per second.
    rate: f64,
    p50_us: f64,
    p99_us: f64,
    failures: u64,
    /// Exits of the machine per million requests.
    exits: Option<f64>,
}

/// What was found.
#[derive(Debug, Default)]
struct Results {
    measured: HashMap<Key, Vec<Measured>>,
    /// From `ix run` to the first answer, milliseconds, for each card.
    boots: HashMap<&'static str, Vec<f64>>,
}

/// Measures everything.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut results = Results::default();
    for round in 0..options.rounds {
        for nic in &NICS {
            for server in [Server::Linux, Server::Ixion] {
                eprintln!(
                    "round {} of {}: {} on {}",
                    round + 1,
                    options.rounds,
                    server.title(),
                    nic.driver
                );
                results.take_turn(options, nic, server)?;
            }
        }
    }
    let text = report::tables(options, &results);
    crate::report::put("lab", &text, options.write.as_deref())
}

impl Results {
    /// One server on one card, under all loads.
    fn take_turn(&mut self, options: &Options, nic: &'static Nic, server: Server) -> Result<()> {
        let lab = lab::enter();
        prepare_client(&lab, nic)?;
        let running = server.start(&lab, nic, &options.images)?;
        let boot = running.wait_until_it_answers()?;
        if server == Server::Ixion {
            self.boots
                .entry(nic.driver)
                .or_default()
                .push(boot.as_secs_f64() * 1e3);
        }
        for &case in &options.cases {
            let measured = measure(case, &running, options.window)?;
            eprintln!(
                "  {case}: {:.0} requests/s, p99 {:.0} us, exits per million {:?}",
                measured.rate, measured.p99_us, measured.exits
            );
            let key = (nic.driver, server, case);
            self.measured.entry(key).or_default().push(measured);
        }
        Ok(())
    }

    /// The median of a figure over the rounds.
    fn median(&self, key: Key, figure: impl Fn(&Measured) -> f64) -> Option<f64> {
        median(self.measured.get(&key)?.iter().map(figure).collect())
    }
}

/// The client's TCP is Reno's: a namespace's default may be BBR, which paces. That it knows the server's card takes the
/// wait for ARP out of the time to the first answer.
fn prepare_client(lab: &Lab, nic: &Nic) -> Result<()> {
    lab.namespace().enter(|| {
        fs::write("/proc/sys/net/ipv4/tcp_congestion_control", "reno")?;
        fs::write("/proc/sys/net/ipv4/ip_local_port_range", "1024 65000")
    })?;
    let neighbour = format!(
        "neighbour replace {} lladdr {} nud permanent dev {}",
        nic.own, nic.mac, nic.tap
    );
    lab.namespace().ip(&neighbour)?;
    Ok(())
}

fn measure(case: Case, on: &Running<'_>, window: Duration) -> Result<Measured> {
    let load = case.load(SocketAddrV4::new(on.nic.own, case.service().port()), window);
    let (outcome, before, after) = on.lab.namespace().enter(|| load::run(&load, || Ok(on.exits())))?;
    let exits = before
        .zip(after)
        .map(|(before, after)| after.saturating_sub(before));
    Ok(Measured {
        rate: outcome.rate(),
        p50_us: outcome.latency_us(0.5),
        p99_us: outcome.latency_us(0.99),
        failures: outcome.errors + outcome.lost,
        exits: exits.map(|count| float(count) * 1e6 / float(outcome.answered.max(1))),
    })
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
