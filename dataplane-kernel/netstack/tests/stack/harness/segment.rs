//! TCP segments as a test writes them down: sequence numbers relative to both sides' initial ones, what is not said is
//! not compared. Encoded and decoded by a library that shares nothing with the stack.

use super::frames_v6::{self, OUR_IP6, PEER_IP6};
use super::{OUR_IP, OUR_MAC, PEER_IP, PEER_MAC};
use etherparse::{EtherType, Ethernet2Header, IpNumber, Ipv4Header, NetHeaders, PacketHeaders, TcpHeader};
use etherparse::{TcpOptionElement, TransportHeader};
use std::fmt;

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;
pub(crate) const ECE: u8 = 64;
pub(crate) const CWR: u8 = 128;

#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) peer_port: u16,
    pub(crate) our_port: u16,
    pub(crate) flags: u8,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    /// As it stands in the header; sent as 65535 and not compared unless it is given.
    pub(crate) window: Option<u16>,
    /// Compared only if given.
    pub(crate) options: Option<Vec<TcpOptionElement>>,
    pub(crate) payload: Vec<u8>,
}

fn segment(flags: u8, seq: u32, ack: u32) -> Segment {
    Segment {
        peer_port: PEER_PORT,
        our_port: OUR_PORT,
        flags,
        seq,
        ack,
        ..Segment::default()
    }
}

/// The ports of a segment that names none.
pub(crate) const PEER_PORT: u16 = 40000;
pub(crate) const OUR_PORT: u16 = 80;

/// The first segment of a connection has number 0, the first byte of data 1.
pub(crate) fn syn() -> Segment {
    segment(SYN, 0, 0)
}

pub(crate) fn syn_ack() -> Segment {
    segment(SYN | ACK, 0, 1)
}

pub(crate) fn ack(seq: u32, ack: u32) -> Segment {
    segment(ACK, seq, ack)
}

pub(crate) fn data(seq: u32, ack: u32, payload: impl AsRef<[u8]>) -> Segment {
    Segment {
        payload: payload.as_ref().to_vec(),
        ..segment(ACK, seq, ack)
    }
}

pub(crate) fn fin(seq: u32, ack: u32) -> Segment {
    segment(FIN | ACK, seq, ack)
}

/// A reset in answer to a segment with ACK: its number is that ACK's.
pub(crate) fn rst(seq: u32) -> Segment {
    segment(RST, seq, 0)
}

pub(crate) fn rst_ack(seq: u32, ack: u32) -> Segment {
    segment(RST | ACK, seq, ack)
}

impl Segment {
    pub(crate) fn port(mut self, peer_port: u16) -> Self {
        self.peer_port = peer_port;
        self
    }

    pub(crate) fn window(mut self, window: u16) -> Self {
        self.window = Some(window);
        self
    }

    pub(crate) fn flags(mut self, flags: u8) -> Self {
        self.flags = flags;
        self
    }

    pub(crate) fn payload(mut self, payload: impl AsRef<[u8]>) -> Self {
        self.payload = payload.as_ref().to_vec();
        self
    }

    /// Adds an option; with none added, none are sent, and any are expected.
    pub(crate) fn option(mut self, option: TcpOptionElement) -> Self {
        self.options.get_or_insert_default().push(option);
        self
    }

    pub(crate) fn mss(self, mss: u16) -> Self {
        self.option(TcpOptionElement::MaximumSegmentSize(mss))
    }

    pub(crate) fn wscale(self, shift: u8) -> Self {
        self.option(TcpOptionElement::WindowScale(shift))
    }

    pub(crate) fn sack_permitted(self) -> Self {
        self.option(TcpOptionElement::SelectiveAcknowledgementPermitted)
    }

    pub(crate) fn timestamps(self, value: u32, echo: u32) -> Self {
        self.option(TcpOptionElement::Timestamp(value, echo))
    }

    /// Expected to carry no option at all.
    pub(crate) fn no_options(mut self) -> Self {
        self.options = Some(Vec::new());
        self
    }

    /// Value and echo of its timestamps.
    pub(crate) fn timestamp(&self) -> Option<(u32, u32)> {
        self.options.iter().flatten().find_map(|option| match option {
            TcpOptionElement::Timestamp(value, echo) => Some((*value, *echo)),
            _ => None,
        })
    }

    /// The frame from the peer to us.
    pub(crate) fn encode(&self, seq: u32, ack: u32) -> Vec<u8> {
        self.encode_from(PEER_IP.octets(), seq, ack)
    }

