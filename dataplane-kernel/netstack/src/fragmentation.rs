//! Packets of ours that are longer than their way carries leave in fragments (RFC 791 section 3.2, RFC 8200 section 4.5).

use crate::checksum::checksum;
use crate::ends::Ends;
use crate::wire::ipv6_extensions::FRAGMENT_LEN;
use crate::wire::{ipv4, ipv6};

/// Next Header value of a Fragment header.
const FRAGMENT: u8 = 44;
/// In the field of flags and offset: more fragments.
const MORE_V4: u16 = 0x2000;

/// A part of a packet's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Where it begins; a multiple of 8.
    pub(crate) at: usize,
    pub(crate) len: usize,
    pub(crate) has_more: bool,
}

impl Ends {
    /// Bytes of the IP header of a fragment.
    pub(crate) fn fragment_header_len(&self) -> usize {
        match self {
            Ends::V4 { .. } => ipv4::HEADER_LEN,
            Ends::V6 { .. } => ipv6::HEADER_LEN + FRAGMENT_LEN,
        }
    }

    /// The next part, from `at`, of a payload of `total` bytes; `None` on a way that carries nothing.
    pub(crate) fn cut(&self, total: usize, at: usize, mtu: u16) -> Option<Cut> {
        let room = usize::from(mtu).checked_sub(self.fragment_header_len())?;
        let left = total.checked_sub(at)?;
        let len = if left <= room { left } else { room & !7 };
        (len > 0).then_some(Cut {
            at,
            len,
            has_more: len < left,
        })
    }

    /// Writes the header of a fragment; `None` if `out` is not as long as it.
    pub(crate) fn emit_fragment(
        &self,
        protocol: u8,
        cut: &Cut,
        identification: u32,
        hop_limit: u8,
        out: &mut [u8],
    ) -> Option<()> {
        let len = u16::try_from(cut.len).ok()?;
        let at = u16::try_from(cut.at).ok()?;
        let [.., high, low] = identification.to_be_bytes();
        match self {
            Ends::V4 { .. } => {
                self.emit(protocol, len, hop_limit, out)?;
                let header = out.first_chunk_mut::<{ ipv4::HEADER_LEN }>()?;
                let more = if cut.has_more { MORE_V4 } else { 0 };
                let [flags, offset] = (at >> 3 | more).to_be_bytes();
                header[4..8].copy_from_slice(&[high, low, flags, offset]);
                header[10..12].fill(0);
                let sum = checksum(header);
                header[10..12].copy_from_slice(&sum.to_be_bytes());
            }
            Ends::V6 { .. } => {
                self.emit(FRAGMENT, len + 8, hop_limit, out)?;
                let header = out.last_chunk_mut::<FRAGMENT_LEN>()?;
                let [place, more] = (at | u16::from(cut.has_more)).to_be_bytes();
                let [a, b, c, d] = identification.to_be_bytes();
                *header = [protocol, 0, place, more, a, b, c, d];
            }
        }
        Some(())
    }
}

/// Identifications: none comes twice in 2^32 packets, and nobody foresees the next (RFC 7739 section 5.3; RFC 6864 wants
/// them unique for as long as a packet may live).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identifications {
    drawn: u32,
    secret: u32,
}

impl Identifications {
    pub(crate) fn new(secret: u32) -> Self {
        Identifications {
            drawn: secret.rotate_left(16),
            secret,
        }
    }

    /// The next one: a count, mixed by steps that can all be undone, so that different counts stay different.
    pub(crate) fn next(&mut self) -> u32 {
        self.drawn = self.drawn.wrapping_add(1);
        let mut mixed = self.drawn ^ self.secret;
        for factor in [0x7feb_352d_u32, 0x846c_a68b] {
            mixed ^= mixed >> 16;
            mixed = mixed.wrapping_mul(factor).wrapping_add(self.secret | 1);
        }
        mixed ^ mixed >> 15
    }
}

#[cfg(test)]
mod tests {
    use super::{Cut, Identifications};
    use crate::ends::Ends;
    use core::net::Ipv4Addr;
    use std::collections::HashSet;

    #[test]
    fn parts_are_multiples_of_eight_but_the_last() {
        let ends = Ends::V4 {
            local: Ipv4Addr::LOCALHOST,
            remote: Ipv4Addr::LOCALHOST,
        };
        let mut at = 0;
        while let Some(Cut { len, has_more, .. }) = ends.cut(65_515, at, 1499) {
            assert!(len <= 1479 && (!has_more || len == 1472));
            at += len;
        }
        assert_eq!(at, 65_515);
        assert_eq!(ends.cut(100, 0, 20), None);
        assert_eq!(ends.cut(100, 0, 27), None);
    }

    #[test]
    fn identifications_do_not_come_twice() {
        let mut ids = Identifications::new(7);
        let drawn: HashSet<u32> = (0..100_000).map(|_| ids.next()).collect();
        assert_eq!(drawn.len(), 100_000);
    }
}
