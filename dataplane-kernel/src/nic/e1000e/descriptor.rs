//! What the words of a descriptor say: legacy receive descriptors (SDM, section 3.2.3) or extended ones (82574L's datasheet,
//! section 7.1.5), and context and data descriptors
//! for transmission (3.3.6, 3.3.7). The first word of all but contexts is an address.

use netstack::{RxChecksum, TxOffload};

/// In the second word of all but extended receive descriptors: the card has done what it was to do.
pub(super) const DONE: u64 = 1 << 32;

/// How receive descriptors are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// As all cards know it.
    Legacy,
    /// As the 82574L wants it where it is to choose among queues.
    Extended,
}

impl Layout {
    /// The bit of the second word that says that the card is done.
    pub(super) const fn done(self) -> u64 {
        match self {
            Layout::Legacy => DONE,
            Layout::Extended => 1,
        }
    }
}

/// The second word of a legacy receive descriptor, as the card has written it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received(pub(super) u64);

impl Received {
    /// Of a word in this layout. The extended one has the same status and errors in other places.
    #[inline(always)]
    pub(super) fn of(word: u64, layout: Layout) -> Self {
        match layout {
            Layout::Legacy => Received(word),
            Layout::Extended => {
                let (status, errors, len, tag) =
                    (word & 0xff, word >> 24 & 0xff, word >> 32 & 0xffff, word >> 48);
                Received(len | status << 32 | errors << 40 | tag << 48)
            }
        }
    }

    const VLAN: u64 = 1 << 35;

    /// The tag's control information, if the card has taken a tag off (3.2.3.3).
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "the high 16 bits are meant")]
    pub(super) fn tag(self) -> Option<u16> {
        (self.0 & Self::VLAN != 0).then_some((self.0 >> 48) as u16)
    }

    /// Status (3.2.3.1), from bit 32.
    const EOP: u64 = 1 << 33;
    const IGNORE_CHECKSUMS: u64 = 1 << 34;
    const L4_CHECKED: u64 = 1 << 37;

    /// Errors (3.2.3.2), from bit 40: the TCP or UDP checksum is wrong.
    const L4_WRONG: u64 = 1 << 45;

    /// FCS or alignment, symbol, sequence, carrier extension, receive data.
    const BROKEN: u64 = 1 << 40 | 1 << 41 | 1 << 42 | 1 << 44 | 1 << 47;

    /// Bytes of the frame in this buffer.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "the low 16 bits are meant")]
    pub(super) fn len(self) -> u16 {
        self.0 as u16
    }

    /// The frame ends in this buffer.
    #[inline(always)]
    pub(super) fn is_end(self) -> bool {
        self.0 & Self::EOP != 0
    }

    /// The frame was damaged on its way.
    #[inline(always)]
    pub(super) fn is_broken(self) -> bool {
        self.0 & Self::BROKEN != 0
    }

    /// What the card says of the TCP or UDP checksum (3.2.9). One it finds wrong is the stack's to verify and count.
    #[inline(always)]
    pub(super) fn checksum(self) -> RxChecksum {
        if self.0 & (Self::IGNORE_CHECKSUMS | Self::L4_CHECKED | Self::L4_WRONG) == Self::L4_CHECKED {
            RxChecksum::Good
        } else {
            RxChecksum::Unknown
        }
    }
}

/// Extended descriptors, of type context (0) or data (1).
const EXTENDED: u64 = 1 << 29;
const DATA: u64 = 1 << 20;

const EOP: u64 = 1 << 24;
const INSERT_FCS: u64 = 1 << 25;
const REPORT_STATUS: u64 = 1 << 27;
const INSERT_IP_CHECKSUM: u64 = 1 << 40;
const INSERT_L4_CHECKSUM: u64 = 1 << 41;

/// In context and data descriptors: segments are cut (TSE).
const SEGMENT: u64 = 1 << 26;
/// In contexts: of TCP (TUCMD.TCP), over IPv4 (TUCMD.IP).
const TCP: u64 = 1 << 24;
const IPV4: u64 = 1 << 25;

/// What the second word of all data descriptors of a frame says for which the card is to insert a tag.
pub(super) fn tagged(control: u16) -> u64 {
    const INSERT_TAG: u64 = 1 << 30;
    INSERT_TAG | u64::from(control) << 48
}

/// What the second word of a data descriptor says besides a length: the last one of a frame has the card send it with an
/// FCS and report when it has.
pub(super) const LAST: u64 = EOP | INSERT_FCS | REPORT_STATUS;

/// The second word of a data descriptor of `len` bytes.
#[inline(always)]
pub(super) fn data(len: u32, context: Option<Context>) -> u64 {
    const LEN: u64 = (1 << 20) - 1;
    let options = context.map_or(0, |context| context.options);
    u64::from(len) & LEN | DATA | EXTENDED | options
}

/// What the card is to compute or to cut, and where: the two words of a context descriptor, and what the data descriptors
/// behind it say. It holds for all frames after it that ask for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Context {
    first: u64,
    second: u64,
    options: u64,
}

/// Of the checksum in an IPv4 header.
const IPV4_CHECKSUM: u8 = 10;
/// Bytes of an IPv4 header without options.
const IPV4_HEADER: u8 = 20;
/// Of the checksum in a TCP header.
const TCP_CHECKSUM: u16 = 16;

