//! `md`: delete, or mark as stale.

use super::super::{forward, say, tokens::Tokens};
use super::{Flags, tell_request};
use crate::replies::Replies;
use crate::shard::Shard;
use crate::step::Step;
use crate::store::{Commit, Marks, Mode, Slot};

pub(in crate::text) fn delete(tokens: &Tokens<'_>, shard: &mut Shard, replies: &mut Replies) -> Step {
    if Flags::are_too_many(tokens) {
        return say(b"CLIENT_ERROR options flags too long\r\n", replies);
    }
    let flags = match super::arithmetic::flags(tokens, shard) {
        Ok(flags) => flags,
        Err(error) => return say(error, replies),
    };
    let key = shard.key(flags.key());
    if let Some(core) = shard.elsewhere(key) {
        return forward(core, tokens.line());
    }
    shard.store.counters.cmd_meta += 1;
    let code: &[u8] = match shard.store.find(key) {
        None => {
            shard.store.counters.delete_misses += 1;
            b"NF"
        }
        Some(slot) if differs(slot, &flags, shard) => {
            shard.store.counters.delete_misses += 1;
            b"EX"
        }
        Some(slot) => {
            carry_out(slot, &flags, shard);
            if flags.has(b'q') {
                return Step::Done;
            }
            b"HD"
        }
    };
    replies.text(code);
    tell_request(&flags, replies);
    replies.text(b"\r\n");
    Step::Done
}

fn differs(slot: Slot, flags: &Flags<'_>, shard: &Shard) -> bool {
    let cas = shard.store.item(slot).map(|item| item.cas);
    flags.cas.is_some() && flags.cas != cas
}

fn carry_out(slot: Slot, flags: &Flags<'_>, shard: &mut Shard) {
    if flags.has(b'x') {
        empty(slot, flags, shard);
    } else if flags.has(b'I') {
        mark_stale(slot, flags, shard);
    } else {
        shard.store.counters.delete_hits += 1;
        shard.store.unlink(slot);
    }
}

fn mark_stale(slot: Slot, flags: &Flags<'_>, shard: &mut Shard) {
    let next = shard.store.new_cas();
    let Some(item) = shard.store.item_mut(slot) else {
        return;
    };
    if let Some(expiry) = flags.ttl {
        item.expiry = expiry;
    }
    item.marks.set(Marks::STALE);
    // The next one to ask may win again.
    item.marks.clear(Marks::TOKEN_SENT);
    item.cas = flags.new_cas.unwrap_or(next);
}

/// Removes the value and the client's flags, but not the item.
fn empty(slot: Slot, flags: &Flags<'_>, shard: &mut Shard) {
    let Some(item) = shard.store.item(slot) else {
        return;
    };
    let (expiry, marks) = (item.expiry, item.marks);
    let key = shard.key(flags.key());
    let Ok(mut draft) = shard.store.draft(key, 0, 0) else {
        return;
    };
    draft.marks = marks;
    let expiry = match flags.ttl {
        Some(ttl) if flags.has(b'I') => ttl,
        _ => expiry,
    };
    if flags.has(b'I') {
        draft.marks.set(Marks::STALE);
        draft.marks.clear(Marks::TOKEN_SENT);
    }
    let commit = Commit {
        new_cas: flags.new_cas,
        ..Commit::new(Mode::Set, expiry)
    };
    shard.store.commit(draft, commit);
}
