//! One client's stream: bytes in, commands carried out, replies added. It does no I/O and knows no socket.
//!
//! A command that came whole in one piece is read where it is. One that came in parts is put together first, and a value
//! goes from the received bytes straight into the chunk that it will be served from.

use crate::across::{Ask, Finish, Pending};
use crate::binary::{self, HEADER_LEN, Header};
use crate::replies::Replies;
use crate::shard::{Arrival, Shard};
use crate::step::{Gathering, Incoming, Step, StoreReply};
use crate::text;

/// Longest command line, but for those that ask for many keys.
const LONGEST_LINE: usize = 2048;

/// Longest line of keys: far beyond what clients send in one `get`.
const LONGEST_KEYS: usize = 1 << 20;

/// First byte of a binary request.
const BINARY: u8 = 0x80;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// The first byte will tell.
    Unknown,
    Text,
    Binary,
}

enum State {
    Command,
    /// A value, and for text the line end behind it, of which so much is there.
    Value(Box<Incoming>, Crlf),
    Gather(Box<Gathering>),
    Swallow(usize),
    Wait(Box<Pending>),
    Closing,
}

/// The line end after a value, as it comes.
#[derive(Clone, Copy, Default)]
struct Crlf {
    bytes: [u8; 2],
    count: usize,
}

/// A client's stream, between two of its bytes.
pub struct Connection {
    client: u64,
    protocol: Protocol,
    state: State,
    /// A command of which the end has not come.
    partial: Vec<u8>,
}

impl Connection {
    /// At its beginning. Answers of other cores will be for `client`.
    #[must_use]
    pub fn new(client: u64) -> Self {
        Connection {
            client,
            protocol: Protocol::Unknown,
            state: State::Command,
            partial: Vec::new(),
        }
    }

    /// Takes what it can of `data` and adds the replies. Returns how many bytes that was: fewer than there are if it waits for
    /// another core, if it is closing, or if the replies should be sent first.
    pub fn receive(&mut self, data: &[u8], shard: &mut Shard, replies: &mut Replies) -> usize {
        let mut place = 0;
        while place < data.len() && !replies.is_full() {
            let rest = &data[place..];
            let taken = match &mut self.state {
                State::Command => self.take_command(rest, shard, replies),
                State::Value(incoming, crlf) => {
                    let taken = take_value(incoming, crlf, rest);
                    self.check_value(shard, replies);
                    taken
                }
                State::Gather(gathering) => {
                    let taken = rest.len().min(gathering.missing);
                    gathering.command.extend_from_slice(&rest[..taken]);
                    gathering.missing -= taken;
                    self.check_gathered(shard);
                    taken
                }
                State::Swallow(count) => {
                    let taken = rest.len().min(*count);
                    *count -= taken;
                    if *count == 0 {
                        self.state = State::Command;
                    }
                    taken
                }
                State::Wait(_) | State::Closing => break,
            };
            place += taken;
        }
        place
    }

