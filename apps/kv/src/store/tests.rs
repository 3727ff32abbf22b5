use super::{
    Clock, Commit, Delta, DeltaOutcome, Direction, Key, KeyHasher, Limits, Mode, Outcome, Refusal, Store,
};
use proptest::prelude::*;
use std::collections::HashMap;
use std::rc::Rc;

const LIMITS: Limits = Limits {
    memory: 4 << 20,
    item: 1 << 20,
};

struct Bench {
    store: Store,
    hasher: KeyHasher,
    uptime: u64,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        Bench {
            store: Store::new(limits, Clock::starting_at(1_700_000_000)),
            hasher: KeyHasher::new(),
            uptime: 0,
        }
    }

    fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        Key {
            bytes,
            hash: self.hasher.hash(bytes),
        }
    }

    fn put(&mut self, mode: Mode, key: &[u8], value: &[u8], exptime: i64) -> Result<Outcome, Refusal> {
        let key = self.key(key);
        let mut draft = self.store.draft(key, 7, value.len())?;
        assert_eq!(draft.fill(value), value.len());
        let expiry = self.store.clock.expiry(exptime);
        Ok(self.store.commit(draft, Commit::new(mode, expiry)))
    }

    fn set(&mut self, key: &[u8], value: &[u8]) {
        let outcome = self.put(Mode::Set, key, value, 0).unwrap();
        assert!(matches!(outcome, Outcome::Stored { .. }));
    }

    fn get(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let key = self.key(key);
        self.store.fetch(key).map(|item| item.value().to_vec())
    }

    fn pass(&mut self, seconds: u64) {
        self.uptime += seconds;
        self.store.set_uptime(self.uptime);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(Mode, u8, Vec<u8>, i64),
    Get(u8),
    Delete(u8),
    Add(u8, u64, Direction),
    Touch(u8, i64),
    Pass(u64),
    Flush(i64),
    Crawl,
}

fn step() -> impl Strategy<Value = Step> {
    let mode = prop::sample::select(vec![
        Mode::Set,
        Mode::Set,
        Mode::Add,
        Mode::Replace,
        Mode::Append,
        Mode::Prepend,
    ]);
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        (0..1000u32).prop_map(|number| number.to_string().into_bytes()),
    ];
    let exptime = prop::sample::select(vec![0, 0, -1, 3, 10, 1_700_000_005, 2_592_001]);
    let direction = prop::sample::select(vec![Direction::Up, Direction::Down]);
    prop_oneof![
        6 => (mode, 0..8u8, value, exptime.clone()).prop_map(|(mode, key, value, exptime)| Step::Put(mode, key, value, exptime)),
        6 => (0..8u8).prop_map(Step::Get),
        1 => (0..8u8).prop_map(Step::Delete),
        2 => (0..8u8, 0..1500u64, direction).prop_map(|(key, amount, direction)| Step::Add(key, amount, direction)),
        1 => (0..8u8, exptime).prop_map(|(key, exptime)| Step::Touch(key, exptime)),
        2 => (1..4u64).prop_map(Step::Pass),
        1 => prop::sample::select(vec![0, 2]).prop_map(Step::Flush),
        1 => Just(Step::Crawl),
    ]
}

/// A store as one would write it without a thought for memory.
#[derive(Default)]
struct Model {
    items: HashMap<u8, (Vec<u8>, Option<i64>)>,
    now: i64,
    flush_at: Option<i64>,
}

impl Model {
    fn expiry(&self, exptime: i64) -> Option<i64> {
        match exptime {
            0 => None,
            ..0 => Some(i64::MIN),
            1..=2_592_000 => Some(self.now + exptime),
            _ => Some(exptime - 1_700_000_000),
        }
    }

    fn expire(&mut self) {
        let now = self.now;
        if self.flush_at.is_some_and(|at| at <= now) {
            self.flush_at = None;
            self.items.clear();
        }
        self.items
            .retain(|_, (_, expiry)| expiry.is_none_or(|at| at > now));
    }

