//! Memory for the frames to come. With so many flows that they do not fit the cache, a segment waits for memory twice: for
//! the place in the index, and for the flow it names. The segments of a batch can wait together.

use super::Stack;
use crate::Env;
use crate::tcp::tuple::{Ports, Tuple};
use core::net::Ipv4Addr;

/// With fewer flows than this, two megabytes' worth, they are taken to be in the cache.
const CACHED_FLOWS: usize = 4096;

/// Frames that are looked at at once, at most.
const BATCH: usize = 64;

impl Stack {
    /// Names the frames that [`Stack::receive`] will be given next: what memory they will need begins to come. It changes
    /// nothing but the time they take.
    #[inline]
    pub fn look_ahead<'f, E: Env>(&self, env: &E, frames: impl Iterator<Item = &'f [u8]>) {
        if self.flows.len() >= CACHED_FLOWS {
            self.prefetch_flows(env, frames);
        }
    }

    /// The same for a flow that the app speaks of.
    #[inline]
    pub(super) fn look_at<E: Env>(&self, env: &E, slot: u32) {
        if self.flows.len() >= CACHED_FLOWS {
            self.flows.prefetch(env, slot);
        }
    }

    #[inline(never)]
    fn prefetch_flows<'f, E: Env>(&self, env: &E, frames: impl Iterator<Item = &'f [u8]>) {
        let mut hashes = [0; BATCH];
        let mut count = 0;
        for (frame, hash) in frames.filter_map(tuple_of).zip(&mut hashes) {
            *hash = self.shared.secrets.place(&frame);
            self.flows.prefetch_place(env, *hash);
            count += 1;
        }
        for hash in hashes.iter().take(count) {
            self.flows.prefetch_flow(env, *hash);
        }
    }
}

/// Whose segment a frame is, if it is the usual kind: IPv4 without options.
#[inline]
pub(super) fn tuple_of(frame: &[u8]) -> Option<Tuple> {
    let headers = frame.first_chunk::<38>()?;
    let [.., b12, b13, b14] = *headers.first_chunk::<15>()?;
    if [b12, b13, b14, headers[23]] != [8, 0, 0x45, 6] {
        return None;
    }
    let [s0, s1, s2, s3, d0, d1, d2, d3, sp0, sp1, dp0, dp1] = *headers.last_chunk::<12>()?;
    let ports = Ports {
        local: u16::from_be_bytes([dp0, dp1]),
        remote: u16::from_be_bytes([sp0, sp1]),
    };
    let (local, remote) = (Ipv4Addr::new(d0, d1, d2, d3), Ipv4Addr::new(s0, s1, s2, s3));
    Some(Tuple::of_v4(local, remote, ports))
}

#[cfg(test)]
mod tests {
    use super::tuple_of;
    use core::net::Ipv4Addr;

    #[test]
    fn reads_the_ends_where_they_stand() {
        let mut frame = [0; 54];
        frame[12..15].copy_from_slice(&[8, 0, 0x45]);
        frame[23] = 6;
        frame[26..38].copy_from_slice(&[10, 0, 0, 2, 10, 0, 0, 1, 0x9c, 0x40, 0, 80]);
        let tuple = tuple_of(&frame).unwrap();
        assert_eq!((tuple.local, tuple.local_port), (Ipv4Addr::new(10, 0, 0, 1), 80));
        assert_eq!(
            (tuple.remote, tuple.remote_port),
            (Ipv4Addr::new(10, 0, 0, 2), 40_000)
        );
        frame[23] = 17;
        assert!(tuple_of(&frame).is_none());
        assert!(tuple_of(&frame[..37]).is_none());
    }
}
