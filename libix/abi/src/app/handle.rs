/// What a handle names. Part of the handle, so that a listener's handle never passes for a flow's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum HandleKind {
    /// A TCP connection.
    Flow = 1,
    /// A TCP listener.
    Listener = 2,
    /// A bound UDP port.
    Udp = 3,
    /// A timer.
    Timer = 4,
    /// What comes by a link for others.
    Frames = 5,
}

/// Most links of a dataplane: networks that it is on, each with a card of its own.
pub const MAX_LINKS: usize = 8;

/// A capability handed out by the kernel: slot index (bits 0..29), the link of a flow (29..32), generation (32..60) and kind
/// (60..64). Listeners, UDP ports and timers are on all links, and on none in particular. The kernel
/// checks all of it against its own table on each use, so a forged or stale one gets `Status::BadHandle`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Handle(pub u64);

impl Handle {
    /// Names nothing.
    pub const NONE: Handle = Handle(0);

    /// Generations wrap at this many bits.
    pub const GENERATION_BITS: u32 = 28;

    const LINK_SHIFT: u32 = 29;
    const LINK_MASK: u64 = (MAX_LINKS as u64 - 1) << Self::LINK_SHIFT;

    const GENERATION_MASK: u32 = (1 << Self::GENERATION_BITS) - 1;

    /// Packs a handle; the generation is taken modulo 2^28.
    #[inline]
    #[must_use]
    pub const fn new(kind: HandleKind, index: u32, generation: u32) -> Self {
        let generation = (generation & Self::GENERATION_MASK) as u64;
        Handle((kind as u64) << 60 | generation << 32 | index as u64)
    }

    /// The kind, or `None` if the bits name no kind.
    #[inline]
    #[must_use]
    pub const fn kind(self) -> Option<HandleKind> {
        match self.0 >> 60 {
            1 => Some(HandleKind::Flow),
            2 => Some(HandleKind::Listener),
            3 => Some(HandleKind::Udp),
            4 => Some(HandleKind::Timer),
            5 => Some(HandleKind::Frames),
            _ => None,
        }
    }

    /// `true` if the kind bits are those of `kind`.
    #[inline]
    #[must_use]
    pub const fn is(self, kind: HandleKind) -> bool {
        self.0 >> 60 == kind as u64
    }

    /// Slot index, with the link's number above it.
    #[inline]
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "the low half is the index")]
    pub const fn index(self) -> u32 {
        self.0 as u32
    }

    /// The handle of the same slot on a link with this number.
    #[inline]
    #[must_use]
    pub const fn on_link(self, link: usize) -> Self {
        Handle(self.0 & !Self::LINK_MASK | ((link as u64) << Self::LINK_SHIFT) & Self::LINK_MASK)
    }

    /// The number of the link.
    #[inline]
    #[must_use]
    pub const fn link(self) -> usize {
        ((self.0 & Self::LINK_MASK) >> Self::LINK_SHIFT) as usize
    }

    /// Generation, modulo 2^28.
    #[inline]
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "masked to 28 bits")]
    pub const fn generation(self) -> u32 {
        (self.0 >> 32) as u32 & Self::GENERATION_MASK
    }
}

#[cfg(test)]
mod tests {
    use super::{Handle, HandleKind};

    #[test]
    fn parts_come_back() {
        let handle = Handle::new(HandleKind::Udp, 0xdead_beef, 0xfabc_def1);
        assert_eq!(handle.kind(), Some(HandleKind::Udp));
        assert!(handle.is(HandleKind::Udp) && !handle.is(HandleKind::Flow));
        assert_eq!(handle.index(), 0xdead_beef);
        assert_eq!(handle.generation(), 0x0abc_def1);
        assert_eq!(Handle::NONE.kind(), None);
    }

    #[test]
    fn a_link_changes_nothing_else() {
        let handle = Handle::new(HandleKind::Flow, 0x1234_5678, 0x0abc_def1);
        for link in 0..8 {
            let there = handle.on_link(link);
            assert_eq!(there.link(), link);
            assert_eq!(there.on_link(0), handle);
            assert_eq!(there.generation(), handle.generation());
            assert!(there.is(HandleKind::Flow));
        }
    }
}
