//! Get, GetK, Touch, GAT, GATK, and their quiet twins.

use super::header::{Body, Header, Status};
use super::opcode::{Opcode, WithKey, WithValue};
use super::{error, forward, tell};
use crate::replies::Replies;
use crate::shard::Shard;
use crate::step::Step;
use crate::store::Item;

/// Bytes of the flags that come before the value.
const FLAGS_LEN: u8 = 4;

pub(super) fn get(
    header: Header,
    opcode: Opcode,
    body: &Body<'_>,
    shard: &mut Shard,
    replies: &mut Replies,
) -> Step {
    let key = shard.key(body.key);
    if let Some(core) = shard.elsewhere(key) {
        return forward(core, header, body);
    }
    let (with_key, with_value, found) = match opcode {
        Opcode::Touch { key: with_key, value } => {
            let slot = shard.touch(key, i64::from(body.extra_u32(0)));
            (with_key, value, slot.and_then(|slot| shard.store.item(slot)))
        }
        Opcode::Get { key: with_key } => {
            let slot = shard.store.find(key);
            shard.count_get(slot.is_some(), false);
            (
                with_key,
                WithValue::Yes,
                slot.and_then(|_| shard.store.fetch(key)),
            )
        }
        _ => return Step::Done,
    };
    match found {
        Some(item) => tell_item(header, item, with_key, with_value, replies),
        None if header.is_quiet() => {}
        None if with_key == WithKey::Yes => tell(header, Status::NotFound, 0, body.key, b"", replies),
        None => error(header, Status::NotFound, replies),
    }
    Step::Done
}

fn tell_item(header: Header, item: &Item, with_key: WithKey, with_value: WithValue, replies: &mut Replies) {
    let key = match with_key {
        WithKey::Yes => item.key(),
        WithKey::No => b"",
    };
    let value_len = match with_value {
        WithValue::Yes => item.layout.value_len(),
        WithValue::No => 0,
    };
    let body_len = usize::from(FLAGS_LEN) + key.len() + value_len;
    replies.text(&header.reply(Status::Ok, FLAGS_LEN, key.len(), body_len, item.cas));
    replies.text(&item.flags.to_be_bytes());
    replies.text(key);
    if with_value == WithValue::Yes {
        replies.shared(&item.chunk, item.layout.value());
    }
}