impl Context {
    /// `None` if there is nothing to compute. A place beyond a context's 256 bytes is no place of the stack's: behind an
    /// Ethernet header and an IP header of the longest kind, the field is at offset 90 at most. `header_len` and
    /// `payload_len` are the frame's.
    #[inline(always)]
    pub(super) fn of(offload: TxOffload, header_len: u32, payload_len: u32) -> Option<Self> {
        match offload {
            TxOffload::Complete => None,
            TxOffload::Partial { start, offset } => Some(Context {
                first: transport(start, offset)?,
                second: EXTENDED,
                options: INSERT_L4_CHECKSUM,
            }),
            TxOffload::Segments { ip, start, mss } => Self::segments(ip, start, mss, header_len, payload_len),
        }
    }

    /// 3.5, with the offsets of IPCSS and IPCSE for both families, and a checksum (IPCSO) for IPv4's header only.
    #[inline(never)]
    fn segments(ip: u16, start: u16, mss: u16, header_len: u32, payload_len: u32) -> Option<Self> {
        let transport = transport(start, TCP_CHECKSUM)?;
        let ip = u8::try_from(ip).ok()?;
        let is_v4 = start.checked_sub(ip.into())? == IPV4_HEADER.into();
        let (flags, options) = if is_v4 { (IPV4, INSERT_IP_CHECKSUM) } else { (0, 0) };
        let network =
            u64::from(ip) | u64::from(ip.checked_add(IPV4_CHECKSUM)?) << 8 | u64::from(start - 1) << 16;
        let header_len = u8::try_from(header_len).ok()?;
        Some(Context {
            first: network | transport,
            second: u64::from(payload_len & 0xf_ffff)
                | EXTENDED
                | SEGMENT
                | TCP
                | flags
                | u64::from(header_len) << 40
                | u64::from(mss) << 48,
            options: INSERT_L4_CHECKSUM | SEGMENT | options,
        })
    }

    /// The two words of its descriptor. It carries no data and is never reported done.
    #[inline(always)]
    pub(super) fn words(self) -> (u64, u64) {
        (self.first, self.second)
    }

    /// It counts for one frame only: the length of that stands in it.
    #[inline(always)]
    pub(super) fn is_for_one_frame(self) -> bool {
        self.options & SEGMENT != 0
    }
}

/// From `start` (TUCSS) to the end of the frame (TUCSE zero), stored at `offset` behind it (TUCSO).
#[inline(always)]
fn transport(start: u16, offset: u16) -> Option<u64> {
    let field = u8::try_from(start.checked_add(offset)?).ok()?;
    let start = u8::try_from(start).ok()?;
    Some(u64::from(start) << 32 | u64::from(field) << 40)
}

#[cfg(test)]
mod tests {
    use super::{Context, Layout, Received, data};
    use netstack::RxChecksum::{Good, Unknown};
    use netstack::TxOffload::{Complete, Partial, Segments};

    #[test]
    fn the_words_are_those_of_the_manual() {
        assert_eq!(data(60, None), 0x2010_003c);
        let context = Context::of(
            Partial {
                start: 34,
                offset: 16,
            },
            54,
            9,
        );
        assert_eq!(context.unwrap().words(), (0x0000_3222_0000_0000, 0x2000_0000));
        assert_eq!(data(0xff_ffff, context), 0x200_201f_ffff, "lengths do not spill");
        assert_eq!(Context::of(Complete, 54, 9), None);
        for (start, offset) in [(250, 6), (256, 0), (u16::MAX, u16::MAX)] {
            assert_eq!(Context::of(Partial { start, offset }, 54, 9), None);
        }
    }

    #[test]
    fn contexts_for_segments_are_those_of_the_manual() {
        let v4 = Segments {
            ip: 14,
            start: 34,
            mss: 1448,
        };
        let context = Context::of(v4, 66, 0xff00).unwrap();
        assert_eq!(context.words(), (0x0000_3222_0021_180e, 0x05a8_4200_2700_ff00));
        assert_eq!(data(66, Some(context)), 0x0000_0300_2410_0042);
        let v6 = Segments {
            ip: 14,
            start: 54,
            mss: 1428,
        };
        let context = Context::of(v6, 86, 0xff00).unwrap();
        assert_eq!(context.words(), (0x0000_4636_0035_180e, 0x0594_5600_2500_ff00));
        assert_eq!(data(86, Some(context)), 0x0000_0200_2410_0056);
        assert!(context.is_for_one_frame());
        assert_eq!(Context::of(v6, 256, 1), None);
    }

    #[test]
    fn an_extended_descriptor_says_the_same_elsewhere() {
        let word = Received::of(0x0007_003c_2000_002b, Layout::Extended);
        assert_eq!((word.len(), word.tag(), word.is_end()), (60, Some(7), true));
        assert_eq!((word.checksum(), word.is_broken()), (Unknown, false));
        let word = Received::of(0x0000_05dc_8100_0023, Layout::Extended);
        assert_eq!((word.len(), word.tag(), word.is_broken()), (1500, None, true));
        assert_eq!(Received::of(0x3c_0000_0023, Layout::Extended).checksum(), Good);
    }

    #[test]
    fn a_checksum_is_good_if_it_was_looked_at_and_right() {
        for (status, errors, expected) in [
            (0x23, 0, Good),
            (0x03, 0, Unknown),
            (0x27, 0, Unknown),
            (0x23, 0x20, Unknown),
            (0x63, 0x40, Good),
        ] {
            let word = Received(status << 32 | errors << 40 | 60);
            assert_eq!(
                word.checksum(),
                expected,
                "status {status:#x}, errors {errors:#x}"
            );
            assert!(word.is_end() && !word.is_broken() && word.len() == 60);
        }
        for error in [1, 2, 4, 0x10, 0x80] {
            assert!(Received(error << 40).is_broken(), "{error:#x}");
        }
    }
}
