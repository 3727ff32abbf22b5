//! Which function answers at which address.
//!
//! The guest may write anything into a BAR. The rule that keeps that harmless: a BAR is *honoured* only while it lies
//! wholly in one of the [`Windows`], where there is never RAM or anything else, and touches no BAR honoured before it. One that is
//! not honoured is not there: reads of its addresses give all ones, unless another answers.

use super::{Bdf, DecodedBar};
use std::ops::Range;

/// Where BARs can lie: guest-physical addresses that are neither RAM nor anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Below 4 GiB.
    pub low: Range<u64>,
    /// Above all RAM; may be empty.
    pub high: Range<u64>,
}

/// Below 4 GiB: where firmware and kernels expect BARs.
pub const LOW_WINDOW: Range<u64> = 0xe000_0000..0xf000_0000;

impl Windows {
    /// The usual low window, and whatever lies from `ram_end` up to where the processor's physical addresses end.
    #[must_use]
    pub fn above(ram_end: u64, physical_bits: u8) -> Self {
        /// Wide enough for any BAR's alignment to find a place in it.
        const ALIGN: u64 = 1 << 30;
        let end = 1_u64.checked_shl(physical_bits.into()).unwrap_or(0);
        let start = ram_end.max(1 << 32).next_multiple_of(ALIGN).min(end.max(1 << 32));
        Self {
            low: LOW_WINDOW,
            high: start..end.max(start),
        }
    }

    fn contain(&self, bar: &DecodedBar) -> bool {
        let within = |window: &Range<u64>| {
            bar.base >= window.start && bar.base.checked_add(bar.len).is_some_and(|end| end <= window.end)
        };
        within(&self.low) || within(&self.high)
    }
}

/// A BAR that a function asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) at: Bdf,
    pub(super) bar: DecodedBar,
}

impl Claim {
    fn touches(&self, other: &Claim) -> bool {
        self.bar.base < other.bar.base + other.bar.len && other.bar.base < self.bar.base + self.bar.len
    }
}

/// The BARs that are honoured.
#[derive(Clone, Debug, Default)]
pub(super) struct DecodeMap(Vec<Claim>);

impl DecodeMap {
    /// What is left of this map when `claims` is all that is asked for: nothing moves in it, BARs only go.
    pub(super) fn kept(&self, claims: &[Claim]) -> Self {
        let kept = self.0.iter().filter(|claim| claims.contains(claim));
        Self(kept.copied().collect())
    }

    /// This map and what else of `claims` can be honoured, in their order; `refused` counts the rest.
    pub(super) fn extended(mut self, claims: &[Claim], windows: &Windows, refused: &mut u64) -> Self {
        for claim in claims {
            if self.0.contains(claim) {
                continue;
            }
            if windows.contain(&claim.bar) && !self.0.iter().any(|other| other.touches(claim)) {
                self.0.push(*claim);
            } else {
                *refused += 1;
            }
        }
        self
    }

    /// The BARs of one function.
    pub(super) fn of(&self, at: Bdf) -> Vec<DecodedBar> {
        let own = self.0.iter().filter(|claim| claim.at == at);
        let mut bars: Vec<DecodedBar> = own.map(|claim| claim.bar).collect();
        bars.sort_by_key(|bar| bar.index);
        bars
    }

    /// The BAR in which all `len` bytes at `address` lie.
    pub(super) fn find(&self, address: u64, len: usize) -> Option<(Bdf, u8, u64)> {
        let len = len as u64;
        self.0.iter().find_map(|Claim { at, bar }| {
            let offset = address.checked_sub(bar.base)?;
            let fits = offset < bar.len && len <= bar.len - offset;
            fits.then_some((*at, bar.index, offset))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Claim, DecodeMap, Windows};
    use crate::vmm::pci::{Bdf, DecodedBar};

    const WINDOWS: Windows = Windows {
        low: 0xe000_0000..0xf000_0000,
        high: 0x2_0000_0000..0x10_0000_0000,
    };

    fn claim(device: u8, index: u8, base: u64, len: u64) -> Claim {
        Claim {
            at: Bdf::new(device).unwrap(),
            bar: DecodedBar { index, base, len },
        }
    }

    fn honoured(claims: &[Claim]) -> Vec<bool> {
        let map = DecodeMap::default().extended(claims, &WINDOWS, &mut 0);
        claims.iter().map(|claim| map.0.contains(claim)).collect()
    }

    #[test]
    fn only_what_lies_wholly_in_a_window_is_honoured() {
        for (base, len, yes) in [
            (0, 0x1000, false),
            (0xdfff_f000, 0x1000, false),
            (0xe000_0000, 0x1000, true),
            (0xefff_f000, 0x1000, true),
            (0xefff_f000, 0x2000, false),
            (0xf000_0000, 0x1000, false),
            (0xffff_f000, 0x1000, false),
            (0x1_0000_0000, 1 << 30, false),
            (0x2_0000_0000, 1 << 33, true),
            (0x10_0000_0000, 0x1000, false),
            (u64::MAX - 0xfff, 0x1000, false),
            (1 << 63, 1 << 63, false),
        ] {
            assert_eq!(honoured(&[claim(1, 0, base, len)]), [yes], "{base:#x}+{len:#x}");
        }
    }

    #[test]
    fn whoever_comes_first_keeps_the_place() {
        let first = claim(2, 0, 0xe000_0000, 0x2000);
        let second = claim(1, 0, 0xe000_1000, 0x1000);
        let own = claim(2, 1, 0xe000_0000, 0x1000);
        let mut refused = 0;
        let before = DecodeMap::default().extended(&[first], &WINDOWS, &mut refused);
        let claims = [second, first, own];
        let after = before.kept(&claims).extended(&claims, &WINDOWS, &mut refused);
        assert_eq!(
            (after.of(first.at), after.of(second.at)),
            (vec![first.bar], vec![])
        );
        assert_eq!(refused, 2);

        let claims = [second];
        let gone = after.kept(&claims);
        assert_eq!(gone.find(0xe000_1000, 1), None);
        let moved = gone.extended(&claims, &WINDOWS, &mut refused);
        assert_eq!(moved.find(0xe000_1000, 4), Some((second.at, 0, 0)));
    }

    #[test]
    fn an_access_must_lie_wholly_in_a_bar() {
        let claims = [claim(3, 4, 0xe000_1000, 0x1000)];
        let map = DecodeMap::default().extended(&claims, &WINDOWS, &mut 0);
        assert_eq!(map.find(0xe000_1ffc, 4), Some((claims[0].at, 4, 0xffc)));
        for (address, len) in [
            (0xe000_1ffd, 4),
            (0xe000_0fff, 2),
            (0xe000_2000, 1),
            (0, 1),
            (u64::MAX, 8),
        ] {
            assert_eq!(map.find(address, len), None, "{address:#x}");
        }
    }

    #[test]
    fn the_high_window_lies_above_ram_and_below_the_end() {
        let windows = |ram_end, bits| Windows::above(ram_end, bits).high;
        assert_eq!(windows(0x1_4000_1000, 39), 0x1_8000_0000..1 << 39);
        assert_eq!(windows(0x4000_0000, 36), 1 << 32..1 << 36);
        assert!(windows(0x4000_0000, 32).is_empty());
        assert!(windows(1 << 40, 39).is_empty());
    }
}
