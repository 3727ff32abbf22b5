//! The meta commands: `mg`, `ms`, `md`, `ma`, `me` (`mn` needs no room of its own). Each is a key and flags of one letter,
//! some with a word of their own right behind.

mod flags;
use flags::Flags;

mod get;
pub(super) use get::get;

mod set;
pub(crate) use set::SetFlags;
pub(super) use set::{set, stored};

mod delete;
pub(super) use delete::delete;

mod arithmetic;
pub(super) use arithmetic::arithmetic;

mod debug;
pub(super) use debug::debug;

use crate::replies::Replies;
use crate::shard::Shard;
use crate::store::Slot;

/// Where the item of a reply comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Found,
    /// Made by this very command.
    Created,
}

/// Sets the expiry that `letter`, one of a command's flags, asks for: `T`'s, or `N`'s of a new item.
fn set_expiry(slot: Slot, origin: Origin, letter: u8, flags: &Flags<'_>, shard: &mut Shard) {
    let expiry = match letter {
        b'T' => flags.ttl,
        b'N' if origin == Origin::Created => flags.vivify,
        _ => None,
    };
    if let (Some(item), Some(expiry)) = (shard.store.item_mut(slot), expiry) {
        item.expiry = expiry;
    }
}

/// Adds ` X` for a flag named `letter`.
fn tell_flag(letter: u8, replies: &mut Replies) {
    replies.text(&[b' ', letter]);
}

/// Adds ` k<key>`, in base64 if that is how the key is written.
fn tell_key(key: &[u8], binary: bool, replies: &mut Replies) {
    tell_flag(b'k', replies);
    if binary {
        replies.text(flags::encode(key).as_bytes());
        tell_flag(b'b', replies);
    } else {
        replies.text(key);
    }
}

/// Adds what a request asked to get back whatever comes of it: its opaque word and its key.
fn tell_request(flags: &Flags<'_>, replies: &mut Replies) {
    for flag in flags.each() {
        match flag {
            [b'O', ..] => {
                replies.text(b" ");
                replies.text(flag);
            }
            [b'k', ..] => tell_key(flags.key(), flags.has(b'b'), replies),
            _ => {}
        }
    }
}

/// Adds ` t<seconds left>`, -1 for no end.
fn tell_ttl(slot: Slot, shard: &Shard, replies: &mut Replies) {
    tell_flag(b't', replies);
    let item = shard.store.item(slot);
    match item.and_then(|item| item.expiry.remaining(&shard.store.clock)) {
        Some(seconds) => replies.number(seconds),
        None => replies.text(b"-1"),
    }
}
