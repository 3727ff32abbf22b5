//! The report's tables, as Markdown.

use super::data::{Asked, ConnectionPoint, Data};
use super::plots;
use super::summary::LIMITS_US;
use super::targets::{Bound, Target};
use crate::guest::Guest;
use crate::load::Kind;
use crate::report::thousands;
use std::fmt::Write;

/// Columns.
const GUESTS: [Guest; 3] = [Guest::LinuxTuned, Guest::LinuxHosted, Guest::Ixion];
/// The closed loop's, where there is the ceiling as well.
const WITH_CEILING: [Guest; 4] = [
    Guest::LinuxTuned,
    Guest::LinuxHosted,
    Guest::Ixion,
    Guest::Reflector,
];
/// Sizes shown of the many, in bytes.
const SIZES: [u32; 8] = [1, 64, 1_024, 4_096, 16_384, 65_536, 1 << 20, 8 << 20];

/// Rows of cells under a head.
struct Table {
    text: String,
}

impl Table {
    fn new(head: &[&str]) -> Self {
        let aligned = "---:|".repeat(head.len().saturating_sub(1));
        Self {
            text: format!("| {} |\n|---|{aligned}\n", head.join(" | ")),
        }
    }

    fn of_guests(title: &str, guests: &[Guest], last: Option<&str>) -> Self {
        let titles = guests.iter().map(|guest| guest.title());
        let head: Vec<&str> = std::iter::once(title).chain(titles).chain(last).collect();
        Self::new(&head)
    }

    /// What was not measured is a dash, and a row of dashes is none.
    fn row(&mut self, title: &str, cells: impl IntoIterator<Item = Option<String>>) {
        let cells: Vec<_> = cells.into_iter().collect();
        if cells.iter().all(Option::is_none) {
            return;
        }
        let _ = write!(self.text, "| {title} |");
        for cell in cells {
            let _ = write!(self.text, " {} |", cell.as_deref().unwrap_or("-"));
        }
        self.text.push('\n');
    }

    fn end(self) -> String {
        self.text + "\n"
    }
}

/// All of them, and the plots.
pub(super) fn tables(data: &Data) -> String {
    [
        conditions(data),
        targets(data),
        highest(data),
        equal_p99(data),
        connections(data),
        prices(data),
        sizes(data),
        instructions(data),
        format!(
            "Failed connections: {}; misses, errors and requests unanswered where the guest kept up: {}.\n",
            data.failures(),
            data.unserved()
        ),
        plots(data),
    ]
    .concat()
}

fn conditions(data: &Data) -> String {
    let conditions = &data.conditions;
    let remark = if conditions.machine.was_busy() {
        "**The host had other work**: latencies and rates are as much its as the guests', instructions are not.\n\n"
    } else {
        ""
    };
    format!(
        "{}\n{}. Medians of {} rounds, windows of {} s, machines in turns. `{}`\n\n{remark}",
        conditions.machine,
        conditions.versions.join(", "),
        conditions.rounds,
        conditions.window_s,
        conditions.machine.command,
    )
}

fn targets(data: &Data) -> String {
    let mut table = Table::new(&["target", "Linux, tuned", "Ixion", "ratio", "wanted", ""]);
    for target in data.targets() {
        let (theirs, ours) = target.figures.unzip();
        let bound = match target.bound {
            Bound::AtLeast(bound) => format!("at least {bound}"),
            Bound::AtMost(bound) => format!("at most {bound}"),
        };
        let verdict = Target::verdict(&target).to_owned();
        let cells = [
            theirs.map(thousands),
            ours.map(thousands),
            target.ratio.map(|ratio| format!("**{ratio:.2}**")),
            Some(bound),
            Some(verdict),
        ];
        table.row(&target.what, cells);
    }
    table.end()
}

/// Ours to the opponent's.
fn ratio(of: impl Fn(Guest) -> Option<f64>) -> Option<String> {
    let ratio = of(Guest::Ixion)? / of(Guest::LinuxTuned)?;
    Some(format!("**{ratio:.1}**"))
}

/// What was asked for in this run.
fn asked(data: &Data) -> impl Iterator<Item = Asked> {
    let was = |asked: &Asked| data.loads.iter().any(|point| point.asked == *asked);
    Asked::ALL.into_iter().filter(was)
}

/// The end of each curve, and who had how much to do there.
fn highest(data: &Data) -> String {
    let mut table = Table::new(&[
        "open loop, 100 connections: the highest load kept up with",
        "requests/s",
        "p50 / p99 / p99.9, µs",
        "virtual CPU, %",
        "main loop + client, %",
    ]);
    for asked in asked(data) {
        for guest in GUESTS {
            let Some(point) = data.highest(guest, asked) else {
                continue;
            };
            let latencies = [point.p50_us, point.p99_us, point.p999_us].map(thousands);
            let percent = |share: f64| format!("{:.0}", 100.0 * share);
            let cells = [
                thousands(point.carried_per_s),
                latencies.join(" / "),
                percent(point.vcpu_share),
                format!(
                    "{} + {}",
                    percent(point.main_loop_share),
                    percent(point.client_share)
                ),
            ];
            table.row(&format!("{}: {}", asked.title(), guest.title()), cells.map(Some));
        }
    }
    table.end()
}

fn equal_p99(data: &Data) -> String {
    let mut table = Table::of_guests("requests/s within a p99 of", &GUESTS, Some("Ixion : tuned"));
    for asked in asked(data) {
        for limit_us in LIMITS_US {
            let within = |guest| data.rate_within(guest, asked, limit_us);
            let mut cells: Vec<_> = GUESTS.iter().map(|&guest| within(guest).map(thousands)).collect();
            cells.push(ratio(within));
            table.row(&format!("{}, {} ms", asked.title(), limit_us / 1e3), cells);
        }
    }
    table.end()
}