    pub(crate) fn encode_from(&self, peer_ip: [u8; 4], seq: u32, ack: u32) -> Vec<u8> {
        let mut tcp = TcpHeader::new(self.peer_port, self.our_port, seq, self.window.unwrap_or(65535));
        tcp.acknowledgment_number = ack;
        tcp.fin = self.flags & FIN != 0;
        tcp.syn = self.flags & SYN != 0;
        tcp.rst = self.flags & RST != 0;
        tcp.ack = self.flags & ACK != 0;
        tcp.ece = self.flags & ECE != 0;
        tcp.cwr = self.flags & CWR != 0;
        let mut options = self.options.clone().unwrap_or_default();
        if matches!(options[..], [TcpOptionElement::Timestamp(..)]) {
            // As RFC 7323 appendix A lays it out.
            options.splice(0..0, [TcpOptionElement::Noop, TcpOptionElement::Noop]);
        }
        tcp.set_options(&options).unwrap();
        let len = u16::try_from(tcp.header_len() + self.payload.len()).unwrap();
        let ip = Ipv4Header::new(len, 64, IpNumber::TCP, peer_ip, OUR_IP.octets()).unwrap();
        tcp.checksum = tcp.calc_checksum_ipv4(&ip, &self.payload).unwrap();
        let link = Ethernet2Header {
            source: PEER_MAC.0,
            destination: OUR_MAC.0,
            ether_type: EtherType::IPV4,
        };
        let mut frame = link.to_bytes().to_vec();
        ip.write(&mut frame).unwrap();
        tcp.write(&mut frame).unwrap();
        frame.extend_from_slice(&self.payload);
        frame
    }

    /// The same between IPv6 hosts.
    pub(crate) fn encode_v6(&self, seq: u32, ack: u32) -> Vec<u8> {
        let narrow = self.encode(seq, ack);
        let (mut tcp, payload) = TcpHeader::from_slice(&narrow[34..]).unwrap();
        tcp.checksum = tcp
            .calc_checksum_ipv6_raw(PEER_IP6.octets(), OUR_IP6.octets(), payload)
            .unwrap();
        let segment = [&tcp.to_bytes()[..], payload].concat();
        frames_v6::packet((PEER_IP6, OUR_IP6), 6, &segment)
    }

    /// Reads a frame from us to the peer, with absolute numbers, and checks its checksums; `None` if it is not TCP.
    pub(crate) fn decode(frame: &[u8]) -> Option<Segment> {
        let headers = PacketHeaders::from_ethernet_slice(frame).unwrap();
        let Some(TransportHeader::Tcp(tcp)) = headers.transport else {
            return None;
        };
        let payload = headers.payload.slice();
        let checksum = match headers.net {
            Some(NetHeaders::Ipv4(ip, _)) => {
                assert_eq!(ip.header_checksum, ip.calc_header_checksum(), "IPv4 checksum");
                assert_eq!(ip.source, OUR_IP.octets());
                tcp.calc_checksum_ipv4(&ip, payload)
            }
            Some(NetHeaders::Ipv6(ip, _)) => tcp.calc_checksum_ipv6(&ip, payload),
            net => panic!("{net:?}"),
        };
        assert_eq!(tcp.checksum, checksum.unwrap(), "TCP checksum");
        let flag = |set, bit| if set { bit } else { 0 };
        let options = tcp.options_iterator().map(Result::unwrap);
        Some(Segment {
            peer_port: tcp.destination_port,
            our_port: tcp.source_port,
            flags: flag(tcp.fin, FIN)
                | flag(tcp.syn, SYN)
                | flag(tcp.rst, RST)
                | flag(tcp.ack, ACK)
                | flag(tcp.ece, ECE)
                | flag(tcp.cwr, CWR),
            seq: tcp.sequence_number,
            ack: tcp.acknowledgment_number,
            window: Some(tcp.window_size),
            options: Some(
                options
                    .filter(|option| *option != TcpOptionElement::Noop)
                    .collect(),
            ),
            payload: payload.to_vec(),
        })
    }

    /// `true` if `got` is what this one says.
    pub(crate) fn matches(&self, got: &Segment) -> bool {
        let wanted = Segment {
            window: self.window.or(got.window),
            options: self.options.clone().or_else(|| got.options.clone()),
            ..self.clone()
        };
        wanted == *got
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (SYN, 'S'),
            (FIN, 'F'),
            (RST, 'R'),
            (ACK, '.'),
            (ECE, 'E'),
            (CWR, 'C'),
        ];
        let flags: String = names
            .iter()
            .filter(|(bit, _)| self.flags & bit != 0)
            .map(|(_, name)| name)
            .collect();
        write!(f, "{}>{} {flags} {}:", self.peer_port, self.our_port, self.seq)?;
        write!(
            f,
            "{}({})",
            self.seq.wrapping_add(u32::try_from(self.payload.len()).unwrap()),
            self.payload.len()
        )?;
        write!(f, " ack {} win {:?} {:?}", self.ack, self.window, self.options)?;
        if !self.payload.is_empty() {
            let start = &self.payload[..self.payload.len().min(24)];
            write!(f, " {:?}", String::from_utf8_lossy(start))?;
        }
        Ok(())
    }
}
