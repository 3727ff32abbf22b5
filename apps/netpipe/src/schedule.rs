//! Sizes to measure: powers of two and what lies half way between them, and each a little smaller and larger, so that
//! what happens at a boundary (a segment, a page) shows on its two sides.

/// The sizes from `from` to `to`, in bytes, in order; each but the smallest with neighbours at this distance.
#[must_use]
pub fn sizes(from: u32, to: u32, perturbation: u32) -> Vec<u32> {
    let mut sizes = Vec::new();
    let mut power = Some(1_u32);
    while let Some(size) = power {
        add(&mut sizes, size, perturbation);
        if size > 1 {
            add(&mut sizes, size.saturating_add(size / 2), perturbation);
        }
        power = size.checked_mul(2);
    }
    sizes.extend([from, to]);
    sizes.retain(|size| (from..=to).contains(size));
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

fn add(sizes: &mut Vec<u32>, size: u32, perturbation: u32) {
    sizes.push(size);
    if size > 2 * perturbation {
        sizes.extend([size - perturbation, size.saturating_add(perturbation)]);
    }
}

#[cfg(test)]
mod tests {
    use super::sizes;
    use proptest::proptest;

    #[test]
    fn sizes_are_spread_with_their_neighbours() {
        assert_eq!(sizes(1, 24, 0), [1, 2, 3, 4, 6, 8, 12, 16, 24]);
        assert_eq!(
            sizes(1, 20, 3),
            [1, 2, 3, 4, 5, 6, 8, 9, 11, 12, 13, 15, 16, 19, 20]
        );
        assert_eq!(sizes(1000, 1100, 3), [1000, 1021, 1024, 1027, 1100]);
        assert_eq!(sizes(7, 7, 3), [7]);
        let all = sizes(1, 8 << 20, 3);
        assert!(all.contains(&((8 << 20) - 3)) && all.last() == Some(&(8 << 20)));
    }

    proptest! {
        #[test]
        fn they_lie_between_the_ends_in_order(from in 1..u32::MAX, more: u32, perturbation in 0..100u32) {
            let to = from.saturating_add(more);
            let sizes = sizes(from, to, perturbation);
            assert!(sizes.windows(2).all(|pair| pair[0] < pair[1]));
            assert_eq!((sizes.first(), sizes.last()), (Some(&from), Some(&to)));
        }
    }
}
