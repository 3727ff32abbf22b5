use crate::MAX_BYTES;

/// Bytes as decisions: what is left of them. After the end all are zero.
#[derive(Debug)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// The first 4096 of these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Input(&bytes[..bytes.len().min(MAX_BYTES)])
    }

    /// Whether the end has been reached.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Any number of 8 bits.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// Any number of 16 bits.
    pub fn half(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// Any number of 32 bits.
    pub fn word(&mut self) -> u32 {
        u32::from(self.half()) | u32::from(self.half()) << 16
    }

    /// Any number of 64 bits.
    pub fn long(&mut self) -> u64 {
        u64::from(self.word()) | u64::from(self.word()) << 32
    }

    /// A number below `bound`, which is at most 256.
    pub fn below(&mut self, bound: u16) -> usize {
        usize::from((u16::from(self.byte()) * bound) >> 8)
    }

    /// One of these, of which the first 256 count.
    ///
    /// # Panics
    /// If there is none.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(u16::try_from(choices.len().min(256)).unwrap_or(256))]
    }

    /// Up to `most` bytes, as many as the next byte says.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let len = usize::from(self.byte()).min(most).min(self.0.len());
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::Input;

    #[test]
    fn decisions_are_read_in_order_and_end_in_zeros() {
        let mut input = Input::new(&[1, 2, 0, 255, 128, 3, 7, 8, 9, 10]);
        assert_eq!((input.byte(), input.half()), (1, 2));
        assert_eq!((input.below(10), input.one_of(&['a', 'b', 'c', 'd'])), (9, 'c'));
        assert_eq!(input.bytes(2), [7, 8]);
        assert_eq!(input.word(), 0x0a09);
        assert!(input.is_empty());
        assert_eq!((input.long(), input.bytes(9)), (0, &[][..]));
    }

    #[test]
    fn the_largest_bound_reaches_every_choice() {
        let choices: Vec<usize> = (0..300).collect();
        assert_eq!(Input::new(&[255]).one_of(&choices), 255);
    }
}
