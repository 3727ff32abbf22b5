//! `mg`: get, touch, and who is to renew what is about to end.

use super::super::{forward, say, tokens::Tokens};
use super::{Flags, Origin, set_expiry, tell_flag, tell_key, tell_request, tell_ttl};
use crate::replies::Replies;
use crate::shard::Shard;
use crate::step::Step;
use crate::store::{Commit, Expiry, Item, Marks, Mode, Outcome, Slot};

pub(in crate::text) fn get(tokens: &Tokens<'_>, shard: &mut Shard, replies: &mut Replies) -> Step {
    if Flags::are_too_many(tokens) {
        return say(b"CLIENT_ERROR options flags are too long\r\n", replies);
    }
    let flags = match Flags::of(tokens, 2, &shard.store.clock) {
        Ok(flags) => flags,
        Err(error) => return say(error, replies),
    };
    let key = shard.key(flags.key());
    if let Some(core) = shard.elsewhere(key) {
        return forward(core, tokens.line());
    }
    shard.store.counters.cmd_meta += 1;
    let found = shard.store.find(key);
    shard.count_get(found.is_some(), flags.has(b'T'));
    match found {
        Some(slot) => tell(slot, Origin::Found, &flags, shard, replies),
        None => match flags.vivify.and_then(|expiry| create(&flags, expiry, shard)) {
            Some(slot) => tell(slot, Origin::Created, &flags, shard, replies),
            None => {
                if !flags.has(b'q') {
                    replies.text(b"EN");
                    tell_request(&flags, replies);
                    replies.text(b"\r\n");
                }
            }
        },
    }
    Step::Done
}

/// Makes an empty item, for the client that asks to fill.
fn create(flags: &Flags<'_>, expiry: Expiry, shard: &mut Shard) -> Option<Slot> {
    let key = shard.key(flags.key());
    let mut draft = shard.store.draft(key, 0, 0).ok()?;
    draft.marks = flags.key_marks();
    let commit = Commit {
        new_cas: flags.new_cas,
        ..Commit::new(Mode::Add, expiry)
    };
    let Outcome::Stored { .. } = shard.store.commit(draft, commit) else {
        return None;
    };
    shard.store.find(key)
}

fn tell(slot: Slot, origin: Origin, flags: &Flags<'_>, shard: &mut Shard, replies: &mut Replies) {
    let Some(item) = shard.store.item(slot) else {
        return;
    };
    let with_value = flags.has(b'v') && flags.cas != Some(item.cas);
    if with_value {
        replies.text(b"VA ");
        replies.number(item.layout.value_len());
    } else {
        replies.text(b"HD");
    }
    let created = origin == Origin::Created;
    let mut wins = created;
    for flag in flags.each() {
        match flag[0] {
            letter @ (b'T' | b'N') => set_expiry(slot, origin, letter, flags, shard),
            b't' => tell_ttl(slot, shard, replies),
            letter => {
                let now = shard.store.clock.now();
                if let Some(item) = shard.store.item(slot) {
                    wins |= letter == b'R' && !created && may_renew(item, flags);
                    tell_of(item, letter, flag, now, replies);
                }
            }
        }
    }
    if let Some(item) = shard.store.item_mut(slot) {
        tell_state(item, wins, replies);
    }
    replies.text(b"\r\n");
    if let Some(item) = shard.store.item(slot)
        && with_value
    {
        replies.shared(&item.chunk, item.layout.value_line());
    }
    if !flags.has(b'u') {
        shard.store.bump(slot);
    }
}

/// Whether the item ends early enough for this client to be the one who renews it.
fn may_renew(item: &Item, flags: &Flags<'_>) -> bool {
    let early = flags.recache.is_some_and(|limit| item.expiry.is_before(limit));
    early && !item.marks.has(Marks::TOKEN_SENT)
}

fn tell_of(item: &Item, letter: u8, flag: &[u8], now: u32, replies: &mut Replies) {
    if matches!(letter, b's' | b'c' | b'f' | b'l' | b'h') {
        tell_flag(letter, replies);
    }
    match letter {
        b's' => replies.number(item.layout.value_len()),
        b'c' => replies.number(item.cas),
        b'f' => replies.number(item.flags),
        b'l' => replies.number(now - item.accessed),
        b'h' => replies.number(u8::from(item.marks.has(Marks::FETCHED))),
        b'O' => {
            replies.text(b" ");
            replies.text(flag);
        }
        b'k' => tell_key(item.key(), item.marks.has(Marks::BINARY_KEY), replies),
        _ => {}
    }
}

/// Tells whether the item is stale, and whether this client or another is to renew it.
fn tell_state(item: &mut Item, mut wins: bool, replies: &mut Replies) {
    let sent = item.marks.has(Marks::TOKEN_SENT);
    if sent {
        tell_flag(b'Z', replies);
    }
    if item.marks.has(Marks::STALE) {
        tell_flag(b'X', replies);
        wins |= !sent;
    }
    if wins {
        tell_flag(b'W', replies);
        item.marks.set(Marks::TOKEN_SENT);
    }
}
