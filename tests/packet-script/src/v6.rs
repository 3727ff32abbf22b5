//! IPv6 in a dialogue: neighbour discovery, ICMPv6, datagrams, and extension headers. The peer is [`PEER`], we are [`US`] and
//! what our hardware address makes.
//!
//! | `peer v6 ...` or `us v6 ...` | means |
//! |---|---|
//! | `probe TARGET` | has anybody this address? (RFC 4862 section 5.4) |
//! | `solicit TARGET` | who has it? (RFC 4861 section 4.3) |
//! | `advertise TARGET`, `announce TARGET` | I have it: asked for, or to all (section 4.4) |
//! | `routers`, `router SECONDS [PREFIX VALID PREFERRED]` | which routers are there; I am one (sections 4.1 and 4.2) |
//! | `echo ID SEQ +LEN`, `reply ID SEQ +LEN` | RFC 4443 section 4 |
//! | `unreachable CODE`, `problem CODE POINTER`, `exceeded CODE` | section 3 |
//! | `udp FROM > TO +LEN [behind HEADER,...]` | a datagram; headers as [`Header`] has them |

use crate::frame::{Stations, payload};
use crate::script::{Envelope, number_of};
use std::net::Ipv6Addr;

/// The subject's address.
pub const US: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
/// The player's.
pub const PEER: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
/// The player's on the link.
const PEER_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

const ICMPV6: u8 = 58;
const UDP: u8 = 17;
/// RFC 8200 section 4.5.
const FRAGMENT: u8 = 44;
/// Where the IPv6 packet begins, and its payload.
const IP: usize = 14;
const BODY: usize = IP + 40;

/// What is said in IPv6.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the table above")]
pub enum Said {
    Probe(Ipv6Addr),
    Solicit(Ipv6Addr),
    Advertise(Ipv6Addr),
    Announce(Ipv6Addr),
    Routers,
    Router(u16, Option<Prefix>),
    Echo {
        id: u16,
        seq: u16,
        len: u32,
    },
    Reply {
        id: u16,
        seq: u16,
        len: u32,
    },
    Unreachable(u8),
    Problem {
        code: u8,
        pointer: u32,
    },
    Exceeded(u8),
    Udp {
        from: u16,
        to: u16,
        len: u32,
        behind: Vec<Header>,
    },
}

/// A prefix of 64 bits that a router tells: on the link, and to make addresses from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    network: Ipv6Addr,
    valid_s: u32,
    preferred_s: u32,
}

/// An extension header of eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// `hop`: Hop-by-Hop Options with padding.
    Hop,
    /// `dest`: Destination Options with padding.
    Dest,
    /// `skip`: an unknown option that may be skipped.
    Skip,
    /// `drop`: one that wants the packet dropped.
    Drop,
    /// `tell`: one that wants it told, too.
    Tell,
    /// `route`: a type 0 routing header with a way to go.
    Route,
    /// `strange`: a header of no known kind.
    Strange,
}

impl Header {
    fn read(word: &str) -> Result<Self, String> {
        Ok(match word {
            "hop" => Header::Hop,
            "dest" => Header::Dest,
            "skip" => Header::Skip,
            "drop" => Header::Drop,
            "tell" => Header::Tell,
            "route" => Header::Route,
            "strange" => Header::Strange,
            _ => return Err(format!("there is no header {word}")),
        })
    }

    fn number(self) -> u8 {
        match self {
            Header::Hop => 0,
            Header::Route => 43,
            Header::Dest | Header::Skip | Header::Drop | Header::Tell => 60,
            Header::Strange => 200,
        }
    }

    fn bytes(self, next: u8) -> [u8; 8] {
        let option = match self {
            Header::Hop | Header::Dest | Header::Strange => 1,
            Header::Skip => 0x1e,
            Header::Drop => 0x5e,
            Header::Tell => 0x9e,
            Header::Route => return [next, 0, 0, 1, 0, 0, 0, 0],
        };
        [next, 0, option, 4, 0, 0, 0, 0]
    }
}

