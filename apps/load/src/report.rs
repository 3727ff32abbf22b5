//! What came of a sweep, for people and for programs.

use core::fmt::Write;
use serde::Serialize;

/// One offered load.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Requests that were to be sent per second.
    pub offered_per_s: f64,
    /// Requests that were.
    pub sent_per_s: f64,
    /// Answers to them.
    pub answered_per_s: f64,
    /// Latencies, from the instant a request was due.
    pub mean_us: f64,
    /// Half of them are below.
    pub p50_us: f64,
    /// 90 %.
    pub p90_us: f64,
    /// 99 %.
    pub p99_us: f64,
    /// 99.9 %.
    pub p999_us: f64,
    /// The longest.
    pub max_us: f64,
    /// Answers that the server has not got it.
    pub misses: u64,
    /// Answers that the server cannot.
    pub errors: u64,
    /// Requests without an answer; their latency is how long was waited for it.
    pub unanswered: u64,
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// As on the command line.
    pub workload: String,
    /// How many.
    pub connections: usize,
    /// Of everything random.
    pub seed: u64,
    /// In order.
    pub rows: Vec<Row>,
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// Comma-separated, a line each.
    Csv,
    /// One object.
    Json,
}

const COLUMNS: [&str; 12] = [
    "offered_per_s",
    "sent_per_s",
    "answered_per_s",
    "mean_us",
    "p50_us",
    "p90_us",
    "p99_us",
    "p999_us",
    "max_us",
    "misses",
    "errors",
    "unanswered",
];

impl Row {
    fn numbers(&self) -> [f64; 9] {
        [
            self.offered_per_s,
            self.sent_per_s,
            self.answered_per_s,
            self.mean_us,
            self.p50_us,
            self.p90_us,
            self.p99_us,
            self.p999_us,
            self.max_us,
        ]
    }

    fn cells(&self) -> Vec<String> {
        let counts = [self.misses, self.errors, self.unanswered];
        let numbers = self.numbers().into_iter().map(|number| format!("{number:.1}"));
        numbers
            .chain(counts.into_iter().map(|count| count.to_string()))
            .collect()
    }
}

impl Report {
    /// The whole text.
    #[must_use]
    pub fn write(&self, format: Format) -> String {
        match format {
            Format::Table => self.table(),
            Format::Csv => self.csv(),
            // Its numbers are finite and its keys are text.
            Format::Json => serde_json::to_string_pretty(self).unwrap_or_default() + "\n",
        }
    }

    fn csv(&self) -> String {
        let mut text = COLUMNS.join(",") + "\n";
        for row in &self.rows {
            text += &(row.cells().join(",") + "\n");
        }
        text
    }

    fn table(&self) -> String {
        let mut text = format!(
            "{}, {} connections, seed {}\n",
            self.workload, self.connections, self.seed
        );
        for column in COLUMNS {
            // Writing to a string cannot fail.
            let _ = write!(text, "{column:>15}");
        }
        text.push('\n');
        for row in &self.rows {
            for cell in row.cells() {
                let _ = write!(text, "{cell:>15}");
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{COLUMNS, Format, Report, Row};

    #[test]
    fn every_form_has_every_number() {
        let row = Row {
            offered_per_s: 1000.0,
            sent_per_s: 998.5,
            answered_per_s: 997.5,
            mean_us: 51.25,
            p50_us: 50.0,
            p90_us: 60.0,
            p99_us: 70.0,
            p999_us: 80.0,
            max_us: 90.0,
            misses: 1,
            errors: 2,
            unanswered: 3,
        };
        let report = Report {
            workload: "echo".into(),
            connections: 4,
            seed: 1,
            rows: vec![row],
        };
        let csv = report.write(Format::Csv);
        assert_eq!(
            csv.lines().nth(1),
            Some("1000.0,998.5,997.5,51.2,50.0,60.0,70.0,80.0,90.0,1,2,3")
        );
        let table = report.write(Format::Table);
        let json: serde_json::Value = serde_json::from_str(&report.write(Format::Json)).unwrap();
        for column in COLUMNS {
            assert!(table.contains(column) && csv.contains(column), "{column}");
            assert!(json["rows"][0][column].is_number(), "{column}");
        }
    }
}
