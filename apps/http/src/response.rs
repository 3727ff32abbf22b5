//! Responses, and their bytes (RFC 9112, sections 4 and 6).

use crate::request::Refusal;
use core::fmt::Write as _;
use core::ops::Range;
use http::{Method, StatusCode, Version};
use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::Arc;

/// The field `Server`.
pub const SERVER: &str = concat!("ixion-http/", env!("CARGO_PKG_VERSION"));

/// Bytes on their way out, without a copy where they are in memory already.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Made for this response.
    Owned(Vec<u8>),
    /// The program's own.
    Static(&'static [u8]),
    /// A part of a file in memory.
    Shared(Arc<[u8]>, Range<usize>),
    /// A part of a file that is not.
    Stored(Arc<std::fs::File>, Range<u64>),
}

/// What follows the head.
#[derive(Debug)]
pub enum Body {
    /// Nothing, and no word of it: 204 and 304.
    None,
    /// These pieces, of so many bytes together.
    Known(Vec<Piece>, u64),
    /// These, a chunk each; none is stored.
    Chunked(Vec<Piece>),
}

/// An answer to a request.
#[derive(Debug)]
pub struct Response {
    status: StatusCode,
    /// Field lines, each with its CRLF.
    fields: String,
    body: Body,
    /// The connection ends with it.
    closes: bool,
}

/// What of the request, and of the moment, shapes the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The request's.
    pub method: &'a Method,
    /// The request's.
    pub version: Version,
    /// Another request may follow.
    pub persistent: bool,
    /// The field `Date`.
    pub date: &'a str,
}

impl Response {
    /// Without fields.
    #[must_use]
    pub fn new(status: StatusCode, body: Body) -> Self {
        Response {
            status,
            fields: String::new(),
            body,
            closes: false,
        }
    }

    /// For people.
    #[must_use]
    pub fn text(status: StatusCode, why: &str) -> Self {
        let text = format!("{status}: {why}\n").into_bytes();
        let len = text.len() as u64;
        Response::new(status, Body::Known(vec![Piece::Owned(text)], len))
            .field("Content-Type", "text/plain; charset=utf-8")
    }

    /// Tells why a request is not served.
    #[must_use]
    pub fn refusal(refusal: Refusal) -> Self {
        Response::text(refusal.status, refusal.why)
    }

    /// The same, and then nothing more: the stream cannot be understood.
    #[must_use]
    pub fn last_refusal(refusal: Refusal) -> Self {
        let mut response = Response::refusal(refusal);
        response.closes = true;
        response
    }

    /// The methods there are.
    #[must_use]
    pub fn options() -> Self {
        Response::new(StatusCode::NO_CONTENT, Body::None).field("Allow", "GET, HEAD, POST, OPTIONS")
    }

    /// Not with this method: one that HTTP knows is not allowed here, another is not known at all (RFC 9110, section 9.1).
    #[must_use]
    pub fn not_allowed(method: &Method, allowed: &str) -> Self {
        let known = [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::OPTIONS,
            Method::TRACE,
            Method::PATCH,
        ];
        if known.contains(method) {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            Response::text(status, "not with this method").field("Allow", allowed)
        } else {
            Response::text(StatusCode::NOT_IMPLEMENTED, "no such method")
        }
    }

    /// It is at `path`, in the form in which paths come.
    #[must_use]
    pub fn moved(path: &str) -> Self {
        // Two slashes at the front would name another host.
        let path = format!("/{}", path.trim_start_matches('/'));
        Response::text(StatusCode::MOVED_PERMANENTLY, "it is a folder").field("Location", &path)
    }

