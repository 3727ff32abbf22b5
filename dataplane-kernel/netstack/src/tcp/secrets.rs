//! What an outsider must not foresee: sequence numbers, timestamps, ports, and where a flow falls in the table.

use super::tuple::Tuple;
use crate::Instant;
use crate::seq::SeqNum;
use core::hash::Hasher;
use siphasher::sip::SipHasher24;

/// Keyed functions, and a generator, from one secret.
#[derive(Debug)]
pub(crate) struct Secrets {
    key: [u8; 16],
    table: [u64; 2],
    drawn: u64,
}

impl Secrets {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        let mut secrets = Secrets {
            key,
            table: [0; 2],
            drawn: 0,
        };
        // Odd, so that multiplying by it loses nothing.
        secrets.table = [secrets.random() | 1, secrets.random() | 1];
        secrets
    }

    /// Where a flow stands in the table: two multiplications by numbers nobody outside knows, halves folded. No
    /// cryptographic hash, but its outcome is never shown to anybody either.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "halves of a wider number")]
    pub(crate) fn place(&self, tuple: &Tuple) -> u32 {
        let [first, second] = self.table;
        let (remote, ports, local) = (tuple.remote.to_bits(), tuple.ports(), tuple.local.to_bits());
        let pair = u64::from(remote) << 32 | u64::from(ports);
        let once = u128::from(pair ^ second) * u128::from(first);
        let folded = (once >> 64) as u64 ^ once as u64 ^ u64::from(local);
        let twice = u128::from(folded) * u128::from(second);
        ((twice >> 64) as u64 ^ twice as u64) as u32
    }

    /// The initial sequence number (RFC 6528 section 3): a clock of about 4 us and a keyed hash of the connection.
    #[allow(clippy::cast_possible_truncation, reason = "a clock that wraps")]
    pub(crate) fn initial_sequence(&self, tuple: &Tuple, now: Instant) -> SeqNum {
        SeqNum(self.hash(1, tuple)) + (now.0 >> 12) as u32
    }

    /// What a flow's timestamps begin with (RFC 7323 section 7.1).
    pub(crate) fn timestamp_offset(&self, tuple: &Tuple) -> u32 {
        self.hash(2, tuple)
    }

    /// The next number of a sequence that cannot be foreseen.
    pub(crate) fn random(&mut self) -> u64 {
        self.drawn += 1;
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write_u64(self.drawn);
        hasher.finish()
    }

    #[allow(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
    fn hash(&self, purpose: u8, tuple: &Tuple) -> u32 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write_u8(purpose);
        hasher.write_u32(tuple.local.to_bits());
        hasher.write_u32(tuple.remote.to_bits());
        hasher.write_u32(tuple.ports());
        hasher.finish() as u32
    }
}
