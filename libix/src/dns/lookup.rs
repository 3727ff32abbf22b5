//! One question, asked until it is answered or nobody is left to ask.

use super::message::Question;
use super::{Addresses, Error, Kind};
use core::net::SocketAddr;
use core::time::Duration;

/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often is asked in all.
const TRIES: usize = 3;

/// A name being looked up, without sockets and clocks: whoever has it sends what [`Lookup::step`] says, and hands what
/// comes in to [`Lookup::receive`]. Servers are asked in turn, three times in all, two seconds each; one that fails is
/// waited for no longer.
#[derive(Clone, Debug)]
pub struct Lookup {
    question: Question,
    servers: Vec<SocketAddr>,
    /// How often somebody was asked.
    tries: usize,
    waiting: Option<Waiting>,
    /// What it comes to if nobody answers.
    failure: Error,
}

/// For the answer to the last query.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    id: u16,
    server: SocketAddr,
    until: Duration,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this.
    Send {
        /// To whom.
        to: SocketAddr,
        /// The datagram.
        query: Vec<u8>,
    },
    /// Wait for a datagram, and then, or at this moment, ask again.
    Wait {
        /// By the clock of [`Lookup::step`].
        until: Duration,
    },
    /// Nothing: nobody has an answer.
    Failed(Error),
}

impl Lookup {
    /// Of the addresses of `name`, at these servers.
    ///
    /// # Errors
    /// `NotAName`, `NoServers`.
    pub fn new(name: &str, kind: Kind, servers: &[SocketAddr]) -> Result<Self, Error> {
        let question = Question::new(name, kind)?;
        if servers.is_empty() {
            return Err(Error::NoServers);
        }
        Ok(Lookup {
            question,
            servers: servers.to_vec(),
            tries: 0,
            waiting: None,
            failure: Error::TimedOut,
        })
    }

    /// What is to be done at `now`, a time since some moment in the past. `random` must be new at each call, and nobody
    /// else's to guess: queries are numbered by it.
    #[allow(clippy::cast_possible_truncation, reason = "as many bits as there are")]
    pub fn step(&mut self, now: Duration, random: u64) -> Step {
        match self.waiting {
            Some(Waiting { until, .. }) if now < until => return Step::Wait { until },
            _ if self.tries == TRIES => return Step::Failed(self.failure),
            _ => {}
        }
        let id = random as u16;
        let query = match self.question.query(id) {
            Ok(query) => query,
            Err(error) => return Step::Failed(error),
        };
        let to = self.servers[self.tries % self.servers.len()];
        self.tries += 1;
        self.waiting = Some(Waiting {
            id,
            server: to,
            until: now + PATIENCE,
        });
        Step::Send { to, query }
    }

    /// Takes a datagram in: the answer, if it is one. `None`: go on with [`Lookup::step`].
    ///
    /// Only what comes from the server asked last, with its number and its question, is heeded (RFC 5452 section 9.1).
    ///
    /// # Errors
    /// `NoSuchName`, `NoAddress`, `Truncated`.
    pub fn receive(&mut self, from: SocketAddr, datagram: &[u8]) -> Option<Result<Addresses, Error>> {
        let waiting = self.waiting.filter(|waiting| waiting.server == from)?;
        let answer = self.question.read(waiting.id, datagram)?;
        self.waiting = None;
        if answer == Err(Error::ServerFailure) {
            self.failure = Error::ServerFailure;
            return None;
        }
        Some(answer)
    }
}
