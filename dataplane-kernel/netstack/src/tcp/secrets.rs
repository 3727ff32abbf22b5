//! What an outsider must not foresee: sequence numbers, timestamps, ports, and where a flow falls in the table.

use super::pairs::Pair;
use super::tuple::Tuple;
use crate::Instant;
use crate::ends::Ends;
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

    /// Where a pair of IPv6 addresses stands in its table: the same over both halves of both.
    #[allow(clippy::cast_possible_truncation, reason = "halves of a wider number")]
    pub(crate) fn place_pair(&self, pair: &Pair) -> u32 {
        let [first, second] = self.table;
        let mut folded = 0;
        for half in [pair.local, pair.remote].map(|ip| ip.to_bits()) {
            for half in [(half >> 64) as u64, half as u64] {
                let product = u128::from(half ^ second ^ folded) * u128::from(first);
                folded = ((product >> 64) as u64 ^ product as u64).rotate_left(23);
            }
        }
        let last = u128::from(folded) * u128::from(second);
        ((last >> 64) as u64 ^ last as u64) as u32
    }

    /// The initial sequence number (RFC 6528 section 3): a clock of about 4 us and a keyed hash of the connection.
    #[allow(clippy::cast_possible_truncation, reason = "a clock that wraps")]
    pub(crate) fn initial_sequence(&self, ends: &Ends, ports: u32, now: Instant) -> SeqNum {
        SeqNum(self.hash(1, ends, ports)) + (now.0 >> 12) as u32
    }

    /// What a flow's timestamps begin with (RFC 7323 section 7.1).
    pub(crate) fn timestamp_offset(&self, ends: &Ends, ports: u32) -> u32 {
        self.hash(2, ends, ports)
    }

    /// The next number of a sequence that cannot be foreseen.
    pub(crate) fn random(&mut self) -> u64 {
        self.drawn += 1;
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write_u64(self.drawn);
        hasher.finish()
    }

    /// A hash of a SYN and what its cookie says.
    #[allow(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
    pub(crate) fn cookie_hash(&self, ends: &Ends, ports: u32, irs: SeqNum, content: u64) -> u32 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write_u8(3);
        hasher.write_u32(self.hash(4, ends, ports));
        hasher.write_u32(irs.0);
        hasher.write_u64(content);
        hasher.finish() as u32
    }

    #[allow(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
    fn hash(&self, purpose: u8, ends: &Ends, ports: u32) -> u32 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write_u8(purpose);
        match ends {
            Ends::V4 { local, remote } => {
                hasher.write_u32(local.to_bits());
                hasher.write_u32(remote.to_bits());
            }
            Ends::V6 { local, remote } => {
                hasher.write(&local.octets());
                hasher.write(&remote.octets());
            }
        }
        hasher.write_u32(ports);
        hasher.finish() as u32
    }
}