    /// With one field more. Values are the server's own, or came as a field's value.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        // Writing to a string cannot fail.
        let _ = write!(self.fields, "{name}: {value}\r\n");
        self
    }

    /// With these lines more.
    #[must_use]
    pub fn lines(mut self, lines: &str) -> Self {
        self.fields.push_str(lines);
        self
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Puts its bytes into `output`; returns `true` if another request may follow.
    pub fn write(self, context: Context, output: &mut VecDeque<Piece>) -> bool {
        let mut persistent = context.persistent && !self.closes;
        let chunked = matches!(self.body, Body::Chunked(_));
        if chunked && context.version == Version::HTTP_10 {
            // There the body ends with the connection.
            persistent = false;
        }
        let mut head = Vec::with_capacity(256 + self.fields.len());
        // Writing to a vector cannot fail.
        let _ = write!(
            head,
            "HTTP/1.1 {} {}\r\nServer: {SERVER}\r\nDate: {}\r\n{}",
            self.status.as_str(),
            self.status.canonical_reason().unwrap_or(""),
            context.date,
            self.fields
        );
        match &self.body {
            Body::Known(_, len) => {
                let _ = write!(head, "Content-Length: {len}\r\n");
            }
            Body::Chunked(_) if context.version == Version::HTTP_11 => {
                head.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            }
            Body::Chunked(_) | Body::None => {}
        }
        if !persistent {
            head.extend_from_slice(b"Connection: close\r\n");
        } else if context.version == Version::HTTP_10 {
            head.extend_from_slice(b"Connection: keep-alive\r\n");
        }
        head.extend_from_slice(b"\r\n");
        output.push_back(Piece::Owned(head));
        if context.method != Method::HEAD {
            self.body.write(context.version, output);
        }
        persistent
    }
}

impl Body {
    fn write(self, version: Version, output: &mut VecDeque<Piece>) {
        match self {
            Body::None => {}
            Body::Known(pieces, _) => output.extend(pieces),
            Body::Chunked(pieces) if version == Version::HTTP_10 => output.extend(pieces),
            Body::Chunked(pieces) => {
                for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
                    output.push_back(Piece::Owned(format!("{:x}\r\n", piece.len()).into_bytes()));
                    output.push_back(piece);
                    output.push_back(Piece::Static(b"\r\n"));
                }
                output.push_back(Piece::Static(b"0\r\n\r\n"));
            }
        }
    }
}

impl Piece {
    /// How many bytes these are.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Piece::Owned(bytes) => bytes.len() as u64,
            Piece::Static(bytes) => bytes.len() as u64,
            Piece::Shared(_, range) => range.len() as u64,
            Piece::Stored(_, range) => range.end - range.start,
        }
    }

    /// `true` if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that exist for it alone.
    #[must_use]
    pub fn held(&self) -> usize {
        match self {
            Piece::Owned(bytes) => bytes.capacity(),
            Piece::Static(_) | Piece::Shared(..) | Piece::Stored(..) => 0,
        }
    }

    /// The first `most` bytes, and what is left.
    #[must_use]
    pub fn split(self, most: usize) -> (Piece, Option<Piece>) {
        if self.len() <= most as u64 {
            return (self, None);
        }
        let (first, rest) = match self {
            Piece::Owned(mut bytes) => {
                let rest = bytes.split_off(most);
                (Piece::Owned(bytes), Piece::Owned(rest))
            }
            Piece::Static(bytes) => (Piece::Static(&bytes[..most]), Piece::Static(&bytes[most..])),
            Piece::Shared(bytes, Range { start, end }) => (
                Piece::Shared(Arc::clone(&bytes), start..start + most),
                Piece::Shared(bytes, start + most..end),
            ),
            Piece::Stored(file, Range { start, end }) => {
                let middle = start + most as u64;
                (
                    Piece::Stored(Arc::clone(&file), start..middle),
                    Piece::Stored(file, middle..end),
                )
            }
        };
        (first, Some(rest))
    }

    /// The bytes, if they are in memory.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Piece::Owned(bytes) => Some(bytes),
            Piece::Static(bytes) => Some(bytes),
            Piece::Shared(bytes, range) => bytes.get(range.clone()),
            Piece::Stored(..) => None,
        }
    }
}
