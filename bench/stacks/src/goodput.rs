//! How much gets through a way that loses data, beside Linux: a switch in user space (`ixion_tests::Switch`) joins two
//! Linux network namespaces and our stack. All flows of a row run at the same time over the same switch, each losing by a
//! sequence of its own, so that whatever else the machine does hits them alike.

mod linux;

mod station;

use crate::compare::{Provenance, publish};
use anyhow::{Result, ensure};
use ixion_tests::{Namespace, Switch, Tap};
use linux::{Receiver, Sender};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use station::Station;
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Options of `goodput`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Flows of each column, at the same time
    #[arg(long, default_value_t = 8)]
    flows: usize,
    /// How long each row is measured, after a fifth of that
    #[arg(long, default_value_t = 40)]
    seconds: u64,
    /// Decides which segments are lost
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Put the table into this file, between its markers
    #[arg(long)]
    write: Option<PathBuf>,
}

const BEGIN: &str = "<!-- goodput: written by `bench/stacks/run goodput`, not by hand -->";
const END: &str = "<!-- end of goodput -->";

/// Half of the round trip.
const DELAY: Duration = Duration::from_micros(12_500);

/// Of a million segments of data.
const LOSSES_PPM: [u32; 3] = [1_000, 10_000, 50_000];

const SENDING: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const OURS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const RECEIVING: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 3);

/// Where who listens.
const FROM_LINUX: u16 = 5001;
const FROM_US: u16 = 5002;

/// Ports of the switch.
const SENDER_PORT: usize = 0;
const RECEIVER_PORT: usize = 1;
const OUR_PORT: usize = 2;

/// What a row came to.
struct Row {
    loss_ppm: u32,
    linux: Vec<f64>,
    to_linux: Vec<f64>,
    from_linux: Vec<f64>,
    /// Of the frames' deliveries: how much too late the latest was.
    latest: Duration,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    let rows: Vec<Row> = LOSSES_PPM
        .into_iter()
        .map(|loss_ppm| {
            eprintln!("{loss_ppm} of a million lost");
            measure(options, loss_ppm)
        })
        .collect::<Result<_>>()?;
    let text = table(options, &rows)?;
    println!("{text}");
    options
        .write
        .as_deref()
        .map_or(Ok(()), |file| publish(file, (BEGIN, END), &text))
}

fn measure(options: &Options, loss_ppm: u32) -> Result<Row> {
    let (sending, receiving) = (network("ixs0", SENDING)?, network("ixr0", RECEIVING)?);
    let to_linux = |port| receiving.enter(|| Receiver::listen(SocketAddr::new(RECEIVING.into(), port)));
    let (of_linux, of_ours) = (to_linux(FROM_LINUX)?, to_linux(FROM_US)?);
    let mut world = World {
        switch: Switch::new(3, DELAY, loss_ppm, options.seed),
        taps: [
            sending.enter(|| Tap::open("ixs0"))?,
            receiving.enter(|| Tap::open("ixr0"))?,
        ],
        station: Station::new(OURS, options.flows),
        latest: Duration::ZERO,
    };
    let senders: Vec<Sender> = [RECEIVING, OURS]
        .into_iter()
        .map(|to| sending.enter(|| Sender::start(SocketAddr::new(to.into(), FROM_LINUX), options.flows)))
        .collect();
    world.station.listen(FROM_LINUX);
    world
        .station
        .connect(SocketAddr::new(RECEIVING.into(), FROM_US), options.flows);

    let window = Duration::from_secs(options.seconds);
    world.turn(window / 5)?;
    let counts = |world: &World| [of_linux.counts(), of_ours.counts(), world.station.received()];
    let before = counts(&world);
    world.latest = Duration::ZERO;
    world.turn(window)?;
    let after = counts(&world);
    drop(senders);

    let rates = |column: usize| -> Result<Vec<f64>> {
        ensure!(
            before[column].len() == options.flows && after[column].len() == options.flows,
            "{} of {} connections in column {column}",
            after[column].len(),
            options.flows
        );
        let pairs = before[column].iter().zip(&after[column]);
        Ok(pairs
            .map(|(before, after)| (after - before) as f64 * 8e-6 / window.as_secs_f64())
            .collect())
    };
    Ok(Row {
        loss_ppm,
        linux: rates(0)?,
        to_linux: rates(1)?,
        from_linux: rates(2)?,
        latest: world.latest,
    })
}

