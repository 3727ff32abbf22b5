//! What the machine counts: each time a CPU left the guest, by reason, and accesses that nothing answered. Below them
//! stand KVM's own counters, which know of the exits that KVM deals with itself.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! exits {
    ($($(#[doc = $doc:literal])+ $field:ident => $name:literal,)+) => {
        /// Counters of one machine. Each is written by CPU threads and read by whoever asks.
        #[derive(Debug, Default)]
        pub struct Exits {
            $($(#[doc = $doc])+ pub $field: AtomicU64,)+
        }

        impl Exits {
            /// Name and value of each.
            pub fn read(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
                [$(($name, self.$field.load(Ordering::Relaxed)),)+].into_iter()
            }
        }
    };
}

exits! {
    /// A port was read.
    port_reads => "exits.port_reads",
    /// A port was written.
    port_writes => "exits.port_writes",
    /// Memory without RAM behind it was read.
    memory_reads => "exits.memory_reads",
    /// Memory without RAM behind it was written.
    memory_writes => "exits.memory_writes",
    /// A CPU halted, and KVM left the waiting to us.
    halts => "exits.halts",
    /// A signal to the thread.
    interrupted => "exits.interrupted",
    /// Any other reason.
    other => "exits.other",
    /// Of these accesses, those that no device answered: reads gave all ones, writes were ignored.
    unclaimed => "unclaimed",
}

/// Raises a counter.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::{Exits, count};

    #[test]
    fn counters_are_read_by_name() {
        let exits = Exits::default();
        count(&exits.port_writes);
        count(&exits.port_writes);
        count(&exits.unclaimed);
        let seen: Vec<_> = exits.read().filter(|&(_, value)| value != 0).collect();
        assert_eq!(seen, [("exits.port_writes", 2), ("unclaimed", 1)]);
    }
}
