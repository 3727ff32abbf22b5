//! Frames of a dialogue, made and read by a library that shares nothing with the stack.

use crate::script::{Envelope, number_of};
use crate::segment::{Segment, TcpOption, flag, pattern};
use crate::v6;
use etherparse::{
    EtherType, Ethernet2Header, IcmpEchoHeader, Icmpv4Header, Icmpv4Type, IpEcn, IpNumber, Ipv4Header,
    NetHeaders, PacketHeaders, TcpHeader, TcpOptionElement, TransportHeader, UdpHeader,
};
use std::net::Ipv4Addr;

/// Who talks.
#[derive(Clone, Copy, Debug)]
pub struct Stations {
    /// The subject's.
    pub our_mac: [u8; 6],
    /// The subject's.
    pub our_ip: Ipv4Addr,
    /// The player's.
    pub peer_mac: [u8; 6],
    /// The player's.
    pub peer_ip: Ipv4Addr,
    /// The subject's port in a segment that names none.
    pub our_port: u16,
    /// The player's first.
    pub peer_port: u16,
}

/// What is not TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the protocols'")]
pub enum Other {
    Udp {
        from: u16,
        to: u16,
        len: u32,
    },
    Echo {
        id: u16,
        seq: u16,
        len: u32,
    },
    EchoReply {
        id: u16,
        seq: u16,
        len: u32,
    },
    Error {
        kind: u8,
        code: u8,
        mtu: u16,
        seq: Option<u32>,
    },
    ArpRequest,
    ArpReply,
    Raw(Vec<u8>),
    V6(v6::Said),
}

impl Other {
    /// Reads one; `None` if it is a segment's turn.
    ///
    /// # Errors
    /// What is wrong.
    pub fn read(words: &[&str]) -> Option<Result<Self, String>> {
        let length = |word: &str| number_of(word.strip_prefix('+').ok_or("no length")?);
        Some(match *words {
            ["udp", from, ">", to, len] => three(number_of(from), number_of(to), length(len))
                .map(|(from, to, len)| Other::Udp { from, to, len }),
            ["icmp", "echo", id, seq, len] => three(number_of(id), number_of(seq), length(len))
                .map(|(id, seq, len)| Other::Echo { id, seq, len }),
            ["icmp", "reply", id, seq, len] => three(number_of(id), number_of(seq), length(len))
                .map(|(id, seq, len)| Other::EchoReply { id, seq, len }),
            ["icmp", "unreachable", code, ref rest @ ..] => error("3", code, rest),
            ["icmp", "error", kind, code, ref rest @ ..] => error(kind, code, rest),
            ["arp", "request"] => Ok(Other::ArpRequest),
            ["arp", "reply"] => Ok(Other::ArpReply),
            ["frame", hex] => bytes(hex).map(Other::Raw),
            ["v6", ref rest @ ..] => v6::Said::read(rest).map(Other::V6),
            ["udp" | "icmp" | "arp" | "frame", ..] => Err("not understood".into()),
            _ => return None,
        })
    }
}

fn three<A, B, C>(
    a: Result<A, String>,
    b: Result<B, String>,
    c: Result<C, String>,
) -> Result<(A, B, C), String> {
    Ok((a?, b?, c?))
}

fn error(kind: &str, code: &str, rest: &[&str]) -> Result<Other, String> {
    let (mut mtu, mut seq) = (0, None);
    for pair in rest.chunks(2) {
        match *pair {
            ["mtu", value] => mtu = number_of(value)?,
            ["seq", value] => seq = Some(number_of(value)?),
            _ => return Err(format!("{pair:?} is not understood")),
        }
    }
    Ok(Other::Error {
        kind: number_of(kind)?,
        code: number_of(code)?,
        mtu,
        seq,
    })
}

fn bytes(hex: &str) -> Result<Vec<u8>, String> {
    let pairs = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).map_err(|error| error.to_string())?;
        u8::from_str_radix(text, 16).map_err(|error| error.to_string())
    };
    pairs.map(byte).collect()
}

/// `len` bytes from this relative number on.
#[must_use]
pub fn payload(seq: u32, len: u32) -> Vec<u8> {
    (0..len).map(|index| pattern(seq.wrapping_add(index))).collect()
}

