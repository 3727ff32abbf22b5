//! What the cores of a dataplane have in common, none of it on the way of packets: where their counters stand in the
//! launcher's table, and how many have come to their end.

use crate::host;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use ix_abi::host::{Counters, MAX_COUNTERS};
use spin::Once;

/// A counter's name and value.
pub(super) type Counter = (&'static str, u64);

/// What a core calls one of its counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterName {
    /// The link that it is of, if there are several and it is of one.
    pub link: Option<usize>,
    /// Its name, which other links and cores have, too.
    pub name: &'static str,
}

impl CounterName {
    /// As it stands in the table, as one of a core of several, or of the only one.
    fn of_core(self, core: usize, cores: usize) -> String {
        let name = self.name;
        match self.link {
            Some(link) if cores == 1 => format!("link{link}.{name}"),
            Some(link) => format!("core{core}.link{link}.{name}"),
            None => format!("core{core}.{}", name.strip_prefix("core.").unwrap_or(name)),
        }
    }

    /// The sum over the cores of what is of a link.
    fn of_link(self, cores: usize) -> Option<String> {
        let link = self.link.filter(|_| cores > 1)?;
        Some(format!("link{link}.{}", self.name))
    }
}

/// All cores.
#[derive(Debug)]
pub struct Team {
    cores: usize,
    /// A bit for each core whose connections are at their end.
    finished: AtomicU64,
    board: Once<Board>,
}

/// The launcher's table: totals, also those of each link if there are several, the app's counters, and, if there are several
/// cores or links, those of each core.
#[derive(Debug)]
struct Board {
    /// For each total, and each link's, the places of what it is the sum of. With one core on one link there is nothing to
    /// add up.
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
    pub fn describe(&self, cores: &[Vec<CounterName>], app: &[&'static str]) {
        let Some(area) = host::area() else { return };
        let (names, board) = Board::new(cores, app);
        if names.len() > MAX_COUNTERS {
            let all = names.len();
            log::warn!("{all} counters, for {MAX_COUNTERS} of which there is room; totals lack the others");
        }
        area.counters.describe(names.iter().map(String::as_str));
        self.board.call_once(|| board);
    }

    /// Answers the launcher's latest request as far as it is this core's to answer, once. `own` tells the core's counters one
    /// after the other, `app` gives the app's.
    pub(super) fn answer<A: Iterator<Item = Counter>>(
        &self,
        core: usize,
        own: impl FnOnce(&mut dyn FnMut(Counter)),
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
            board.publish(table, core, own);
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
        own: impl FnOnce(&mut dyn FnMut(Counter)),
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

/// The place of a sum with this name, made if there is none.
fn place_of(name: String, names: &mut Vec<String>, sums: &mut Vec<Vec<usize>>) -> usize {
    names.iter().position(|known| *known == name).unwrap_or_else(|| {
        names.push(name);
        sums.push(Vec::new());
        names.len() - 1
    })
}

impl Board {
    /// The names in the table, and what stands where.
    fn new(cores: &[Vec<CounterName>], app: &[&'static str]) -> (Vec<String>, Self) {
        let (mut names, mut totals): (Vec<String>, Vec<Vec<usize>>) = Default::default();
        let mut add = |name: String| place_of(name, &mut names, &mut totals);
        for counter in cores.iter().flatten() {
            add(counter.name.to_string());
        }
        // Behind all of these, what each of them adds to: its total, and its link's.
        let adds_to: Vec<Vec<Vec<usize>>> = cores
            .iter()
            .map(|own| {
                let of_one = |counter: &CounterName| {
                    let link = counter.of_link(cores.len());
                    let all = [Some(counter.name.to_string()), link];
                    all.into_iter().flatten().map(&mut add).collect()
                };
                own.iter().map(of_one).collect()
            })
            .collect();
        let app_first = names.len();
        names.extend(app.iter().map(ToString::to_string));
        let answered = cores.iter().map(|_| AtomicU32::new(0)).collect();
        let has_several = cores.len() > 1 || cores.iter().flatten().any(|counter| counter.link.is_some());
        let mut first = Vec::new();
        if has_several {
            for (core, (own, adds_to)) in cores.iter().zip(&adds_to).enumerate() {
                first.push(names.len());
                for (counter, sums) in own.iter().zip(adds_to) {
                    for &sum in sums {
                        totals[sum].push(names.len());
                    }
                    names.push(counter.of_core(core, cores.len()));
                }
            }
        } else {
            totals.clear();
            first.push(0);
        }
        let board = Board {
            totals,
            app: app_first,
            first,
            answered,
        };
        (names, board)
    }

    fn publish(&self, table: &Counters, core: usize, own: impl FnOnce(&mut dyn FnMut(Counter))) {
        if let Some(&first) = self.first.get(core) {
            let mut place = first;
            own(&mut |(_, value)| {
                table.publish(place, [value].into_iter());
                place += 1;
            });
        }
    }

    fn add_up(&self, table: &Counters, app: impl Iterator<Item = Counter>) {
        let sum = |places: &Vec<usize>| places.iter().map(|&place| table.value(place)).sum();
        table.publish(0, self.totals.iter().map(sum));
        table.publish(self.app, app.map(|(_, value)| value));
    }
}

#[cfg(test)]
mod tests {
    use super::{Board, CounterName};
    use alloc::vec::Vec;

    fn core(links: usize) -> Vec<CounterName> {
        let own = CounterName {
            link: None,
            name: "core.events",
        };
        let of = |number| CounterName {
            link: (links > 1).then_some(number),
            name: "rx_tcp",
        };
        [own].into_iter().chain((0..links).map(of)).collect()
    }

    #[test]
    fn one_core_on_one_link_has_nothing_to_add_up() {
        let (names, board) = Board::new(&[core(1)], &["app.files"]);
        assert_eq!(names, ["core.events", "rx_tcp", "app.files"]);
        assert!(board.totals.is_empty());
        assert_eq!((board.app, &board.first[..]), (2, &[0][..]));
    }

    #[test]
    fn links_stand_beside_their_total() {
        let (names, board) = Board::new(&[core(2)], &["app.files"]);
        let own = ["core0.events", "link0.rx_tcp", "link1.rx_tcp"];
        assert_eq!(names[..3], ["core.events", "rx_tcp", "app.files"]);
        assert_eq!(names[3..], own);
        assert_eq!(board.totals, [&[3][..], &[4, 5]]);
    }

    #[test]
    fn links_of_several_cores_are_added_up_by_link_and_in_all() {
        let (names, board) = Board::new(&[core(2), core(2)], &[]);
        let place = |name: &str| names.iter().position(|known| known == name).unwrap();
        let sum = |name: &str| {
            let places = &board.totals[place(name)];
            places.iter().map(|&at| names[at].as_str()).collect::<Vec<_>>()
        };
        assert_eq!(sum("core.events"), ["core0.events", "core1.events"]);
        assert_eq!(sum("link1.rx_tcp"), ["core0.link1.rx_tcp", "core1.link1.rx_tcp"]);
        assert_eq!(sum("rx_tcp").len(), 4);
        assert_eq!((place("core1.events"), board.app), (board.first[1], 4));
    }
}
