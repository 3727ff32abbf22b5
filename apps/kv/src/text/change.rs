//! `delete`, `incr`, `decr`, `touch`: one line, one key, one word back.

use super::tokens::Tokens;
use super::{BAD_EXPTIME, BAD_FORMAT, NOT_FOUND, Wish, forward};
use crate::number;
use crate::replies::Replies;
use crate::shard::Shard;
use crate::step::Step;
use crate::store::{Delta, DeltaOutcome, Direction, LONGEST_KEY};

pub(super) const NON_NUMERIC: &[u8] = b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";

pub(super) fn delete(tokens: &Tokens<'_>, shard: &mut Shard, replies: &mut Replies) -> Step {
    let wish = Wish::of(tokens);
    let words = tokens.len();
    let zero = tokens.get(2) == b"0";
    let quiet = wish == Wish::NoReply;
    let valid = match words {
        3 => zero || quiet,
        4 => zero && quiet,
        _ => true,
    };
    if !valid {
        return wish.say(
            b"CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n",
            replies,
        );
    }
    // A key may be called noreply.
    let wish = if words == 2 { Wish::Reply } else { wish };
    let bytes = tokens.get(1);
    if bytes.len() > LONGEST_KEY {
        return wish.say(BAD_FORMAT, replies);
    }
    let key = shard.key(bytes);
    if let Some(core) = shard.elsewhere(key) {
        return forward(core, tokens.line());
    }
    if let Some(slot) = shard.store.find(key) {
        shard.store.unlink(slot);
        shard.store.counters.delete_hits += 1;
        wish.say(b"DELETED\r\n", replies)
    } else {
        shard.store.counters.delete_misses += 1;
        wish.say(NOT_FOUND, replies)
    }
}

pub(super) fn delta(
    tokens: &Tokens<'_>,
    direction: Direction,
    shard: &mut Shard,
    replies: &mut Replies,
) -> Step {
    let wish = Wish::of(tokens);
    let bytes = tokens.get(1);
    if bytes.len() > LONGEST_KEY {
        return wish.say(BAD_FORMAT, replies);
    }
    let Some(amount) = number::unsigned(tokens.get(2)) else {
        return wish.say(b"CLIENT_ERROR invalid numeric delta argument\r\n", replies);
    };
    let key = shard.key(bytes);
    if let Some(core) = shard.elsewhere(key) {
        return forward(core, tokens.line());
    }
    let delta = Delta {
        direction,
        amount,
        cas: 0,
        new_cas: None,
        initial: None,
    };
    match shard.store.add_delta(key, delta) {
        DeltaOutcome::Changed { value, .. } | DeltaOutcome::Created { value, .. } => {
            if wish == Wish::Reply {
                replies.number(value);
                replies.text(b"\r\n");
            }
            Step::Done
        }
        DeltaOutcome::NonNumeric => wish.say(NON_NUMERIC, replies),
        DeltaOutcome::NoMemory => wish.say(b"SERVER_ERROR out of memory\r\n", replies),
        DeltaOutcome::NotFound | DeltaOutcome::Exists => wish.say(NOT_FOUND, replies),
    }
}

pub(super) fn touch(tokens: &Tokens<'_>, shard: &mut Shard, replies: &mut Replies) -> Step {
    let wish = Wish::of(tokens);
    let bytes = tokens.get(1);
    if bytes.len() > LONGEST_KEY {
        return wish.say(BAD_FORMAT, replies);
    }
    let Some(exptime) = number::signed_32(tokens.get(2)) else {
        return wish.say(BAD_EXPTIME, replies);
    };
    let key = shard.key(bytes);
    if let Some(core) = shard.elsewhere(key) {
        return forward(core, tokens.line());
    }
    let phrase: &[u8] = if shard.touch(key, i64::from(exptime)).is_some() {
        b"TOUCHED\r\n"
    } else {
        NOT_FOUND
    };
    wish.say(phrase, replies)
}
