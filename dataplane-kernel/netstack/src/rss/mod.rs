//! Which core a packet is for, when several share an interface: receive-side scaling, done in software as cards do it. The
//! hash of a packet's addresses and ports is looked up in a table of 128 entries, each of which names a core. All
//! packets of a flow hash alike, so a flow has one core, its *home*; the flows of one entry are a *group* and go together.
//!
//! The table has one owner, [`Steering`]. A card that looks in a table of its own is a follower: it is given a copy after
//! each change.

mod toeplitz;
pub use toeplitz::{KEY_BYTES, Key, Toeplitz};

mod frame;
pub use frame::{Target, target};

use crate::SharedLease;
use crate::ends::Ends;
use crate::tcp::tuple::Ports;
use alloc::sync::Arc;
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// Entries of the table (virtio 1.2, section 5.1.4.1: at least as many).
pub const ENTRIES: usize = 128;

/// The core of each group.
pub type Table = [u8; ENTRIES];

/// The hash and the table, as all cores of an interface share them. Only read, but when cores come and go.
#[derive(Debug)]
pub struct Steering {
    key: Key,
    hash: Toeplitz,
    entries: [AtomicU8; ENTRIES],
    /// Changes made to the entries; wraps.
    changes: AtomicU32,
    /// Cores that have said they will take flows, a bit for each.
    offered: AtomicU64,
    /// The cores that the entries name; 0: it is not decided, and core 0 gets everything.
    settled: AtomicU64,
}

impl Steering {
    /// Everything goes to core 0.
    #[must_use]
    pub fn new(key: &Key) -> Self {
        Steering {
            key: *key,
            hash: Toeplitz::new(key),
            entries: [const { AtomicU8::new(0) }; ENTRIES],
            changes: AtomicU32::new(0),
            offered: AtomicU64::new(0),
            settled: AtomicU64::new(0),
        }
    }

    /// `core`, below 64, will take flows, if the table is not settled.
    pub fn offer(&self, core: u8) {
        self.offered.fetch_or(1 << (core % 64), Ordering::AcqRel);
    }

    /// Spreads the entries evenly over the cores that have been offered; once. To be called before the first socket is
    /// opened: flows do not move afterwards.
    pub fn settle(&self) {
        let offered = self.offered.load(Ordering::Acquire).max(1);
        if self
            .settled
            .compare_exchange(0, offered, Ordering::AcqRel, Ordering::Relaxed)
            .is_err()
        {
            return;
        }
        let cores = (0..64u8).filter(|core| offered & 1 << core != 0).cycle();
        for (entry, core) in self.entries.iter().zip(cores) {
            entry.store(core, Ordering::Relaxed);
        }
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// From now on the flows of `group`, below [`ENTRIES`], are `core`'s. What is under way to the core they had still gets there:
    /// moving their state, and the frames between, is the caller's business.
    pub fn set_group(&self, group: u8, core: u8) {
        if let Some(entry) = self.entries.get(usize::from(group)) {
            entry.store(core, Ordering::Relaxed);
            self.changes.fetch_add(1, Ordering::Release);
        }
    }

    /// The group of the flows that `hash` alike.
    #[inline]
    #[must_use]
    pub const fn group_of(hash: u32) -> u8 {
        // As a card does: the low bits are the place in the table.
        const _: () = assert!(ENTRIES == 1 << 7);
        hash.to_le_bytes()[0] & 0x7f
    }

    /// All entries, and the number of changes that made them what they are.
    #[must_use]
    pub fn table(&self) -> (Table, u32) {
        let changes = self.changes();
        let entry = |group: usize| self.entries[group].load(Ordering::Relaxed);
        (core::array::from_fn(entry), changes)
    }

    /// How often the table has been changed; wraps. Whoever has a copy compares.
    #[inline]
    #[must_use]
    pub fn changes(&self) -> u32 {
        self.changes.load(Ordering::Acquire)
    }

    /// The key of the hash.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The core that `hash` leads to.
    #[inline]
    #[must_use]
    pub fn core_of(&self, hash: u32) -> u8 {
        self.entries[usize::from(Self::group_of(hash))].load(Ordering::Relaxed)
    }

    /// The core that gets what `remote` sends to `local`.
    #[must_use]
    pub fn home_of(&self, remote: SocketAddr, local: SocketAddr) -> u8 {
        let ports = (remote.port(), local.port());
        self.core_of(match (remote.ip(), local.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => self.hash.ports(from.octets(), to.octets(), ports),
            (IpAddr::V6(from), IpAddr::V6(to)) => self.hash.ports(from.octets(), to.octets(), ports),
            _ => 0,
        })
    }
}

/// A stack's place among several of one interface.
#[derive(Clone, Debug)]
pub struct Home {
    /// What they share.
    pub steering: Arc<Steering>,
    /// Its core. That of core 0 speaks for the host: it answers who asks for our addresses, probes them, and asks DHCP servers.
    pub core: u8,
    /// What a server has given that one.
    pub lease: Arc<SharedLease>,
}

impl Home {
    /// What comes back over a connection between these ends comes to this core.
    pub(crate) fn is_of(&self, ends: &Ends, ports: Ports) -> bool {
        let local = SocketAddr::new(ends.local(), ports.local);
        self.steering.home_of(ends.peer(ports.remote), local) == self.core
    }
}

#[cfg(test)]
mod tests {
    use super::{ENTRIES, Steering};

    fn cores(steering: &Steering) -> std::vec::Vec<usize> {
        let mut counts = std::vec![0; 8];
        for hash in 0..u32::try_from(ENTRIES).unwrap() {
            counts[usize::from(steering.core_of(hash))] += 1;
        }
        counts
    }

    #[test]
    fn entries_are_spread_over_the_cores_that_are_there_when_it_is_settled() {
        let steering = Steering::new(&[7; 40]);
        assert_eq!(cores(&steering)[0], ENTRIES);
        steering.offer(1);
        steering.offer(4);
        steering.settle();
        assert_eq!(cores(&steering), [0, 64, 0, 0, 64, 0, 0, 0]);
        steering.offer(2);
        steering.settle();
        assert_eq!(cores(&steering)[2], 0, "flows do not move");
    }

    #[test]
    fn a_group_that_is_moved_is_another_cores_and_who_has_a_copy_can_tell() {
        let steering = Steering::new(&[7; 40]);
        let (table, before) = steering.table();
        assert_eq!(table, [0; ENTRIES]);
        steering.set_group(5, 3);
        steering.set_group(128, 3);
        assert_eq!([4, 5, 133, 6].map(|hash| steering.core_of(hash)), [0, 3, 3, 0]);
        assert_eq!(Steering::group_of(0xffff_ff85), 5);
        let (table, after) = steering.table();
        assert_eq!((table[5], after), (3, before + 1));
    }

    #[test]
    fn without_an_offer_it_is_core_0() {
        let steering = Steering::new(&[7; 40]);
        steering.settle();
        assert_eq!(cores(&steering)[0], ENTRIES);
    }
}
