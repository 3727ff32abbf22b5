//! `me`: what the store knows of an item.

use super::super::{BAD_FORMAT, forward, say, tokens::Tokens};
use super::Flags;
use super::flags::encode;
use crate::replies::Replies;
use crate::shard::Shard;
use crate::step::Step;
use crate::store::{Expiry, LONGEST_KEY, Marks};

pub(in crate::text) fn debug(tokens: &Tokens<'_>, shard: &mut Shard, replies: &mut Replies) -> Step {
    if tokens.len() < 2 || tokens.get(1).len() > LONGEST_KEY {
        return say(BAD_FORMAT, replies);
    }
    // Only `b` counts, and only as the first.
    let first = if tokens.get(2) == b"b" { 2 } else { tokens.len() };
    let Ok(flags) = Flags::of(tokens, first, &shard.store.clock) else {
        return say(BAD_FORMAT, replies);
    };
    let key = shard.key(flags.key());
    if let Some(core) = shard.elsewhere(key) {
        return forward(core, tokens.line());
    }
    shard.store.counters.cmd_meta += 1;
    let Some(slot) = shard.store.find(key) else {
        return say(b"EN\r\n", replies);
    };
    let store = &shard.store;
    if let Some(item) = store.item(slot) {
        let key = if item.marks.has(Marks::BINARY_KEY) {
            encode(item.key()).into_bytes()
        } else {
            item.key().to_vec()
        };
        let expired_for = if item.expiry == Expiry::NEVER {
            -1
        } else {
            store.clock.since(item.expiry)
        };
        let fetched = if item.marks.has(Marks::FETCHED) {
            "yes"
        } else {
            "no"
        };
        let rest = format!(
            " exp={expired_for} la={} cas={} fetch={fetched} cls={} size={}\r\n",
            store.clock.now() - item.accessed,
            item.cas,
            store.class_of(item) + 1,
            item.chunk.len(),
        );
        replies.text(b"ME ");
        replies.text(&key);
        replies.text(rest.as_bytes());
    }
    Step::Done
}
