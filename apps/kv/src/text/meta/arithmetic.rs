//! `ma`: counting.

use super::super::change::NON_NUMERIC;
use super::super::{forward, say, tokens::Tokens};
use super::{Flags, Origin, set_expiry, tell_flag, tell_key, tell_request, tell_ttl};
use crate::replies::Replies;
use crate::shard::Shard;
use crate::step::Step;
use crate::store::{Delta, DeltaOutcome, Direction, Initial, LONGEST_KEY, Slot};

/// The flags of a command that tells less of what is wrong with them.
pub(super) fn flags<'a>(tokens: &'a Tokens<'a>, shard: &Shard) -> Result<Flags<'a>, &'static [u8]> {
    const OPAQUE: &[u8] = b"CLIENT_ERROR opaque token too long\r\n";
    if tokens.get(1).len() > LONGEST_KEY {
        return Err(super::super::BAD_FORMAT);
    }
    Flags::of(tokens, 2, &shard.store.clock).map_err(|error| {
        if error == OPAQUE {
            error
        } else {
            b"CLIENT_ERROR invalid or duplicate flag\r\n"
        }
    })
}

pub(in crate::text) fn arithmetic(tokens: &Tokens<'_>, shard: &mut Shard, replies: &mut Replies) -> Step {
    if Flags::are_too_many(tokens) {
        return say(b"CLIENT_ERROR options flags too long\r\n", replies);
    }
    let flags = match flags(tokens, shard) {
        Ok(flags) => flags,
        Err(error) => return say(error, replies),
    };
    let direction = match flags.mode {
        None | Some(b'I' | b'+') => Direction::Up,
        Some(b'D' | b'-') => Direction::Down,
        Some(_) => return say(b"CLIENT_ERROR invalid mode for ma M token\r\n", replies),
    };
    let key = shard.key(flags.key());
    if let Some(core) = shard.elsewhere(key) {
        return forward(core, tokens.line());
    }
    shard.store.counters.cmd_meta += 1;
    let delta = Delta {
        direction,
        amount: flags.delta,
        cas: flags.cas.unwrap_or(0),
        new_cas: flags.new_cas,
        initial: flags.vivify.map(|expiry| Initial {
            value: flags.initial,
            expiry,
            marks: flags.key_marks(),
        }),
    };
    let code: &[u8] = match shard.store.add_delta(key, delta) {
        DeltaOutcome::Changed { slot, .. } if flags.has(b'q') => {
            set_expiry(slot, Origin::Found, b'T', &flags, shard);
            return Step::Done;
        }
        DeltaOutcome::Changed { slot, value } => {
            tell(slot, Origin::Found, value, &flags, shard, replies);
            return Step::Done;
        }
        DeltaOutcome::Created { slot, value } => {
            tell(slot, Origin::Created, value, &flags, shard, replies);
            return Step::Done;
        }
        DeltaOutcome::NonNumeric => return say(NON_NUMERIC, replies),
        DeltaOutcome::NoMemory => return say(b"SERVER_ERROR out of memory\r\n", replies),
        DeltaOutcome::NotFound => b"NF",
        DeltaOutcome::Exists => b"EX",
    };
    replies.text(code);
    tell_request(&flags, replies);
    replies.text(b"\r\n");
    Step::Done
}

fn tell(slot: Slot, origin: Origin, value: u64, flags: &Flags<'_>, shard: &mut Shard, replies: &mut Replies) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value).as_bytes();
    if flags.has(b'v') {
        replies.text(b"VA ");
        replies.number(digits.len());
    } else {
        replies.text(b"HD");
    }
    for flag in flags.each() {
        match flag[0] {
            letter @ (b'T' | b'N') => set_expiry(slot, origin, letter, flags, shard),
            b't' => tell_ttl(slot, shard, replies),
            b'c' => {
                tell_flag(b'c', replies);
                replies.number(shard.store.item(slot).map_or(0, |item| item.cas));
            }
            b'O' => {
                replies.text(b" ");
                replies.text(flag);
            }
            b'k' => tell_key(flags.key(), flags.has(b'b'), replies),
            _ => {}
        }
    }
    replies.text(b"\r\n");
    if flags.has(b'v') {
        replies.text(digits);
        replies.text(b"\r\n");
    }
}
