//! What concerns the whole server: `flush_all`, `stats`, `verbosity`, `version`, `cache_memlimit`, `shutdown`.

use super::tokens::Tokens;
use super::{BAD_EXPTIME, BAD_FORMAT, ERROR, Wish, broadcast, say};
use crate::VERSION;
use crate::across::{Ask, Finish, Pending};
use crate::number;
use crate::replies::Replies;
use crate::shard::Shard;
use crate::stats::{Kind, StatsReply};
use crate::step::Step;

const OK: &[u8] = b"OK\r\n";

pub(super) fn command(tokens: &Tokens<'_>, shard: &mut Shard, replies: &mut Replies) -> Step {
    match (tokens.get(0), tokens.len()) {
        (b"flush_all", 1..=3) => flush_all(tokens, shard, replies),
        (b"stats", _) => stats(tokens, shard, replies),
        (b"version", _) => {
            replies.text(b"VERSION ");
            replies.text(VERSION.as_bytes());
            replies.text(b"\r\n");
            Step::Done
        }
        (b"verbosity", 2 | 3) => verbosity(tokens, shard, replies),
        (b"cache_memlimit", 2 | 3) => memory_limit(tokens, shard, replies),
        (b"shutdown", _) => say(b"ERROR: shutdown not enabled\r\n", replies),
        _ => say(ERROR, replies),
    }
}

fn flush_all(tokens: &Tokens<'_>, shard: &mut Shard, replies: &mut Replies) -> Step {
    let wish = Wish::of(tokens);
    let bare = if wish == Wish::NoReply { 2 } else { 1 };
    let exptime = if tokens.len() == bare {
        0
    } else if let Some(exptime) = number::signed_32(tokens.get(1)) {
        i64::from(exptime)
    } else {
        shard.store.counters.cmd_flush += 1;
        return wish.say(BAD_EXPTIME, replies);
    };
    shard.store.flush(exptime);
    let phrase = if wish == Wish::Reply { OK } else { b"" };
    broadcast(shard, || Ask::Flush(exptime), phrase, replies)
}

fn verbosity(tokens: &Tokens<'_>, shard: &mut Shard, replies: &mut Replies) -> Step {
    let wish = Wish::of(tokens);
    match number::unsigned_32(tokens.get(1)) {
        Some(level) => {
            shard.set_verbosity(level);
            wish.say(OK, replies)
        }
        None => wish.say(BAD_FORMAT, replies),
    }
}

/// Sets the memory limit, in MiB.
fn memory_limit(tokens: &Tokens<'_>, shard: &mut Shard, replies: &mut Replies) -> Step {
    let wish = Wish::of(tokens);
    let Some(mebibytes) = number::unsigned_32(tokens.get(1)) else {
        return wish.say(ERROR, replies);
    };
    if mebibytes < 8 {
        return wish.say(
            b"MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n",
            replies,
        );
    }
    let bytes = (mebibytes as usize) << 20;
    let share = bytes / shard.cores();
    shard.store.set_memory_limit(share);
    shard.settings.memory = bytes;
    let phrase = if wish == Wish::Reply { OK } else { b"" };
    broadcast(shard, || Ask::MemoryLimit(share), phrase, replies)
}

fn stats(tokens: &Tokens<'_>, shard: &mut Shard, replies: &mut Replies) -> Step {
    let kind = match (tokens.get(1), tokens.len()) {
        (b"reset", _) => {
            shard.reset_stats();
            return broadcast(shard, || Ask::ResetStats, b"RESET\r\n", replies);
        }
        (b"cachedump", _) => return say(b"CLIENT_ERROR stats cachedump not allowed\r\n", replies),
        (name, _) => match Kind::named(name) {
            Some(kind) => kind,
            None => return say(ERROR, replies),
        },
    };
    ask_stats(shard, StatsReply::Text(kind), replies)
}

/// Gathers what all cores have to tell.
pub(crate) fn ask_stats(shard: &Shard, reply: StatsReply, replies: &mut Replies) -> Step {
    let mut pending = Pending::new(Finish::Stats(Box::new(shard.snapshot()), reply));
    for core in shard.others() {
        pending.ask(core, Ask::Snapshot);
    }
    if pending.is_complete() {
        pending.finish(replies);
        return Step::Done;
    }
    Step::Wait(Box::new(pending))
}