impl Said {
    /// Reads what stands behind `v6`.
    pub(crate) fn read(words: &[&str]) -> Result<Self, String> {
        let length = |word: &str| number_of(word.strip_prefix('+').ok_or("no length")?);
        Ok(match *words {
            ["probe", target] => Said::Probe(number_of(target)?),
            ["solicit", target] => Said::Solicit(number_of(target)?),
            ["advertise", target] => Said::Advertise(number_of(target)?),
            ["announce", target] => Said::Announce(number_of(target)?),
            ["routers"] => Said::Routers,
            ["router", seconds] => Said::Router(number_of(seconds)?, None),
            ["router", seconds, network, valid, preferred] => Said::Router(
                number_of(seconds)?,
                Some(Prefix {
                    network: number_of(network)?,
                    valid_s: number_of(valid)?,
                    preferred_s: number_of(preferred)?,
                }),
            ),
            ["echo", id, seq, len] => Said::Echo {
                id: number_of(id)?,
                seq: number_of(seq)?,
                len: length(len)?,
            },
            ["reply", id, seq, len] => Said::Reply {
                id: number_of(id)?,
                seq: number_of(seq)?,
                len: length(len)?,
            },
            ["unreachable", code] => Said::Unreachable(number_of(code)?),
            ["problem", code, pointer] => Said::Problem {
                code: number_of(code)?,
                pointer: number_of(pointer)?,
            },
            ["exceeded", code] => Said::Exceeded(number_of(code)?),
            ["udp", from, ">", to, len, ref rest @ ..] => Said::Udp {
                from: number_of(from)?,
                to: number_of(to)?,
                len: length(len)?,
                behind: match *rest {
                    [] => Vec::new(),
                    ["behind", list] => list.split(',').map(Header::read).collect::<Result<_, _>>()?,
                    _ => return Err(format!("{rest:?} is not understood")),
                },
            },
            _ => return Err("not understood".into()),
        })
    }

    /// From where to where the peer says it, and the message, checksums apart.
    fn message(&self, stations: &Stations) -> (Ipv6Addr, Ipv6Addr, Vec<u8>) {
        let neighbor = |kind: u8, flags: u8, target: &Ipv6Addr, option: Option<u8>| {
            let mut body = vec![kind, 0, 0, 0, flags, 0, 0, 0];
            body.extend_from_slice(&target.octets());
            if let Some(option) = option {
                body.extend_from_slice(&[option, 1]);
                body.extend_from_slice(&stations.peer_mac);
            }
            body
        };
        let echo = |kind: u8, id: u16, seq: u16, len: u32| {
            let mut body = vec![kind, 0, 0, 0];
            body.extend_from_slice(&id.to_be_bytes());
            body.extend_from_slice(&seq.to_be_bytes());
            body.extend(payload(0, len));
            body
        };
        match self {
            Said::Probe(target) => (
                Ipv6Addr::UNSPECIFIED,
                solicited(*target),
                neighbor(135, 0, target, None),
            ),
            Said::Solicit(target) => (PEER, solicited(*target), neighbor(135, 0, target, Some(1))),
            Said::Advertise(target) => (PEER, US, neighbor(136, 0x60, target, Some(2))),
            Said::Announce(target) => (PEER, ALL_NODES, neighbor(136, 0x20, target, Some(2))),
            Said::Routers => (PEER_LOCAL, ALL_ROUTERS, vec![133, 0, 0, 0, 0, 0, 0, 0]),
            Said::Router(seconds, prefix) => {
                let [high, low] = seconds.to_be_bytes();
                let mut body = vec![134, 0, 0, 0, 64, 0, high, low, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
                body.extend_from_slice(&stations.peer_mac);
                if let Some(prefix) = prefix {
                    body.extend_from_slice(&[3, 4, 64, 0xc0]);
                    body.extend_from_slice(&prefix.valid_s.to_be_bytes());
                    body.extend_from_slice(&prefix.preferred_s.to_be_bytes());
                    body.extend_from_slice(&[0; 4]);
                    body.extend_from_slice(&prefix.network.octets());
                }
                (PEER_LOCAL, ALL_NODES, body)
            }
            Said::Echo { id, seq, len } => (PEER, US, echo(128, *id, *seq, *len)),
            Said::Reply { id, seq, len } => (PEER, US, echo(129, *id, *seq, *len)),
            Said::Unreachable(code) => (PEER, US, vec![1, *code, 0, 0, 0, 0, 0, 0]),
            Said::Problem { code, pointer } => {
                let mut body = vec![4, *code, 0, 0];
                body.extend_from_slice(&pointer.to_be_bytes());
                (PEER, US, body)
            }
            Said::Exceeded(code) => (PEER, US, vec![3, *code, 0, 0, 0, 0, 0, 0]),
            Said::Udp { from, to, len, .. } => {
                let mut body = [from.to_be_bytes(), to.to_be_bytes()].concat();
                let total = u16::try_from(8 + len).expect("short");
                body.extend_from_slice(&total.to_be_bytes());
                body.extend_from_slice(&[0, 0]);
                body.extend(payload(0, *len));
                (PEER, US, body)
            }
        }
    }

    /// The peer's frame.
    pub(crate) fn encode(&self, stations: &Stations, envelope: &Envelope) -> Vec<u8> {
        let (src, dst, mut body) = self.message(stations);
        let (protocol, field) = match self {
            Said::Udp { .. } => (UDP, 6),
            _ => (ICMPV6, 2),
        };
        let mut sum = checksum(src, dst, protocol, &body);
        if envelope.bad_sum {
            sum ^= 0x55;
        }
        body[field..field + 2].copy_from_slice(&sum.to_be_bytes());
        let behind: &[Header] = match self {
            Said::Udp { behind, .. } => behind,
            _ => &[],
        };
        let numbers = behind.iter().map(|header| header.number());
        let mut numbers: Vec<u8> = numbers.chain([protocol]).collect();
        let first = numbers.remove(0);
        let headers = behind
            .iter()
            .zip(numbers)
            .flat_map(|(header, next)| header.bytes(next));
        let mut packet: Vec<u8> = headers.chain(body).collect();
        let is_discovery = protocol == ICMPV6 && (133..=136).contains(&packet[0]);
        let mut next = first;
        if let Some(part) = envelope.part {
            let (at, more, bytes) = part.of(&packet);
            let place = at << 3 | u16::from(more || envelope.fragment);
            let header = [u16::from_be_bytes([first, 0]), place, 0, envelope.id];
            packet = [&header.map(u16::to_be_bytes).concat(), bytes].concat();
            next = FRAGMENT;
        }
        let hops = envelope.hop.unwrap_or(if is_discovery { 255 } else { 64 });
        let len = u16::try_from(packet.len()).expect("short");

        let mut frame = station_for(stations, dst).to_vec();
        frame.extend_from_slice(&stations.peer_mac);
        frame.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend_from_slice(&len.to_be_bytes());
        frame.extend_from_slice(&[next, hops]);
        frame.extend_from_slice(&src.octets());
        frame.extend_from_slice(&dst.octets());
        frame.extend_from_slice(&packet);
        frame.truncate(frame.len() - envelope.cut);
        frame
    }

    /// Reads a frame of ours of this family; `None` if it says something else.
    pub(crate) fn decode(frame: &[u8]) -> Result<Option<Self>, String> {
        let body = frame.get(BODY..).ok_or("shorter than a header")?;
        let address = |at: usize| {
            let bytes = frame.get(at..at + 16).ok_or("too short")?;
            Ok::<Ipv6Addr, String>(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).expect("16 bytes")))
        };
        let (src, dst, protocol) = (address(IP + 8)?, address(IP + 24)?, frame[IP + 6]);
        if protocol != ICMPV6 && protocol != UDP {
            return Ok(None);
        }
        if checksum(src, dst, protocol, body) != 0 {
            return Err("its checksum is wrong".into());
        }
        let half = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
        let len = u32::try_from(body.len() - 8).map_err(|error| error.to_string())?;
        if protocol == UDP {
            return Ok(Some(Said::Udp {
                from: half(0),
                to: half(2),
                len,
                behind: Vec::new(),
            }));
        }
        let target = || address(BODY + 8);
        Ok(Some(match body[0] {
            1 => Said::Unreachable(body[1]),
            3 => Said::Exceeded(body[1]),
            4 => Said::Problem {
                code: body[1],
                pointer: u32::from(half(4)) << 16 | u32::from(half(6)),
            },
            129 => Said::Reply {
                id: half(4),
                seq: half(6),
                len,
            },
            133 => Said::Routers,
            135 if src.is_unspecified() => Said::Probe(target()?),
            135 => Said::Solicit(target()?),
            136 if body[4] & 0x40 != 0 => Said::Advertise(target()?),
            136 => Said::Announce(target()?),
            _ => return Ok(None),
        }))
    }
}

