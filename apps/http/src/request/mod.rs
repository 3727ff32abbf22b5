//! From bytes to requests: head, framing, body. What is not plainly one request is refused, and its connection closed,
//! for a proxy in front may have read it otherwise (RFC 9112, section 11.2).

mod head;

mod fields;

mod framing;
pub use framing::Framing;

mod target;
pub use target::{Target, resolve};

mod body;
pub use body::{BodyError, Decoder};

mod conditions;
pub use conditions::{Conditions, Validators};

mod range;
pub use range::{Ranges, select as select_ranges};

mod parser;
pub use parser::{Limits, Parser, Progress};

use http::{Method, StatusCode, Version};

/// A request with its body.
#[derive(Clone, Debug)]
pub struct Request {
    /// Any token; the site says which it serves.
    pub method: Method,
    /// What is asked for.
    pub target: Target,
    /// 1.0 or 1.1.
    pub version: Version,
    /// The client takes another response on this connection.
    pub persistent: bool,
    /// How the body came.
    pub framing: Framing,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// When the representation is not wanted after all.
    pub conditions: Conditions,
    /// The field `Range` as it came.
    pub range: Option<String>,
    /// The field `Content-Type` as it came.
    pub content_type: Option<String>,
    /// The body, out of its chunks.
    pub body: Vec<u8>,
}

/// Why a request is not served. The connection ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The answer's status.
    pub status: StatusCode,
    /// For the person who reads the answer.
    pub why: &'static str,
}

impl Refusal {
    pub(crate) const fn new(status: StatusCode, why: &'static str) -> Self {
        Refusal { status, why }
    }

    pub(crate) const fn bad(why: &'static str) -> Self {
        Refusal::new(StatusCode::BAD_REQUEST, why)
    }
}
