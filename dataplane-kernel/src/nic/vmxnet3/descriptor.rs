//! What the words of descriptors say: those by which buffers are given to the device, to send or to fill, and those by which it
//! reports them done. All are two words of 64 bits.

use netstack::{RxChecksum, TxOffload};

/// Where the generation stands in the second word of a descriptor to transmit, and of one to receive.
pub(super) const TX_GENERATION: u64 = 1 << 14;
pub(super) const RX_GENERATION: u64 = 1 << 31;

/// The same of both kinds of reports.
pub(super) const DONE_GENERATION: u64 = 1 << 63;

/// Most bytes of a descriptor to transmit, which has 14 bits for them: zero stands for this many.
pub(super) const MAX_PIECE: u32 = 1 << 14;

/// The second word of a descriptor to receive: the buffer's length, and that no frame starts in it.
pub(super) const BODY: u64 = 1 << 14;

/// Of a descriptor to transmit: the frame ends here, and is to be reported.
pub(super) const LAST: u64 = 1 << 44 | 1 << 45;

/// The second word of a descriptor of `len` bytes to transmit, without its generation.
#[inline(always)]
pub(super) fn data(len: u32) -> u64 {
    u64::from(len % MAX_PIECE)
}

/// What the second word of a frame's first descriptor says besides its length: what the device is to compute or to cut.
/// `header_len`: bytes of its headers.
#[inline(always)]
pub(super) fn offload(offload: TxOffload, header_len: u32) -> u64 {
    const CHECKSUM: u64 = 2 << 42;
    const SEGMENTS: u64 = 3 << 42;
    const BITS_10: u64 = (1 << 10) - 1;
    const BITS_14: u64 = (1 << 14) - 1;
    let words = |mode, header: u64, size: u64| mode | (header & BITS_10) << 32 | (size & BITS_14) << 18;
    match offload {
        TxOffload::Complete => 0,
        TxOffload::Partial { start, offset } => {
            words(CHECKSUM, start.into(), u64::from(start) + u64::from(offset))
        }
        TxOffload::Segments { mss, .. } => words(SEGMENTS, header_len.into(), mss.into()),
    }
}

/// What it says besides if a tag is to be inserted.
pub(super) fn tagged(control: u16) -> u64 {
    const INSERT_TAG: u64 = 1 << 47;
    INSERT_TAG | u64::from(control) << 48
}

/// Place of the last descriptor of a frame that was sent, as the first word of its report says.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "12 bits")]
pub(super) fn sent(first: u64) -> u16 {
    (first & 0xfff) as u16
}

/// The report of a buffer that was filled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received {
    pub(super) first: u64,
    pub(super) second: u64,
}

impl Received {
    /// In the first word.
    const END: u64 = 1 << 14;
    const START: u64 = 1 << 15;
    const NOT_VERIFIED: u64 = 1 << 30;
    /// In the second.
    const ERROR: u64 = 1 << 14;
    const TAGGED: u64 = 1 << 15;
    const L4_GOOD: u64 = 1 << 48;
    const TCP_OR_UDP: u64 = 1 << 49 | 1 << 50;
    const FRAGMENT: u64 = 1 << 54;

    /// Place of the buffer in its ring.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "12 bits")]
    pub(super) fn place(self) -> u16 {
        (self.first & 0xfff) as u16
    }

    /// Which of the two rings that is, by the numbers that rings have where there is one queue.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "10 bits")]
    pub(super) fn ring(self) -> u16 {
        (self.first >> 16 & 0x3ff) as u16
    }

    /// A frame begins in it, and ends in it.
    #[inline(always)]
    pub(super) fn is_whole(self) -> bool {
        self.first & (Self::START | Self::END) == Self::START | Self::END
    }

    /// A frame begins in it.
    pub(super) fn is_start(self) -> bool {
        self.first & Self::START != 0
    }

    /// A frame ends in it.
    pub(super) fn is_end(self) -> bool {
        self.first & Self::END != 0
    }

    /// Bytes of the frame in this buffer.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "14 bits")]
    pub(super) fn len(self) -> u16 {
        (self.second & 0x3fff) as u16
    }

    /// The frame was damaged, or there was no room for all of it.
    #[inline(always)]
    pub(super) fn is_broken(self) -> bool {
        self.second & Self::ERROR != 0
    }

    /// The tag's control information, if the device has taken a tag off.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "the third of four halves")]
    pub(super) fn tag(self) -> Option<u16> {
        (self.second & Self::TAGGED != 0).then_some((self.second >> 16) as u16)
    }

    /// What the device says of the TCP or UDP checksum of the frame that ends here. One it finds wrong is the stack's to
    /// verify and count.
    #[inline(always)]
    pub(super) fn checksum(self) -> RxChecksum {
        let verified = self.first & Self::NOT_VERIFIED == 0;
        let good = self.second & (Self::L4_GOOD | Self::FRAGMENT) == Self::L4_GOOD;
        if verified && good && self.second & Self::TCP_OR_UDP != 0 {
            RxChecksum::Good
        } else {
            RxChecksum::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LAST, Received, data, offload, sent, tagged};
    use netstack::RxChecksum::{Good, Unknown};
    use netstack::TxOffload::{Complete, Partial, Segments};

    #[test]
    fn what_is_to_be_sent_is_said_as_the_device_reads_it() {
        assert_eq!((data(60), data(16384)), (60, 0));
        assert_eq!(LAST, 0x3000_u64 << 32);
        assert_eq!(offload(Complete, 54), 0);
        let tcp = Partial {
            start: 34,
            offset: 16,
        };
        assert_eq!(offload(tcp, 54), (2 << 10 | 34) << 32 | 50 << 18);
        let cut = Segments {
            ip: 14,
            start: 54,
            mss: 1428,
        };
        assert_eq!(offload(cut, 86), (3 << 10 | 86) << 32 | 1428 << 18);
        assert_eq!(tagged(7), 0x0007_8000 << 32);
        assert_eq!(sent(0xffff_ffff_ffff_f1ff), 0x1ff);
    }

    #[test]
    fn a_report_is_understood() {
        let whole = Received {
            first: 0x1_c005,
            second: 0x8000_0000_0007_8000 | 60,
        };
        assert_eq!((whole.place(), whole.ring(), whole.len()), (5, 1, 60));
        assert!(whole.is_whole() && whole.is_start() && whole.is_end() && !whole.is_broken());
        assert_eq!(whole.tag(), Some(7));
        let part = Received {
            first: 0x8000,
            second: 0x4800,
        };
        assert!(part.is_start() && !part.is_end() && !part.is_whole() && part.is_broken());
        assert_eq!((part.len(), part.tag()), (2048, None));
    }

    #[test]
    fn a_checksum_is_good_if_it_was_looked_at_and_right() {
        for (first, flags, expected) in [
            (0, 0b1010_0101, Good),
            (0, 0b1010_0011, Good),
            (0x4000_0000, 0b1010_0101, Unknown),
            (0, 0b1010_0100, Unknown),
            (0, 0b1010_0001, Unknown),
            (0, 0b1110_0101, Unknown),
        ] {
            let report = Received {
                first,
                second: flags << 48,
            };
            assert_eq!(report.checksum(), expected, "{first:#x} {flags:#b}");
        }
    }
}
