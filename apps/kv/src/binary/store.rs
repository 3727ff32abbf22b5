//! Set, Add, Replace, Append, Prepend, and their quiet twins.

use super::header::{Body, Header, Status};
use super::opcode::Opcode;
use super::{done, error};
use crate::replies::Replies;
use crate::shard::Shard;
use crate::step::{Gathering, Incoming, Step, StoreReply};
use crate::store::{Commit, Expiry, Mode, Outcome, Refusal};

pub(super) fn store(
    header: Header,
    opcode: Opcode,
    body: &Body<'_>,
    shard: &mut Shard,
    replies: &mut Replies,
) -> Step {
    let Opcode::Store { mode } = opcode else {
        return Step::Done;
    };
    let extends = matches!(mode, Mode::Append | Mode::Prepend);
    let (flags, expiry) = if extends {
        (0, Expiry::NEVER)
    } else {
        let exptime = i64::from(body.extra_u32(4));
        (body.extra_u32(0), shard.store.clock.expiry(exptime))
    };
    let key = shard.key(body.key);
    if !shard.store.is_too_large(body.key.len(), flags, body.value_len)
        && let Some(core) = shard.elsewhere(key)
    {
        return Step::Gather(Box::new(Gathering {
            core,
            command: [&header.request()[..], body.extras, body.key].concat(),
            missing: body.value_len,
        }));
    }
    match shard.store.draft(key, flags, body.value_len) {
        Ok(draft) => Step::Value(Box::new(Incoming {
            draft,
            commit: Commit {
                cas: header.cas,
                compare: header.cas != 0 && !extends,
                ..Commit::new(
                    if header.cas == 0 || extends {
                        mode
                    } else {
                        Mode::Set
                    },
                    expiry,
                )
            },
            reply: StoreReply::Binary(header),
        })),
        Err(refusal) => {
            let status = match refusal {
                Refusal::TooLarge => Status::TooLarge,
                Refusal::NoMemory => Status::NoMemory,
            };
            error(header, status, replies);
            if mode == Mode::Set {
                shard.forget(key);
            }
            Step::Swallow(body.value_len)
        }
    }
}

/// The value is there.
pub(crate) fn stored(incoming: Incoming, shard: &mut Shard, replies: &mut Replies) {
    let Incoming { draft, commit, reply } = incoming;
    let StoreReply::Binary(header) = reply else {
        shard.store.discard(draft);
        return;
    };
    let status = match shard.store.commit(draft, commit) {
        Outcome::Stored { cas, .. } => return done(header, cas, b"", replies),
        Outcome::Exists => Status::Exists,
        Outcome::NotFound => Status::NotFound,
        Outcome::NotStored => match commit.mode {
            Mode::Add => Status::Exists,
            Mode::Replace => Status::NotFound,
            _ => Status::NotStored,
        },
    };
    error(header, status, replies);
}
