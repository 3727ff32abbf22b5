//! A queue between two cores, one of which fills its slots and the other empties them. Neither waits for the other, and
//! a slot is used where it lies. What one side has done becomes visible to the other when it says so, which moves one
//! line of the cache for a whole batch.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};

/// A count in a line of the cache of its own; counts wrap.
#[derive(Default)]
#[repr(align(64))]
struct Count(AtomicU32);

struct Ring<T> {
    slots: Box<[UnsafeCell<T>]>,
    mask: u32,
    /// Slots filled, by the producer.
    filled: Count,
    /// Slots emptied, by the consumer.
    emptied: Count,
}

// SAFETY: a slot is the producer's from when its emptying was published until its filling is, and the consumer's
// otherwise; there is one of each, and both publish with release and look with acquire.
unsafe impl<T: Send> Sync for Ring<T> {}

impl<T> Ring<T> {
    fn slot(&self, count: u32) -> *mut T {
        self.slots[(count & self.mask) as usize].get()
    }
}

/// The side that fills.
pub struct Producer<T> {
    ring: Arc<Ring<T>>,
    filled: u32,
    published: u32,
    /// As last seen.
    emptied: u32,
}

/// The side that empties.
pub struct Consumer<T> {
    ring: Arc<Ring<T>>,
    emptied: u32,
    published: u32,
    /// As last seen.
    filled: u32,
}

/// A queue of at least `slots` slots, each as `make` makes it.
pub fn queue<T: Send>(slots: u32, mut make: impl FnMut() -> T) -> (Producer<T>, Consumer<T>) {
    let slots = slots.max(1).next_power_of_two();
    let ring = Arc::new(Ring {
        slots: (0..slots).map(|_| UnsafeCell::new(make())).collect(),
        mask: slots - 1,
        filled: Count::default(),
        emptied: Count::default(),
    });
    let producer = Producer {
        ring: Arc::clone(&ring),
        filled: 0,
        published: 0,
        emptied: 0,
    };
    let consumer = Consumer {
        ring,
        emptied: 0,
        published: 0,
        filled: 0,
    };
    (producer, consumer)
}

impl<T> Producer<T> {
    /// The next slot to fill, with what it held before; `None` while all are filled. [`Producer::fill`] follows, or nothing.
    #[inline]
    pub fn slot(&mut self) -> Option<&mut T> {
        if self.filled.wrapping_sub(self.emptied) > self.ring.mask {
            self.emptied = self.ring.emptied.0.load(Ordering::Acquire);
            if self.filled.wrapping_sub(self.emptied) > self.ring.mask {
                return None;
            }
        }
        // SAFETY: the slot was emptied, or never filled, so it is the producer's, which is borrowed.
        Some(unsafe { &mut *self.ring.slot(self.filled) })
    }

    /// So many slots can be filled.
    #[inline]
    pub fn has_room(&mut self, slots: usize) -> bool {
        let room = |filled: u32, emptied: u32, mask: u32| (mask + 1 - filled.wrapping_sub(emptied)) as usize;
        if room(self.filled, self.emptied, self.ring.mask) < slots {
            self.emptied = self.ring.emptied.0.load(Ordering::Acquire);
        }
        room(self.filled, self.emptied, self.ring.mask) >= slots
    }

    /// That slot is filled. Only after [`Producer::slot`] has given one.
    #[inline]
    pub fn fill(&mut self) {
        if self.filled.wrapping_sub(self.emptied) <= self.ring.mask {
            self.filled = self.filled.wrapping_add(1);
        }
    }

    /// Fills a slot; gives the value back if there is none.
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), T> {
        match self.slot() {
            Some(slot) => *slot = value,
            None => return Err(value),
        }
        self.fill();
        Ok(())
    }

    /// Lets the consumer see what was filled; `true` if there was anything.
    #[inline]
    pub fn publish(&mut self) -> bool {
        let is_news = self.published != self.filled;
        if is_news {
            self.ring.filled.0.store(self.filled, Ordering::Release);
            self.published = self.filled;
        }
        is_news
    }
}

impl<T> Consumer<T> {
    /// The oldest filled slot.
    #[inline]
    pub fn front(&mut self) -> Option<&mut T> {
        if self.emptied == self.filled {
            self.filled = self.ring.filled.0.load(Ordering::Acquire);
            if self.emptied == self.filled {
                return None;
            }
        }
        // SAFETY: the slot was filled, so it is the consumer's, which is borrowed.
        Some(unsafe { &mut *self.ring.slot(self.emptied) })
    }

    /// That slot is empty again. Only after [`Consumer::front`] has given one.
    #[inline]
    pub fn empty(&mut self) {
        if self.emptied != self.filled {
            self.emptied = self.emptied.wrapping_add(1);
        }
    }

    /// Lets the producer see what was emptied.
    #[inline]
    pub fn publish(&mut self) {
        if self.published != self.emptied {
            self.ring.emptied.0.store(self.emptied, Ordering::Release);
            self.published = self.emptied;
        }
    }
}

impl<T> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("filled", &self.filled)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("emptied", &self.emptied)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::queue;

    #[test]
    fn a_full_queue_takes_no_more_and_nothing_is_seen_before_it_is_shown() {
        let (mut producer, mut consumer) = queue(3, || 0);
        assert!(producer.has_room(4) && !producer.has_room(5));
        for value in 0..4 {
            assert_eq!(producer.push(value), Ok(()));
        }
        assert_eq!(producer.push(4), Err(4));
        producer.fill();
        assert_eq!(consumer.front(), None);
        producer.publish();
        for value in 0..2 {
            assert_eq!(consumer.front().copied(), Some(value));
            consumer.empty();
        }
        assert_eq!(producer.push(4), Err(4), "the emptied ones were not shown");
        consumer.publish();
        assert_eq!(
            (producer.push(4), producer.push(5), producer.push(6)),
            (Ok(()), Ok(()), Err(6))
        );
        producer.publish();
        for value in 2..6 {
            assert_eq!(consumer.front().copied(), Some(value));
            consumer.empty();
        }
        consumer.empty();
        assert_eq!(consumer.front(), None);
    }

    #[test]
    fn between_threads_everything_arrives_once_and_in_order() {
        const COUNT: u64 = 100_000;
        let (mut producer, mut consumer) = queue(64, || 0);
        let sender = std::thread::spawn(move || {
            for value in 0..COUNT {
                while producer.push(value).is_err() {
                    producer.publish();
                    std::thread::yield_now();
                }
                if value % 7 == 0 {
                    producer.publish();
                }
            }
            producer.publish();
        });
        let mut expected = 0;
        while expected < COUNT {
            match consumer.front() {
                Some(value) => {
                    assert_eq!(*value, expected);
                    consumer.empty();
                    expected += 1;
                }
                None => {
                    consumer.publish();
                    std::thread::yield_now();
                }
            }
        }
        sender.join().unwrap();
    }
}
