//! `get`, `gets`, `gat`, `gats`.

use super::tokens::next_word;
use crate::across::{END, Finish, Pending};
use crate::replies::Replies;
use crate::shard::Shard;
use crate::step::Step;
use crate::store::{Expiry, Item, Key, LONGEST_KEY};

use super::{BAD_FORMAT, ERROR};

/// What a `get` tells and does beside the value.
#[derive(Clone, Copy)]
pub(crate) struct Get {
    /// Tell the CAS id.
    pub(crate) with_cas: bool,
    /// Set the expiry.
    pub(crate) touch: Option<Expiry>,
}

impl Get {
    pub(crate) const PLAIN: Get = Get {
        with_cas: false,
        touch: None,
    };
}

/// Carries out `line`, whose keys begin at `place`.
#[inline]
pub(crate) fn get(line: &[u8], keys_at: usize, get: Get, shard: &mut Shard, replies: &mut Replies) -> Step {
    if shard.cores() > 1
        && let Some(pending) = get_across(line, keys_at, get, shard, replies)
    {
        return Step::Wait(Box::new(pending));
    }
    let mark = replies.mark();
    let mut place = keys_at;
    let mut hit = None;
    while let Some(word) = next_word(line, place) {
        place = word.end;
        let bytes = &line[word];
        if bytes.len() > LONGEST_KEY {
            replies.go_back(mark);
            replies.phrase(BAD_FORMAT);
            return Step::Done;
        }
        let key = shard.key(bytes);
        hit = Some(entry(key, get, shard, replies));
    }
    match hit {
        None => replies.phrase(ERROR),
        // It follows the value in the store.
        Some(true) => replies.extend_shared(END.len(), END),
        Some(false) => replies.phrase(END),
    }
    Step::Done
}

/// Adds what there is of one key; `true` if there is something.
#[inline]
fn entry(key: Key<'_>, get: Get, shard: &mut Shard, replies: &mut Replies) -> bool {
    let store = &mut shard.store;
    if let Some(expiry) = get.touch {
        store.counters.cmd_touch += 1;
        let Some(slot) = store.find(key) else {
            store.counters.touch_misses += 1;
            return false;
        };
        store.counters.touch_hits += 1;
        if let Some(item) = store.item_mut(slot) {
            item.expiry = expiry;
        }
        store.bump(slot);
        if let Some(item) = store.item(slot) {
            tell(item, get.with_cas, replies);
        }
        return true;
    }
    store.counters.cmd_get += 1;
    if let Some(item) = store.fetch(key) {
        tell(item, get.with_cas, replies);
        store.counters.get_hits += 1;
        true
    } else {
        store.counters.get_misses += 1;
        false
    }
}

#[inline]
fn tell(item: &Item, with_cas: bool, replies: &mut Replies) {
    let layout = item.layout;
    if !with_cas {
        replies.shared(&item.chunk, layout.entry());
        return;
    }
    replies.text(&item.chunk[..layout.numbers().end]);
    replies.text(b" ");
    replies.number(item.cas);
    replies.text(b"\r\n");
    replies.shared(&item.chunk, layout.value_line());
}

/// The same when keys of the line are other cores'; `None` if none is.
fn get_across(
    line: &[u8],
    keys_at: usize,
    get: Get,
    shard: &mut Shard,
    replies: &mut Replies,
) -> Option<Pending> {
    let words = || {
        let mut place = keys_at;
        std::iter::from_fn(move || {
            let word = next_word(line, place)?;
            place = word.end;
            Some(&line[word])
        })
    };
    if words().any(|key| key.len() > LONGEST_KEY)
        || words().all(|key| shard.elsewhere(shard.key(key)).is_none())
    {
        return None;
    }
    let mut pending = Pending::new(Finish::Entries);
    for bytes in words() {
        let key = shard.key(bytes);
        if let Some(core) = shard.elsewhere(key) {
            let command = [&line[..keys_at], b" ", bytes, b"\r\n"].concat();
            pending.ask(core, crate::across::Ask::Command(command));
        } else {
            let mark = replies.mark();
            entry(key, get, shard, replies);
            replies.phrase(END);
            pending.know(replies.split_off(mark));
        }
    }
    Some(pending)
}
