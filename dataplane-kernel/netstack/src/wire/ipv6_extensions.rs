//! IPv6 extension headers (RFC 8200 section 4), as a destination that wants none of them reads them: Hop-by-Hop and
//! Destination Options whose options may be skipped, Routing headers whose way is at its end, the Fragment header.
//!
//! The work per packet is bounded, as RFC 8504 section 5.3 allows: so many headers, so many options, so much padding.

use super::be16;
use super::ipv6::Protocol;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const NO_NEXT_HEADER: u8 = 59;
const DESTINATION_OPTIONS: u8 = 60;

/// Bytes of a Fragment header.
pub const FRAGMENT_LEN: usize = 8;

/// Headers before the transport's.
const MAX_HEADERS: usize = 8;
/// Options of one header, padding aside.
const MAX_OPTIONS: usize = 8;
/// Bytes of padding in a row: more never aligns anything.
const MAX_PADDING: usize = 7;

/// Code of a Parameter Problem: a field makes no sense (RFC 4443 section 3.4).
pub const ERRONEOUS_FIELD: u8 = 0;
/// Code of a Parameter Problem: nobody takes what the Next Header field names.
pub const UNKNOWN_NEXT_HEADER: u8 = 1;
/// Code of a Parameter Problem: an option that must not be skipped.
pub const UNKNOWN_OPTION: u8 = 2;

/// What a chain of headers leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A transport's header at `offset`.
    Upper {
        /// Whose.
        protocol: Protocol,
        /// From the start of the packet.
        offset: usize,
    },
    /// A part of a larger packet.
    Fragment {
        /// What its header says.
        fragment: Fragment,
        /// Where its data begin, from the start of the packet.
        offset: usize,
    },
}

/// A Fragment header (section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// What the whole packet carries behind this header.
    pub next_header: u8,
    /// Where the data stand in the whole, in bytes; a multiple of 8.
    pub at: u16,
    /// More come after it.
    pub has_more: bool,
    /// Which whole.
    pub identification: u32,
}

impl Fragment {
    /// Nothing is missing: RFC 6946 wants it taken by itself.
    #[must_use]
    pub fn is_atomic(&self) -> bool {
        self.at == 0 && !self.has_more
    }
}

/// Why a packet must not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Headers longer than the packet, or more of them than anybody needs.
    Malformed,
    /// An option wants it dropped, or there is nothing in it.
    Silent,
    /// The sender is to be told, by a Parameter Problem.
    Problem {
        /// What kind of.
        code: u8,
        /// The byte that is wrong, from the start of the packet.
        pointer: u16,
        /// Even if the packet was for a group (section 4.2: the highest bits of the option are 10).
        even_of_group: bool,
    },
}

impl Refusal {
    fn problem(code: u8, pointer: usize) -> Self {
        Refusal::Problem {
            code,
            pointer: u16::try_from(pointer).unwrap_or(u16::MAX),
            even_of_group: false,
        }
    }
}

/// Walks the headers of `packet` from the one at `offset`, of type `next`, which the byte at `named_at` says it is.
///
/// # Errors
/// Says why the packet must not be taken.
pub fn walk(packet: &[u8], next: u8, named_at: usize, offset: usize) -> Result<Content, Refusal> {
    let (mut next, mut named_at, mut offset) = (next, named_at, offset);
    for place in 0..MAX_HEADERS {
        match next {
            HOP_BY_HOP if place > 0 => return Err(Refusal::problem(UNKNOWN_NEXT_HEADER, named_at)),
            HOP_BY_HOP | DESTINATION_OPTIONS => check_options(packet, offset)?,
            ROUTING => check_routing(packet, offset)?,
            FRAGMENT => return fragment(packet, offset),
            NO_NEXT_HEADER => return Err(Refusal::Silent),
            _ => {
                return match Protocol::from(next) {
                    Protocol::Other(_) => Err(Refusal::problem(UNKNOWN_NEXT_HEADER, named_at)),
                    protocol => Ok(Content::Upper { protocol, offset }),
                };
            }
        }
        let header = header_at(packet, offset)?;
        (next, named_at) = (header.first().copied().unwrap_or(NO_NEXT_HEADER), offset);
        offset += header.len();
    }
    Err(Refusal::Malformed)
}

/// The whole header at `offset`, whose second byte counts units of 8 bytes beyond the first.
fn header_at(packet: &[u8], offset: usize) -> Result<&[u8], Refusal> {
    let rest = packet.get(offset..).unwrap_or_default();
    let [_, units, ..] = rest else {
        return Err(Refusal::Malformed);
    };
    rest.get(..8 + 8 * usize::from(*units)).ok_or(Refusal::Malformed)
}

/// Section 4.4: a routing header of an unknown type is skipped if no way is left in it, and type 0 is one of these (RFC
/// 5095 section 3).
fn check_routing(packet: &[u8], offset: usize) -> Result<(), Refusal> {
    match header_at(packet, offset)? {
        [_, _, _, 0, ..] => Ok(()),
        _ => Err(Refusal::problem(ERRONEOUS_FIELD, offset + 2)),
    }
}

