//! The flags of a meta command, checked as memcached checks them: all are known, none comes twice, words that are numbers
//! are.

use super::super::BAD_FORMAT;
use super::super::tokens::Tokens;
use crate::number;
use crate::store::{Clock, Expiry, LONGEST_KEY, Marks};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, PAD};
use std::borrow::Cow;

/// Words of a command, at most (memcached: `MFLAG_MAX_OPT_LENGTH`, which counts the end as one).
const MOST_WORDS: usize = 19;

/// Longest opaque flag, its letter included.
const LONGEST_OPAQUE: usize = 32;

/// The letters there are.
const KNOWN: &[u8] = b"bcCDEfFhIJklLMNOPqRstTuvx";

const BAD_TOKEN: &[u8] = b"CLIENT_ERROR bad token in command line format\r\n";

/// Bits behind the last whole byte may be anything, as memcached has it.
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, PAD.with_decode_allow_trailing_bits(true));

pub(super) fn encode(key: &[u8]) -> String {
    BASE64.encode(key)
}

/// A command's key and flags.
pub(super) struct Flags<'a> {
    tokens: &'a Tokens<'a>,
    /// The place of the first flag.
    first: usize,
    /// Bits by letter.
    seen: u128,
    key: Cow<'a, [u8]>,
    pub(super) ttl: Option<Expiry>,
    pub(super) vivify: Option<Expiry>,
    pub(super) recache: Option<Expiry>,
    pub(super) cas: Option<u64>,
    pub(super) new_cas: Option<u64>,
    pub(super) client_flags: u32,
    pub(super) mode: Option<u8>,
    pub(super) initial: u64,
    pub(super) delta: u64,
}

impl<'a> Flags<'a> {
    /// The flags that stand from place `first` on.
    ///
    /// # Errors
    /// What the client is to be told.
    pub(super) fn of(tokens: &'a Tokens<'a>, first: usize, clock: &Clock) -> Result<Self, &'static [u8]> {
        if tokens.get(1).len() > LONGEST_KEY {
            return Err(BAD_FORMAT);
        }
        let mut flags = Flags {
            tokens,
            first,
            seen: 0,
            key: Cow::Borrowed(tokens.get(1)),
            ttl: None,
            vivify: None,
            recache: None,
            cas: None,
            new_cas: None,
            client_flags: 0,
            mode: None,
            initial: 0,
            delta: 1,
        };
        let mut outcome = Ok(());
        for flag in tokens.from(first) {
            let bit = 1u128.checked_shl(u32::from(flag[0])).unwrap_or(0);
            if bit == 0 || flag[0] == 127 || flags.seen & bit != 0 {
                return Err(b"CLIENT_ERROR duplicate flag\r\n");
            }
            flags.seen |= bit;
            if !KNOWN.contains(&flag[0]) {
                return Err(b"CLIENT_ERROR invalid flag\r\n");
            }
            if let Err(error) = flags.take(flag, clock)
                && (error != BAD_FORMAT || outcome.is_ok())
            {
                // Of several things wrong, the last is told that has words of its own.
                outcome = Err(error);
            }
        }
        outcome?;
        if flags
            .each()
            .any(|flag| flag[0] == b'O' && flag.len() > LONGEST_OPAQUE)
        {
            return Err(b"CLIENT_ERROR opaque token too long\r\n");
        }
        Ok(flags)
    }

    fn take(&mut self, flag: &[u8], clock: &Clock) -> Result<(), &'static [u8]> {
        let word = &flag[1..];
        let expiry = || {
            let exptime = number::signed_32(word).ok_or(BAD_TOKEN)?;
            Ok(Some(clock.expiry(i64::from(exptime))))
        };
        match flag[0] {
            b'b' => {
                let key = BASE64.decode(self.tokens.get(1)).unwrap_or_default();
                if key.is_empty() {
                    return Err(b"CLIENT_ERROR error decoding key\r\n");
                }
                self.key = Cow::Owned(key);
            }
            b'N' => self.vivify = expiry()?,
            b'T' => self.ttl = expiry()?,
            b'R' => self.recache = expiry()?,
            b'C' => self.cas = Some(number::unsigned(word).ok_or(BAD_TOKEN)?),
            b'E' => self.new_cas = Some(number::unsigned(word).ok_or(BAD_TOKEN)?),
            b'F' => self.client_flags = number::unsigned_32(word).ok_or(BAD_FORMAT)?,
            b'M' => match word {
                [mode] => self.mode = Some(mode.to_ascii_uppercase()),
                _ => return Err(b"CLIENT_ERROR incorrect length for M token\r\n"),
            },
            b'J' => {
                self.initial =
                    number::unsigned(word).ok_or(&b"CLIENT_ERROR invalid numeric initial value\r\n"[..])?;
            }
            b'D' => {
                self.delta =
                    number::unsigned(word).ok_or(&b"CLIENT_ERROR invalid numeric delta value\r\n"[..])?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Each of them, in order.
    pub(super) fn each(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.tokens.from(self.first)
    }

    pub(super) fn has(&self, letter: u8) -> bool {
        self.seen & 1 << letter != 0
    }

    /// The key itself, however it is written.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// How an item with this key is to be marked.
    pub(super) fn key_marks(&self) -> Marks {
        if self.has(b'b') {
            Marks::BINARY_KEY
        } else {
            Marks::default()
        }
    }

    /// `true` if there are more words than a command may have.
    pub(super) fn are_too_many(tokens: &Tokens<'_>) -> bool {
        tokens.len() > MOST_WORDS
    }
}
