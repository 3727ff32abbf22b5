//! The text protocol, as memcached's `doc/protocol.txt` describes it and memcached 1.6 speaks it.

mod tokens;
use tokens::{Tokens, next_word};

mod get;
use get::Get;

mod set;
pub(crate) use set::{SetReply, stored};

mod change;

mod meta;

mod admin;
pub(crate) use admin::ask_stats;

use crate::across::{Finish, Pending};
use crate::number;
use crate::replies::Replies;
use crate::shard::Shard;
use crate::step::Step;
use crate::store::{Direction, Mode};

pub(crate) const ERROR: &[u8] = b"ERROR\r\n";
pub(crate) const BAD_FORMAT: &[u8] = b"CLIENT_ERROR bad command line format\r\n";
const BAD_EXPTIME: &[u8] = b"CLIENT_ERROR invalid exptime argument\r\n";
const NOT_FOUND: &[u8] = b"NOT_FOUND\r\n";
const TOO_LARGE: &[u8] = b"SERVER_ERROR object too large for cache\r\n";
const NO_MEMORY: &[u8] = b"SERVER_ERROR out of memory storing object\r\n";

/// Carries out a command line, which comes without its end.
#[inline]
pub(crate) fn command(line: &[u8], shard: &mut Shard, replies: &mut Replies) -> Step {
    if let Some(b"get ") = line.get(..4) {
        return get::get(line, 3, Get::PLAIN, shard, replies);
    }
    dispatch(line, shard, replies)
}

fn dispatch(line: &[u8], shard: &mut Shard, replies: &mut Replies) -> Step {
    let Some(word) = next_word(line, 0) else {
        return say(ERROR, replies);
    };
    let after = word.end;
    let with_cas = Get {
        with_cas: true,
        ..Get::PLAIN
    };
    match &line[word] {
        b"get" => return get::get(line, after, Get::PLAIN, shard, replies),
        b"gets" => return get::get(line, after, with_cas, shard, replies),
        b"gat" => return touch_and_get(line, after, Get::PLAIN, shard, replies),
        b"gats" => return touch_and_get(line, after, with_cas, shard, replies),
        _ => {}
    }
    let tokens = Tokens::of(line);
    let words = tokens.len();
    match (tokens.get(0), words) {
        (b"set", 5 | 6) => set::set(&tokens, Mode::Set, shard, replies),
        (b"add", 5 | 6) => set::set(&tokens, Mode::Add, shard, replies),
        (b"replace", 5 | 6) => set::set(&tokens, Mode::Replace, shard, replies),
        (b"append", 5 | 6) => set::set(&tokens, Mode::Append, shard, replies),
        (b"prepend", 5 | 6) => set::set(&tokens, Mode::Prepend, shard, replies),
        (b"cas", 6 | 7) => set::cas(&tokens, shard, replies),
        (b"delete", 2..=4) => change::delete(&tokens, shard, replies),
        (b"incr", 3 | 4) => change::delta(&tokens, Direction::Up, shard, replies),
        (b"decr", 3 | 4) => change::delta(&tokens, Direction::Down, shard, replies),
        (b"touch", 3 | 4) => change::touch(&tokens, shard, replies),
        (b"mg", 2..) => meta::get(&tokens, shard, replies),
        (b"ms", 2..) => meta::set(&tokens, shard, replies),
        (b"md", 2..) => meta::delete(&tokens, shard, replies),
        (b"ma", 2..) => meta::arithmetic(&tokens, shard, replies),
        (b"me", _) => meta::debug(&tokens, shard, replies),
        (b"mn", _) => say(b"MN\r\n", replies),
        (b"quit", _) => Step::Close,
        _ => admin::command(&tokens, shard, replies),
    }
}

fn touch_and_get(line: &[u8], after: usize, get: Get, shard: &mut Shard, replies: &mut Replies) -> Step {
    let Some(exptime) = next_word(line, after) else {
        return say(ERROR, replies);
    };
    let keys_at = exptime.end;
    let Some(exptime) = number::signed_32(&line[exptime]) else {
        return say(BAD_EXPTIME, replies);
    };
    let touch = Some(shard.store.clock.expiry(i64::from(exptime)));
    let get = Get { touch, ..get };
    if next_word(line, keys_at).is_none() {
        // memcached takes an expiration time without keys for a `get` of none.
        return say(b"END\r\n", replies);
    }
    get::get(line, keys_at, get, shard, replies)
}

/// Says one thing.
fn say(phrase: &'static [u8], replies: &mut Replies) -> Step {
    replies.phrase(phrase);
    Step::Done
}

/// Whether a client asks not to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Reply,
    NoReply,
}

impl Wish {
    fn of(tokens: &Tokens<'_>) -> Self {
        if tokens.last() == b"noreply" {
            Wish::NoReply
        } else {
            Wish::Reply
        }
    }

    /// Says one thing, if it is wanted.
    fn say(self, phrase: &'static [u8], replies: &mut Replies) -> Step {
        if self == Wish::Reply {
            replies.phrase(phrase);
        }
        Step::Done
    }
}

/// `line`, which another core is to carry out, goes there.
fn forward(core: usize, line: &[u8]) -> Step {
    Step::Wait(Box::new(Pending::forward(core, [line, b"\r\n"].concat())))
}

/// Every other core does `ask` too; then `phrase` is said.
fn broadcast(
    shard: &Shard,
    ask: impl Fn() -> crate::across::Ask,
    phrase: &'static [u8],
    replies: &mut Replies,
) -> Step {
    if shard.cores() == 1 {
        replies.phrase(phrase);
        return Step::Done;
    }
    let mut pending = Pending::new(Finish::Phrase(phrase.to_vec()));
    for core in shard.others() {
        pending.ask(core, ask());
    }
    Step::Wait(Box::new(pending))
}