fn fragment(packet: &[u8], offset: usize) -> Result<Content, Refusal> {
    let rest = packet.get(offset..).unwrap_or_default();
    let header = rest.first_chunk::<FRAGMENT_LEN>().ok_or(Refusal::Malformed)?;
    let place = be16(header, 2);
    let fragment = Fragment {
        next_header: header[0],
        at: place & !7,
        has_more: place & 1 != 0,
        identification: super::be32(header, 4),
    };
    Ok(Content::Fragment {
        fragment,
        offset: offset + FRAGMENT_LEN,
    })
}

/// Section 4.2: what to do about an option that is not known stands in the two highest bits of its type.
fn check_options(packet: &[u8], offset: usize) -> Result<(), Refusal> {
    let header = header_at(packet, offset)?;
    let (mut at, mut options, mut padding) = (2, 0, 0);
    while at < header.len() {
        let len = match header.get(at..).unwrap_or_default() {
            [0, ..] => 1, // Pad1 is this byte alone
            [_, len, ..] => 2 + usize::from(*len),
            _ => return Err(Refusal::Malformed),
        };
        let option = header.get(at..at + len).ok_or(Refusal::Malformed)?;
        if let [0 | 1, ..] = option {
            padding += len;
        } else {
            (options, padding) = (options + 1, 0);
            check_option(option, offset + at)?;
        }
        if options > MAX_OPTIONS || padding > MAX_PADDING {
            return Err(Refusal::Malformed);
        }
        at += len;
    }
    Ok(())
}

fn check_option(option: &[u8], at: usize) -> Result<(), Refusal> {
    let action = option.first().map_or(0, |kind| kind >> 6);
    match action {
        0 => Ok(()),
        1 => Err(Refusal::Silent),
        _ => Err(Refusal::Problem {
            code: UNKNOWN_OPTION,
            pointer: u16::try_from(at).unwrap_or(u16::MAX),
            even_of_group: action == 2,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::{Content, Fragment, Refusal, walk};
    use crate::wire::ipv6::Protocol;

    /// Walks `headers` as if they were a packet's from its first byte.
    fn walked(next: u8, headers: &[u8]) -> Result<Content, Refusal> {
        walk(headers, next, 100, 0)
    }

    fn problem(code: u8, pointer: u16, even_of_group: bool) -> Result<Content, Refusal> {
        Err(Refusal::Problem {
            code,
            pointer,
            even_of_group,
        })
    }

    #[test]
    fn options_say_what_to_do_about_them() {
        let with = |kind| walked(60, &[17, 0, kind, 4, 0, 0, 0, 0]);
        let upper = Ok(Content::Upper {
            protocol: Protocol::Udp,
            offset: 8,
        });
        assert_eq!(with(1), upper); // PadN
        assert_eq!(with(0x3e), upper);
        assert_eq!(with(0x7e), Err(Refusal::Silent));
        assert_eq!(with(0xbe), problem(2, 2, true));
        assert_eq!(with(0xfe), problem(2, 2, false));
    }

    #[test]
    fn routing_headers_are_taken_only_at_the_end_of_the_way() {
        assert_eq!(walked(43, &[6, 0, 0, 1, 0, 0, 0, 0]), problem(0, 2, false));
        assert!(walked(43, &[6, 0, 0, 0, 0, 0, 0, 0]).is_ok());
    }

    #[test]
    fn hop_by_hop_comes_first_or_not_at_all() {
        assert!(walked(0, &[6, 0, 1, 4, 0, 0, 0, 0]).is_ok());
        let second = [0, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0];
        assert_eq!(walked(60, &second), problem(1, 0, false));
    }

    #[test]
    fn a_fragment_ends_the_walk() {
        let expected = Fragment {
            next_header: 17,
            at: 1448,
            has_more: true,
            identification: 0x0102_0304,
        };
        assert_eq!(
            walked(44, &[17, 0, 0x05, 0xa9, 1, 2, 3, 4]),
            Ok(Content::Fragment {
                fragment: expected,
                offset: 8
            })
        );
    }

    #[test]
    fn the_work_is_bounded() {
        let chain: [u8; 80] = core::array::from_fn(|i| [60, 0, 1, 4, 0, 0, 0, 0][i % 8]);
        assert_eq!(walked(60, &chain), Err(Refusal::Malformed));
        let mut pads = [0; 24];
        (pads[0], pads[1]) = (6, 2);
        assert_eq!(walked(60, &pads), Err(Refusal::Malformed));
        assert_eq!(walked(60, &[6, 9, 0]), Err(Refusal::Malformed));
        assert_eq!(walked(99, &[]), problem(1, 100, false));
        assert_eq!(walked(59, &[]), Err(Refusal::Silent));
    }
}
