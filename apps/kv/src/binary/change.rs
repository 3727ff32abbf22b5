//! Delete, Increment, Decrement, and their quiet twins.

use super::header::{Body, Header, Status};
use super::{done, error, forward};
use crate::replies::Replies;
use crate::shard::Shard;
use crate::step::Step;
use crate::store::{Delta, DeltaOutcome, Direction, Initial, Marks};

/// An expiration time that says: make no item where there is none.
const MAKE_NONE: u32 = u32::MAX;

pub(super) fn delete(header: Header, body: &Body<'_>, shard: &mut Shard, replies: &mut Replies) -> Step {
    let key = shard.key(body.key);
    if let Some(core) = shard.elsewhere(key) {
        return forward(core, header, body);
    }
    let Some(slot) = shard.store.find(key) else {
        shard.store.counters.delete_misses += 1;
        error(header, Status::NotFound, replies);
        return Step::Done;
    };
    let cas = shard.store.item(slot).map_or(0, |item| item.cas);
    if header.cas == 0 || header.cas == cas {
        shard.store.counters.delete_hits += 1;
        shard.store.unlink(slot);
        done(header, 0, b"", replies);
    } else {
        error(header, Status::Exists, replies);
    }
    Step::Done
}

pub(super) fn delta(
    header: Header,
    direction: Direction,
    body: &Body<'_>,
    shard: &mut Shard,
    replies: &mut Replies,
) -> Step {
    let key = shard.key(body.key);
    if let Some(core) = shard.elsewhere(key) {
        return forward(core, header, body);
    }
    let exptime = body.extra_u32(16);
    let expiry = shard.store.clock.expiry(i64::from(exptime));
    let delta = Delta {
        direction,
        amount: body.extra_u64(0),
        cas: header.cas,
        new_cas: None,
        initial: (exptime != MAKE_NONE).then(|| Initial {
            value: body.extra_u64(8),
            expiry,
            marks: Marks::default(),
        }),
    };
    let status = match shard.store.add_delta(key, delta) {
        DeltaOutcome::Changed { slot, value } | DeltaOutcome::Created { slot, value } => {
            let cas = shard.store.item(slot).map_or(0, |item| item.cas);
            done(header, cas, &value.to_be_bytes(), replies);
            return Step::Done;
        }
        DeltaOutcome::NotFound => Status::NotFound,
        DeltaOutcome::NonNumeric => Status::NonNumeric,
        DeltaOutcome::Exists => Status::Exists,
        DeltaOutcome::NoMemory => Status::NoMemory,
    };
    error(header, status, replies);
    Step::Done
}
