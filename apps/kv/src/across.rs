//! Between cores. A key belongs to one core, by its hash; what a client asks of a key of another core goes there as a
//! message, and the answer comes back as bytes, ready to be sent. The connection waits for it before it goes on, so
//! replies stay in order; a `get` of many keys asks all cores at once.

use crate::replies::Replies;
use crate::snapshot::Snapshot;
use crate::stats::{self, StatsReply};
use core::cell::Cell;
use core::sync::atomic::{AtomicU32, Ordering};
use libix::Waker;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};

/// What one core asks of another.
#[derive(Debug)]
pub enum Ask {
    /// A whole command, its value included, in the protocol the client speaks.
    Command(Vec<u8>),
    /// `flush_all` with this expiration time.
    Flush(i64),
    /// What there is to tell of the core's store.
    Snapshot,
    /// `stats reset`.
    ResetStats,
    /// `cache_memlimit`, bytes for one core.
    MemoryLimit(usize),
}

/// What it gets back.
#[derive(Debug)]
pub enum Answer {
    /// The reply to a command.
    Bytes(Vec<u8>),
    /// That to `Ask::Snapshot`.
    Snapshot(Box<Snapshot>),
    /// It is done.
    Done,
}

/// What goes over the wire between two cores.
#[derive(Debug)]
pub enum Message {
    /// A question.
    Ask {
        /// Who wants to know.
        from: usize,
        /// Which of its clients.
        client: u64,
        /// Which part of what that client wants to know.
        part: usize,
        /// The question.
        ask: Ask,
    },
    /// This key is not to be found any more: what was to be stored there was refused. Wants no answer; what the same
    /// client asks next comes after it.
    Forget(Vec<u8>),
    /// The answer to a question.
    Answer {
        /// As in the question.
        client: u64,
        /// As in the question.
        part: usize,
        /// The answer.
        answer: Answer,
    },
}

/// One core's ends of the channels between all, and what all have in common.
#[derive(Debug)]
pub struct Links {
    here: usize,
    peers: Vec<Peer>,
    inbox: Receiver<Message>,
    /// Clients of all cores.
    clients: Arc<AtomicU32>,
}

/// The way to a core.
#[derive(Debug)]
struct Peer {
    messages: Sender<Message>,
    /// Its loop's, once it serves.
    waker: Arc<OnceLock<Waker>>,
    /// It has been sent something that it may not have looked for.
    unaware: Cell<bool>,
}

impl Links {
    /// Connects `cores` cores; the ends of each, in order.
    #[must_use]
    pub fn between(cores: usize) -> Vec<Links> {
        let (senders, inboxes): (Vec<_>, Vec<_>) = (0..cores).map(|_| channel()).unzip();
        let wakers: Vec<_> = (0..cores).map(|_| Arc::default()).collect();
        let peer = |(messages, waker): (&Sender<Message>, &Arc<OnceLock<Waker>>)| Peer {
            messages: messages.clone(),
            waker: Arc::clone(waker),
            unaware: Cell::new(false),
        };
        let clients = Arc::default();
        let link = |(here, inbox)| Links {
            here,
            peers: senders.iter().zip(&wakers).map(peer).collect(),
            inbox,
            clients: Arc::clone(&clients),
        };
        inboxes.into_iter().enumerate().map(link).collect()
    }

    /// Says how this core is woken when there is something for it.
    pub(crate) fn set_waker(&self, waker: Waker) {
        // It is said once, when the loop starts.
        let _ = self.peers[self.here].waker.set(waker);
    }

    /// Wakes the cores that have been sent something since the last call.
    pub(crate) fn wake_peers(&self) {
        for peer in &self.peers {
            if peer.unaware.replace(false)
                && let Some(waker) = peer.waker.get()
            {
                waker.wake();
            }
        }
    }

