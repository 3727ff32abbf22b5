//! One client: its requests one after another, its responses in the same order, and the moments when it must wait.

use crate::request::{Limits, Parser, Progress, Refusal, Request};
use crate::response::{Context, Piece, Response};
use crate::site::{Answer, Loaded, Site};
use http::{Method, StatusCode, Version};
use std::collections::VecDeque;

/// What tells the client to send the body (RFC 9110, section 15.2.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The moment, as far as responses tell it.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a> {
    /// Milliseconds since the server began.
    pub ms: u64,
    /// The field `Date`.
    pub date: &'a str,
}

/// A client's side of the protocol, without its transport.
#[derive(Debug)]
pub struct Connection {
    parser: Parser,
    /// The request that waits for this file.
    loading: Option<(Box<Request>, String)>,
    output: VecDeque<Piece>,
    requests_left: u32,
    /// No request will be taken any more.
    ending: bool,
}

/// Whom a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Waits {
    /// The client, to ask for something.
    ForRequest,
    /// The client, to go on with a head.
    ForHead,
    /// The client, to go on with a body.
    ForBody,
    /// The loader.
    ForFile,
    /// The client, to read; or nobody.
    ForNothing,
}

impl Connection {
    /// A new one, for `max_requests` at most.
    #[must_use]
    pub fn new(limits: Limits, max_requests: u32) -> Self {
        Connection {
            parser: Parser::new(limits),
            loading: None,
            output: VecDeque::new(),
            requests_left: max_requests.max(1),
            ending: false,
        }
    }

    /// `true` if more bytes can be taken: the next request is not looked at before all of the response ahead is on its way.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        self.loading.is_none() && !self.ending && self.output.is_empty()
    }

    /// Bytes of memory that hold what this client has sent, and what has been made for it.
    #[must_use]
    pub fn held(&self) -> usize {
        let waiting = self
            .loading
            .as_ref()
            .map_or(0, |(request, _)| request.body.capacity());
        self.parser.held() + waiting + self.output.iter().map(Piece::held).sum::<usize>()
    }

    /// `true` if no request will be taken any more.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.ending
    }

    /// `true` if nothing will come out any more.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.ending && self.loading.is_none() && self.output.is_empty()
    }

    /// What it waits for.
    #[must_use]
    pub fn waits(&self) -> Waits {
        if self.loading.is_some() {
            Waits::ForFile
        } else if self.ending || !self.output.is_empty() {
            Waits::ForNothing
        } else if self.parser.is_in_body() {
            Waits::ForBody
        } else if self.parser.is_idle() {
            Waits::ForRequest
        } else {
            Waits::ForHead
        }
    }

    /// Takes what it can of `bytes`; returns how many.
    pub fn receive(&mut self, site: &mut Site, bytes: &[u8], now: Now) -> usize {
        let mut used = 0;
        while used < bytes.len() && self.wants_input() {
            let (count, progress) = self.parser.advance(&bytes[used..]);
            used += count;
            match progress {
                Progress::More => {}
                Progress::Continue => self.output.push_back(Piece::Static(CONTINUE)),
                Progress::Request(request) => self.serve(site, request, now),
                Progress::Refused(refusal) => self.refuse(site, refusal, now),
            }
        }
        // A stream that has ended, or cannot be understood, is read on only to be forgotten.
        if self.ending { bytes.len() } else { used }
    }

    fn serve(&mut self, site: &mut Site, mut request: Box<Request>, now: Now) {
        match site.answer(&mut request, now.ms) {
            Answer::Now(response) => self.respond(site, &request, response, now),
            Answer::AfterLoading(name) => self.loading = Some((request, name)),
        }
    }

    fn respond(&mut self, site: &mut Site, request: &Request, response: Response, now: Now) {
        site.counters.requests += 1;
        self.requests_left -= 1;
        let context = Context {
            method: &request.method,
            version: request.version,
            persistent: request.persistent && self.requests_left > 0 && !self.ending,
            date: now.date,
        };
        self.ending |= !response.write(context, &mut self.output);
    }

    /// Answers what is no request, and ends.
    fn refuse(&mut self, site: &mut Site, refusal: Refusal, now: Now) {
        site.counters.requests += 1;
        site.counters.requests_refused += 1;
        let context = Context {
            method: &Method::GET,
            version: Version::HTTP_11,
            persistent: false,
            date: now.date,
        };
        Response::last_refusal(refusal).write(context, &mut self.output);
        self.ending = true;
    }

    /// The name of the file waited for.
    #[must_use]
    pub fn awaited(&self) -> Option<&str> {
        self.loading.as_ref().map(|(_, name)| name.as_str())
    }

    /// The file waited for has been looked for.
    pub fn on_loaded(&mut self, site: &mut Site, loaded: &Loaded, now: Now) {
        if let Some((request, _)) = self.loading.take() {
            self.respond(site, &request, loaded.answer(&request), now);
        }
    }

    /// The next bytes to send.
    pub fn next_output(&mut self) -> Option<Piece> {
        self.output.pop_front()
    }

    /// Puts a piece back, to be sent next.
    pub fn unshift(&mut self, piece: Piece) {
        self.output.push_front(piece);
    }

    /// The client has been silent for too long in the middle of something.
    pub fn time_out(&mut self, site: &mut Site, now: Now) {
        self.refuse(
            site,
            Refusal::new(StatusCode::REQUEST_TIMEOUT, "the request has taken too long"),
            now,
        );
    }

    /// The client will send no more, or shall not: what has been asked for is still answered.
    pub fn end(&mut self) {
        self.ending = true;
    }

    /// Lets go of everything: nobody will read it.
    pub fn forget(&mut self) {
        self.ending = true;
        self.parser.forget();
        self.loading = None;
        self.output = VecDeque::new();
    }
}
