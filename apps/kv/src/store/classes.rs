//! Size classes of chunks.

/// Bytes of the smallest chunk.
const SMALLEST: usize = 64;

/// Each class is a quarter larger than the one before it, as memcached's are by default.
const GROWTH: (usize, usize) = (5, 4);

/// Chunk sizes are multiples of this.
const GRANULE: usize = 16;

/// The chunk sizes there are, in bytes, from small to large.
pub(crate) struct Classes {
    sizes: Vec<usize>,
    /// The class of each number of granules, up to [`DIRECT`].
    direct: Vec<u8>,
}

/// Chunks up to this many granules find their class by a table, larger ones by a search.
const DIRECT: usize = 256;

impl Classes {
    /// Classes for chunks of up to `largest` bytes.
    pub(crate) fn up_to(largest: usize) -> Self {
        let mut sizes = vec![SMALLEST];
        let mut size = SMALLEST;
        while size < largest {
            size = (size * GROWTH.0 / GROWTH.1).next_multiple_of(GRANULE);
            sizes.push(size);
        }
        let class = |granules: usize| sizes.partition_point(|size| *size < granules * GRANULE);
        let direct = (0..=DIRECT)
            .map(|granules| u8::try_from(class(granules)).unwrap_or(u8::MAX))
            .collect();
        Classes { sizes, direct }
    }

    pub(crate) fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// The class whose chunks are the smallest with room for `bytes`, if there is one.
    #[inline]
    pub(crate) fn of(&self, bytes: usize) -> Option<usize> {
        let class = match self.direct.get(bytes.div_ceil(GRANULE)) {
            Some(class) => usize::from(*class),
            None => self.sizes.partition_point(|size| *size < bytes),
        };
        (class < self.sizes.len()).then_some(class)
    }
}

#[cfg(test)]
mod tests {
    use super::Classes;

    #[test]
    fn every_size_has_the_smallest_class_that_fits() {
        for largest in [100, 5_000, 1 << 20] {
            let classes = Classes::up_to(largest);
            for bytes in (1..6_000).chain([65_535, 65_536, 1 << 20]) {
                let fits = classes.sizes().iter().position(|size| *size >= bytes);
                assert_eq!(classes.of(bytes), fits, "{bytes} of {largest}");
            }
            assert!(classes.of(largest).is_some());
        }
    }

    #[test]
    fn a_chunk_wastes_a_fifth_at_most() {
        let classes = Classes::up_to(1 << 30);
        for pair in classes.sizes().windows(2) {
            assert!(pair[1] * 4 <= pair[0] * 5 + 64, "{pair:?}");
        }
        assert!(classes.sizes().len() < 100);
    }
}
