//! The IPv6 addresses of connections: each pair of a local and a remote one stands in a table once, and is named by a
//! number for as long as a connection uses it.

use super::hash_index::HashIndex;
use crate::ends::Ends;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::Ipv6Addr;

/// The number of a pair, below 2^28.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PairId(pub(crate) u32);

/// The addresses of two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) local: Ipv6Addr,
    pub(crate) remote: Ipv6Addr,
}

impl From<Pair> for Ends {
    fn from(Pair { local, remote }: Pair) -> Self {
        Ends::V6 { local, remote }
    }
}

impl Pair {
    const NONE: Pair = Pair {
        local: Ipv6Addr::UNSPECIFIED,
        remote: Ipv6Addr::UNSPECIFIED,
    };
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    pair: Pair,
    hash: u32,
    /// Connections that use it; 0: the place is free.
    users: u32,
}

/// The table.
#[derive(Debug)]
pub(crate) struct Pairs {
    entries: Box<[Entry]>,
    free: Vec<u32>,
    index: HashIndex,
}

impl Pairs {
    /// Room for `capacity` pairs.
    pub(crate) fn new(capacity: u32) -> Self {
        let capacity = capacity.min(1 << 28);
        let vacant = Entry {
            pair: Pair::NONE,
            hash: 0,
            users: 0,
        };
        Pairs {
            entries: (0..capacity).map(|_| vacant).collect(),
            free: (0..capacity).rev().collect(),
            index: HashIndex::new(capacity),
        }
    }

    /// The number of a pair that is in use, whose place in the index is `hash`.
    pub(crate) fn find(&self, hash: u32, pair: &Pair) -> Option<PairId> {
        let at = self.index.find(hash, |at| {
            self.entries
                .get(at as usize)
                .is_some_and(|entry| entry.pair == *pair)
        })?;
        Some(PairId(at))
    }

    /// The number of a pair, for one more connection; `None` if the table is full. [`Pairs::release`] ends it.
    pub(crate) fn hold(&mut self, hash: u32, pair: Pair) -> Option<PairId> {
        let PairId(at) = match self.find(hash, &pair) {
            Some(id) => id,
            None => {
                let at = self.free.pop()?;
                self.index.insert(hash, at);
                PairId(at)
            }
        };
        let entry = self.entries.get_mut(at as usize)?;
        *entry = Entry {
            pair,
            hash,
            users: entry.users + 1,
        };
        Some(PairId(at))
    }

    /// A connection that held it is gone.
    pub(crate) fn release(&mut self, id: PairId) {
        let PairId(at) = id;
        if let Some(entry) = self.entries.get_mut(at as usize)
            && entry.users > 0
        {
            entry.users -= 1;
            if entry.users == 0 {
                self.index.remove(entry.hash, at);
                self.free.push(at);
            }
        }
    }

    /// The addresses of a pair in use.
    pub(crate) fn get(&self, id: PairId) -> Pair {
        self.entries
            .get(id.0 as usize)
            .map_or(Pair::NONE, |entry| entry.pair)
    }

    /// Pairs in use.
    pub(crate) fn used(&self) -> usize {
        self.entries.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{Pair, Pairs};
    use core::net::Ipv6Addr;

    fn pair(last: u16) -> Pair {
        Pair {
            local: Ipv6Addr::LOCALHOST,
            remote: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last),
        }
    }

    #[test]
    fn a_pair_has_one_number_as_long_as_somebody_uses_it() {
        let mut pairs = Pairs::new(2);
        let one = pairs.hold(7, pair(1)).unwrap();
        assert_eq!(pairs.hold(7, pair(1)), Some(one));
        let two = pairs.hold(7, pair(2)).unwrap();
        assert_ne!(one, two);
        assert_eq!(pairs.hold(7, pair(3)), None);
        pairs.release(one);
        assert_eq!(pairs.find(7, &pair(1)), Some(one));
        assert_eq!(pairs.get(two), pair(2));
        pairs.release(one);
        pairs.release(one);
        assert_eq!((pairs.find(7, &pair(1)), pairs.used()), (None, 1));
        assert!(pairs.hold(8, pair(3)).is_some());
    }
}
