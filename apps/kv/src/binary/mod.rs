//! The binary protocol, as memcached's `doc/protocol-binary.txt` describes it: a header of 24 bytes, extras, a key, a value.
//! SASL is not spoken: asking for it gets "Unknown command", as from a memcached without it.

mod header;
pub(crate) use header::{HEADER_LEN, Header, Status};

mod opcode;
use opcode::Opcode;

mod get;

mod store;
pub(crate) use store::stored;

mod change;

use crate::VERSION;
use crate::across::{Ask, Finish, Pending};
use crate::replies::Replies;
use crate::shard::Shard;
use crate::stats::{Kind, StatsReply};
use crate::step::Step;
use crate::store::LONGEST_KEY;
use crate::text::ask_stats;
use header::Body;

/// Carries out a request. `fields` are its extras and key, whole.
pub(crate) fn command(header: Header, fields: &[u8], shard: &mut Shard, replies: &mut Replies) -> Step {
    let (extras, key) = fields.split_at(usize::from(header.extras_len).min(fields.len()));
    if usize::from(header.key_len) + usize::from(header.extras_len) > header.body_len as usize {
        error(header, Status::UnknownCommand, replies);
        return Step::Close;
    }
    if key.len() > LONGEST_KEY {
        error(header, Status::InvalidArguments, replies);
        return Step::Close;
    }
    let body = Body {
        extras,
        key,
        value_len: header.body_len as usize - fields.len(),
    };
    let Some(opcode) = Opcode::of(header.opcode) else {
        // What is left of it is not to be taken for the next.
        error(header, Status::UnknownCommand, replies);
        return Step::Swallow(body.value_len);
    };
    if !opcode.fits(&body) {
        error(header, Status::InvalidArguments, replies);
        return Step::Close;
    }
    match opcode {
        Opcode::Get { .. } | Opcode::Touch { .. } => get::get(header, opcode, &body, shard, replies),
        Opcode::Store { .. } => store::store(header, opcode, &body, shard, replies),
        Opcode::Delete => change::delete(header, &body, shard, replies),
        Opcode::Delta { direction } => change::delta(header, direction, &body, shard, replies),
        Opcode::Flush => flush(header, &body, shard, replies),
        Opcode::Stat => stat(header, &body, shard, replies),
        Opcode::Quit => {
            done(header, 0, b"", replies);
            Step::Close
        }
        Opcode::Noop => {
            tell(header, Status::Ok, 0, b"", b"", replies);
            Step::Done
        }
        Opcode::Version => {
            tell(header, Status::Ok, 0, b"", VERSION.as_bytes(), replies);
            Step::Done
        }
        Opcode::Sasl => {
            error(header, Status::UnknownCommand, replies);
            Step::Swallow(body.value_len)
        }
    }
}

fn flush(header: Header, body: &Body<'_>, shard: &mut Shard, replies: &mut Replies) -> Step {
    let exptime = i64::from(body.extra_u32(0));
    shard.store.flush(exptime);
    if shard.cores() == 1 {
        done(header, 0, b"", replies);
        return Step::Done;
    }
    let mark = replies.mark();
    done(header, 0, b"", replies);
    let mut pending = Pending::new(Finish::Phrase(replies.split_off(mark)));
    for core in shard.others() {
        pending.ask(core, Ask::Flush(exptime));
    }
    Step::Wait(Box::new(pending))
}

fn stat(header: Header, body: &Body<'_>, shard: &mut Shard, replies: &mut Replies) -> Step {
    if body.key == b"reset" {
        shard.reset_stats();
        let mark = replies.mark();
        tell_pair(header, b"", b"", replies);
        let mut pending = Pending::new(Finish::Phrase(replies.split_off(mark)));
        for core in shard.others() {
            pending.ask(core, Ask::ResetStats);
        }
        if pending.is_complete() {
            pending.finish(replies);
            return Step::Done;
        }
        return Step::Wait(Box::new(pending));
    }
    if let Some(kind) = Kind::named(body.key) {
        ask_stats(shard, StatsReply::Binary(kind, header), replies)
    } else {
        error(header, Status::NotFound, replies);
        Step::Done
    }
}

/// One statistic; the last has no name.
pub(crate) fn tell_pair(header: Header, name: &[u8], value: &[u8], replies: &mut Replies) {
    let len = name.len() + value.len();
    replies.text(&header.reply(Status::Ok, 0, name.len(), len, 0));
    replies.text(name);
    replies.text(value);
}

/// Says that something went well, unless the request is a quiet one.
fn done(header: Header, cas: u64, value: &[u8], replies: &mut Replies) {
    if !header.is_quiet() {
        tell(header, Status::Ok, cas, b"", value, replies);
    }
}

fn tell(header: Header, status: Status, cas: u64, key: &[u8], value: &[u8], replies: &mut Replies) {
    replies.text(&header.reply(status, 0, key.len(), key.len() + value.len(), cas));
    replies.text(key);
    replies.text(value);
}

/// Says that something went wrong, also to a quiet request.
fn error(header: Header, status: Status, replies: &mut Replies) {
    tell(header, status, 0, b"", status.message(), replies);
}

/// A request without a value is another core's.
fn forward(core: usize, header: Header, body: &Body<'_>) -> Step {
    let frame = [&header.request()[..], body.extras, body.key].concat();
    Step::Wait(Box::new(Pending::forward(core, frame)))
}
