use netstack::checksum::{Sum, checksum, updated};
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

/// RFC 1071 section 4.1, word for word.
fn naive(bytes: &[u8]) -> u16 {
    let mut sum: u64 = 0;
    for pair in bytes.chunks(2) {
        let low = pair.get(1).copied().unwrap_or(0);
        sum += u64::from(u16::from_be_bytes([pair[0], low]));
    }
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !u16::try_from(sum).unwrap()
}

proptest! {
    #[test]
    fn equals_the_naive_sum(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert_eq!(checksum(&bytes), naive(&bytes));
    }

    #[test]
    fn carries_out_of_full_words_are_kept(len in 0usize..200, ones in 0usize..200) {
        let bytes: Vec<u8> = (0..len).map(|i| if i < ones { 0xff } else { 0 }).collect();
        prop_assert_eq!(checksum(&bytes), naive(&bytes));
    }

    #[test]
    fn pieces_sum_like_the_whole(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..10)) {
        let mut sum = Sum::new();
        for piece in &pieces {
            sum.add_bytes(piece);
        }
        prop_assert_eq!(sum.finish(), naive(&pieces.concat()));
    }

    #[test]
    fn the_pseudo_header_sums_like_its_bytes(src: [u8; 4], dst: [u8; 4], protocol: u8, len: u16) {
        let [high, low] = len.to_be_bytes();
        let bytes = [&src[..], &dst[..], &[0, protocol, high, low]].concat();
        let sum = Sum::pseudo_header(Ipv4Addr::from(src), Ipv4Addr::from(dst), protocol, len);
        prop_assert_eq!(sum.finish(), naive(&bytes));
        prop_assert_eq!(sum.folded(), !naive(&bytes));
    }

    #[test]
    fn the_pseudo_header_of_ipv6_sums_like_its_bytes(src: [u8; 16], dst: [u8; 16], protocol: u8, len: u16) {
        let [high, low] = len.to_be_bytes();
        let bytes = [&src[..], &dst[..], &[0, 0, high, low], &[0, 0, 0, protocol]].concat();
        let sum = Sum::pseudo_header(Ipv6Addr::from(src), Ipv6Addr::from(dst), protocol, len);
        prop_assert_eq!(sum.finish(), naive(&bytes));
    }

    #[test]
    fn an_update_equals_a_new_sum(mut bytes in prop::collection::vec(any::<u8>(), 4..60), at in 0usize..28, new: u16) {
        let at = (at * 2).min(bytes.len() / 2 * 2 - 2);
        // All zeros sum to 0 as 0xffff; a header never is, and RFC 1624 leaves that case out.
        bytes[(at + 2) % 4] |= 1;
        let before = checksum(&bytes);
        let old = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        bytes[at..at + 2].copy_from_slice(&new.to_be_bytes());
        prop_assert_eq!(updated(before, old, new), checksum(&bytes));
    }

    #[test]
    fn a_sum_over_its_own_checksum_is_zero(mut bytes in prop::collection::vec(any::<u8>(), 2..100)) {
        bytes[..2].fill(0);
        let sum = checksum(&bytes);
        bytes[..2].copy_from_slice(&sum.to_be_bytes());
        prop_assert_eq!(checksum(&bytes), 0);
    }
}
