//! The Toeplitz hash: for each bit of the input that is set, the 32 bits of the key from that place on are added modulo 2
//! (Microsoft, "RSS hashing functions"; virtio 1.2, section 5.1.6.4.3.1).

use alloc::boxed::Box;

/// Bytes of a key: for the longest input, and 32 bits more.
pub const KEY_BYTES: usize = 40;

/// What makes the hash one that nobody outside can foresee.
pub type Key = [u8; KEY_BYTES];

/// Longest input: two IPv6 addresses and two ports.
const MAX_INPUT: usize = 36;

/// The hash for one key, as a table: what each value of each byte of the input contributes.
#[derive(Debug)]
pub struct Toeplitz {
    table: Box<[[u32; 256]]>,
}

impl Toeplitz {
    /// For this key.
    #[must_use]
    pub fn new(key: &Key) -> Self {
        let bit = |place: usize| u32::from(key[place / 8] >> (7 - place % 8) & 1);
        let window = |place: usize| (place..place + 32).fold(0, |bits, place| bits << 1 | bit(place));
        let contributions = |byte: usize| {
            let windows: [u32; 8] = core::array::from_fn(|bit| window(8 * byte + bit));
            core::array::from_fn(|value| {
                let set = (0..8).filter(|bit| value >> (7 - bit) & 1 != 0);
                set.fold(0, |hash, bit| hash ^ windows[bit])
            })
        };
        // Row by row: as a whole it is too large for the stack.
        Toeplitz {
            table: (0..MAX_INPUT).map(contributions).collect(),
        }
    }

    /// What bytes contribute that stand at `start` of the input. Of a length known to the compiler, which leaves no loop.
    #[inline]
    fn part<const N: usize>(&self, start: usize, bytes: [u8; N]) -> u32 {
        let places: Option<&[[u32; 256]; N]> = self.table.get(start..).and_then(|rest| rest.first_chunk());
        places.map_or(0, |places| {
            let each = places.iter().zip(&bytes);
            each.fold(0, |hash, (place, byte)| hash ^ place[usize::from(*byte)])
        })
    }

    /// Of two addresses, source first.
    #[inline]
    #[must_use]
    pub fn addresses<const N: usize>(&self, src: [u8; N], dst: [u8; N]) -> u32 {
        self.part(0, src) ^ self.part(N, dst)
    }

    /// Of two addresses and two ports, source first.
    #[inline]
    #[must_use]
    pub fn ports<const N: usize>(&self, src: [u8; N], dst: [u8; N], ports: (u16, u16)) -> u32 {
        let ([a, b], [c, d]) = (ports.0.to_be_bytes(), ports.1.to_be_bytes());
        self.addresses(src, dst) ^ self.part(2 * N, [a, b, c, d])
    }
}

#[cfg(test)]
mod tests {
    use super::Toeplitz;
    use core::net::{Ipv4Addr, Ipv6Addr};

    /// Key and results as Microsoft publishes them ("Verifying the RSS hash calculation").
    const KEY: [u8; 40] = [
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0,
        0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42,
        0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
    ];

    #[test]
    fn ipv4_hashes_are_the_published_ones() {
        let toeplitz = Toeplitz::new(&KEY);
        for (dst, to, src, from, addresses, ports) in [
            (
                [161, 142, 100, 80],
                1766,
                [66, 9, 149, 187],
                2794,
                0x323e_8fc2,
                0x51cc_c178,
            ),
            (
                [65, 69, 140, 83],
                4739,
                [199, 92, 111, 2],
                14230,
                0xd718_262a,
                0xc626_b0ea,
            ),
            (
                [12, 22, 207, 184],
                38024,
                [24, 19, 198, 95],
                12898,
                0xd2d0_a5de,
                0x5c2b_394a,
            ),
            (
                [209, 142, 163, 6],
                2217,
                [38, 27, 205, 30],
                48228,
                0x8298_9176,
                0xafc7_327f,
            ),
            (
                [202, 188, 127, 2],
                1303,
                [153, 39, 163, 191],
                44251,
                0x5d18_09c5,
                0x10e8_28a2,
            ),
        ] {
            assert_eq!(toeplitz.addresses(src, dst), addresses, "{}", Ipv4Addr::from(dst));
            assert_eq!(
                toeplitz.ports(src, dst, (from, to)),
                ports,
                "{}",
                Ipv4Addr::from(dst)
            );
        }
    }

    #[test]
    fn ipv6_hashes_are_the_published_ones() {
        let toeplitz = Toeplitz::new(&KEY);
        for (dst, to, src, from, addresses, ports) in [
            (
                "3ffe:2501:200:3::1",
                1766,
                "3ffe:2501:200:1fff::7",
                2794,
                0x2cc1_8cd5,
                0x4020_7d3d,
            ),
            (
                "ff02::1",
                4739,
                "3ffe:501:8::260:97ff:fe40:efab",
                14230,
                0x0f0c_461c,
                0xdde5_1bbf,
            ),
            (
                "fe80::200:f8ff:fe21:67cf",
                38024,
                "3ffe:1900:4545:3:200:f8ff:fe21:67cf",
                44251,
                0x4b61_e985,
                0x02d1_feef,
            ),
        ] {
            let [src, dst] = [src, dst].map(|address| address.parse::<Ipv6Addr>().unwrap().octets());
            assert_eq!(toeplitz.addresses(src, dst), addresses);
            assert_eq!(toeplitz.ports(src, dst, (from, to)), ports);
        }
    }
}
