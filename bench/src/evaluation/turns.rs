//! Measures: service by service all machines, and that as many times as there are rounds, so that what the host does besides
//! falls on all alike.

use super::Options;
use super::data::{Asked, Conditions, ConnectionPoint, CountPoint, Data, LoadPoint, SizePoint};
use super::sweep;
use crate::cpu::Clocks;
use crate::guest::{Guest, Running};
use crate::load::Kind;
use crate::load::open::{self, Offer};
use crate::machine::{Machine, output};
use crate::measure::{Case, Instructions, measure as measure_closed};
use crate::netns::Namespace;
use crate::pin;
use crate::server::{Server, Service};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Connections over which loads are offered.
const CONNECTIONS: usize = 100;
/// Requests outstanding at a time where connections are many.
const BUSY: usize = 100;
/// Where connections come and go, and where instructions are counted.
const FEW: usize = 16;
/// Answers are waited for as long after the window.
const DRAIN: Duration = Duration::from_millis(300);
/// A guest takes as long to get rid of ten thousand connections, or of the last load, which was too much. A SYN lost meanwhile
/// would be sent again after a second only.
const SETTLING_TIME: Duration = Duration::from_secs(1);
/// Seconds that all sizes of one ping-pong may take.
const PING_PONG_SECONDS: &str = "90";

/// How much is measured.
struct Extent {
    rounds: u32,
    window: Duration,
    asked: Vec<Asked>,
    connections: Vec<usize>,
    /// Milliseconds for each size of a message.
    size_ms: &'static str,
}

struct Turns<'a> {
    options: &'a Options,
    extent: Extent,
    namespace: Namespace,
    data: Data,
    round: u32,
}

impl Extent {
    fn new(options: &Options) -> Self {
        let (rounds, window_ms) = if options.quick { (1, 500) } else { (3, 750) };
        let window = options.window.unwrap_or(Duration::from_millis(window_ms));
        Self {
            rounds: options.rounds.unwrap_or(rounds),
            window,
            asked: if options.quick {
                vec![Asked::Echo, Asked::Etc, Asked::Http]
            } else {
                Asked::ALL.to_vec()
            },
            connections: if options.quick {
                vec![1, 10, 100, 1_000, 10_000]
            } else {
                vec![1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000]
            },
            size_ms: if options.quick { "30" } else { "60" },
        }
    }
}

/// Measures everything. What cannot be measured is said and left out; the other figures are still of use.
pub(super) fn measure(options: &Options) -> Result<Data> {
    let extent = Extent::new(options);
    let conditions = Conditions {
        machine: Machine::here(),
        versions: versions(&options.images.images),
        rounds: extent.rounds,
        window_s: extent.window.as_secs_f64(),
    };
    let mut turns = Turns {
        options,
        extent,
        namespace: Namespace::create()?,
        data: Data {
            conditions,
            loads: Vec::new(),
            connections: Vec::new(),
            sizes: Vec::new(),
            counts: Vec::new(),
        },
        round: 0,
    };
    let services = if options.services.is_empty() {
        Service::ALL.to_vec()
    } else {
        options.services.clone()
    };
    for round in 1..=turns.extent.rounds {
        turns.round = round;
        for &service in &services {
            for guests in machines(service) {
                turns.take(guests, service);
            }
        }
    }
    turns.count(&services);
    // With the load as it is at the end.
    turns.data.conditions.machine = Machine::here();
    Ok(turns.data)
}

/// Guests that share a machine, machine by machine.
fn machines(service: Service) -> Vec<&'static [Guest]> {
    let mut machines: Vec<&[Guest]> = vec![&[Guest::LinuxTuned, Guest::LinuxHosted], &[Guest::Ixion]];
    if service == Service::Echo {
        machines.push(&[Guest::Reflector]);
    }
    machines
}

fn versions(images: &Path) -> Vec<String> {
    let modules = images.join("../linux/lib/modules");
    let kernels = fs::read_dir(modules).into_iter().flatten().flatten();
    let mut versions: Vec<String> = kernels
        .map(|kernel| format!("guest Linux {}", kernel.file_name().display()))
        .collect();
    versions.push(output("memcached", &["-V"]));
    let nginx = images.join("root/bin/nginx");
    versions.push(output(&nginx.display().to_string(), &["-v"]).replace("nginx version: ", ""));
    versions
}

