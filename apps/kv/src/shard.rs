//! One core: its store, its ends of the channels to the others, and what it counts.

use crate::across::{Answer, Ask, Links, Message};
use crate::connection::Connection;
use crate::replies::Replies;
use crate::snapshot::{Snapshot, Traffic};
use crate::store::{Clock, Key, KeyHasher, Limits, Slot, Store};

/// What the server was started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes that all cores together may keep.
    pub memory: usize,
    /// Bytes of one item.
    pub item: usize,
    /// Connections at a time.
    pub connections: u32,
    /// TCP port.
    pub port: u16,
    /// UDP port; 0 is none.
    pub udp_port: u16,
    /// How much is said on standard error, from 0.
    pub verbosity: u32,
}

/// The part of the server that belongs to one core.
pub struct Shard {
    pub(crate) store: Store,
    pub(crate) settings: Settings,
    pub(crate) traffic: Traffic,
    hasher: KeyHasher,
    links: Links,
}

/// An answer for one of this core's clients.
pub struct Arrival {
    /// The client, as it was made.
    pub client: u64,
    pub(crate) part: usize,
    pub(crate) answer: Answer,
}

impl Shard {
    /// The only one.
    #[must_use]
    pub fn alone(settings: Settings, clock: Clock) -> Self {
        let links = Links::between(1);
        let mut shards = links.into_iter().map(|links| {
            let settings = settings.clone();
            Shard::new(settings, clock, KeyHasher::new(), links)
        });
        shards.next().expect("one link")
    }

    /// One of several: all have the same `hasher`.
    #[must_use]
    pub fn new(settings: Settings, clock: Clock, hasher: KeyHasher, links: Links) -> Self {
        let limits = Limits {
            memory: settings.memory / links.cores(),
            item: settings.item,
        };
        Shard {
            store: Store::new(limits, clock),
            settings,
            traffic: Traffic::default(),
            hasher,
            links,
        }
    }

    #[inline]
    pub(crate) fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        Key {
            bytes,
            hash: self.hasher.hash(bytes),
        }
    }

    /// The core that has `key`, unless it is this one.
    #[inline]
    pub(crate) fn elsewhere(&self, key: Key<'_>) -> Option<usize> {
        self.links.elsewhere(key.hash)
    }

    pub(crate) fn cores(&self) -> usize {
        self.links.cores()
    }

    pub(crate) fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let here = self.links.here();
        (0..self.links.cores()).filter(move |core| *core != here)
    }

    pub(crate) fn links(&self) -> &Links {
        &self.links
    }

    /// Works on what other cores have sent, until there is an answer for a client of this one.
    pub fn hear(&mut self, worker: &mut Worker) -> Option<Arrival> {
        while let Some(message) = self.links.receive() {
            match message {
                Message::Ask {
                    from,
                    client,
                    part,
                    ask,
                } => {
                    let answer = self.answer(ask, worker);
                    let message = Message::Answer { client, part, answer };
                    self.links.send(from, message);
                }
                Message::Forget(key) => {
                    let key = self.key(&key);
                    self.forget(key);
                }
                Message::Answer { client, part, answer } => {
                    return Some(Arrival { client, part, answer });
                }
            }
        }
        None
    }

    fn answer(&mut self, ask: Ask, worker: &mut Worker) -> Answer {
        match ask {
            Ask::Command(command) => return Answer::Bytes(worker.carry_out(&command, self)),
            Ask::Flush(exptime) => self.store.flush(exptime),
            Ask::Snapshot => return Answer::Snapshot(Box::new(self.snapshot())),
            Ask::ResetStats => self.reset_stats(),
            Ask::MemoryLimit(bytes) => self.store.set_memory_limit(bytes),
        }
        Answer::Done
    }

    /// It is now `uptime` seconds after the start.
    pub fn set_uptime(&mut self, uptime: u64) {
        self.store.set_uptime(uptime);
    }

    /// Looks at up to `count` items for expired ones.
    pub fn crawl(&mut self, count: u32) {
        self.store.crawl(count);
    }

    /// Sets the expiry of an item, as `touch` does.
    pub(crate) fn touch(&mut self, key: Key<'_>, exptime: i64) -> Option<Slot> {
        let store = &mut self.store;
        store.counters.cmd_touch += 1;
        let expiry = store.clock.expiry(exptime);
        let Some(slot) = store.find(key) else {
            store.counters.touch_misses += 1;
            return None;
        };
        store.counters.touch_hits += 1;
        store.item_mut(slot)?.expiry = expiry;
        store.bump(slot);
        Some(slot)
    }

    /// Removes an item whose successor was refused, wherever it is.
    pub(crate) fn forget(&mut self, key: Key<'_>) {
        if let Some(core) = self.elsewhere(key) {
            self.links.send(core, Message::Forget(key.bytes.to_vec()));
            return;
        }
        if let Some(slot) = self.store.find(key) {
            self.store.unlink(slot);
        }
    }

    /// Counts a get, or a touch, that found something or did not.
    pub(crate) fn count_get(&mut self, hit: bool, touches: bool) {
        let counters = &mut self.store.counters;
        let (commands, outcome) = match (touches, hit) {
            (true, true) => (&mut counters.cmd_touch, &mut counters.touch_hits),
            (true, false) => (&mut counters.cmd_touch, &mut counters.touch_misses),
            (false, true) => (&mut counters.cmd_get, &mut counters.get_hits),
            (false, false) => (&mut counters.cmd_get, &mut counters.get_misses),
        };
        *commands += 1;
        *outcome += 1;
    }

    pub(crate) fn set_verbosity(&mut self, level: u32) {
        self.settings.verbosity = level.min(2);
    }

    pub(crate) fn reset_stats(&mut self) {
        self.store.counters = crate::store::Counters::default();
        self.traffic.reset();
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot::of(self)
    }
}

/// Carries out what other cores ask.
#[derive(Default)]
pub struct Worker {
    replies: Replies,
}

impl Worker {
    fn carry_out(&mut self, command: &[u8], shard: &mut Shard) -> Vec<u8> {
        // Its keys are this core's, so it waits for nobody.
        let mut connection = Connection::new(u64::MAX);
        let mut reply = Vec::new();
        let mut rest = command;
        while !rest.is_empty() {
            let taken = connection.receive(rest, shard, &mut self.replies);
            rest = &rest[taken..];
            reply.extend(self.replies.flat());
            self.replies.clear();
            if taken == 0 {
                break;
            }
        }
        connection.end(shard);
        reply
    }
}