impl Stations {
    fn packet(&self, protocol: IpNumber, content: &[u8], envelope: &Envelope) -> Vec<u8> {
        let (at, more, content) = envelope.part.map_or((0, false, content), |part| part.of(content));
        let mut ip = self.ip_header(protocol, content.len(), envelope);
        ip.fragment_offset = at.try_into().expect("13 bits");
        ip.more_fragments |= more;
        ip.header_checksum = ip.calc_header_checksum();
        let mut packet = Vec::new();
        ip.write(&mut packet).expect("into a vector");
        packet.extend_from_slice(content);
        if envelope.bad_ip_sum {
            packet[10] ^= 0x55;
        }
        self.ethernet(EtherType::IPV4, &packet, envelope)
    }

    fn ip_header(&self, protocol: IpNumber, len: usize, envelope: &Envelope) -> Ipv4Header {
        let host = |ip: Ipv4Addr, host: Option<u8>| {
            let [a, b, c, d] = ip.octets();
            [a, b, c, host.unwrap_or(d)]
        };
        let len = u16::try_from(len).expect("short");
        let (src, dst) = (host(self.peer_ip, envelope.from), host(self.our_ip, envelope.to));
        let mut ip = Ipv4Header::new(len, 64, protocol, src, dst).expect("short");
        ip.more_fragments = envelope.fragment;
        ip.dont_fragment = !envelope.fragment && envelope.part.is_none();
        ip.identification = envelope.id;
        ip.ecn = IpEcn::try_new(envelope.ecn & 3).expect("two bits");
        ip
    }

    fn ethernet(&self, ether_type: EtherType, content: &[u8], envelope: &Envelope) -> Vec<u8> {
        let mut destination = self.our_mac;
        if envelope.broadcast_mac {
            destination = [0xff; 6];
        } else if envelope.foreign_mac {
            destination[5] ^= 0x55;
        }
        let link = Ethernet2Header {
            source: self.peer_mac,
            destination,
            ether_type,
        };
        let mut frame = link.to_bytes().to_vec();
        frame.extend_from_slice(content);
        frame.truncate(frame.len() - envelope.cut);
        frame
    }

    /// The peer's segment, its numbers absolute; its bytes are those of the number `relative`.
    #[must_use]
    pub fn encode(&self, segment: &Segment, relative: u32, envelope: &Envelope) -> Vec<u8> {
        let payload = payload(relative, segment.len);
        let port = self.peer_port + segment.port;
        let mut tcp = TcpHeader::new(port, self.our_port, segment.seq, segment.window.unwrap_or(65535));
        tcp.acknowledgment_number = segment.ack.unwrap_or(0);
        let has = |bit: u8| segment.flags & bit != 0;
        (tcp.fin, tcp.syn, tcp.rst, tcp.psh) =
            (has(flag::FIN), has(flag::SYN), has(flag::RST), has(flag::PSH));
        (tcp.ack, tcp.urg, tcp.ece, tcp.cwr) =
            (has(flag::ACK), has(flag::URG), has(flag::ECE), has(flag::CWR));
        tcp.urgent_pointer = segment.urgent;
        let options: Vec<TcpOptionElement> = segment.options.iter().flatten().map(element).collect();
        tcp.set_options(&options).expect("at most 40 bytes of options");
        let envelope = &Envelope {
            ecn: segment.ecn.unwrap_or(0),
            ..*envelope
        };
        let ip = self.ip_header(IpNumber::TCP, tcp.header_len() + payload.len(), envelope);
        tcp.checksum = tcp.calc_checksum_ipv4(&ip, &payload).expect("short");
        if envelope.bad_sum {
            tcp.checksum ^= 0x5555;
        }
        let mut content = Vec::new();
        tcp.write(&mut content).expect("into a vector");
        content.extend_from_slice(&payload);
        self.packet(IpNumber::TCP, &content, envelope)
    }

