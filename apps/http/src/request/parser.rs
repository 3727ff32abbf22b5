//! Requests out of a stream, however it is cut.

use super::{BodyError, Decoder, Refusal, Request, head};
use http::StatusCode;

/// What one client may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest head, in bytes.
    pub head_bytes: usize,
    /// Longest body, in bytes.
    pub body_bytes: usize,
}

/// What came of some bytes.
#[derive(Debug)]
pub enum Progress {
    /// The request is not whole yet.
    More,
    /// The head is, and the client waits to be told to send the body.
    Continue,
    /// A whole request.
    Request(Box<Request>),
    /// Nothing more can be understood of this stream.
    Refused(Refusal),
}

/// The reading side of a connection.
#[derive(Debug)]
pub struct Parser {
    limits: Limits,
    /// A head that came in pieces, as far as it is there.
    head: Vec<u8>,
    body: Option<(Box<Request>, Decoder)>,
}

impl Parser {
    /// At the start of a stream.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Parser {
            limits,
            head: Vec::new(),
            body: None,
        }
    }

    /// `true` between two requests.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.head.is_empty() && self.body.is_none()
    }

    /// `true` while a body is on its way.
    #[must_use]
    pub fn is_in_body(&self) -> bool {
        self.body.is_some()
    }

    /// Bytes of memory that hold what is not whole yet.
    #[must_use]
    pub fn held(&self) -> usize {
        let body = self
            .body
            .as_ref()
            .map_or(0, |(request, _)| request.body.capacity());
        self.head.capacity() + body
    }

    /// Lets go of what is not whole yet.
    pub fn forget(&mut self) {
        self.head = Vec::new();
        self.body = None;
    }

    /// Takes bytes from the front of `input`, one request's at most; returns how many, and what came of them.
    pub fn advance(&mut self, input: &[u8]) -> (usize, Progress) {
        let (used, result) = if self.body.is_some() {
            self.continue_body(input)
        } else {
            self.continue_head(input)
        };
        (used, result.unwrap_or_else(Progress::Refused))
    }

    fn continue_head(&mut self, input: &[u8]) -> (usize, Result<Progress, Refusal>) {
        if self.head.is_empty() {
            // The common case: the whole head in one piece, read where it lies.
            match head::parse(&input[..input.len().min(self.limits.head_bytes)]) {
                Ok(Some((request, len))) => return (len, self.begin_body(request)),
                Ok(None) => {}
                Err(refusal) => return (input.len(), Err(refusal)),
            }
        }
        let before = self.head.len();
        let taken = input.len().min(self.limits.head_bytes - before);
        self.head.extend_from_slice(&input[..taken]);
        // A head ends with an end of line, so nothing has changed without one.
        if before > 0 && input[..taken].contains(&b'\n') {
            match head::parse(&self.head) {
                Ok(Some((request, len))) => {
                    self.head.clear();
                    return (len - before, self.begin_body(request));
                }
                Ok(None) => {}
                Err(refusal) => return (input.len(), Err(refusal)),
            }
        }
        if self.head.len() == self.limits.head_bytes {
            return (input.len(), Err(self.head_too_large()));
        }
        (taken, Ok(Progress::More))
    }

    fn head_too_large(&self) -> Refusal {
        if self.head.contains(&b'\n') {
            Refusal::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "the head is too large",
            )
        } else {
            Refusal::new(StatusCode::URI_TOO_LONG, "the request line is too long")
        }
    }

    fn begin_body(&mut self, request: Request) -> Result<Progress, Refusal> {
        let decoder = Decoder::new(request.framing, self.limits.body_bytes).map_err(refusal)?;
        let request = Box::new(request);
        if decoder.is_done() {
            return Ok(Progress::Request(request));
        }
        let progress = if request.expects_continue {
            Progress::Continue
        } else {
            Progress::More
        };
        self.body = Some((request, decoder));
        Ok(progress)
    }

    fn continue_body(&mut self, input: &[u8]) -> (usize, Result<Progress, Refusal>) {
        let Some((mut request, mut decoder)) = self.body.take() else {
            return (0, Ok(Progress::More));
        };
        match decoder.decode(input, &mut request.body) {
            Ok(used) if decoder.is_done() => (used, Ok(Progress::Request(request))),
            Ok(used) => {
                self.body = Some((request, decoder));
                (used, Ok(Progress::More))
            }
            Err(error) => (input.len(), Err(refusal(error))),
        }
    }
}