fn echo_on(connections: usize) -> String {
    format!("echo of 64 bytes, {connections}")
}

fn connections(data: &Data) -> String {
    let mut table = Table::of_guests(
        "closed loop, connections: requests/s; p50 / p99, µs",
        &WITH_CEILING,
        Some("Ixion : tuned"),
    );
    let mut row = |title: String, kind, connections| {
        let of =
            |guest, figure: fn(&ConnectionPoint) -> f64| data.closed_loop(guest, kind, connections, figure);
        let cell = |guest| {
            let (p50, p99) = (of(guest, |p| p.p50_us)?, of(guest, |p| p.p99_us)?);
            let rate = thousands(of(guest, |p| p.rate_per_s)?);
            Some(format!("{rate}; {} / {}", thousands(p50), thousands(p99)))
        };
        let mut cells: Vec<_> = WITH_CEILING.iter().map(|&guest| cell(guest)).collect();
        cells.push(ratio(|guest| of(guest, |p| p.rate_per_s)));
        table.row(&title, cells);
    };
    for connections in data.connection_counts() {
        row(echo_on(connections), Kind::Tcp, connections);
    }
    row("connect + echo + reset, 16".to_owned(), Kind::Connect, 16);
    table.end()
}

/// Where the time of a request goes: what shows whether the guest or the emulator's loop is the ceiling.
fn prices(data: &Data) -> String {
    let title = "µs of CPU per request: virtual CPU / main loop / client";
    let mut table = Table::of_guests(title, &WITH_CEILING, None);
    for connections in data.connection_counts() {
        let cell = |guest| {
            let of =
                |figure: fn(&ConnectionPoint) -> f64| data.closed_loop(guest, Kind::Tcp, connections, figure);
            let (vcpu, main_loop) = (of(|p| p.vcpu_us)?, of(|p| p.main_loop_us)?);
            Some(format!(
                "{vcpu:.1} / {main_loop:.1} / {:.1}",
                of(|p| p.client_us)?
            ))
        };
        table.row(&echo_on(connections), WITH_CEILING.map(cell));
    }
    table.end()
}

fn sizes(data: &Data) -> String {
    let title = "ping-pong, one way: median, µs; goodput, Mbit/s";
    let mut table = Table::of_guests(title, &GUESTS, Some("Ixion : tuned, goodput"));
    let curves = GUESTS.map(|guest| (guest, data.sizes(guest)));
    for bytes in SIZES {
        let of = |guest| {
            let (_, curve) = curves.iter().find(|(of, _)| *of == guest)?;
            curve.iter().find(|point| point.bytes == bytes)
        };
        let cell = |guest| {
            let point = of(guest)?;
            let goodput = thousands(point.goodput_mbit_s);
            Some(format!("{}; {goodput}", thousands(point.median_us)))
        };
        let mut cells: Vec<_> = GUESTS.iter().map(|&guest| cell(guest)).collect();
        cells.push(ratio(|guest| of(guest).map(|point| point.goodput_mbit_s)));
        table.row(&size(bytes), cells);
    }
    table.end()
}

/// In the largest unit that leaves a whole number.
fn size(bytes: u32) -> String {
    match bytes {
        bytes if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        bytes if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        bytes => format!("{bytes} B"),
    }
}

fn instructions(data: &Data) -> String {
    let title = "guest instructions per request: kernel + app";
    let mut table = Table::of_guests(title, &GUESTS, Some("tuned : Ixion"));
    let rows = [
        (Kind::Tcp, "echo of 64 bytes"),
        (Kind::Get, "memcached get of 64 bytes"),
        (Kind::Http, "HTTP GET, 1 KiB"),
    ];
    for (kind, title) in rows {
        let of = |guest| data.instructions(guest, kind);
        let cell = |guest| {
            let found = of(guest)?;
            let sum = thousands(found.kernel + found.app);
            Some(format!("{sum} = {:.0} + {:.0}", found.kernel, found.app))
        };
        let mut cells: Vec<_> = GUESTS.iter().map(|&guest| cell(guest)).collect();
        let sum = |guest| of(guest).map(|found| found.kernel + found.app);
        let fewer = sum(Guest::LinuxTuned).zip(sum(Guest::Ixion));
        cells.push(fewer.map(|(theirs, ours)| format!("**{:.1}**", theirs / ours)));
        table.row(title, cells);
    }
    table.end()
}

/// Where the text lies, they lie in plots/.
fn plots(data: &Data) -> String {
    let loads = asked(data).map(|asked| {
        (
            asked.name(),
            format!("{}: latency over offered load", asked.title()),
        )
    });
    let others = [
        (plots::CONNECTIONS, "Echo: requests per second over connections"),
        (plots::SIZES, "Ping-pong: goodput and time over message size"),
    ];
    let all = loads.chain(others.map(|(name, title)| (name, title.to_owned())));
    all.map(|(name, title)| format!("\n![{title}](plots/{name}.svg)\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Table, size};

    #[test]
    fn sizes_are_told_in_whole_units() {
        assert_eq!(
            [1, 1_023, 1_024, 1_536, 8 << 20].map(size),
            ["1 B", "1023 B", "1 KiB", "1536 B", "8 MiB"]
        );
    }

    #[test]
    fn what_was_not_measured_is_a_dash() {
        let mut table = Table::new(&["load", "a", "b"]);
        table.row("one", [Some("1".to_owned()), None]);
        table.row("none", [None, None]);
        assert_eq!(
            table.end(),
            "| load | a | b |\n|---|---:|---:|\n| one | 1 | - |\n\n"
        );
    }
}
