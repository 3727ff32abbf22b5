//! Byte ranges (RFC 9110, section 14).

use core::ops::Range;

/// Most ranges served in one response.
const MAX_RANGES: usize = 16;

/// What of a representation is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// All of it: no range was wanted, or the field makes no sense or asks for too much at once.
    Whole,
    /// One part.
    One(Range<u64>),
    /// Several, each with its own head.
    Several(Vec<Range<u64>>),
    /// Nothing of what is wanted exists.
    Unsatisfiable,
}

/// Reads the field `Range` for a representation of `len` bytes.
#[must_use]
pub fn select(field: &str, len: u64) -> Ranges {
    let Some(list) = unit_bytes(field) else {
        return Ranges::Whole;
    };
    let mut ranges = Vec::new();
    for (place, spec) in list
        .split(',')
        .map(str::trim)
        .filter(|spec| !spec.is_empty())
        .enumerate()
    {
        match range(spec, len) {
            Some(_) if place == MAX_RANGES => return Ranges::Whole,
            Some(range) if range.is_empty() => {}
            Some(range) => ranges.push(range),
            None => return Ranges::Whole,
        }
    }
    // Overlapping ranges multiply the work (RFC 9110, section 17.15).
    if ranges.iter().map(|range| range.end - range.start).sum::<u64>() > len {
        return Ranges::Whole;
    }
    match ranges.len() {
        0 => Ranges::Unsatisfiable,
        1 => Ranges::One(ranges.remove(0)),
        _ => Ranges::Several(ranges),
    }
}

fn unit_bytes(field: &str) -> Option<&str> {
    let (unit, list) = field.split_once('=')?;
    let says_something = list.split(',').any(|spec| !spec.trim().is_empty());
    (unit.trim().eq_ignore_ascii_case("bytes") && says_something).then_some(list)
}

/// One range, empty if it lies outside; `None` if it is malformed.
fn range(spec: &str, len: u64) -> Option<Range<u64>> {
    let (first, last) = spec.split_once('-')?;
    if first.is_empty() {
        return Some(len - number(last)?.min(len)..len);
    }
    let first = number(first)?;
    let end = match last {
        "" => len,
        last => {
            let last = number(last)?;
            if last < first {
                return None;
            }
            last.saturating_add(1).min(len)
        }
    };
    Some(first.min(end)..end)
}

/// Saturates: a number too large for us lies behind every end.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::{Ranges, select};
    use proptest::proptest;

    #[test]
    fn ranges_are_cut_to_what_there_is() {
        for (field, ranges) in [
            ("bytes=0-0", Ranges::One(0..1)),
            ("bytes=0-499", Ranges::One(0..100)),
            ("bytes=90-", Ranges::One(90..100)),
            ("bytes=-10", Ranges::One(90..100)),
            ("bytes=-1000", Ranges::One(0..100)),
            ("Bytes = 5-6", Ranges::One(5..7)),
            ("bytes=0-1, 4-5,,-2", Ranges::Several(vec![0..2, 4..6, 98..100])),
            ("bytes=0-1,100-", Ranges::One(0..2)),
            ("bytes=0-99999999999999999999", Ranges::One(0..100)),
            ("bytes=100-", Ranges::Unsatisfiable),
            ("bytes=-0", Ranges::Unsatisfiable),
            ("bytes=200-300,400-", Ranges::Unsatisfiable),
        ] {
            assert_eq!(select(field, 100), ranges, "{field}");
        }
        assert_eq!(select("bytes=0-", 0), Ranges::Unsatisfiable);
    }

    #[test]
    fn what_makes_no_sense_is_ignored() {
        let greedy = format!("bytes={}", "0-,".repeat(16));
        let many = format!("bytes={}", "0-0,".repeat(17));
        for field in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "lines=1-2",
            "bytes=5-4",
            "bytes=a-b",
            "bytes=1",
            "bytes=--1",
            "bytes=+1-2",
            "bytes=0-1,x",
            &greedy,
            &many,
            "bytes=0-,0-",
        ] {
            assert_eq!(select(field, 100), Ranges::Whole, "{field}");
        }
    }

    proptest! {
        #[test]
        fn every_range_lies_inside(field in "bytes=[0-9, -]{0,40}", len in 0..200u64) {
            let ranges = match select(&field, len) {
                Ranges::One(range) => vec![range],
                Ranges::Several(ranges) => ranges,
                Ranges::Whole | Ranges::Unsatisfiable => vec![],
            };
            assert!(ranges.iter().all(|range| range.start < range.end && range.end <= len));
        }
    }
}
