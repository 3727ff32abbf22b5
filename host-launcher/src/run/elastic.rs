//! `--elastic`: a run gets another core when packets wait for those it has, and gives one back when the others can do
//! its work (as IX's control plane does). [`Policy`] decides; [`Elastic`] looks at the counters for it and tells the kernel.

use ix_abi::host::HostArea;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(100);

/// Packets that wait for longer than this, on the mean, wait for a core.
const LONG_WAIT_NS: u64 = 100_000;
/// A core with less to do does not need help, however long packets seem to wait: it may have been the host that was slow.
const BUSY: f64 = 0.7;
/// So busy may the cores be that are left when one goes.
const BUSY_AFTER: f64 = 0.5;
/// For so many looks in a row it must have been so: cores come quickly and go slowly.
const LOOKS_UP: u32 = 2;
const LOOKS_DOWN: u32 = 20;

/// What one core did between two looks.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Load {
    /// Share of the time for which it had something to do.
    busy: f64,
    /// For how long packets waited for it, on the mean.
    wait_ns: u64,
}

/// How many cores a run should work on.
#[derive(Clone, Copy, Debug, Default)]
struct Policy {
    looks_up: u32,
    looks_down: u32,
}

impl Policy {
    /// How many of `most` cores, having seen what those at work did.
    fn decide(&mut self, loads: &[Load], most: usize) -> usize {
        let active = loads.len();
        let is_short = loads
            .iter()
            .any(|load| load.busy > BUSY && load.wait_ns > LONG_WAIT_NS);
        let work: f64 = loads.iter().map(|load| load.busy).sum();
        let left = u32::try_from(active.saturating_sub(1)).unwrap_or(u32::MAX);
        let is_idle = work < f64::from(left) * BUSY_AFTER;
        self.looks_up = if is_short && active < most {
            self.looks_up + 1
        } else {
            0
        };
        self.looks_down = if is_idle && !is_short {
            self.looks_down + 1
        } else {
            0
        };
        let decided = if self.looks_up >= LOOKS_UP {
            active + 1
        } else if self.looks_down >= LOOKS_DOWN {
            active - 1
        } else {
            return active;
        };
        *self = Policy::default();
        decided
    }
}

/// Counters of a core that a [`Load`] is made from.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    idle_ns: u64,
    wait_ns: u64,
    batches: u64,
}

impl Seen {
    fn since(self, before: Seen, elapsed: Duration) -> Load {
        let idle = Duration::from_nanos(self.idle_ns.saturating_sub(before.idle_ns));
        let batches = self.batches.saturating_sub(before.batches);
        Load {
            busy: 1.0 - idle.div_duration_f64(elapsed).min(1.0),
            wait_ns: self.wait_ns.saturating_sub(before.wait_ns) / batches.max(1),
        }
    }
}

/// The policy at work on a run.
pub(super) struct Elastic {
    most: u16,
    policy: Policy,
    due: Instant,
    /// What was seen at the last look, when that was, and how many cores were at work.
    before: Option<(Vec<Seen>, Instant, u32)>,
}

impl Elastic {
    /// For a run of at most so many cores.
    pub(super) fn new(most: u16) -> Self {
        Elastic {
            most,
            policy: Policy::default(),
            due: Instant::now(),
            before: None,
        }
    }

    /// When it wants to look again.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Looks, if it is time. What it sees is what the kernel has answered since it looked last.
    pub(super) fn look(&mut self, area: &HostArea, now: Instant) {
        if now < self.due {
            return;
        }
        self.due = now + INTERVAL;
        let active = area.cores_active.load(Ordering::Acquire);
        let seen = see(area, self.most);
        area.counters.requested.fetch_add(1, Ordering::AcqRel);
        let before = self.before.replace((seen.clone(), now, active));
        // While cores move, what is seen is nobody's in particular.
        let Some((before, at, same)) = before.filter(|(_, _, before)| *before == active) else {
            return;
        };
        if active == 0 || active != area.cores_wanted.load(Ordering::Acquire) {
            return;
        }
        let elapsed = now.saturating_duration_since(at);
        let pairs = seen.iter().zip(&before).take(same as usize);
        let loads: Vec<Load> = pairs.map(|(seen, before)| seen.since(*before, elapsed)).collect();
        let decided = self.policy.decide(&loads, self.most.into());
        if let Ok(decided) = u32::try_from(decided)
            && decided != active
        {
            area.cores_wanted.store(decided, Ordering::Release);
        }
    }
}

