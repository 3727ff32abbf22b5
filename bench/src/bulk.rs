//! Bulk TCP on one connection, each way, with what cards and stacks do for it and without: Ixion beside a Linux guest with
//! iperf3, on the same emulated card. The client of Ixion's is ours, and moves pieces of 128 KiB as iperf3 does.

use crate::counts::Counts;
use crate::guest::{Guest, Images};
use crate::load::{float, seconds};
use crate::machine::Machine;
use crate::netns::Namespace;
use crate::pin;
use crate::server::{Server, Service};
use anyhow::{Context, Result, ensure};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Options of `bulk`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    images: Images,
    /// Seconds of a transfer.
    #[arg(long, default_value = "3", value_parser = seconds)]
    window: Duration,
    /// How often each is measured, guests in turns.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// One round of a second.
    #[arg(long)]
    quick: bool,
    /// Puts the table into this file, between its marks.
    #[arg(long)]
    write: Option<PathBuf>,
}

/// Bytes of a call.
const PIECE: usize = 128 << 10;

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    FromGuest,
    ToGuest,
}

/// Who cuts and merges segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offloads {
    Card,
    Stack,
    Nobody,
}

impl Offloads {
    fn title(self) -> &'static str {
        match self {
            Self::Card => "TSO and LRO",
            Self::Stack => "neither; GSO and GRO",
            Self::Nobody => "none of the four",
        }
    }

    /// What a guest is booted with.
    fn images(self, guest: Guest, images: &Images) -> Images {
        let mut images = images.clone();
        match (self, guest) {
            (Self::Card, _) => {}
            (Self::Stack, Guest::Ixion) => images.ix_arg.push("--offload=tso=off,lro=off".into()),
            (Self::Nobody, Guest::Ixion) => images
                .ix_arg
                .push("--offload=tso=off,lro=off,gso=off,gro=off".into()),
            _ => {
                for feature in ["host_tso4", "host_tso6", "guest_tso4", "guest_tso6"] {
                    images.qemu_arg.push("-global".into());
                    images.qemu_arg.push(format!("virtio-net-pci.{feature}=off"));
                }
            }
        }
        images
    }
}

/// Rows of the table. Linux' stack cannot be told from outside to do without.
const ROWS: [(Guest, Offloads); 5] = [
    (Guest::LinuxTuned, Offloads::Card),
    (Guest::Ixion, Offloads::Card),
    (Guest::LinuxTuned, Offloads::Stack),
    (Guest::Ixion, Offloads::Stack),
    (Guest::Ixion, Offloads::Nobody),
];

/// What was found of a row, for each way.
#[derive(Clone, Debug, Default)]
struct Found {
    mbit_s: [Vec<f64>; 2],
    per_kib: [f64; 2],
}

const WAYS: [Way; 2] = [Way::FromGuest, Way::ToGuest];

/// Measures, prints and writes.
pub(crate) fn run(options: &Options) -> Result<()> {
    let (window, rounds) = if options.quick {
        (Duration::from_secs(1), 1)
    } else {
        (options.window, options.rounds)
    };
    let namespace = Namespace::create()?;
    let mut found = ROWS.map(|_| Found::default());
    for round in 0..rounds {
        for ((guest, offloads), found) in ROWS.iter().zip(&mut found) {
            eprintln!(
                "round {} of {rounds}: {}, {}",
                round + 1,
                guest.title(),
                offloads.title()
            );
            let server = Server {
                guest: *guest,
                service: Service::Bulk,
            };
            let images = offloads.images(*guest, &options.images);
            {
                let _running = images.boot(&[server], &namespace, None)?;
                for (way, figures) in WAYS.into_iter().zip(&mut found.mbit_s) {
                    let (bytes, took, ..) = transfer(server, way, &namespace, window, || Ok(()))?;
                    figures.push(float(bytes) * 8.0 / 1e6 / took.as_secs_f64());
                }
            }
            if round == 0 {
                found.per_kib = count(server, &images, &namespace, window)?;
            }
        }
    }
    crate::report::put("bulk", &table(&found, rounds, window), options.write.as_deref())
}

