use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

const RING_BYTES: u32 = 1 << 18;

/// Bytes in front of each record: the stream and the length, little-endian.
const HEADER_BYTES: u32 = 3;

/// Which of the app's output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Descriptor 1.
    Stdout = 1,
    /// Descriptor 2.
    Stderr = 2,
}

/// One-producer, one-consumer byte ring of records (stream, length, bytes), kernel to launcher. Output is rare next to
/// packets, so bytes go one by one, and no unsafe code is needed on either side.
#[repr(C)]
pub struct Console {
    /// Free-running count of bytes written, by the kernel.
    head: AtomicU32,
    /// Free-running count of bytes read, by the launcher.
    tail: AtomicU32,
    ring: [AtomicU8; RING_BYTES as usize],
}

impl Console {
    fn byte(&self, position: u32) -> &AtomicU8 {
        &self.ring[(position % RING_BYTES) as usize]
    }

    /// Kernel: appends as much of `bytes` as fits as one record; returns how many bytes that was.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a record is shorter than 2^16, bounded above the casts"
    )]
    pub fn push(&self, stream: Stream, bytes: &[u8]) -> usize {
        let head = self.head.load(Ordering::Relaxed);
        let used = head
            .wrapping_sub(self.tail.load(Ordering::Acquire))
            .min(RING_BYTES);
        let room = (RING_BYTES - used).saturating_sub(HEADER_BYTES);
        let count = bytes.len().min(room as usize).min(usize::from(u16::MAX));
        if count == 0 {
            return 0;
        }
        let [low, high] = (count as u16).to_le_bytes();
        let record = [stream as u8, low, high]
            .into_iter()
            .chain(bytes[..count].iter().copied());
        for (position, byte) in record.enumerate() {
            self.byte(head.wrapping_add(position as u32))
                .store(byte, Ordering::Relaxed);
        }
        self.head
            .store(head.wrapping_add(HEADER_BYTES + count as u32), Ordering::Release);
        count
    }

    /// `true` if the consumer has nothing to read.
    pub fn is_empty(&self) -> bool {
        self.head.load(Ordering::Acquire) == self.tail.load(Ordering::Relaxed)
    }

    /// Launcher: takes the next record, handing its bytes to `sink` one by one. `None` if there is none, or if what
    /// stands there is no record (a broken guest; the ring is then skipped to its head).
    pub fn pop(&self, mut sink: impl FnMut(u8)) -> Option<Stream> {
        let head = self.head.load(Ordering::Acquire);
        let tail = self.tail.load(Ordering::Relaxed);
        let available = head.wrapping_sub(tail);
        if available == 0 {
            return None;
        }
        let at = |offset: u32| self.byte(tail.wrapping_add(offset)).load(Ordering::Relaxed);
        let count = u32::from(u16::from_le_bytes([at(1), at(2)]));
        let stream = match at(0) {
            1 => Stream::Stdout,
            2 => Stream::Stderr,
            _ => return self.skip(head),
        };
        if available > RING_BYTES || available < HEADER_BYTES + count {
            return self.skip(head);
        }
        for offset in HEADER_BYTES..HEADER_BYTES + count {
            sink(at(offset));
        }
        self.tail
            .store(tail.wrapping_add(HEADER_BYTES + count), Ordering::Release);
        Some(stream)
    }

    fn skip(&self, head: u32) -> Option<Stream> {
        self.tail.store(head, Ordering::Release);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Console, HEADER_BYTES, RING_BYTES, Stream};
    use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};
    use std::boxed::Box;
    use std::vec::Vec;

    fn console() -> Box<Console> {
        Box::new(Console {
            head: AtomicU32::new(u32::MAX - 5),
            tail: AtomicU32::new(u32::MAX - 5),
            ring: [const { AtomicU8::new(0) }; RING_BYTES as usize],
        })
    }

    #[test]
    fn records_come_out_as_they_went_in_across_the_wrap() {
        let ring = console();
        for round in 0..20_000u32 {
            let bytes: Vec<u8> = (0..round % 97 + 1)
                .map(|i| (i ^ round).to_le_bytes()[0])
                .collect();
            assert_eq!(ring.push(Stream::Stderr, &bytes), bytes.len());
            let mut out = Vec::new();
            assert_eq!(ring.pop(|b| out.push(b)), Some(Stream::Stderr));
            assert_eq!(out, bytes);
        }
        assert!(ring.is_empty());
    }

    #[test]
    fn a_full_ring_takes_no_more_and_loses_nothing() {
        let ring = console();
        let bytes = [7; 60_000];
        let mut taken = 0;
        while let n @ 1.. = ring.push(Stream::Stdout, &bytes) {
            taken += n;
        }
        let mut seen = 0;
        while ring.pop(|_| seen += 1).is_some() {}
        assert_eq!(seen, taken);
        assert!(taken > RING_BYTES as usize - 64);
    }

    #[test]
    fn nonsense_is_skipped() {
        let ring = console();
        ring.push(Stream::Stdout, b"x");
        ring.byte(ring.tail.load(Ordering::Relaxed))
            .store(9, Ordering::Relaxed);
        assert_eq!(ring.pop(|_| panic!("no byte is valid")), None);
        assert!(ring.is_empty());
        ring.head.store(
            ring.tail.load(Ordering::Relaxed).wrapping_add(HEADER_BYTES - 1),
            Ordering::Relaxed,
        );
        assert_eq!(ring.pop(|_| panic!("no byte is valid")), None);
        assert!(ring.is_empty());
    }
}
