use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// Most counters a kernel can publish.
pub const MAX_COUNTERS: usize = 3072;

const NAME_BYTES: usize = 56;

#[repr(C)]
struct Entry {
    name: [AtomicU8; NAME_BYTES],
    value: AtomicU64,
}

/// Self-describing table of counters: names are written once at boot, values now and then by the kernel's cores, each its own.
#[repr(C)]
pub struct Counters {
    count: AtomicU32,
    /// Launcher to kernel: raised by one to ask for fresh values.
    pub requested: AtomicU32,
    /// Kernel to launcher: the request the values answer.
    pub answered: AtomicU32,
    reserved: AtomicU32,
    entries: [Entry; MAX_COUNTERS],
}

const _: () = assert!(size_of::<Counters>() == 16 + 64 * MAX_COUNTERS);

impl Counters {
    /// Kernel: writes the names; what is beyond the table or a name's room is cut off.
    #[allow(clippy::cast_possible_truncation, reason = "at most MAX_COUNTERS")]
    pub fn describe<'a>(&self, names: impl Iterator<Item = &'a str>) {
        let mut count = 0;
        for (entry, name) in self.entries.iter().zip(names) {
            for (place, byte) in entry.name.iter().zip(name.bytes().chain(core::iter::repeat(0))) {
                place.store(byte, Ordering::Relaxed);
            }
            count += 1;
        }
        self.count.store(count, Ordering::Release);
    }

    /// Kernel: writes values, in the order of the names, from the one in place `first` on.
    pub fn publish(&self, first: usize, values: impl Iterator<Item = u64>) {
        for (entry, value) in self.entries.iter().skip(first).zip(values) {
            entry.value.store(value, Ordering::Relaxed);
        }
    }

    /// Kernel: the value in a place; 0 beyond the table.
    #[must_use]
    pub fn value(&self, place: usize) -> u64 {
        self.entries
            .get(place)
            .map_or(0, |entry| entry.value.load(Ordering::Relaxed))
    }

    /// Launcher: every counter as (name, value); the name's bytes end at the first zero.
    pub fn read(&self) -> impl Iterator<Item = ([u8; NAME_BYTES], u64)> + '_ {
        let count = (self.count.load(Ordering::Acquire) as usize).min(MAX_COUNTERS);
        self.entries[..count].iter().map(|entry| {
            let name = core::array::from_fn(|i| entry.name[i].load(Ordering::Relaxed));
            (name, entry.value.load(Ordering::Relaxed))
        })
    }
}
