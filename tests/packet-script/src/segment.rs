//! TCP segments as text: `FLAGS SEQ[+LEN] [ack N] [win N] [urg N] [port N] [ECN] [<OPTIONS>]`.
//!
//! Flags are letters: `S`, `F`, `R`, `P`, `.` (ACK), `U`, `E` (ECE), `C` (CWR), or `-` for none. Of ours, `P` is not
//! compared. Bytes are a pattern that follows from their sequence number ([`pattern`]). Options are `mss N`, `ws N`,
//! `sackok`, `ts VALUE ECHO`, `sack A-B ...`, `nop`, in any order, with commas; of a peer's timestamps `=` is what we sent
//! last, of ours `*` is anything; `<>` is no options at all. What is not said of ours is not compared. A `port` is counted from
//! the script's first. ECN is the field of the IP header: `ect0`, `ect1`, `ce` or `not-ect`.

use crate::script::number_of;
use std::fmt;

/// Bits of the TCP header.
#[allow(missing_docs, reason = "the names are RFC 9293's")]
pub mod flag {
    pub const FIN: u8 = 1;
    pub const SYN: u8 = 2;
    pub const RST: u8 = 4;
    pub const PSH: u8 = 8;
    pub const ACK: u8 = 16;
    pub const URG: u8 = 32;
    pub const ECE: u8 = 64;
    pub const CWR: u8 = 128;
}

const LETTERS: [(char, u8); 8] = [
    ('S', flag::SYN),
    ('F', flag::FIN),
    ('R', flag::RST),
    ('P', flag::PSH),
    ('.', flag::ACK),
    ('U', flag::URG),
    ('E', flag::ECE),
    ('C', flag::CWR),
];

/// An option.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the RFCs'")]
pub enum TcpOption {
    Nop,
    Mss(u16),
    WindowScale(u8),
    SackPermitted,
    /// Value and echo; `None` stands for `*` or `=`.
    Timestamps(Option<u32>, Option<u32>),
    Sack(Vec<(u32, u32)>),
}

/// A segment, its numbers relative.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// See [`flag`].
    pub flags: u8,
    /// Sequence number of the first byte, or of SYN or FIN.
    pub seq: u32,
    /// Bytes.
    pub len: u32,
    /// Acknowledgement number; only sent and compared as said.
    pub ack: Option<u32>,
    /// As it stands in the header.
    pub window: Option<u16>,
    /// Urgent pointer.
    pub urgent: u16,
    /// Added to both sides' first port of the peer's.
    pub port: u16,
    /// The ECN field of the IP header.
    pub ecn: Option<u8>,
    /// Options.
    pub options: Option<Vec<TcpOption>>,
}

/// Code points of RFC 3168, in the order of their numbers.
const ECN: [&str; 4] = ["not-ect", "ect1", "ect0", "ce"];

fn ecn(word: &str) -> Option<u8> {
    (0..)
        .zip(ECN)
        .find(|(_, name)| *name == word)
        .map(|(number, _)| number)
}

/// The byte with this relative sequence number.
#[must_use]
pub fn pattern(seq: u32) -> u8 {
    b"0123456789abcdefghijklmnopqrstuvw"[(seq % 33) as usize]
}

impl Segment {
    /// Reads one; gives the words after it, too.
    ///
    /// # Errors
    /// What is wrong.
    pub fn read(words: &[&str]) -> Result<(Self, Vec<String>), String> {
        let [flags, place, rest @ ..] = words else {
            return Err("no segment".into());
        };
        let mut segment = Segment {
            flags: read_flags(flags)?,
            ..Segment::default()
        };
        let (seq, len) = place.split_once('+').unwrap_or((place, "0"));
        (segment.seq, segment.len) = (relative(seq)?, number_of(len)?);
        let mut rest = rest;
        loop {
            rest = match rest {
                ["ack", ack, rest @ ..] => {
                    segment.ack = Some(relative(ack)?);
                    rest
                }
                ["win", window, rest @ ..] => {
                    segment.window = Some(number_of(window)?);
                    rest
                }
                ["urg", urgent, rest @ ..] => {
                    segment.urgent = number_of(urgent)?;
                    rest
                }
                ["port", port, rest @ ..] => {
                    segment.port = number_of(port)?;
                    rest
                }
                [word, rest @ ..] if ecn(word).is_some() => {
                    segment.ecn = ecn(word);
                    rest
                }
                [options, rest @ ..] if options.starts_with('<') => {
                    segment.options = Some(read_options(options)?);
                    rest
                }
                rest => return Ok((segment, rest.iter().map(|word| (*word).to_owned()).collect())),
            }
        }
    }

