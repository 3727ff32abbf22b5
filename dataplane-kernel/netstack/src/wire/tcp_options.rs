//! TCP options: MSS (RFC 9293), window scale and timestamps (RFC 7323), selective acknowledgement (RFC 2018).

use super::{be32, put};
use crate::seq::SeqNum;

/// Bytes that the options of a segment may take.
pub const MAX_LEN: usize = 40;
/// Bytes of the timestamps option with the padding before it.
pub const TIMESTAMPS_LEN: usize = 12;
/// The largest window scale there is (RFC 7323 section 2.3).
pub const MAX_WINDOW_SCALE: u8 = 14;

const END: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;

/// How RFC 7323 appendix A lays out timestamps, and nearly all segments have their options.
const ALIGNED_TIMESTAMPS: [u8; 4] = [NOP, NOP, TIMESTAMPS, 10];

/// The timestamps option.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamps {
    /// TSval: the sender's clock.
    pub value: u32,
    /// TSecr: the other side's clock, echoed.
    pub echo: u32,
}

impl Timestamps {
    /// Reads options that are nothing but aligned timestamps.
    #[inline]
    #[must_use]
    pub fn parse_alone(options: &[u8]) -> Option<Timestamps> {
        let options: &[u8; TIMESTAMPS_LEN] = options.try_into().ok()?;
        let aligned = options.first_chunk::<4>() == Some(&ALIGNED_TIMESTAMPS);
        aligned.then(|| Timestamps {
            value: be32(options, 4),
            echo: be32(options, 8),
        })
    }

    /// `true` if the options are nothing but aligned timestamps.
    #[inline]
    #[must_use]
    pub fn stand_alone(options: &[u8]) -> bool {
        options.len() == TIMESTAMPS_LEN && options.first_chunk::<4>() == Some(&ALIGNED_TIMESTAMPS)
    }

    /// Writes aligned timestamps.
    #[inline]
    pub fn emit(self, out: &mut [u8; TIMESTAMPS_LEN]) {
        put(out, 0, ALIGNED_TIMESTAMPS);
        put(out, 4, self.value.to_be_bytes());
        put(out, 8, self.echo.to_be_bytes());
    }
}

/// A range of sequence numbers that has been received; `end` is the first one after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the type says what they are")]
pub struct SackBlock {
    pub start: SeqNum,
    pub end: SeqNum,
}

/// Up to four blocks, the most recent first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SackBlocks {
    blocks: [SackBlock; 4],
    len: u8,
}

impl SackBlocks {
    /// Appends a block; one too many is left out, as SACK is advisory.
    pub fn push(&mut self, block: SackBlock) {
        if let Some(place) = self.blocks.get_mut(usize::from(self.len)) {
            *place = block;
            self.len += 1;
        }
    }

    /// The blocks.
    #[must_use]
    pub fn as_slice(&self) -> &[SackBlock] {
        self.blocks.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// The options of one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Largest segment the sender takes; not 0.
    pub mss: Option<u16>,
    /// Shift of the sender's windows; at most [`MAX_WINDOW_SCALE`].
    pub window_scale: Option<u8>,
    /// The sender reads SACK.
    pub sack_permitted: bool,
    /// Timestamps.
    pub timestamps: Option<Timestamps>,
    /// What the sender has received out of order.
    pub sack: SackBlocks,
}

impl Options {
    /// Reads the options area of a header. Unknown options are skipped by their length (RFC 9293 MUST-6); a length that
    /// cannot be ends the reading (MUST-7), and what came before it counts.
    #[must_use]
    pub fn parse(mut bytes: &[u8]) -> Options {
        let mut options = Options::default();
        while let [kind, rest @ ..] = bytes {
            match *kind {
                END => break,
                NOP => bytes = rest,
                kind => {
                    let Some(len) = rest.first() else { break };
                    let Some((option, after)) = bytes.split_at_checked(usize::from(*len)) else {
                        break;
                    };
                    let Some(data) = option.get(2..) else { break };
                    options.take(kind, data);
                    bytes = after;
                }
            }
        }
        options
    }

    /// One option; of a wrong length for its kind it is as good as absent.
    fn take(&mut self, kind: u8, data: &[u8]) {
        match (kind, data) {
            (MSS, &[high, low]) => self.mss = Some(u16::from_be_bytes([high, low])).filter(|mss| *mss != 0),
            // RFC 7323 section 2.3: a larger shift is taken as 14.
            (WINDOW_SCALE, &[shift]) => self.window_scale = Some(shift.min(MAX_WINDOW_SCALE)),
            (SACK_PERMITTED, []) => self.sack_permitted = true,
            (TIMESTAMPS, data) => {
                if let Ok(data) = <&[u8; 8]>::try_from(data) {
                    self.timestamps = Some(Timestamps {
                        value: be32(data, 0),
                        echo: be32(data, 4),
                    });
                }
            }
            (SACK, data) if data.len().is_multiple_of(8) => {
                for block in data.as_chunks::<8>().0 {
                    self.sack.push(SackBlock {
                        start: SeqNum(be32(block, 0)),
                        end: SeqNum(be32(block, 4)),
                    });
                }
            }
            _ => {}
        }
    }

    /// Writes the options in the order MSS, SACK-permitted, timestamps, window scale, SACK, padded by NOPs so that all
    /// stand aligned; gives the length, a multiple of 4. SACK blocks beyond the room are left out.
    #[must_use]
    pub fn emit(&self, out: &mut [u8; MAX_LEN]) -> usize {
        let mut writer = Writer { out, len: 0 };
        if let Some(mss) = self.mss {
            let [high, low] = mss.to_be_bytes();
            writer.push(&[MSS, 4, high, low]);
        }
        match (self.sack_permitted, self.timestamps) {
            (true, Some(_)) => writer.push(&[SACK_PERMITTED, 2]),
            (true, None) => writer.push(&[NOP, NOP, SACK_PERMITTED, 2]),
            (false, Some(_)) => writer.push(&[NOP, NOP]),
            (false, None) => {}
        }
        if let Some(timestamps) = self.timestamps {
            writer.push(&[TIMESTAMPS, 10]);
            writer.push(&timestamps.value.to_be_bytes());
            writer.push(&timestamps.echo.to_be_bytes());
        }
        if let Some(shift) = self.window_scale {
            writer.push(&[NOP, WINDOW_SCALE, 3, shift]);
        }
        let fits = (MAX_LEN - writer.len).saturating_sub(4) / 8;
        let blocks = self.sack.as_slice();
        let blocks = blocks.get(..fits).unwrap_or(blocks);
        if let Ok(count) = u8::try_from(blocks.len())
            && count > 0
        {
            writer.push(&[NOP, NOP, SACK, 2 + 8 * count]);
            for block in blocks {
                writer.push(&block.start.0.to_be_bytes());
                writer.push(&block.end.0.to_be_bytes());
            }
        }
        writer.len
    }
}

struct Writer<'a> {
    out: &'a mut [u8; MAX_LEN],
    len: usize,
}

impl Writer<'_> {
    /// All options but SACK take 20 bytes, and SACK is cut to the rest: there is room.
    fn push(&mut self, bytes: &[u8]) {
        if let Some(place) = self.out.get_mut(self.len..self.len + bytes.len()) {
            place.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }
}
