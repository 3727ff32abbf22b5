//! What the cores of a dataplane have in common, none of it on the way of packets: where their counters stand in the
//! launcher's table, and how many have come to their end.

use crate::host;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use ix_abi::host::Counters;
use spin::Once;

/// A counter's name and value.
pub(super) type Counter = (&'static str, u64);

/// All cores.
#[derive(Debug)]
pub struct Team {
    cores: usize,
    /// A bit for each core whose connections are at their end.
    finished: AtomicU64,
    board: Once<Board>,
}

/// The launcher's table: totals, the app's counters, and, if there are several cores, those of each.
#[derive(Debug)]
struct Board {
    /// For each total, the places of what it is the sum of. With one core there is nothing to add up.
    totals: Vec<Vec<usize>>,
    app: usize,
    /// Where each core's begin.
    first: Vec<usize>,
    /// The request each core has answered last.
    answered: Vec<AtomicU32>,
}

impl Team {
    /// Of so many cores.
    pub fn new(cores: usize) -> Self {
        Team {
            cores,
            finished: AtomicU64::new(0),
            board: Once::new(),
        }
    }

    /// How many.
    pub(super) fn cores(&self) -> u32 {
        u32::try_from(self.cores).unwrap_or(u32::MAX)
    }

    /// A core's connections are at their end, and so is the core.
    pub(super) fn finish(&self, core: usize) {
        self.finished.fetch_or(1 << core, Ordering::AcqRel);
    }

    /// All cores that may send through this one have: those with higher numbers.
    pub(super) fn later_have_finished(&self, core: usize) -> bool {
        let finished = self.finished.load(Ordering::Acquire);
        (core + 1..self.cores).all(|later| finished & 1 << later != 0)
    }

    /// Once, before the cores begin: the names of their counters, core by core, and of the app's.
    pub fn describe(&self, cores: &[Vec<&'static str>], app: &[&'static str]) {
        let Some(area) = host::area() else { return };
        let mut totals: Vec<&str> = Vec::new();
        for name in cores.iter().flatten() {
            if !totals.contains(name) {
                totals.push(name);
            }
        }
        let app_first = totals.len();
        let mut names: Vec<String> = totals.iter().chain(app).map(ToString::to_string).collect();
        let mut sums: Vec<Vec<usize>> = Vec::new();
        let mut first = Vec::new();
        if let [_] = cores {
            first.push(0);
        } else {
            sums.resize(totals.len(), Vec::new());
            for (core, own) in cores.iter().enumerate() {
                first.push(names.len());
                for name in own {
                    let total = totals.iter().position(|total| total == name);
                    if let Some(sum) = total.and_then(|total| sums.get_mut(total)) {
                        sum.push(names.len());
                    }
                    let short = name.strip_prefix("core.").unwrap_or(name);
                    names.push(format!("core{core}.{short}"));
                }
            }
        }
        area.counters.describe(names.iter().map(String::as_str));
        self.board.call_once(|| Board {
            totals: sums,
            app: app_first,
            answered: cores.iter().map(|_| AtomicU32::new(0)).collect(),
            first,
        });
    }

    /// Answers the launcher's latest request as far as it is this core's to answer, once. `own` and `app` are the counters.
    pub(super) fn answer<O: Iterator<Item = Counter>, A: Iterator<Item = Counter>>(
        &self,
        core: usize,
        own: impl FnOnce() -> O,
        app: impl FnOnce() -> A,
    ) {
        let (Some(area), Some(board)) = (host::area(), self.board.get()) else {
            return;
        };
        let table = &area.counters;
        let requested = table.requested.load(Ordering::Acquire);
        if requested == table.answered.load(Ordering::Relaxed) {
            return;
        }
        if let Some(answered) = board.answered.get(core)
            && answered.load(Ordering::Relaxed) != requested
        {
            board.publish(table, core, own());
            answered.store(requested, Ordering::Release);
        }
        let mut all = board.answered.iter();
        if core == 0 && all.all(|answered| answered.load(Ordering::Acquire) == requested) {
            board.add_up(table, app());
            table.answered.store(requested, Ordering::Release);
        }
    }

    /// Writes a core's counters, asked or not; core 0 adds up.
    pub(super) fn publish(
        &self,
        core: usize,
        own: impl Iterator<Item = Counter>,
        app: impl Iterator<Item = Counter>,
    ) {
        if let (Some(area), Some(board)) = (host::area(), self.board.get()) {
            board.publish(&area.counters, core, own);
            if core == 0 {
                board.add_up(&area.counters, app);
            }
        }
    }
}

impl Board {
    fn publish(&self, table: &Counters, core: usize, own: impl Iterator<Item = Counter>) {
        if let Some(&first) = self.first.get(core) {
            table.publish(first, own.map(|(_, value)| value));
        }
    }

    fn add_up(&self, table: &Counters, app: impl Iterator<Item = Counter>) {
        let sum = |places: &Vec<usize>| places.iter().map(|&place| table.value(place)).sum();
        table.publish(0, self.totals.iter().map(sum));
        table.publish(self.app, app.map(|(_, value)| value));
    }
}