fn refusal(error: BodyError) -> Refusal {
    match error {
        BodyError::Malformed => Refusal::bad("the body's chunks are malformed"),
        BodyError::TooLarge => Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Limits, Parser, Progress};
    use crate::request::{Request, Target};
    use proptest::prelude::{any, proptest};

    const LIMITS: Limits = Limits {
        head_bytes: 1_000,
        body_bytes: 1_000,
    };

    /// Feeds `input` cut into pieces; the requests and the statuses of refusals.
    fn read(input: &[u8], cuts: usize) -> (Vec<Request>, Option<u16>) {
        let mut parser = Parser::new(LIMITS);
        let mut requests = Vec::new();
        for mut piece in input.chunks(cuts) {
            while !piece.is_empty() {
                let (used, progress) = parser.advance(piece);
                piece = &piece[used..];
                match progress {
                    Progress::Request(request) => requests.push(*request),
                    Progress::Refused(refusal) => return (requests, Some(refusal.status.as_u16())),
                    Progress::More | Progress::Continue => {}
                }
            }
        }
        (requests, None)
    }

    #[test]
    fn pipelined_requests_come_out_one_by_one_however_they_are_cut() {
        let input = b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\nPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody\
            \r\nPOST /3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\nGET /4 HTTP/1.1\r\nHost: x\r\n\r\n";
        for cuts in 1..=input.len() {
            let (requests, refused) = read(input, cuts);
            assert_eq!(refused, None);
            let seen: Vec<_> = requests
                .iter()
                .map(|r| (r.target.clone(), r.body.as_slice()))
                .collect();
            let resource = |path: &str| Target::Resource(path.to_owned());
            let wanted: [(Target, &[u8]); 4] = [
                (resource("/1"), b""),
                (resource("/2"), b"body"),
                (resource("/3"), b"ab"),
                (resource("/4"), b""),
            ];
            assert_eq!(seen, wanted, "cut every {cuts}");
        }
    }

    #[test]
    fn heads_and_bodies_beyond_the_limits_are_refused() {
        let long = format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "b".repeat(1_000));
        let target = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "b".repeat(1_000));
        let body = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n";
        for cuts in [1, 10, 999, 2_000] {
            assert_eq!(read(long.as_bytes(), cuts).1, Some(431), "{cuts}");
            assert_eq!(read(target.as_bytes(), cuts).1, Some(414), "{cuts}");
            assert_eq!(read(body.as_bytes(), cuts).1, Some(413), "{cuts}");
        }
    }

    #[test]
    fn a_client_that_waits_is_told_to_go_on() {
        let mut parser = Parser::new(LIMITS);
        let head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
        assert!(matches!(parser.advance(head), (len, Progress::Continue) if len == head.len()));
        assert!(parser.is_in_body());
        assert!(matches!(parser.advance(b"xy"), (1, Progress::Request(_))));
        assert!(parser.is_idle());
    }

    proptest! {
        #[test]
        fn cutting_changes_nothing(noise in proptest::collection::vec(any::<u8>(), 0..60), cuts in 1..40usize) {
            let mut input = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            input.extend(noise);
            let (whole, refused) = read(&input, input.len());
            let (cut, refused_cut) = read(&input, cuts);
            assert_eq!((whole.len(), refused), (cut.len(), refused_cut));
        }
    }
}