/// The group of all that may have this address (RFC 4291 section 2.7.1).
fn solicited(target: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = target.octets();
    let [high, low] = [u16::from_be_bytes([0xff, a]), u16::from_be_bytes([b, c])];
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, high, low)
}

/// The station or stations that `dst` is carried to.
fn station_for(stations: &Stations, dst: Ipv6Addr) -> [u8; 6] {
    let [.., a, b, c, d] = dst.octets();
    if dst.is_multicast() {
        [0x33, 0x33, a, b, c, d]
    } else {
        stations.our_mac
    }
}

/// The Internet checksum with the pseudo-header of RFC 8200 section 8.1.
fn checksum(src: Ipv6Addr, dst: Ipv6Addr, protocol: u8, body: &[u8]) -> u16 {
    let len = u32::try_from(body.len()).expect("short");
    let ends = [src.octets(), dst.octets()].concat();
    let rest = [len.to_be_bytes(), [0, 0, 0, protocol]].concat();
    let words = ends.chunks(2).chain(rest.chunks(2)).chain(body.chunks(2));
    let sum = words
        .map(|word| u64::from(word[0]) << 8 | u64::from(*word.get(1).unwrap_or(&0)))
        .sum::<u64>();
    let mut folded = sum;
    while folded > 0xffff {
        folded = (folded >> 16) + (folded & 0xffff);
    }
    !u16::try_from(folded).expect("folded")
}
