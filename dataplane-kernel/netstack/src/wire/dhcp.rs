//! DHCP messages (RFC 2131 section 2) and those of their options (RFC 2132) that an IPv4 host needs.

use super::ethernet::MacAddr;
use super::{be32, put};
use core::net::Ipv4Addr;

/// UDP port of clients.
pub const CLIENT_PORT: u16 = 68;
/// UDP port of servers.
pub const SERVER_PORT: u16 = 67;
/// Bytes of a message that is sent: what relays of BOOTP want at least (RFC 1542 section 2.1).
pub const MESSAGE_LEN: usize = 300;
/// Name servers that are kept, at most.
pub const MAX_NAME_SERVERS: usize = 3;

/// Bytes in front of the options, the magic cookie included.
const FIXED_LEN: usize = 240;
/// Where `sname` and `file` stand, which may hold more options.
const SNAME: core::ops::Range<usize> = 44..108;
const FILE: core::ops::Range<usize> = 108..236;
/// RFC 2131 section 3.
const MAGIC: [u8; 4] = [99, 130, 83, 99];

/// RFC 2132, by the names of the options there.
mod option {
    pub(super) const PAD: u8 = 0;
    pub(super) const SUBNET_MASK: u8 = 1;
    pub(super) const ROUTER: u8 = 3;
    pub(super) const DOMAIN_NAME_SERVER: u8 = 6;
    pub(super) const INTERFACE_MTU: u8 = 26;
    pub(super) const REQUESTED_ADDRESS: u8 = 50;
    pub(super) const LEASE_TIME: u8 = 51;
    pub(super) const OVERLOAD: u8 = 52;
    pub(super) const MESSAGE_TYPE: u8 = 53;
    pub(super) const SERVER_IDENTIFIER: u8 = 54;
    pub(super) const PARAMETER_REQUEST: u8 = 55;
    pub(super) const MAX_MESSAGE_SIZE: u8 = 57;
    pub(super) const RENEWAL_TIME: u8 = 58;
    pub(super) const REBINDING_TIME: u8 = 59;
    pub(super) const END: u8 = 255;
}

/// What a client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saying {
    /// DHCPDISCOVER: who has an address for me?
    Discover,
    /// DHCPREQUEST: I take this one, or would keep it.
    Request,
    /// DHCPDECLINE: somebody else uses it.
    Decline,
}

/// A message of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it says.
    pub saying: Saying,
    /// Names the exchange.
    pub xid: u32,
    /// Seconds since the exchange began.
    pub seconds: u16,
    /// Our hardware address.
    pub mac: MacAddr,
    /// Our address, if we have one that we answer at; without one, answers are to be broadcast.
    pub client: Option<Ipv4Addr>,
    /// The address that is spoken of.
    pub requested: Option<Ipv4Addr>,
    /// The server it is for.
    pub server: Option<Ipv4Addr>,
}

impl Message {
    /// Writes the message.
    pub fn emit(&self, out: &mut [u8; MESSAGE_LEN]) {
        let saying = match self.saying {
            Saying::Discover => 1,
            Saying::Request => 3,
            Saying::Decline => 4,
        };
        out.fill(0);
        put(out, 0, [1, 1, 6, 0]);
        put(out, 4, self.xid.to_be_bytes());
        put(out, 8, self.seconds.to_be_bytes());
        if self.client.is_none() {
            put(out, 10, [0x80, 0]);
        }
        put(out, 12, self.client.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
        put(out, 28, self.mac.0);
        put(out, 236, MAGIC);
        put(out, FIXED_LEN, [option::MESSAGE_TYPE, 1, saying]);
        let mut at = FIXED_LEN + 3;
        for (code, address) in [
            (option::REQUESTED_ADDRESS, self.requested),
            (option::SERVER_IDENTIFIER, self.server),
        ] {
            if let Some(address) = address {
                let [a, b, c, d] = address.octets();
                put(out, at, [code, 4, a, b, c, d]);
                at += 6;
            }
        }
        if self.saying != Saying::Decline {
            // What comes over Ethernet in one frame, and what we read of it.
            put(out, at, [option::MAX_MESSAGE_SIZE, 2, 0x05, 0xdc]);
            let wanted = [
                option::PARAMETER_REQUEST,
                6,
                option::SUBNET_MASK,
                option::ROUTER,
                option::DOMAIN_NAME_SERVER,
                option::INTERFACE_MTU,
                option::RENEWAL_TIME,
                option::REBINDING_TIME,
            ];
            put(out, at + 4, wanted);
            at += 12;
        }
        put(out, at, [option::END]);
    }
}

/// What a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// DHCPOFFER.
    Offer,
    /// DHCPACK.
    Ack,
    /// DHCPNAK.
    Nak,
}