/// The counters of each core, as the kernel has written them last.
fn see(area: &HostArea, most: u16) -> Vec<Seen> {
    let counters: HashMap<Vec<u8>, u64> = area
        .counters
        .read()
        .map(|(name, value)| {
            let text = name.split(|&byte| byte == 0).next().unwrap_or_default();
            (text.to_vec(), value)
        })
        .collect();
    let value = |core, name| {
        let name = format!("core{core}.{name}").into_bytes();
        counters.get(&name).copied().unwrap_or(0)
    };
    (0..most)
        .map(|core| Seen {
            idle_ns: value(core, "idle_ns"),
            wait_ns: value(core, "rx_wait_ns"),
            batches: value(core, "rx_batches"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Load, Policy, Seen};
    use std::time::Duration;

    const CROWDED: Load = Load {
        busy: 0.95,
        wait_ns: 400_000,
    };
    const EASY: Load = Load {
        busy: 0.6,
        wait_ns: 20_000,
    };
    const QUIET: Load = Load {
        busy: 0.02,
        wait_ns: 3_000,
    };

    /// How many cores there are after each look, all cores being so busy.
    fn looks(policy: &mut Policy, load: Load, active: &mut usize, count: usize) {
        for _ in 0..count {
            let loads = vec![load; *active];
            *active = policy.decide(&loads, 4);
        }
    }

    #[test]
    fn a_core_comes_when_packets_wait_twice_in_a_row() {
        let (mut policy, mut active) = (Policy::default(), 1);
        for load in [CROWDED, EASY, CROWDED] {
            looks(&mut policy, load, &mut active, 1);
        }
        assert_eq!(active, 1, "not twice in a row");
        looks(&mut policy, CROWDED, &mut active, 1);
        assert_eq!(active, 2);
        looks(&mut policy, CROWDED, &mut active, 20);
        assert_eq!(active, 4, "as many as there are");
    }

    #[test]
    fn a_core_goes_when_the_others_have_been_enough_for_long() {
        let (mut policy, mut active) = (Policy::default(), 4);
        looks(&mut policy, QUIET, &mut active, 19);
        looks(&mut policy, EASY, &mut active, 1);
        looks(&mut policy, QUIET, &mut active, 19);
        assert_eq!(active, 4, "it was not quiet for long");
        looks(&mut policy, QUIET, &mut active, 1);
        assert_eq!(active, 3);
        looks(&mut policy, QUIET, &mut active, 200);
        assert_eq!(active, 1, "one stays");
    }

    #[test]
    fn what_makes_a_core_come_does_not_let_it_go_at_once() {
        // The work of one core that was all busy, on two.
        let half = Load {
            busy: 0.5,
            wait_ns: 10_000,
        };
        let (mut policy, mut active) = (Policy::default(), 2);
        looks(&mut policy, half, &mut active, 100);
        assert_eq!(active, 2);
    }

    #[test]
    fn a_slow_host_is_no_reason_for_more_cores() {
        let stalled = Load {
            busy: 0.3,
            wait_ns: 5_000_000,
        };
        let (mut policy, mut active) = (Policy::default(), 1);
        looks(&mut policy, stalled, &mut active, 10);
        assert_eq!(active, 1);
    }

    #[test]
    fn loads_are_what_counters_grew_by() {
        let before = Seen {
            idle_ns: 1_000_000,
            wait_ns: 5_000,
            batches: 10,
        };
        let now = Seen {
            idle_ns: 26_000_000,
            wait_ns: 45_000,
            batches: 30,
        };
        let load = now.since(before, Duration::from_millis(100));
        assert_eq!((load.busy, load.wait_ns), (0.75, 2_000));
        let idle = before.since(before, Duration::from_millis(100));
        assert_eq!((idle.busy, idle.wait_ns), (1.0, 0));
    }
}
