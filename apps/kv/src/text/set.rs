//! `set`, `add`, `replace`, `append`, `prepend`, `cas`: the line, and what is said when the value is there.

use super::tokens::Tokens;
use super::{BAD_FORMAT, NO_MEMORY, TOO_LARGE, Wish, meta};
use crate::number;
use crate::replies::Replies;
use crate::shard::Shard;
use crate::step::{Gathering, Incoming, Step, StoreReply};
use crate::store::{Commit, LONGEST_KEY, Mode, Outcome, Refusal};

/// The line end after a value.
const CRLF_LEN: usize = 2;

/// Longest value there can be a word for: memcached's is an `int`, with the line end.
const LONGEST: i32 = i32::MAX - 2;

/// How the outcome of a text command that stores is told.
pub(crate) enum SetReply {
    /// `set` and the like.
    Classic(Wish),
    /// `ms`.
    Meta(meta::SetFlags),
}

/// Every one but `cas`.
pub(crate) fn set(tokens: &Tokens<'_>, mode: Mode, shard: &mut Shard, replies: &mut Replies) -> Step {
    store(tokens, mode, None, shard, replies)
}

pub(crate) fn cas(tokens: &Tokens<'_>, shard: &mut Shard, replies: &mut Replies) -> Step {
    store(tokens, Mode::Set, Some(tokens.get(5)), shard, replies)
}

fn store(
    tokens: &Tokens<'_>,
    mode: Mode,
    cas: Option<&[u8]>,
    shard: &mut Shard,
    replies: &mut Replies,
) -> Step {
    let wish = Wish::of(tokens);
    let bytes = tokens.get(1);
    let numbers = (
        number::unsigned_32(tokens.get(2)),
        number::signed_32(tokens.get(3)),
        number::signed_32(tokens.get(4)),
        cas.map_or(Some(0), number::unsigned),
    );
    let (Some(flags), Some(exptime), Some(len), Some(cas_id)) = numbers else {
        return wish.say(BAD_FORMAT, replies);
    };
    if bytes.len() > LONGEST_KEY || len > LONGEST {
        return wish.say(BAD_FORMAT, replies);
    }
    let Ok(len) = usize::try_from(len) else {
        return wish.say(BAD_FORMAT, replies);
    };
    let commit = Commit {
        cas: cas_id,
        compare: cas.is_some(),
        ..Commit::new(mode, shard.store.clock.expiry(i64::from(exptime)))
    };
    let key = shard.key(bytes);
    if !shard.store.is_too_large(bytes.len(), flags, len)
        && let Some(core) = shard.elsewhere(key)
    {
        return gather(core, tokens.line(), len);
    }
    match shard.store.draft(key, flags, len) {
        Ok(draft) => Step::Value(Box::new(Incoming {
            draft,
            commit,
            reply: StoreReply::Text(SetReply::Classic(wish)),
        })),
        Err(refusal) => {
            wish.say(refused(refusal), replies);
            if mode == Mode::Set && cas.is_none() {
                // What was there is what the client wants no more.
                shard.forget(key);
            }
            Step::Swallow(len + CRLF_LEN)
        }
    }
}

pub(crate) fn refused(refusal: Refusal) -> &'static [u8] {
    match refusal {
        Refusal::TooLarge => TOO_LARGE,
        Refusal::NoMemory => NO_MEMORY,
    }
}

/// A command whose value is `len` bytes is another core's.
pub(crate) fn gather(core: usize, line: &[u8], len: usize) -> Step {
    Step::Gather(Box::new(Gathering {
        core,
        command: [line, b"\r\n"].concat(),
        missing: len + CRLF_LEN,
    }))
}

/// The value is there, and `crlf` came behind it.
pub(crate) fn stored(incoming: Incoming, crlf: [u8; 2], shard: &mut Shard, replies: &mut Replies) {
    let Incoming { draft, commit, reply } = incoming;
    let StoreReply::Text(reply) = reply else {
        shard.store.discard(draft);
        return;
    };
    if crlf != *b"\r\n" {
        shard.store.counters.cmd_set += 1;
        shard.store.discard(draft);
        if !matches!(reply, SetReply::Classic(Wish::NoReply)) {
            replies.phrase(b"CLIENT_ERROR bad data chunk\r\n");
        }
        return;
    }
    match reply {
        SetReply::Classic(wish) => {
            let phrase: &[u8] = match shard.store.commit(draft, commit) {
                Outcome::Stored { .. } => b"STORED\r\n",
                Outcome::NotStored => b"NOT_STORED\r\n",
                Outcome::Exists => b"EXISTS\r\n",
                Outcome::NotFound => super::NOT_FOUND,
            };
            wish.say(phrase, replies);
        }
        SetReply::Meta(flags) => meta::stored(draft, commit, &flags, shard, replies),
    }
}
