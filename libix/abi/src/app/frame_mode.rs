/// What a [`super::Opcode::FrameBind`] takes of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum FrameMode {
    /// Every frame: the link is a port of a bridge, and this machine has no address there.
    Bridge = 1,
    /// IP packets for other hosts that come to the link's station: this machine is a router there, and goes on answering at its
    /// own addresses.
    Route = 2,
}

impl FrameMode {
    /// Checked decoding of a number written by ring 3.
    #[must_use]
    pub const fn from_u64(number: u64) -> Option<Self> {
        match number {
            1 => Some(FrameMode::Bridge),
            2 => Some(FrameMode::Route),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FrameMode;

    #[test]
    fn modes_decode_to_themselves_and_nothing_else_does() {
        for number in (0..100).chain([u64::MAX, 1 << 32 | 1]) {
            match FrameMode::from_u64(number) {
                Some(mode) => assert_eq!(mode as u64, number),
                None => assert!(number == 0 || number > 2),
            }
        }
    }
}
