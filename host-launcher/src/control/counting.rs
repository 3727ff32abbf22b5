use ix_abi::host::Counters;
use std::sync::atomic::Ordering;

/// Prefix of the machine's own counters, among the kernel's.
const MACHINE: &str = "machine.";

/// Who counts in a run: the kernel, and the machine under it if it is ours.
pub struct Counting<'a> {
    /// The kernel's table, in guest memory: believed within bounds.
    pub kernel: &'a Counters,
    /// The machine's.
    pub machine: Option<MachineCounters<'a>>,
}

/// The machine process's table, and how to make it look there.
pub struct MachineCounters<'a> {
    /// The table.
    pub table: &'a Counters,
    /// Wakes the process after a request.
    pub ask: &'a dyn Fn(),
}

/// A question that was put to all of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    kernel: u32,
    machine: u32,
}

impl Counting<'_> {
    /// Asks for fresh values.
    pub(super) fn ask(&self) -> Request {
        let raise = |table: &Counters| table.requested.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
        let kernel = raise(self.kernel);
        let machine = self.machine.as_ref().map_or(0, |machine| {
            let request = raise(machine.table);
            (machine.ask)();
            request
        });
        Request { kernel, machine }
    }

    /// Whether all values are at least as fresh as the request.
    pub(super) fn has_answered(&self, request: Request) -> bool {
        // Requests count up and wrap, so "not before" is a difference below half the circle.
        let is_past = |table: &Counters, request: u32| {
            let answered = table.answered.load(Ordering::Acquire);
            answered.wrapping_sub(request) < u32::MAX / 2
        };
        let machine = self.machine.as_ref();
        is_past(self.kernel, request.kernel)
            && machine.is_none_or(|machine| is_past(machine.table, request.machine))
    }

    /// Name and value of each.
    pub(super) fn read(&self) -> impl Iterator<Item = (String, u64)> + '_ {
        let all = |prefix: &'static str, table: &'_ Counters| {
            let counters: Vec<_> = table.read().collect();
            counters.into_iter().map(move |(name, value)| {
                let text = name.split(|&byte| byte == 0).next().unwrap_or_default();
                (format!("{prefix}{}", String::from_utf8_lossy(text)), value)
            })
        };
        let machine = self.machine.as_ref().map(|machine| all(MACHINE, machine.table));
        all("", self.kernel).chain(machine.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::{Counting, MachineCounters};
    use crate::sys::MachineArea;
    use std::cell::Cell;
    use std::sync::atomic::Ordering;

    #[test]
    fn both_are_asked_and_both_must_answer() {
        let (kernel, machine) = (MachineArea::create().unwrap(), MachineArea::create().unwrap());
        let asked = Cell::new(0);
        let counting = Counting {
            kernel: kernel.counters(),
            machine: Some(MachineCounters {
                table: machine.counters(),
                ask: &|| asked.set(asked.get() + 1),
            }),
        };
        kernel.counters().answered.store(u32::MAX, Ordering::Relaxed);
        let request = counting.ask();
        assert_eq!(asked.get(), 1);
        for area in [&kernel, &machine] {
            assert!(!counting.has_answered(request));
            let table = area.counters();
            table.describe(["exits"].into_iter());
            table.publish(0, [5].into_iter());
            table
                .answered
                .store(table.requested.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        assert!(counting.has_answered(request));
        let all: Vec<_> = counting.read().collect();
        assert_eq!(all, [("exits".to_owned(), 5), ("machine.exits".to_owned(), 5)]);
    }
}