/// A message of a server. Nothing in it has been judged yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What it answers.
    pub answer: Answer,
    /// The exchange it belongs to.
    pub xid: u32,
    /// The address it gives.
    pub address: Ipv4Addr,
    /// The server.
    pub server: Option<Ipv4Addr>,
    /// Ones for the network part, in the order of the address's bits.
    pub mask: Option<u32>,
    /// The first router.
    pub router: Option<Ipv4Addr>,
    /// Name servers, in order.
    pub name_servers: [Option<Ipv4Addr>; MAX_NAME_SERVERS],
    /// Largest packet of the link, in bytes.
    pub mtu: Option<u16>,
    /// For how many seconds; all ones: for ever.
    pub lease_s: Option<u32>,
    /// After how many the server is to be asked again (T1).
    pub renewal_s: Option<u32>,
    /// After how many, any server (T2).
    pub rebinding_s: Option<u32>,
}

impl Reply {
    /// Reads a server's message to the station `mac`; `None` if it is none. Of an option that stands in it several times
    /// the first one counts; one whose length is wrong does not.
    #[must_use]
    pub fn parse(bytes: &[u8], mac: MacAddr) -> Option<Reply> {
        let fixed = bytes.first_chunk::<FIXED_LEN>()?;
        let is_for_us = fixed[..3] == [2, 1, 6] && fixed[28..34] == mac.0;
        if !is_for_us || fixed[236..] != MAGIC {
            return None;
        }
        let mut found = Found::default();
        found.read(bytes.get(FIXED_LEN..)?);
        // Section 4.1: `file` before `sname`.
        let overload = found.overload.unwrap_or(0);
        if overload & 1 != 0 {
            found.read(bytes.get(FILE)?);
        }
        if overload & 2 != 0 {
            found.read(bytes.get(SNAME)?);
        }
        Some(Reply {
            answer: found.answer?,
            xid: be32(fixed, 4),
            address: Ipv4Addr::from_bits(be32(fixed, 16)),
            server: found.server.map(Ipv4Addr::from_bits),
            mask: found.mask,
            router: found.router.map(Ipv4Addr::from_bits),
            name_servers: found.name_servers,
            mtu: found.mtu,
            lease_s: found.lease_s,
            renewal_s: found.renewal_s,
            rebinding_s: found.rebinding_s,
        })
    }
}

/// Options as far as they have been read.
#[derive(Default)]
struct Found {
    answer: Option<Answer>,
    overload: Option<u8>,
    server: Option<u32>,
    mask: Option<u32>,
    router: Option<u32>,
    name_servers: [Option<Ipv4Addr>; MAX_NAME_SERVERS],
    mtu: Option<u16>,
    lease_s: Option<u32>,
    renewal_s: Option<u32>,
    rebinding_s: Option<u32>,
}

impl Found {
    /// Reads options up to their end, or to the first that does not fit.
    fn read(&mut self, mut rest: &[u8]) {
        while let Some((&code, after)) = rest.split_first() {
            if code == option::END {
                return;
            }
            if code == option::PAD {
                rest = after;
                continue;
            }
            let Some((&len, after)) = after.split_first() else {
                return;
            };
            let Some((data, after)) = after.split_at_checked(len.into()) else {
                return;
            };
            self.note(code, data);
            rest = after;
        }
    }

    fn note(&mut self, code: u8, data: &[u8]) {
        match code {
            option::MESSAGE_TYPE => self.answer = self.answer.or_else(|| answer(data)),
            option::OVERLOAD => self.overload = self.overload.or_else(|| data.first().copied()),
            option::SERVER_IDENTIFIER => self.server = self.server.or_else(|| word(data)),
            option::SUBNET_MASK => self.mask = self.mask.or_else(|| word(data)),
            option::ROUTER => self.router = self.router.or_else(|| word(data.get(..4)?)),
            option::INTERFACE_MTU => self.mtu = self.mtu.or_else(|| short(data)),
            option::LEASE_TIME => self.lease_s = self.lease_s.or_else(|| word(data)),
            option::RENEWAL_TIME => self.renewal_s = self.renewal_s.or_else(|| word(data)),
            option::REBINDING_TIME => self.rebinding_s = self.rebinding_s.or_else(|| word(data)),
            option::DOMAIN_NAME_SERVER if self.name_servers[0].is_none() => {
                for (place, server) in self.name_servers.iter_mut().zip(data.chunks_exact(4)) {
                    *place = word(server).map(Ipv4Addr::from_bits);
                }
            }
            _ => {}
        }
    }
}

fn answer(data: &[u8]) -> Option<Answer> {
    match data {
        [2] => Some(Answer::Offer),
        [5] => Some(Answer::Ack),
        [6] => Some(Answer::Nak),
        _ => None,
    }
}

fn word(data: &[u8]) -> Option<u32> {
    data.try_into().ok().map(u32::from_be_bytes)
}