/// Instructions per KiB each way, counted on a machine of its own.
fn count(server: Server, images: &Images, namespace: &Namespace, window: Duration) -> Result<[f64; 2]> {
    let file = images.images.join("counts");
    let _running = images.boot(&[server], namespace, Some(&file))?;
    let mut per_kib = [0.0; 2];
    for (way, each) in WAYS.into_iter().zip(&mut per_kib) {
        let (bytes, _, before, after) =
            transfer(server, way, namespace, window, || Counts::read(Path::new(&file)))?;
        let split = after.since(&before).split();
        *each = float(split.kernel + split.app) * 1024.0 / float(bytes);
    }
    Ok(per_kib)
}

/// Bytes that went this way, in which time, and what `at_edge` said before and after.
fn transfer<T: Send>(
    server: Server,
    way: Way,
    namespace: &Namespace,
    window: Duration,
    at_edge: impl Fn() -> Result<T> + Send,
) -> Result<(u64, Duration, T, T)> {
    if server.guest == Guest::Ixion {
        return namespace.run(|| {
            pin::client()?;
            ours(server.address(), way, window, at_edge)
        });
    }
    // Its server does not listen for a moment after each test.
    std::thread::sleep(Duration::from_secs(2));
    let mut command = namespace.command("iperf3".as_ref());
    let seconds = window.as_secs().max(1).to_string();
    command.args([
        "--json",
        "--affinity",
        "1",
        "--client",
        &server.address().ip().to_string(),
    ]);
    command.args(["--time", &seconds]);
    if way == Way::FromGuest {
        command.arg("--reverse");
    }
    let before = at_edge()?;
    let output = command.output().context("cannot run iperf3")?;
    let after = at_edge()?;
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).context("iperf3 tells no JSON")?;
    let sum = &told["end"]["sum_received"];
    let (bytes, took) = (sum["bytes"].as_u64(), sum["seconds"].as_f64());
    let (bytes, took) = bytes
        .zip(took)
        .with_context(|| format!("iperf3 failed: {}", told["error"]))?;
    Ok((bytes, Duration::from_secs_f64(took), before, after))
}

/// The same with the guest program `bulk`, which sends to whom has said `s`.
fn ours<T>(
    to: SocketAddrV4,
    way: Way,
    window: Duration,
    at_edge: impl Fn() -> Result<T>,
) -> Result<(u64, Duration, T, T)> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    if way == Way::FromGuest {
        stream.write_all(b"s")?;
    }
    let mut piece = vec![0; PIECE];
    let mut move_until = |end: Instant| -> Result<u64> {
        let mut bytes = 0;
        while Instant::now() < end {
            let moved = match way {
                Way::FromGuest => stream.read(&mut piece)?,
                Way::ToGuest => stream.write(&piece)?,
            };
            ensure!(moved > 0, "the guest has closed the connection");
            bytes += moved as u64;
        }
        Ok(bytes)
    };
    move_until(Instant::now() + window / 4)?;
    let (before, start) = (at_edge()?, Instant::now());
    let bytes = move_until(start + window)?;
    let took = start.elapsed();
    Ok((bytes, took, before, at_edge()?))
}

fn table(found: &[Found], rounds: usize, window: Duration) -> String {
    let machine = Machine::here();
    let mut text = format!(
        "{machine}\nOne connection; medians of {rounds} rounds of {} s, guests in turns. `{}`\n\n",
        window.as_secs(),
        machine.command
    );
    text += "| guest | segments are cut and merged by | sends, Mbit/s | receives, Mbit/s | instructions per KiB sent | received |\n";
    text += "|---|---|---:|---:|---:|---:|\n";
    for ((guest, offloads), found) in ROWS.iter().zip(found) {
        let [from, to] = [0, 1].map(|way| median(&found.mbit_s[way]));
        let [sent, received] = found.per_kib;
        let _ = writeln!(
            text,
            "| {} | {} | {from:.0} | {to:.0} | {sent:.0} | {received:.0} |",
            guest.title(),
            offloads.title()
        );
    }
    text
}

fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
