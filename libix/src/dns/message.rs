//! A question and its answer, as bytes (RFC 1035 section 4). What comes from the network is parsed by `simple_dns`, whose names
//! are bounded in length and lead only backwards, and judged here.

use super::Error;
use core::net::IpAddr;
use core::time::Duration;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question as Asked, RCODE, ResourceRecord, TYPE};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest message over UDP (RFC 1035 section 4.2.1).
const MAX_BYTES: usize = 512;
/// The header's, in bytes (section 4.1.1).
const HEADER_BYTES: usize = 12;
/// The shortest entry of a section: a question for the root.
const MIN_ENTRY_BYTES: usize = 5;
/// The longest name, written with dots (section 2.3.4: 255 bytes on the wire).
const MAX_NAME: usize = 253;
/// How many aliases in a row are followed.
const MAX_ALIASES: usize = 16;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses (RFC 3596).
    Aaaa,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// At least one, in the order of the answer.
    pub ips: Vec<IpAddr>,
    /// For how long, in whole seconds.
    pub ttl: Duration,
}

/// What a name server is asked.
#[derive(Clone, Debug)]
pub(super) struct Question {
    name: String,
    kind: Kind,
}

impl Question {
    /// # Errors
    /// `NotAName`.
    pub(super) fn new(name: &str, kind: Kind) -> Result<Self, Error> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let is_label = |label: &str| {
            let is_visible = label.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
            (1..=63).contains(&label.len()) && is_visible
        };
        if name.len() > MAX_NAME || !name.split('.').all(is_label) {
            return Err(Error::NotAName);
        }
        let name = name.to_owned();
        Ok(Question { name, kind })
    }

    /// The query, by this number.
    ///
    /// # Errors
    /// `NotAName`.
    pub(super) fn query(&self, id: u16) -> Result<Vec<u8>, Error> {
        let name = Name::new(&self.name).map_err(|_| Error::NotAName)?;
        let mut packet = Packet::new_query(id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let (kind, class) = (self.kind.code().into(), CLASS::IN.into());
        packet.questions.push(Asked::new(name, kind, class, false));
        packet.build_bytes_vec().map_err(|_| Error::NotAName)
    }

    /// What an answer to the query of this number says; `None` if it is none.
    pub(super) fn read(&self, id: u16, bytes: &[u8]) -> Option<Result<Addresses, Error>> {
        if !is_plausible(id, bytes) {
            return None;
        }
        let packet = Packet::parse(bytes).ok()?;
        let name = Name::new(&self.name).ok()?;
        let [asked] = packet.questions.as_slice() else {
            return None;
        };
        let is_ours = packet.has_flags(PacketFlag::RESPONSE)
            && asked.qname == name
            && asked.qtype == self.kind.code().into()
            && asked.qclass == CLASS::IN.into();
        if !is_ours {
            return None;
        }
        Some(match packet.rcode() {
            _ if packet.has_flags(PacketFlag::TRUNCATION) => Err(Error::Truncated),
            RCODE::NoError => self.kind.addresses(&name, &packet.answers),
            RCODE::NameError => Err(Error::NoSuchName),
            _ => Err(Error::ServerFailure),
        })
    }
}

/// `true` if it can be an answer, and its counts are no more than it has room for: the parser takes memory by them.
fn is_plausible(id: u16, bytes: &[u8]) -> bool {
    let Some((header, rest)) = bytes.split_at_checked(HEADER_BYTES) else {
        return false;
    };
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let entries: usize = [4, 6, 8, 10].map(|at| usize::from(word(at))).iter().sum();
    bytes.len() <= MAX_BYTES && word(0) == id && entries * MIN_ENTRY_BYTES <= rest.len()
}

impl Kind {
    fn code(self) -> TYPE {
        match self {
            Kind::A => TYPE::A,
            Kind::Aaaa => TYPE::AAAA,
        }
    }

    fn address(self, data: &RData) -> Option<IpAddr> {
        match (self, data) {
            (Kind::A, RData::A(a)) => Some(Ipv4Addr::from(a.address).into()),
            (Kind::Aaaa, RData::AAAA(aaaa)) => Some(Ipv6Addr::from(aaaa.address).into()),
            _ => None,
        }
    }

    /// Those of `name`, or of what it is an alias of (RFC 1034 section 3.6.2).
    fn addresses(self, name: &Name, answers: &[ResourceRecord]) -> Result<Addresses, Error> {
        let mut name = name;
        let mut ttl_s = u32::MAX;
        for _ in 0..=MAX_ALIASES {
            let of_name = || answers.iter().filter(|record| is_of(record, name));
            let found = of_name().filter_map(|record| Some((self.address(&record.rdata)?, ttl_of(record))));
            let (ips, ttls): (Vec<_>, Vec<_>) = found.unzip();
            if let Some(least) = ttls.into_iter().min() {
                let ttl = Duration::from_secs(ttl_s.min(least).into());
                return Ok(Addresses { ips, ttl });
            }
            let alias = of_name().find_map(|record| match &record.rdata {
                RData::CNAME(alias) => Some((&alias.0, ttl_of(record))),
                _ => None,
            });
            let (next, ttl) = alias.ok_or(Error::NoAddress)?;
            (name, ttl_s) = (next, ttl_s.min(ttl));
        }
        Err(Error::NoAddress)
    }
}

fn is_of(record: &ResourceRecord, name: &Name) -> bool {
    record.class == CLASS::IN && record.name == *name
}

/// In seconds; one with the highest bit set is none (RFC 2181 section 8).
fn ttl_of(record: &ResourceRecord) -> u32 {
    i32::try_from(record.ttl).map_or(0, |_| record.ttl)
}
