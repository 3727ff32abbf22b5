//! Which parts of a BAR the guest gets without us.

use super::capability::Part;
use std::ops::Range;

/// The unit in which the processor maps.
const PAGE: u64 = 4096;

/// Of `offered`, what VFIO can map of BAR `bar`, the whole pages that none of `withheld` touches.
pub(super) fn direct(bar: u8, offered: &[Range<u64>], withheld: &[Part]) -> Vec<Range<u64>> {
    let holes = withheld
        .iter()
        .filter(|part| part.bar == bar && !part.bytes.is_empty());
    let holes = holes.map(|part| {
        let end = part.bytes.end.checked_next_multiple_of(PAGE).unwrap_or(u64::MAX);
        part.bytes.start & !(PAGE - 1)..end
    });
    let whole = offered.iter().filter_map(|range| {
        let start = range.start.checked_next_multiple_of(PAGE)?;
        Some(start..range.end & !(PAGE - 1))
    });
    let mut parts: Vec<Range<u64>> = whole.collect();
    for hole in holes {
        parts = parts.iter().flat_map(|part| cut(part, &hole)).collect();
    }
    parts.retain(|part| part.start < part.end);
    parts
}

/// What is left of `part` on both sides of `hole`.
fn cut(part: &Range<u64>, hole: &Range<u64>) -> [Range<u64>; 2] {
    [
        part.start..part.end.min(hole.start),
        part.start.max(hole.end)..part.end,
    ]
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "one range is what is meant")]
mod tests {
    use super::direct;
    use crate::vmm::vfio::capability::Part;
    use proptest::prelude::*;
    use std::ops::Range;

    fn part(bar: u8, bytes: Range<u64>) -> Part {
        Part { bar, bytes }
    }

    #[test]
    fn the_pages_of_the_msix_table_are_left_out() {
        let whole = [0..0x8000];
        let table = part(0, 0x3010..0x3050);
        let pending = part(0, 0x4ff8..0x5008);
        assert_eq!(direct(0, &whole, &[table, pending]), [0..0x3000, 0x6000..0x8000]);
        assert_eq!(direct(1, &whole, &[part(0, 0..0x8000)]), whole);
        assert_eq!(direct(0, &whole, &[part(0, 0..0x8000)]), []);
        assert_eq!(direct(0, &whole, &[part(0, 0x7000..u64::MAX)]), [0..0x7000]);
    }

    #[test]
    fn only_whole_pages_are_mapped() {
        assert_eq!(direct(0, &[0x100..0x2f00, 0x4000..0x4080], &[]), [0x1000..0x2000]);
        assert_eq!(direct(0, &[0..0x80], &[]), []);
        assert_eq!(direct(0, &[u64::MAX - 5..u64::MAX], &[]), []);
    }

    proptest! {
        /// What is mapped was offered, in whole pages, and never together with what is withheld; and no page is left out
        /// without need.
        #[test]
        fn nothing_withheld_is_mapped(offered in ranges(), withheld in ranges()) {
            let parts: Vec<Part> = withheld.iter().map(|bytes| part(2, bytes.clone())).collect();
            let mapped = direct(2, &offered, &parts);
            for page in 0..20_u64 {
                let page = page * 4096..(page + 1) * 4096;
                let within = |range: &Range<u64>| range.start <= page.start && page.end <= range.end;
                let touches = |range: &Range<u64>| range.start < page.end && page.start < range.end;
                let free = !withheld.iter().any(|range| !range.is_empty() && touches(range));
                let expected = free && offered.iter().any(within);
                prop_assert_eq!(mapped.iter().any(within), expected);
                prop_assert_eq!(mapped.iter().any(touches), expected);
            }
        }
    }

    fn ranges() -> impl Strategy<Value = Vec<Range<u64>>> {
        let range = (0..70_000_u64, 0..30_000_u64).prop_map(|(start, len)| start..start + len);
        prop::collection::vec(range, 0..5)
    }
}
