//! Files in memory, those used least lately given up first, and looked at again from time to time.

use super::{File, Job};
use lru::LruCache;
use std::collections::HashSet;
use std::sync::Arc;

/// The files known, within a limit of memory.
#[derive(Debug)]
pub struct Cache {
    entries: LruCache<Box<str>, Entry>,
    /// Names the loader has been asked about.
    asked: HashSet<Box<str>>,
    bytes: usize,
    limit_bytes: usize,
    /// How long a file is believed to be unchanged.
    valid_ms: u64,
}

#[derive(Debug)]
struct Entry {
    file: Arc<File>,
    weight: usize,
    checked_ms: u64,
}

/// What the cache knows of a name.
#[derive(Debug)]
pub enum Lookup {
    /// As it is.
    Fresh(Arc<File>),
    /// As it was lately; someone should look whether it still is.
    Aging(Arc<File>),
    /// Nothing, or nothing to rely on: the loader will tell, if it has not been asked already by this job.
    Unknown(Option<Job>),
}

impl Cache {
    /// Of `limit_bytes` of memory; files are looked at again every `valid_ms` at most.
    #[must_use]
    pub fn new(limit_bytes: usize, valid_ms: u64) -> Self {
        Cache {
            entries: LruCache::unbounded(),
            asked: HashSet::new(),
            bytes: 0,
            limit_bytes,
            valid_ms,
        }
    }

    /// The file called `name`. One whose last look is a little old is served while the next is under way, so that nobody
    /// waits for a file that is asked for all the time.
    pub fn look_up(&mut self, name: &str, now_ms: u64) -> Lookup {
        let Some(entry) = self.entries.get(name) else {
            return Lookup::Unknown(self.ask(name, None));
        };
        let age_ms = now_ms.saturating_sub(entry.checked_ms);
        let file = Arc::clone(&entry.file);
        if age_ms <= self.valid_ms {
            Lookup::Fresh(file)
        } else if age_ms > self.valid_ms.saturating_mul(2) {
            Lookup::Unknown(self.ask(name, Some(&file)))
        } else if self.asked.insert(name.into()) {
            Lookup::Aging(file)
        } else {
            Lookup::Fresh(file)
        }
    }

    fn ask(&mut self, name: &str, known: Option<&File>) -> Option<Job> {
        let first = self.asked.insert(name.into());
        first.then(|| Job::Load {
            name: name.to_owned(),
            known: known.map(|file| file.stamp),
        })
    }

    /// Keeps `file`, and gives up others if that needs room; returns how many. One that alone is above the limit is not
    /// kept.
    pub fn insert(&mut self, name: &str, file: Arc<File>, now_ms: u64) -> u64 {
        self.remove(name);
        let weight = file.weight() + name.len() + size_of::<Entry>();
        if weight > self.limit_bytes {
            return 0;
        }
        let mut evicted = 0;
        while self.bytes + weight > self.limit_bytes
            && let Some((_, entry)) = self.entries.pop_lru()
        {
            self.bytes -= entry.weight;
            evicted += 1;
        }
        self.bytes += weight;
        let entry = Entry {
            file,
            weight,
            checked_ms: now_ms,
        };
        self.entries.put(name.into(), entry);
        evicted
    }

    /// The file called `name` has been found unchanged.
    pub fn confirm(&mut self, name: &str, now_ms: u64) -> Option<Arc<File>> {
        self.asked.remove(name);
        let entry = self.entries.get_mut(name)?;
        entry.checked_ms = now_ms;
        Some(Arc::clone(&entry.file))
    }

    /// There is no such file any more.
    pub fn remove(&mut self, name: &str) {
        self.asked.remove(name);
        if let Some(entry) = self.entries.pop(name) {
            self.bytes -= entry.weight;
        }
    }

    /// Bytes of memory in use.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many files there are.
    #[must_use]
    pub fn files(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{Cache, Lookup};
    use crate::site::{Content, File, Stamp};
    use std::sync::Arc;
    use std::time::SystemTime;

    fn file(len: u16) -> Arc<File> {
        let stamp = Stamp {
            len: len.into(),
            modified: SystemTime::UNIX_EPOCH,
        };
        let content = Content::Whole(vec![0; len.into()].into());
        Arc::new(File::new("a", stamp, content))
    }

    #[test]
    fn the_least_recently_used_make_room() {
        let mut cache = Cache::new(35_000, 1_000);
        for name in ["a", "b", "c"] {
            assert_eq!(cache.insert(name, file(10_000), 0), 0);
        }
        assert!(matches!(cache.look_up("a", 0), Lookup::Fresh(_)));
        assert_eq!(cache.insert("d", file(12_000), 0), 1);
        assert!(matches!(cache.look_up("b", 0), Lookup::Unknown(Some(_))));
        assert!(matches!(cache.look_up("a", 0), Lookup::Fresh(_)));
        assert_eq!(cache.insert("huge", file(36_000), 0), 0);
        assert_eq!(cache.files(), 3);
        assert!(cache.bytes() <= 35_000);
        for name in ["a", "c", "d"] {
            cache.remove(name);
        }
        assert_eq!((cache.bytes(), cache.files()), (0, 0));
    }

    #[test]
    fn a_file_ages_and_is_looked_at_once() {
        let mut cache = Cache::new(100_000, 1_000);
        assert!(matches!(cache.look_up("a", 0), Lookup::Unknown(Some(_))));
        assert!(
            matches!(cache.look_up("a", 0), Lookup::Unknown(None)),
            "asked already"
        );
        cache.insert("a", file(10), 0);
        assert!(matches!(cache.look_up("a", 1_000), Lookup::Fresh(_)));
        assert!(matches!(cache.look_up("a", 1_001), Lookup::Aging(_)));
        assert!(
            matches!(cache.look_up("a", 1_001), Lookup::Fresh(_)),
            "asked already"
        );
        assert!(cache.confirm("a", 1_100).is_some());
        assert!(matches!(cache.look_up("a", 2_100), Lookup::Fresh(_)));
        assert!(
            matches!(cache.look_up("a", 9_000), Lookup::Unknown(Some(_))),
            "too old to be relied on"
        );
    }
}