/// Tells an error; what was to be measured stays a hole.
fn tell(what: &str, result: Result<()>) {
    if let Err(error) = result {
        eprintln!("  {what}: {error:#}");
    }
}

impl Turns<'_> {
    /// One machine, all its guests.
    fn take(&mut self, guests: &[Guest], service: Service) {
        let servers: Vec<Server> = guests.iter().map(|&guest| Server { guest, service }).collect();
        let running = match self.options.images.boot(&servers, &self.namespace, None) {
            Ok(running) => running,
            Err(error) => return tell("boot", Err(error)),
        };
        for server in servers {
            eprintln!("round {}: {:?}, {}", self.round, service, server.guest.title());
            match service {
                Service::Echo => {
                    if server.guest != Guest::Reflector {
                        tell("loads", self.loads(Asked::Echo, server, &running));
                        std::thread::sleep(SETTLING_TIME);
                    }
                    tell("connections", self.connections(server, &running));
                    std::thread::sleep(SETTLING_TIME);
                }
                Service::PingPong => tell("sizes", self.sizes(server)),
                // It has a part of its own.
                Service::Bulk => {}
                Service::Memcached | Service::Http => {
                    for asked in self.extent.asked.clone() {
                        if asked.service() == service {
                            tell(asked.title(), self.loads(asked, server, &running));
                        }
                    }
                }
            }
        }
    }

    fn connections(&mut self, server: Server, running: &Running) -> Result<()> {
        let many = self.extent.connections.iter().map(|&connections| Case {
            kind: Kind::Tcp,
            connections,
        });
        let come_and_go = Case {
            kind: Kind::Connect,
            connections: FEW,
        };
        for case in [come_and_go].into_iter().chain(many).collect::<Vec<_>>() {
            let mut load = case.load(server.address(), self.extent.window);
            load.busy = Some(BUSY);
            let found = measure_closed(&load, running, &self.namespace).with_context(|| case.to_string())?;
            eprintln!(
                "  {case}: {:.0}/s, p50 {:.0} us, p99 {:.0} us",
                found.rate, found.p50_us, found.p99_us
            );
            self.data.connections.push(ConnectionPoint {
                round: self.round,
                guest: server.guest,
                kind: case.kind,
                connections: case.connections,
                rate_per_s: found.rate,
                p50_us: found.p50_us,
                p99_us: found.p99_us,
                failures: found.failures,
                vcpu_us: found.vcpu_us,
                main_loop_us: found.main_loop_us,
                client_us: found.client_us,
            });
        }
        Ok(())
    }

    fn loads(&mut self, asked: Asked, server: Server, running: &Running) -> Result<()> {
        let workload = asked.workload();
        self.namespace.run(|| open::fill(&workload, server.address()))?;
        sweep::walk(|rate| {
            let mut point = self.load(asked, server, running, rate)?;
            if !sweep::keeps_up(point.sent_per_s, point.carried_per_s) {
                // It may have been the host.
                let again = self.load(asked, server, running, rate)?;
                if again.carried_per_s > point.carried_per_s {
                    point = again;
                }
            }
            eprintln!(
                "  {rate}/s: {:.0} of {:.0}/s, p50 {:.0} us, p99 {:.0} us",
                point.carried_per_s, point.sent_per_s, point.p50_us, point.p99_us
            );
            self.data.loads.push(point);
            Ok(sweep::keeps_up(point.sent_per_s, point.carried_per_s))
        })
    }

    fn load(&self, asked: Asked, server: Server, running: &Running, rate: f64) -> Result<LoadPoint> {
        let workload = asked.workload();
        let window = self.extent.window;
        let offer = Offer {
            to: server.address(),
            workload: &workload,
            connections: CONNECTIONS,
            rate,
            warm_up: window / 4,
            window,
            drain: DRAIN,
            seed: self.round.into(),
        };
        let (offered, before, after) = self.namespace.run(|| {
            pin::client()?;
            open::offer(&offer, || Clocks::read(running.qemu))
        })?;
        let used = after.since(&before)?;
        let share = |time: Duration| time.as_secs_f64() / window.as_secs_f64();
        Ok(LoadPoint {
            round: self.round,
            guest: server.guest,
            asked,
            offered_per_s: rate,
            sent_per_s: offered.row.sent_per_s,
            carried_per_s: offered.carried_per_s,
            p50_us: offered.row.p50_us,
            p99_us: offered.row.p99_us,
            p999_us: offered.row.p999_us,
            unanswered: offered.row.unanswered,
            refused: offered.row.misses + offered.row.errors,
            vcpu_share: share(used.vcpu),
            main_loop_share: share(used.main_loop),
            client_share: share(used.client),
        })
    }

    /// `netpipe measure` as a process in the namespace, on the client's core.
    fn sizes(&mut self, server: Server) -> Result<()> {
        let output = self.namespace.run(|| {
            pin::client()?;
            let mut command = Command::new("timeout");
            command
                .arg(PING_PONG_SECONDS)
                .arg(self.options.images.release.join("netpipe"));
            command.arg("measure").arg(server.address().to_string());
            command.args(["--perturbation", "0", "--time-ms", self.extent.size_ms]);
            command.output().context("cannot run netpipe")
        })?;
        let points = size_points(&String::from_utf8_lossy(&output.stdout), self.round, server.guest);
        if let Some(largest) = points.last() {
            eprintln!(
                "  {} sizes, {:.0} Mbit/s with the largest",
                points.len(),
                largest.goodput_mbit_s
            );
        }
        self.data.sizes.extend(points);
        let why = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "netpipe: {}, {}",
            output.status,
            why.trim()
        );
        Ok(())
    }

    /// Instructions per request: all servers of Linux on one machine, Ixion's one by one.
    fn count(&mut self, services: &[Service]) {
        let counted = [
            (Service::Echo, Kind::Tcp),
            (Service::Memcached, Kind::Get),
            (Service::Http, Kind::Http),
        ];
        let counted = counted
            .into_iter()
            .filter(|(service, _)| services.contains(service));
        let of = |guest: Guest| {
            let servers = counted.clone();
            servers.map(move |(service, kind)| (Server { guest, service }, kind))
        };
        let linux: Vec<_> = of(Guest::LinuxTuned).chain(of(Guest::LinuxHosted)).collect();
        tell("instructions", self.count_on(&linux));
        for one in of(Guest::Ixion) {
            tell("instructions", self.count_on(&[one]));
        }
    }

    fn count_on(&mut self, servers: &[(Server, Kind)]) -> Result<()> {
        if servers.is_empty() {
            return Ok(());
        }
        let file = self.options.images.images.join("counts");
        let all: Vec<Server> = servers.iter().map(|&(server, _)| server).collect();
        let _running = self.options.images.boot(&all, &self.namespace, Some(&file))?;
        for &(server, kind) in servers {
            let case = Case {
                kind,
                connections: FEW,
            };
            let (ran, requests) = case.count(server.address(), &self.namespace, &file, self.extent.window)?;
            let instructions = Instructions::of_each(&ran, requests);
            eprintln!("instructions: {}, {case}: {instructions}", server.guest.title());
            self.data.counts.push(CountPoint {
                guest: server.guest,
                kind,
                instructions,
            });
        }
        Ok(())
    }
}

/// What `netpipe measure` has written: bytes,round_trips,least_us,median_us,mean_us,goodput_mbit_s.
fn size_points(csv: &str, round: u32, guest: Guest) -> Vec<SizePoint> {
    let point = |line: &str| {
        let mut cells = line.split(',');
        Some(SizePoint {
            round,
            guest,
            bytes: cells.next()?.parse().ok()?,
            median_us: cells.nth(2)?.parse().ok()?,
            goodput_mbit_s: cells.nth(1)?.parse().ok()?,
        })
    };
    csv.lines().filter_map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::size_points;
    use crate::guest::Guest;

    #[test]
    fn what_netpipe_writes_is_read_but_for_its_head_and_a_line_cut_short() {
        let csv = "bytes,round_trips,least_us,median_us,mean_us,goodput_mbit_s\n\
                   1000,3,1.00,2.00,2.50,4000.000\n64,9,1.00,2.0";
        let points = size_points(csv, 2, Guest::Ixion);
        assert_eq!(points.len(), 1);
        let point = points[0];
        assert_eq!((point.round, point.bytes), (2, 1_000));
        assert!((point.median_us - 2.0).abs() < 1e-9 && (point.goodput_mbit_s - 4_000.0).abs() < 1e-9);
    }
}