    /// `true` once the client is to hear no more than what has been added.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        matches!(self.state, State::Closing)
    }

    /// `true` while another core is at work for it.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Wait(_))
    }

    /// Takes the answer of another core; if it was the last, adds the reply.
    pub fn answer(&mut self, arrival: Arrival, replies: &mut Replies) {
        let Arrival { part, answer, .. } = arrival;
        if let State::Wait(pending) = &mut self.state
            && pending.answer(part, answer)
            && let State::Wait(pending) = core::mem::replace(&mut self.state, State::Command)
        {
            pending.finish(replies);
        }
    }

    /// The stream is over; what was on its way in is given up.
    pub fn end(&mut self, shard: &mut Shard) {
        if let State::Value(incoming, _) = core::mem::replace(&mut self.state, State::Closing) {
            shard.store.discard(incoming.draft);
        }
    }

    #[inline]
    fn take_command(&mut self, data: &[u8], shard: &mut Shard, replies: &mut Replies) -> usize {
        match self.protocol {
            Protocol::Text => self.take_line(data, shard, replies),
            Protocol::Binary => self.take_request(data, shard, replies),
            Protocol::Unknown if data[0] == BINARY => {
                self.protocol = Protocol::Binary;
                self.take_request(data, shard, replies)
            }
            Protocol::Unknown => {
                self.protocol = Protocol::Text;
                self.take_line(data, shard, replies)
            }
        }
    }

    #[inline]
    fn take_line(&mut self, data: &[u8], shard: &mut Shard, replies: &mut Replies) -> usize {
        let Some(len) = memchr::memchr(b'\n', data) else {
            self.keep_line(data);
            return data.len();
        };
        let step = if self.partial.is_empty() {
            text::command(without_return(&data[..len]), shard, replies)
        } else {
            self.partial.extend_from_slice(&data[..len]);
            let mut line = core::mem::take(&mut self.partial);
            let step = text::command(without_return(&line), shard, replies);
            line.clear();
            // Kept for the next one, unless it is far beyond what those need.
            if line.capacity() <= 2 * LONGEST_LINE {
                self.partial = line;
            }
            step
        };
        self.go(step, shard, replies);
        len + 1
    }

    fn keep_line(&mut self, data: &[u8]) {
        self.partial.extend_from_slice(data);
        let len = self.partial.len();
        let start = self.partial.iter().position(|byte| *byte != b' ').unwrap_or(len);
        let keys = [&b"get "[..], b"gets "]
            .iter()
            .any(|word| self.partial[start..].starts_with(word));
        if len > LONGEST_LINE && !keys || len > LONGEST_KEYS {
            // As memcached does: a stream of which nothing can be made is closed.
            self.partial = Vec::new();
            self.state = State::Closing;
        }
    }

    fn take_request(&mut self, data: &[u8], shard: &mut Shard, replies: &mut Replies) -> usize {
        if self.partial.is_empty()
            && let Some(header) = data.first_chunk::<HEADER_LEN>()
        {
            let Some(header) = Header::parse(header) else {
                self.state = State::Closing;
                return 0;
            };
            let end = HEADER_LEN + header.fields_len();
            if let Some(fields) = data.get(HEADER_LEN..end) {
                let step = binary::command(header, fields, shard, replies);
                self.go(step, shard, replies);
                return end;
            }
        }
        self.put_request_together(data, shard, replies)
    }

    /// A request that came in parts.
    fn put_request_together(&mut self, data: &[u8], shard: &mut Shard, replies: &mut Replies) -> usize {
        let header = self.partial.first_chunk::<HEADER_LEN>().and_then(Header::parse);
        let wanted = HEADER_LEN + header.map_or(0, |header| header.fields_len());
        let taken = data.len().min(wanted.saturating_sub(self.partial.len()));
        self.partial.extend_from_slice(&data[..taken]);
        match self.partial.first_chunk::<HEADER_LEN>().map(Header::parse) {
            Some(None) => self.state = State::Closing,
            Some(Some(header)) if self.partial.len() == HEADER_LEN + header.fields_len() => {
                let request = core::mem::take(&mut self.partial);
                let step = binary::command(header, &request[HEADER_LEN..], shard, replies);
                self.go(step, shard, replies);
            }
            // Not whole yet.
            _ => {}
        }
        taken
    }

    #[inline]
    fn go(&mut self, step: Step, shard: &mut Shard, replies: &mut Replies) {
        match step {
            Step::Done => {}
            Step::Swallow(0) => self.state = State::Command,
            Step::Swallow(count) => self.state = State::Swallow(count),
            Step::Close => self.state = State::Closing,
            Step::Value(incoming) => {
                self.state = State::Value(incoming, Crlf::default());
                self.check_value(shard, replies);
            }
            Step::Gather(gathering) => {
                self.state = State::Gather(gathering);
                self.check_gathered(shard);
            }
            Step::Wait(pending) => self.wait(pending, shard),
        }
    }

    fn wait(&mut self, mut pending: Box<Pending>, shard: &Shard) {
        pending.send(shard.links(), self.client);
        self.state = State::Wait(pending);
    }

    /// Carries a set out whose value is there.
    fn check_value(&mut self, shard: &mut Shard, replies: &mut Replies) {
        let State::Value(incoming, crlf) = &self.state else {
            return;
        };
        let crlf = *crlf;
        let is_text = matches!(incoming.reply, StoreReply::Text(_));
        if incoming.draft.missing() > 0 || is_text && crlf.count < crlf.bytes.len() {
            return;
        }
        if let State::Value(incoming, _) = core::mem::replace(&mut self.state, State::Command) {
            if is_text {
                text::stored(*incoming, crlf.bytes, shard, replies);
            } else {
                binary::stored(*incoming, shard, replies);
            }
        }
    }

    /// Sends a command with its value, which is there, to another core.
    fn check_gathered(&mut self, shard: &Shard) {
        if let State::Gather(gathering) = &mut self.state
            && gathering.missing == 0
        {
            let mut pending = Box::new(Pending::new(Finish::Replies));
            let command = core::mem::take(&mut gathering.command);
            pending.ask(gathering.core, Ask::Command(command));
            self.wait(pending, shard);
        }
    }
}

/// Takes what there is of a value and of the line end behind it.
fn take_value(incoming: &mut Incoming, crlf: &mut Crlf, data: &[u8]) -> usize {
    let taken = incoming.draft.fill(data);
    if matches!(incoming.reply, StoreReply::Binary(_)) {
        return taken;
    }
    let rest = data[taken..].iter();
    let mut more = 0;
    for (place, byte) in crlf.bytes[crlf.count..].iter_mut().zip(rest) {
        *place = *byte;
        more += 1;
    }
    crlf.count += more;
    taken + more
}

/// The line without the carriage return before its end.
#[inline]
fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