    /// Counts a client, unless there are `limit` already.
    pub(crate) fn add_client(&self, limit: u32) -> bool {
        let more = |count| (count < limit).then_some(count + 1);
        self.clients
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    /// One of those counted has gone.
    pub(crate) fn remove_client(&self) {
        self.clients.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many cores there are.
    #[must_use]
    pub fn cores(&self) -> usize {
        self.peers.len()
    }

    /// Which of them this is, from 0.
    #[must_use]
    pub fn here(&self) -> usize {
        self.here
    }

    /// The next message for this core.
    #[must_use]
    pub fn receive(&self) -> Option<Message> {
        self.inbox.try_recv().ok()
    }

    /// Sends to another core. If that has ended, so will this one soon, and nobody waits for an answer.
    pub(crate) fn send(&self, core: usize, message: Message) {
        let peer = &self.peers[core];
        let _ = peer.messages.send(message);
        peer.unaware.set(true);
    }

    /// The core whose key hashes to `hash`, unless it is this one.
    #[inline]
    pub(crate) fn elsewhere(&self, hash: u64) -> Option<usize> {
        if self.peers.len() == 1 {
            return None;
        }
        // Bits that neither the choice of a table nor a table itself depends on.
        let bits = (hash >> 40) & 0xffff;
        let core = (usize::try_from(bits).unwrap_or(0) * self.peers.len()) >> 16;
        (core != self.here).then_some(core)
    }
}

/// What becomes of the answers once all are there.
pub(crate) enum Finish {
    /// They are the reply, in order.
    Replies,
    /// Each is the reply to a `get` of one key; together they are that to a `get` of all.
    Entries,
    /// This is the reply whatever they are.
    Phrase(Vec<u8>),
    /// The sum of the snapshots, this core's included, is told.
    Stats(Box<Snapshot>, StatsReply),
}

/// A command that other cores work at.
pub(crate) struct Pending {
    parts: Vec<Option<Answer>>,
    missing: usize,
    finish: Finish,
    asks: Vec<(usize, usize, Ask)>,
}

impl Pending {
    pub(crate) fn new(finish: Finish) -> Self {
        Pending {
            parts: Vec::new(),
            missing: 0,
            finish,
            asks: Vec::new(),
        }
    }

    /// `command` is another core's, all of it.
    pub(crate) fn forward(core: usize, command: Vec<u8>) -> Self {
        let mut pending = Pending::new(Finish::Replies);
        pending.ask(core, Ask::Command(command));
        pending
    }

    /// The next part is for another core.
    pub(crate) fn ask(&mut self, core: usize, ask: Ask) {
        self.asks.push((core, self.parts.len(), ask));
        self.parts.push(None);
        self.missing += 1;
    }

    /// The next part is known.
    pub(crate) fn know(&mut self, bytes: Vec<u8>) {
        self.parts.push(Some(Answer::Bytes(bytes)));
    }

    /// Sends the questions, on behalf of `client`.
    pub(crate) fn send(&mut self, links: &Links, client: u64) {
        for (core, part, ask) in self.asks.drain(..) {
            let from = links.here;
            let message = Message::Ask {
                from,
                client,
                part,
                ask,
            };
            links.send(core, message);
        }
    }

    /// Takes an answer; `true` if it was the last.
    pub(crate) fn answer(&mut self, part: usize, answer: Answer) -> bool {
        if let Some(place @ None) = self.parts.get_mut(part) {
            *place = Some(answer);
            self.missing -= 1;
        }
        self.is_complete()
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// Tells the client.
    pub(crate) fn finish(self, replies: &mut Replies) {
        let answers = self.parts.into_iter().flatten();
        match self.finish {
            Finish::Phrase(phrase) => replies.owned(phrase),
            Finish::Replies => {
                for answer in answers {
                    if let Answer::Bytes(bytes) = answer {
                        replies.owned(bytes);
                    }
                }
            }
            Finish::Entries => {
                for answer in answers {
                    if let Answer::Bytes(mut bytes) = answer {
                        bytes.truncate(bytes.len().saturating_sub(END.len()));
                        replies.owned(bytes);
                    }
                }
                replies.phrase(END);
            }
            Finish::Stats(mut sum, reply) => {
                for answer in answers {
                    if let Answer::Snapshot(snapshot) = answer {
                        sum.add(&snapshot);
                    }
                }
                stats::tell(&sum, reply, replies);
            }
        }
    }
}

/// How the reply to a `get` ends.
pub(crate) const END: &[u8] = b"END\r\n";