    /// Anything else of the peer's. `ours` is the last frame of TCP that we sent, with its initial number.
    #[must_use]
    pub fn encode_other(&self, other: &Other, ours: &(Vec<u8>, u32), envelope: &Envelope) -> Vec<u8> {
        match other {
            Other::Udp { from, to, len } => {
                let payload = payload(0, *len);
                let ip = self.ip_header(IpNumber::UDP, payload.len() + 8, envelope);
                let mut udp = UdpHeader::with_ipv4_checksum(*from, *to, &ip, &payload).expect("short");
                if envelope.bad_sum {
                    udp.checksum ^= 0x5555;
                }
                self.packet(IpNumber::UDP, &[&udp.to_bytes()[..], &payload].concat(), envelope)
            }
            Other::Echo { id, seq, len } | Other::EchoReply { id, seq, len } => {
                let header = IcmpEchoHeader { id: *id, seq: *seq };
                let kind = match other {
                    Other::Echo { .. } => Icmpv4Type::EchoRequest(header),
                    _ => Icmpv4Type::EchoReply(header),
                };
                let payload = payload(0, *len);
                let mut header = Icmpv4Header::with_checksum(kind, &payload);
                if envelope.bad_sum {
                    header.checksum ^= 0x5555;
                }
                self.packet(
                    IpNumber::ICMP,
                    &[&header.to_bytes()[..], &payload].concat(),
                    envelope,
                )
            }
            Other::Error { kind, code, mtu, seq } => {
                let mut quoted: Vec<u8> = ours.0.iter().skip(14).take(28).copied().collect();
                if let Some(seq) = seq {
                    let absolute = ours.1.wrapping_add(*seq);
                    quoted[24..28].copy_from_slice(&absolute.to_be_bytes());
                }
                let [high, low] = mtu.to_be_bytes();
                let mut content = vec![*kind, *code, 0, 0, 0, 0, high, low];
                content.extend_from_slice(&quoted);
                let sum = !content.chunks(2).fold(0u16, |sum, pair| {
                    let word = u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]);
                    let (sum, carry) = sum.overflowing_add(word);
                    sum + u16::from(carry)
                });
                content[2..4].copy_from_slice(&sum.to_be_bytes());
                self.packet(IpNumber::ICMP, &content, envelope)
            }
            Other::ArpRequest => self.arp(
                1,
                &Envelope {
                    broadcast_mac: true,
                    ..*envelope
                },
            ),
            Other::ArpReply => self.arp(2, envelope),
            Other::Raw(bytes) => bytes.clone(),
            Other::V6(said) => said.encode(self, envelope),
        }
    }

    fn arp(&self, operation: u8, envelope: &Envelope) -> Vec<u8> {
        let host = |ip: Ipv4Addr, host: Option<u8>| {
            let [a, b, c, d] = ip.octets();
            [a, b, c, host.unwrap_or(d)]
        };
        let target = if operation == 1 { [0; 6] } else { self.our_mac };
        let mut content = vec![0, 1, 8, 0, 6, 4, 0, operation];
        content.extend_from_slice(&self.peer_mac);
        content.extend_from_slice(&host(self.peer_ip, envelope.from));
        content.extend_from_slice(&target);
        content.extend_from_slice(&host(self.our_ip, envelope.to));
        self.ethernet(EtherType::ARP, &content, envelope)
    }
}

fn element(option: &TcpOption) -> TcpOptionElement {
    match option {
        TcpOption::Nop => TcpOptionElement::Noop,
        TcpOption::Mss(mss) => TcpOptionElement::MaximumSegmentSize(*mss),
        TcpOption::WindowScale(shift) => TcpOptionElement::WindowScale(*shift),
        TcpOption::SackPermitted => TcpOptionElement::SelectiveAcknowledgementPermitted,
        TcpOption::Timestamps(value, echo) => {
            TcpOptionElement::Timestamp(value.unwrap_or(0), echo.unwrap_or(0))
        }
        TcpOption::Sack(blocks) => {
            let mut rest = [None; 3];
            for (place, block) in rest.iter_mut().zip(blocks.iter().skip(1)) {
                *place = Some(*block);
            }
            TcpOptionElement::SelectiveAcknowledgement(blocks.first().copied().unwrap_or_default(), rest)
        }
    }
}

/// A frame of ours, read; TCP's numbers are absolute.
#[derive(Clone, Debug)]
pub enum Read {
    /// TCP: the peer's port, the segment, its bytes.
    Tcp(u16, Segment, Vec<u8>),
    /// Something else.
    Other(Other),
    /// What a dialogue does not speak about (reports of groups).
    Foreign,
}

