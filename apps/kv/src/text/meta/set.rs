//! `ms`: every way to store.

use super::super::set::{SetReply, gather, refused};
use super::super::{BAD_FORMAT, say, tokens::Tokens};
use super::{Flags, tell_flag, tell_key};
use crate::number;
use crate::replies::Replies;
use crate::shard::Shard;
use crate::step::{Incoming, Step, StoreReply};
use crate::store::{Commit, Draft, Expiry, LONGEST_KEY, Marks, Mode, Outcome};

/// What to tell when the value has come.
pub(crate) struct SetFlags {
    /// The flags that ask to be told something, with a space before each.
    asked: Vec<u8>,
    quiet: bool,
}

pub(in crate::text) fn set(tokens: &Tokens<'_>, shard: &mut Shard, replies: &mut Replies) -> Step {
    if tokens.len() == 2 || tokens.get(1).len() > LONGEST_KEY {
        return say(BAD_FORMAT, replies);
    }
    if Flags::are_too_many(tokens) {
        return say(b"CLIENT_ERROR options flags too long\r\n", replies);
    }
    let len = number::signed_32(tokens.get(2)).filter(|len| *len <= i32::MAX - 2);
    let Some(Ok(len)) = len.map(usize::try_from) else {
        return say(BAD_FORMAT, replies);
    };
    match begin(tokens, len, shard) {
        Ok(step) => step,
        // What was sent as a value is not to be taken for a command.
        Err(error) => {
            replies.phrase(error);
            Step::Swallow(len + 2)
        }
    }
}

fn begin(tokens: &Tokens<'_>, len: usize, shard: &mut Shard) -> Result<Step, &'static [u8]> {
    let flags = Flags::of(tokens, 3, &shard.store.clock)?;
    let mode = match flags.mode {
        None | Some(b'S') => Mode::Set,
        Some(b'E') => Mode::Add,
        Some(b'A') => Mode::Append,
        Some(b'P') => Mode::Prepend,
        Some(b'R') => Mode::Replace,
        Some(_) => return Err(b"CLIENT_ERROR invalid mode for ms M token\r\n"),
    };
    let key = shard.key(flags.key());
    if !shard.store.is_too_large(key.bytes.len(), flags.client_flags, len)
        && let Some(core) = shard.elsewhere(key)
    {
        return Ok(gather(core, tokens.line(), len));
    }
    shard.store.counters.cmd_meta += 1;
    let draft = shard.store.draft(key, flags.client_flags, len);
    let mut draft = draft.map_err(|refusal| {
        shard.forget(key);
        refused(refusal)
    })?;
    draft.marks = flags.key_marks();
    let commit = Commit {
        cas: flags.cas.unwrap_or(0),
        compare: flags.cas.is_some() && matches!(mode, Mode::Set | Mode::Replace),
        invalidate: flags.has(b'I'),
        new_cas: flags.new_cas,
        vivify: flags.vivify,
        ..Commit::new(mode, flags.ttl.unwrap_or(Expiry::NEVER))
    };
    let asked = flags
        .each()
        .filter(|flag| matches!(flag[0], b'O' | b'k' | b'c' | b's'));
    let asked = asked.flat_map(|flag| [b" ", flag].concat()).collect();
    let quiet = flags.has(b'q');
    Ok(Step::Value(Box::new(Incoming {
        draft,
        commit,
        reply: StoreReply::Text(SetReply::Meta(SetFlags { asked, quiet })),
    })))
}

/// The value is there.
pub(in crate::text) fn stored(
    draft: Draft,
    commit: Commit,
    flags: &SetFlags,
    shard: &mut Shard,
    replies: &mut Replies,
) {
    let binary = draft.marks.has(Marks::BINARY_KEY);
    let key = draft.key().to_vec();
    let outcome = shard.store.commit(draft, commit);
    let (code, cas, len) = match outcome {
        Outcome::Stored { .. } if flags.quiet => return,
        Outcome::Stored { cas, value_len } => (b"HD", cas, value_len),
        Outcome::NotStored => (b"NS", 0, 0),
        Outcome::Exists => (b"EX", 0, 0),
        Outcome::NotFound => (b"NF", 0, 0),
    };
    replies.text(code);
    for flag in flags.asked.split(|byte| *byte == b' ').skip(1) {
        match flag {
            [b'O', ..] => {
                replies.text(b" ");
                replies.text(flag);
            }
            [b'k', ..] => tell_key(&key, binary, replies),
            [b'c', ..] => {
                tell_flag(b'c', replies);
                replies.number(cas);
            }
            _ => {
                tell_flag(b's', replies);
                replies.number(len);
            }
        }
    }
    replies.text(b"\r\n");
}