    /// What it says of ours holds for `got`.
    #[must_use]
    pub fn matches(&self, got: &Segment) -> bool {
        let without_push = |flags: u8| flags & !flag::PSH;
        without_push(self.flags) == without_push(got.flags)
            && (self.seq, self.len, self.port) == (got.seq, got.len, got.port)
            && self.ack.is_none_or(|ack| got.ack == Some(ack))
            && self.window.is_none_or(|window| got.window == Some(window))
            && self.ecn.is_none_or(|ecn| got.ecn == Some(ecn))
            && self
                .options
                .as_ref()
                .is_none_or(|options| same_options(options, got))
    }
}

fn same_options(wanted: &[TcpOption], got: &Segment) -> bool {
    let got: Vec<&TcpOption> = got
        .options
        .iter()
        .flatten()
        .filter(|option| **option != TcpOption::Nop)
        .collect();
    let same = |wanted: &TcpOption, got: &TcpOption| match (wanted, got) {
        (TcpOption::Timestamps(value, echo), TcpOption::Timestamps(got_value, got_echo)) => {
            value.is_none_or(|value| *got_value == Some(value))
                && echo.is_none_or(|echo| *got_echo == Some(echo))
        }
        _ => wanted == got,
    };
    wanted.len() == got.len()
        && wanted
            .iter()
            .all(|wanted| got.iter().any(|got| same(wanted, got)))
}

/// A relative number may be negative: from before the connection.
fn relative(word: &str) -> Result<u32, String> {
    match word.strip_prefix('-') {
        Some(below) => Ok(0u32.wrapping_sub(number_of(below)?)),
        None => number_of(word),
    }
}

fn read_flags(word: &str) -> Result<u8, String> {
    if word == "-" {
        return Ok(0);
    }
    word.chars()
        .map(|letter| LETTERS.iter().find(|(known, _)| *known == letter))
        .map(|known| {
            known
                .map(|(_, bit)| bit)
                .ok_or_else(|| format!("{word} are no flags"))
        })
        .sum()
}

fn read_options(text: &str) -> Result<Vec<TcpOption>, String> {
    let text = text.trim_start_matches('<').trim_end_matches('>');
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(read_option).collect()
}

fn read_option(text: &str) -> Result<TcpOption, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let stamp = |word: &str| match word {
        "*" | "=" => Ok(None),
        number => number_of(number).map(Some),
    };
    match words[..] {
        ["nop"] => Ok(TcpOption::Nop),
        ["mss", mss] => Ok(TcpOption::Mss(number_of(mss)?)),
        ["ws", shift] => Ok(TcpOption::WindowScale(number_of(shift)?)),
        ["sackok"] => Ok(TcpOption::SackPermitted),
        ["ts", value, echo] => Ok(TcpOption::Timestamps(stamp(value)?, stamp(echo)?)),
        ["sack", ref blocks @ ..] => {
            let block = |block: &&str| {
                let (from, to) = block.split_once('-').ok_or("no block")?;
                Ok((number_of(from)?, number_of(to)?))
            };
            let blocks: Result<_, String> = blocks.iter().map(block).collect();
            Ok(TcpOption::Sack(blocks?))
        }
        _ => Err(format!("<{text}> is no option")),
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags: String = LETTERS
            .iter()
            .filter(|(_, bit)| self.flags & bit != 0)
            .map(|(letter, _)| letter)
            .collect();
        write!(f, "{} {}", if flags.is_empty() { "-" } else { &flags }, self.seq)?;
        if self.len > 0 {
            write!(f, "+{}", self.len)?;
        }
        if let Some(ack) = self.ack {
            write!(f, " ack {ack}")?;
        }
        if let Some(window) = self.window {
            write!(f, " win {window}")?;
        }
        if self.port > 0 {
            write!(f, " port {}", self.port)?;
        }
        if let Some(name) = self.ecn.and_then(|ecn| ECN.get(usize::from(ecn))) {
            write!(f, " {name}")?;
        }
        if let Some(options) = &self.options {
            write!(f, " {options:?}")?;
        }
        Ok(())
    }
}