/// Reads a frame of ours; checks its checksums.
///
/// # Errors
/// If it is malformed.
pub fn read(frame: &[u8]) -> Result<Read, String> {
    if frame.len() >= 42 && frame[12..14] == [8, 6] {
        let is_request = frame[21] == 1;
        return Ok(Read::Other(if is_request {
            Other::ArpRequest
        } else {
            Other::ArpReply
        }));
    }
    if frame.get(12..14) == Some(&[0x86, 0xdd]) {
        let said = v6::Said::decode(frame)?;
        return Ok(said.map_or(Read::Foreign, |said| Read::Other(Other::V6(said))));
    }
    let headers = PacketHeaders::from_ethernet_slice(frame).map_err(|error| error.to_string())?;
    let Some(NetHeaders::Ipv4(ip, _)) = headers.net else {
        return Ok(Read::Foreign);
    };
    if ip.header_checksum != ip.calc_header_checksum() {
        return Err("its IPv4 checksum is wrong".into());
    }
    let payload = headers.payload.slice();
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    match headers.transport {
        Some(TransportHeader::Tcp(tcp)) => {
            let sum = tcp
                .calc_checksum_ipv4(&ip, payload)
                .map_err(|error| error.to_string())?;
            if tcp.checksum != sum {
                return Err("its TCP checksum is wrong".into());
            }
            Ok(Read::Tcp(
                tcp.destination_port,
                Segment {
                    ecn: Some(ip.ecn as u8),
                    ..segment(&tcp, len)?
                },
                payload.to_vec(),
            ))
        }
        Some(TransportHeader::Udp(udp)) => Ok(Read::Other(Other::Udp {
            from: udp.source_port,
            to: udp.destination_port,
            len,
        })),
        Some(TransportHeader::Icmpv4(icmp)) => Ok(match icmp.icmp_type {
            Icmpv4Type::EchoReply(IcmpEchoHeader { id, seq }) => {
                Read::Other(Other::EchoReply { id, seq, len })
            }
            Icmpv4Type::DestinationUnreachable(unreachable) => Read::Other(Other::Error {
                kind: 3,
                code: unreachable.code_u8(),
                mtu: 0,
                seq: None,
            }),
            Icmpv4Type::TimeExceeded(code) => Read::Other(Other::Error {
                kind: 11,
                code: code.code_u8(),
                mtu: 0,
                seq: None,
            }),
            _ => Read::Foreign,
        }),
        _ => Ok(Read::Foreign),
    }
}

fn segment(tcp: &TcpHeader, len: u32) -> Result<Segment, String> {
    let bits = [
        (tcp.fin, flag::FIN),
        (tcp.syn, flag::SYN),
        (tcp.rst, flag::RST),
        (tcp.psh, flag::PSH),
        (tcp.ack, flag::ACK),
        (tcp.urg, flag::URG),
        (tcp.ece, flag::ECE),
        (tcp.cwr, flag::CWR),
    ];
    let options: Result<Vec<TcpOption>, String> = tcp
        .options_iterator()
        .map(|option| Ok(option_of(option.map_err(|error| error.to_string())?)))
        .collect();
    Ok(Segment {
        flags: bits.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum(),
        seq: tcp.sequence_number,
        len,
        ack: tcp.ack.then_some(tcp.acknowledgment_number),
        window: Some(tcp.window_size),
        urgent: tcp.urgent_pointer,
        port: 0,
        ecn: None,
        options: Some(options?),
    })
}

fn option_of(element: TcpOptionElement) -> TcpOption {
    match element {
        TcpOptionElement::Noop => TcpOption::Nop,
        TcpOptionElement::MaximumSegmentSize(mss) => TcpOption::Mss(mss),
        TcpOptionElement::WindowScale(shift) => TcpOption::WindowScale(shift),
        TcpOptionElement::SelectiveAcknowledgementPermitted => TcpOption::SackPermitted,
        TcpOptionElement::Timestamp(value, echo) => TcpOption::Timestamps(Some(value), Some(echo)),
        TcpOptionElement::SelectiveAcknowledgement(first, rest) => {
            TcpOption::Sack(std::iter::once(first).chain(rest.into_iter().flatten()).collect())
        }
    }
}