    fn put(&mut self, mode: Mode, key: u8, value: Vec<u8>, exptime: i64) -> bool {
        let expiry = self.expiry(exptime);
        let old = self.items.get(&key).cloned();
        let new = match (mode, old) {
            (Mode::Set, _) | (Mode::Add, None) | (Mode::Replace, Some(_)) => (value, expiry),
            (Mode::Append, Some((old, expiry))) => ([old, value].concat(), expiry),
            (Mode::Prepend, Some((old, expiry))) => ([value, old].concat(), expiry),
            _ => return false,
        };
        self.items.insert(key, new);
        true
    }

    fn add(&mut self, key: u8, amount: u64, direction: Direction) -> Option<u64> {
        let (value, _) = self.items.get_mut(&key)?;
        let before = crate::number::unsigned(value)?;
        let after = match direction {
            Direction::Up => before.wrapping_add(amount),
            Direction::Down => before.saturating_sub(amount),
        };
        let mut text = after.to_string().into_bytes();
        text.resize(text.len().max(value.len()), b' ');
        *value = text;
        Some(after)
    }
}

proptest! {
    #[test]
    fn the_store_is_a_map_with_an_end_to_each_entry(steps in prop::collection::vec(step(), 0..120)) {
        let mut bench = Bench::new(LIMITS);
        let mut model = Model::default();
        // What clients are being sent must not change under them.
        let mut sending: Vec<(Rc<[u8]>, Vec<u8>)> = Vec::new();
        for step in steps {
            match step {
                Step::Put(mode, key, value, exptime) => {
                    let outcome = bench.put(mode, &[b'k', key], &value, exptime).unwrap();
                    let stored = model.put(mode, key, value, exptime);
                    prop_assert_eq!(matches!(outcome, Outcome::Stored { .. }), stored);
                }
                Step::Get(key) => {
                    let bytes = [b'k', key];
                    let value = bench.get(&bytes);
                    prop_assert_eq!(value, model.items.get(&key).map(|(value, _)| value.clone()));
                    let key = bench.key(&bytes);
                    if let Some(item) = bench.store.fetch(key) {
                        sending.push((Rc::clone(&item.chunk), item.chunk.to_vec()));
                    }
                }
                Step::Delete(key) => {
                    let bytes = [b'k', key];
                    let slot = bench.store.find(bench.key(&bytes));
                    prop_assert_eq!(slot.is_some(), model.items.remove(&key).is_some());
                    if let Some(slot) = slot {
                        bench.store.unlink(slot);
                    }
                }
                Step::Add(key, amount, direction) => {
                    let bytes = [b'k', key];
                    let delta = Delta { direction, amount, cas: 0, new_cas: None, initial: None };
                    let outcome = match bench.store.add_delta(bench.key(&bytes), delta) {
                        DeltaOutcome::Changed { value, .. } => Some(value),
                        _ => None,
                    };
                    prop_assert_eq!(outcome, model.add(key, amount, direction));
                }
                Step::Touch(key, exptime) => {
                    let bytes = [b'k', key];
                    let expiry = bench.store.clock.expiry(exptime);
                    if let Some(slot) = bench.store.find(bench.key(&bytes)) {
                        bench.store.item_mut(slot).unwrap().expiry = expiry;
                    }
                    let expiry = model.expiry(exptime);
                    if let Some(item) = model.items.get_mut(&key) {
                        item.1 = expiry;
                    }
                }
                Step::Pass(seconds) => {
                    bench.pass(seconds);
                    model.now += i64::try_from(seconds).unwrap();
                }
                Step::Flush(delay) => {
                    bench.store.flush(delay);
                    model.flush_at = Some(model.now + delay);
                }
                Step::Crawl => bench.store.crawl(1_000),
            }
            model.expire();
            for (chunk, copy) in &sending {
                prop_assert_eq!(&chunk[..], &copy[..]);
            }
            if sending.len() > 5 {
                sending.remove(0);
            }
        }
        bench.store.crawl(2_000);
        prop_assert_eq!(bench.store.len(), model.items.len());
        prop_assert_eq!(bench.store.class_uses().map(|class| class.used).sum::<usize>(), model.items.len());
    }
}

