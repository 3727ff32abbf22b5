//! Whom a frame is for, seen from its first bytes. What does not belong to a flow is core 0's, which speaks for the host;
//! what any core may need to know (who has which address, which path is narrow, which groups are asked for) goes to all.

use super::Steering;

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// To this core.
    Core(u8),
    /// To all of them.
    All,
}

const HOST: Target = Target::Core(0);

const ICMP: u8 = 1;
const IGMP: u8 = 2;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
/// IPv6's Hop-by-Hop Options, in front of questions about groups.
const HOP_BY_HOP: u8 = 0;

/// DHCP's client port: the host's own affair, whatever it hashes to.
const DHCP_CLIENT: u16 = 68;

/// Where a frame, from its Ethernet header on, goes.
#[inline]
#[must_use]
pub fn target(steering: &Steering, frame: &[u8]) -> Target {
    let Some((ether, packet)) = frame.split_first_chunk::<14>() else {
        return HOST;
    };
    // A group's bit: what many stations get is no flow's.
    let to_group = ether[0] & 1 != 0;
    // Whose VLAN it is does not matter yet: what is not ours is dropped on any core.
    let (ether_type, packet) = match ([ether[12], ether[13]], packet) {
        ([0x81, 0x00], [_, _, a, b, packet @ ..]) => ([*a, *b], packet),
        (ether_type, packet) => (ether_type, packet),
    };
    match ether_type {
        [0x08, 0x00] => ipv4(steering, packet, to_group),
        [0x86, 0xdd] => ipv6(steering, packet, to_group),
        [0x08, 0x06] => Target::All,
        _ => HOST,
    }
}

#[inline]
fn ipv4(steering: &Steering, packet: &[u8], to_group: bool) -> Target {
    let Some((header, _)) = packet.split_first_chunk::<20>() else {
        return HOST;
    };
    let body = packet.get(usize::from(header[0] & 15) * 4..).unwrap_or_default();
    // RFC 791: more fragments, or an offset.
    let is_fragment = (header[6] & 0x3f) | header[7] != 0;
    match (header[9], body) {
        (TCP | UDP, [a, b, c, d, ..]) if !is_fragment && !to_group => {
            let [_, _, _, _, _, _, _, _, _, _, _, _, src @ .., e, f, g, h] = *header;
            let ports = (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]));
            flow(
                steering,
                (header[9], ports),
                steering.hash.ports(src, [e, f, g, h], ports),
            )
        }
        // Echoes are answered by the host; complaints may be about any core's packets.
        (ICMP, [0 | 8, ..]) => HOST,
        (ICMP | IGMP, _) if !is_fragment => Target::All,
        _ => HOST,
    }
}

#[inline]
fn ipv6(steering: &Steering, packet: &[u8], to_group: bool) -> Target {
    let Some((header, body)) = packet.split_first_chunk::<40>() else {
        return HOST;
    };
    match (header[6], body) {
        (TCP | UDP, [a, b, c, d, ..]) if !to_group => {
            let mut addresses = [[0; 16]; 2];
            addresses.as_flattened_mut().copy_from_slice(&header[8..]);
            let [src, dst] = addresses;
            let ports = (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]));
            flow(steering, (header[6], ports), steering.hash.ports(src, dst, ports))
        }
        (ICMPV6, [128 | 129, ..]) => HOST,
        (ICMPV6 | HOP_BY_HOP, _) => Target::All,
        _ => HOST,
    }
}

#[inline]
fn flow(steering: &Steering, (protocol, ports): (u8, (u16, u16)), hash: u32) -> Target {
    if protocol == UDP && ports.1 == DHCP_CLIENT {
        return HOST;
    }
    Target::Core(steering.core_of(hash))
}

#[cfg(test)]
mod tests {
    use super::{HOST, Target, target};
    use crate::rss::Steering;
    use core::net::SocketAddr;
    use std::vec::Vec;

    fn steering() -> Steering {
        let steering = Steering::new(&core::array::from_fn(|place| {
            u8::try_from(place * 37 % 251).unwrap()
        }));
        (0..4).for_each(|core| steering.offer(core));
        steering.settle();
        steering
    }

    fn frame(ether_type: u16, packet: &[u8]) -> Vec<u8> {
        [
            &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..],
            &ether_type.to_be_bytes(),
            packet,
        ]
        .concat()
    }

    fn ipv4(protocol: u8, flags: u8, body: &[u8]) -> Vec<u8> {
        let header = [
            0x45, 0, 0, 0, 0, 0, flags, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        ];
        frame(0x800, &[&header, body].concat())
    }

    fn ipv6(protocol: u8, body: &[u8]) -> Vec<u8> {
        let mut packet = [&[0x60, 0, 0, 0, 0, 0, protocol, 64][..], &[0; 32], body].concat();
        (packet[8], packet[23], packet[24], packet[39]) = (0xfd, 1, 0xfd, 2);
        frame(0x86dd, &packet)
    }

    #[test]
    fn flows_go_where_their_answers_are_expected() {
        let steering = steering();
        let mut met = [0; 4];
        for port in 1000..1100u16 {
            let ports = [port.to_be_bytes(), 7u16.to_be_bytes()].concat();
            let four = |ip: &str, port| SocketAddr::new(ip.parse().unwrap(), port);
            for (frame, from, to) in [
                (ipv4(6, 0x40, &ports), "10.0.0.1", "10.0.0.2"),
                (ipv4(17, 0, &ports), "10.0.0.1", "10.0.0.2"),
                (ipv6(6, &ports), "fd00::1", "fd00::2"),
                (ipv6(17, &ports), "fd00::1", "fd00::2"),
            ] {
                let home = steering.home_of(four(from, port), four(to, 7));
                assert_eq!(target(&steering, &frame), Target::Core(home));
                let tagged = [&frame[..12], &[0x81, 0, 0, 7], &frame[12..]].concat();
                assert_eq!(target(&steering, &tagged), Target::Core(home));
                met[usize::from(home)] += 1;
            }
        }
        assert!(met.iter().all(|&count| count > 50), "{met:?}");
    }

    #[test]
    fn what_is_no_flow_is_the_hosts_or_everybodys() {
        let steering = steering();
        let dhcp = [67u16.to_be_bytes(), 68u16.to_be_bytes()].concat();
        let mut group = ipv4(17, 0, &[1, 2, 3, 4]);
        group[0] = 1;
        for (frame, expected) in [
            (frame(0x806, &[0; 28]), Target::All),
            (ipv4(1, 0, &[8, 0]), HOST),
            (ipv4(1, 0, &[3, 4]), Target::All),
            (ipv4(2, 0, &[0x11]), Target::All),
            (ipv4(6, 0x20, &[1, 2, 3, 4]), HOST),
            (ipv4(17, 0, &dhcp), HOST),
            (ipv4(17, 0, &[1]), HOST),
            (group, HOST),
            (ipv6(58, &[128, 0]), HOST),
            (ipv6(58, &[135, 0]), Target::All),
            (ipv6(0, &[58, 0]), Target::All),
            (ipv6(44, &[6, 0]), HOST),
            (frame(0x88b5, &[0; 40]), HOST),
            (
                frame(0x8100, &[&[0, 7, 8, 6][..], &[0; 28]].concat()),
                Target::All,
            ),
            (frame(0x8100, &[0, 7, 8]), HOST),
            (frame(0x800, &[0x4f; 21]), HOST),
            (frame(0x86dd, &[0; 39]), HOST),
            (Vec::new(), HOST),
        ] {
            assert_eq!(target(&steering, &frame), expected, "{frame:02x?}");
        }
    }
}
