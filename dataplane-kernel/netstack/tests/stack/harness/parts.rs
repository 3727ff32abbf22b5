//! What a card does with frames that are too long for a buffer, and with segments that it merges.

use super::driver::{Driver, complete, folded, words};
use netstack::{Instant, RxChecksum, RxPart, Stack};

/// Bytes of a frame in its first buffer, and in those behind it.
const FIRST: usize = 2036;
const OTHERS: usize = 2048;

/// The lengths of the buffers that a frame takes, as the card fills them.
pub(crate) fn filled(len: usize) -> Vec<usize> {
    let first = len.min(FIRST);
    let rest = len - first;
    let others = (0..rest).step_by(OTHERS).map(|at| (rest - at).min(OTHERS));
    std::iter::once(first).chain(others).collect()
}

/// Hands a frame in, in parts of these lengths; `false` if the pool has too few buffers for it.
pub(crate) fn receive(
    stack: &mut Stack,
    driver: &mut Driver,
    now: Instant,
    frame: &[u8],
    lengths: &[usize],
    checksum: RxChecksum,
) -> bool {
    if driver.available() < lengths.len() {
        return false;
    }
    let mut parts = Vec::new();
    let mut bytes = Vec::new();
    let mut at = 0;
    for len in lengths {
        let piece = &frame[at..at + len];
        let buf = driver.fill(piece).unwrap();
        bytes.push((buf.0, piece));
        parts.push(RxPart {
            buf,
            offset: super::driver::FRAME_OFFSET,
            len: u16::try_from(*len).unwrap(),
        });
        at += len;
    }
    assert_eq!(at, frame.len());
    let read = |part: &RxPart| bytes.iter().find(|(index, _)| *index == part.buf.0).unwrap().1;
    let gathered = stack.receive_parts(driver, now, &mut parts, checksum, read);
    assert!(parts.is_empty());
    if let Some(gathered) = gathered {
        let whole = driver.view(&gathered.buf, 0, gathered.len).to_vec();
        assert!(whole == frame);
        stack.receive(driver, now, gathered.buf, &whole, 0, checksum);
    }
    true
}

/// Where the TCP header begins, and the data, in a frame that merging could concern: IPv4, nothing but ACK and PSH, and data.
fn data_of(frame: &[u8]) -> Option<(usize, usize)> {
    const TCP: usize = 34;
    if frame.len() < TCP + 20 || frame[12..15] != [8, 0, 0x45] || frame[23] != 6 {
        return None;
    }
    let data = TCP + usize::from(frame[TCP + 12] >> 4) * 4;
    (frame[TCP + 13] & !8 == 16 && data < frame.len()).then_some((TCP, data))
}

fn seq(frame: &[u8], tcp: usize) -> u32 {
    u32::from_be_bytes(frame[tcp + 4..tcp + 8].try_into().unwrap())
}

/// `first` with the data of `second` behind its own, if that is what comes next and nothing else differs.
pub(crate) fn merged(first: &[u8], second: &[u8]) -> Option<Vec<u8>> {
    let (tcp, data) = data_of(first)?;
    let len = first.len() - data;
    let follows = data_of(second)? == (tcp, data)
        && first[26..38] == second[26..38]
        && seq(second, tcp) == seq(first, tcp).wrapping_add(u32::try_from(len).unwrap())
        && first[tcp + 8..tcp + 12] == second[tcp + 8..tcp + 12]
        && first[tcp + 14..tcp + 16] == second[tcp + 14..tcp + 16]
        && first[tcp + 20..data] == second[tcp + 20..data];
    let total = first.len() + second.len() - data;
    if !follows || total > 60_000 {
        return None;
    }
    let mut whole = [first, &second[data..]].concat();
    whole[tcp + 13] |= second[tcp + 13];
    let total_len = u16::try_from(total - 14).unwrap();
    whole[16..18].copy_from_slice(&total_len.to_be_bytes());
    whole[24..26].fill(0);
    let checksum = !folded(words(&whole[14..tcp]));
    whole[24..26].copy_from_slice(&checksum.to_be_bytes());
    let pseudo = words(&whole[26..34]) + 6 + u32::from(total_len - 20);
    whole[tcp + 16..tcp + 18].copy_from_slice(&folded(pseudo).to_be_bytes());
    Some(complete(whole, tcp, tcp + 16))
}