#[test]
fn memory_is_bounded_and_the_least_asked_for_goes_first() {
    let mut bench = Bench::new(LIMITS);
    for number in 0..50_000u32 {
        bench.set(&number.to_be_bytes(), &[b'v'; 100]);
        // One that is asked for all the time.
        assert!(bench.get(&0u32.to_be_bytes()).is_some(), "at {number}");
        assert!(bench.store.allocated() <= LIMITS.memory);
    }
    assert!(bench.store.counters.evictions > 0);
    assert!(bench.store.len() > 10_000, "{}", bench.store.len());
    assert!(bench.get(&1u32.to_be_bytes()).is_none());
    assert!(bench.get(&49_999u32.to_be_bytes()).is_some());
}

#[test]
fn memory_goes_where_the_items_are_whatever_their_sizes_were() {
    let mut bench = Bench::new(LIMITS);
    for (round, len) in [50, 5_000, 200, 900_000, 1_000].into_iter().enumerate() {
        for number in 0..(3 * LIMITS.memory / (len + 200)) {
            bench.set(format!("{round}.{number}").as_bytes(), &vec![b'v'; len]);
            assert!(bench.store.allocated() <= LIMITS.memory);
        }
        let full = bench.store.len() * (len + 300);
        assert!(
            full > LIMITS.memory / 2,
            "only {full} bytes used for items of {len}"
        );
    }
}

#[test]
fn what_is_being_sent_is_neither_reused_nor_forgotten() {
    let limits = Limits {
        memory: 1 << 20,
        item: 300 << 10,
    };
    let mut bench = Bench::new(limits);
    let mut sending = Vec::new();
    let refused = (0..10u8).find(|number| {
        let key = [*number];
        if bench.put(Mode::Set, &key, &[*number; 250 << 10], 0) == Err(Refusal::NoMemory) {
            return true;
        }
        let key = bench.key(&key);
        sending.push(Rc::clone(&bench.store.fetch(key).unwrap().chunk));
        false
    });
    assert!(matches!(refused, Some(3..=4)), "{refused:?}");
    for (number, chunk) in (0..).zip(&sending) {
        assert!(chunk.iter().filter(|byte| **byte == number).count() >= 250 << 10);
    }
    sending.clear();
    bench.set(b"x", &[9; 250 << 10]);
}

#[test]
fn a_draft_given_up_leaves_nothing() {
    let mut bench = Bench::new(LIMITS);
    for _ in 0..100 {
        let draft = bench.store.draft(bench.key(b"k"), 0, 1_000_000).unwrap();
        bench.store.discard(draft);
    }
    assert!(bench.get(b"k").is_none());
    assert_eq!(bench.store.class_uses().map(|class| class.used).sum::<usize>(), 0);
}

#[test]
fn no_flush_is_forgotten_however_many_there_are() {
    let mut bench = Bench::new(LIMITS);
    bench.set(b"k", b"v");
    for _ in 0..=u16::MAX {
        bench.store.flush(0);
    }
    assert!(bench.get(b"k").is_none());
}

#[test]
fn expired_items_go_without_being_asked_for() {
    let mut bench = Bench::new(LIMITS);
    for number in 0..5_000u32 {
        let exptime = if number % 2 == 0 { 10 } else { 0 };
        bench
            .put(Mode::Set, &number.to_be_bytes(), b"value", exptime)
            .unwrap();
    }
    bench.store.crawl(10_000);
    assert_eq!(bench.store.len(), 5_000);
    bench.pass(10);
    for _ in 0..20 {
        bench.store.crawl(300);
    }
    assert_eq!(bench.store.len(), 2_500);
    assert_eq!(bench.store.counters.crawler_reclaimed, 2_500);
}