/// A Linux of its own, that keeps no memory of earlier connections.
fn network(tap: &str, address: Ipv4Addr) -> Result<Namespace> {
    let namespace = Namespace::without_tap()?;
    namespace.add_tap(tap, address)?;
    namespace.enter(|| std::fs::write("/proc/sys/net/ipv4/tcp_no_metrics_save", "1"))?;
    Ok(namespace)
}

/// The switch and whoever is plugged in.
struct World {
    switch: Switch,
    taps: [Tap; 2],
    station: Station,
    latest: Duration,
}

impl World {
    /// Carries frames for so long.
    fn turn(&mut self, window: Duration) -> Result<()> {
        let end = Instant::now() + window;
        let mut room = [0; 2048];
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            for (port, tap) in self.taps.iter_mut().enumerate() {
                while let Some(frame) = tap.receive(&mut room)? {
                    self.switch.send(port, frame, now);
                }
            }
            self.deliver(now)?;
            self.station.work(|frame| self.switch.send(OUR_PORT, frame, now));
            self.sleep(end)?;
        }
    }

    fn deliver(&mut self, now: Instant) -> Result<()> {
        while let Some(due) = self.switch.next().filter(|due| *due <= now) {
            self.latest = self.latest.max(now - due);
            match self.switch.arrived(now) {
                Some((OUR_PORT, frame)) => self.station.receive(&frame),
                Some((port @ (SENDER_PORT | RECEIVER_PORT), frame)) => self.taps[port].send(&frame)?,
                Some((..)) | None => {}
            }
        }
        Ok(())
    }

    /// Until something is due, or Linux sends.
    fn sleep(&self, end: Instant) -> Result<()> {
        let due = [self.switch.next(), self.station.next()];
        let next = due.into_iter().flatten().min().unwrap_or(end).min(end);
        let wait = next.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: wait.as_nanos().min(999_999_999).try_into()?,
        };
        let mut fds = self.taps.each_ref().map(|tap| PollFd::new(tap, PollFlags::IN));
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn table(options: &Options, rows: &[Row]) -> Result<String> {
    let mut text = format!(
        "{} {} flows of each column at the same time, {} s; Mbit/s of one flow: mean, and the standard error of the mean.\n\n",
        Provenance::now()?,
        options.flows,
        options.seconds
    );
    text.push_str("| lost | Linux to Linux | Ixion to Linux | of Linux | Linux to Ixion | of Linux | latest delivery |\n");
    text.push_str("|---|---:|---:|---:|---:|---:|---:|\n");
    for row in rows {
        let linux = mean(&row.linux);
        let _ = writeln!(
            text,
            "| {} % | {} | {} | **{:.2}** | {} | **{:.2}** | {:.1} ms |",
            f64::from(row.loss_ppm) / 1e4,
            cell(&row.linux),
            cell(&row.to_linux),
            mean(&row.to_linux) / linux,
            cell(&row.from_linux),
            mean(&row.from_linux) / linux,
            row.latest.as_secs_f64() * 1e3
        );
    }
    Ok(text)
}

fn mean(rates: &[f64]) -> f64 {
    rates.iter().sum::<f64>() / rates.len() as f64
}

fn cell(rates: &[f64]) -> String {
    let mean = mean(rates);
    let square: f64 = rates.iter().map(|rate| (rate - mean).powi(2)).sum();
    let count = rates.len() as f64;
    let error = (square / (count - 1.0).max(1.0) / count).sqrt();
    format!("{mean:.2} ± {error:.2}")
}
