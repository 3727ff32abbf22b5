//! Headers of a TCP segment that a card is to cut, where cards want them otherwise than the stack writes them.

/// Bytes of an IPv4 header without options, and places in it.
const IPV4_HEADER: u16 = 20;
const IPV4_LENGTH: u16 = 2;
const IPV4_CHECKSUM: u16 = 10;
/// In an IPv6 header.
const IPV6_LENGTH: u16 = 4;
/// Of the checksum in a TCP header.
const TCP_CHECKSUM: u16 = 16;

/// Whether the IP header between these two places is one of IPv4.
fn is_v4(ip: u16, start: u16) -> bool {
    start.wrapping_sub(ip) == IPV4_HEADER
}

/// Leaves to the card what differs from segment to segment: takes the length out of TCP's pseudo-header, whose sum stands in the
/// place of the checksum, and the checksum out of IPv4's header. `ip` and `start`: where the headers of IP and TCP begin.
pub(super) fn prepare(headers: &mut [u8], ip: u16, start: u16) {
    let (length, of_network) = if is_v4(ip, start) {
        (ip + IPV4_LENGTH, IPV4_HEADER)
    } else {
        (ip + IPV6_LENGTH, 0)
    };
    let checksum = start + TCP_CHECKSUM;
    let (Some(len), Some(sum)) = (word(headers, length), word(headers, checksum)) else {
        return;
    };
    let (sum, carry) = sum.overflowing_add(!len.wrapping_sub(of_network));
    put(headers, checksum, sum.wrapping_add(u16::from(carry)));
    if is_v4(ip, start) {
        put(headers, ip + IPV4_CHECKSUM, 0);
    }
}

/// The same for a card that wants IPv4's header without a length, too.
pub(super) fn prepare_without_length(headers: &mut [u8], ip: u16, start: u16) {
    prepare(headers, ip, start);
    if is_v4(ip, start) {
        put(headers, ip + IPV4_LENGTH, 0);
    }
}

fn word(headers: &[u8], at: u16) -> Option<u16> {
    let bytes = headers.get(usize::from(at)..)?.first_chunk()?;
    Some(u16::from_be_bytes(*bytes))
}

fn put(headers: &mut [u8], at: u16, value: u16) {
    let at = usize::from(at);
    if let Some(place) = headers.get_mut(at..at + 2) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}