fn short(data: &[u8]) -> Option<u16> {
    data.try_into().ok().map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::{Answer, FIXED_LEN, MAGIC, MESSAGE_LEN, MacAddr, Message, Reply, Saying};
    use core::net::Ipv4Addr;
    use std::vec::Vec;

    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 7]);

    fn reply(options: &[u8]) -> Vec<u8> {
        let mut bytes = std::vec![0; FIXED_LEN];
        bytes[..3].copy_from_slice(&[2, 1, 6]);
        bytes[4..8].copy_from_slice(&[1, 2, 3, 4]);
        bytes[16..20].copy_from_slice(&[10, 0, 0, 9]);
        bytes[28..34].copy_from_slice(&MAC.0);
        bytes[236..].copy_from_slice(&MAGIC);
        bytes.extend_from_slice(options);
        bytes
    }

    #[test]
    fn a_reply_is_read_with_its_options() {
        let bytes = reply(&[
            53, 1, 5, 0, 0, 54, 4, 10, 0, 0, 1, 1, 4, 255, 255, 255, 0, 3, 8, 10, 0, 0, 1, 10, 0, 0, 2, 6, 8,
            1, 1, 1, 1, 8, 8, 8, 8, 26, 2, 5, 0, 51, 4, 0, 0, 14, 16, 58, 4, 0, 0, 7, 8, 59, 4, 0, 0, 12, 78,
            255,
        ]);
        let read = Reply::parse(&bytes, MAC).unwrap();
        assert_eq!((read.answer, read.xid), (Answer::Ack, 0x0102_0304));
        assert_eq!(read.address, Ipv4Addr::new(10, 0, 0, 9));
        assert_eq!(read.server, Some(Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!(read.mask, Some(0xffff_ff00));
        assert_eq!(read.router, Some(Ipv4Addr::new(10, 0, 0, 1)));
        let servers = [
            Some(Ipv4Addr::new(1, 1, 1, 1)),
            Some(Ipv4Addr::new(8, 8, 8, 8)),
            None,
        ];
        assert_eq!(read.name_servers, servers);
        assert_eq!(read.mtu, Some(1280));
        let times = (read.lease_s, read.renewal_s, read.rebinding_s);
        assert_eq!(times, (Some(3600), Some(1800), Some(3150)));
    }

    #[test]
    fn options_go_on_in_the_fields_of_names_if_that_is_said() {
        let mut bytes = reply(&[53, 1, 2, 52, 1, 3, 255]);
        bytes[108..115].copy_from_slice(&[26, 2, 5, 0, 255, 1, 4]);
        bytes[44..51].copy_from_slice(&[51, 4, 0, 0, 0, 9, 255]);
        let read = Reply::parse(&bytes, MAC).unwrap();
        assert_eq!((read.mtu, read.lease_s, read.mask), (Some(1280), Some(9), None));
        bytes[244 + 1] = 0; // no overload after all
        assert_eq!(Reply::parse(&bytes, MAC).unwrap().mtu, None);
    }

    #[test]
    fn what_is_no_reply_to_us_is_none() {
        let good = reply(&[53, 1, 2, 255]);
        assert!(Reply::parse(&good, MAC).is_some());
        assert!(Reply::parse(&good, MacAddr([2; 6])).is_none());
        assert!(Reply::parse(&good[..239], MAC).is_none());
        for (at, byte) in [(0, 1), (1, 6), (2, 16), (236, 0), (242, 9), (241, 2)] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert!(Reply::parse(&bad, MAC).is_none(), "{at}");
        }
    }

    #[test]
    fn an_option_that_runs_out_ends_them() {
        let read = Reply::parse(&reply(&[53, 1, 2, 51, 4, 0, 0]), MAC).unwrap();
        assert_eq!(read.lease_s, None);
        let read = Reply::parse(&reply(&[53, 1, 2, 1, 3, 255, 255, 0, 51]), MAC).unwrap();
        assert_eq!((read.mask, read.lease_s), (None, None));
    }

    #[test]
    fn the_longest_message_has_room() {
        let message = Message {
            saying: Saying::Request,
            xid: 7,
            seconds: 1,
            mac: MAC,
            client: None,
            requested: Some(Ipv4Addr::new(10, 0, 0, 9)),
            server: Some(Ipv4Addr::new(10, 0, 0, 1)),
        };
        let mut out = [0xee; MESSAGE_LEN];
        message.emit(&mut out);
        assert_eq!(out[..4], [1, 1, 6, 0]);
        assert_eq!(out[10..12], [0x80, 0]);
        let options = &out[FIXED_LEN..];
        assert_eq!(options[..3], [53, 1, 3]);
        assert_eq!(options[3..15], [50, 4, 10, 0, 0, 9, 54, 4, 10, 0, 0, 1]);
        assert_eq!(options[27..], [[255].as_slice(), &[0; 32]].concat());
    }
}
