//! The JSON interface: `/api/status` says how the server is, `/api/echo` gives back what it is given.

use super::Cache;
use crate::counters::Counters;
use crate::request::{Framing, Request};
use crate::response::{Body, Piece, Response};
use http::{Method, StatusCode};
use serde::Serialize;

#[derive(Serialize)]
struct Status<'a> {
    server: &'static str,
    #[serde(flatten)]
    counters: &'a Counters,
    cache_files: usize,
    cache_bytes: usize,
}

pub(super) fn answer(name: &str, request: &mut Request, counters: &Counters, cache: &Cache) -> Response {
    let method = &request.method;
    match name {
        "status" if method == Method::GET || method == Method::HEAD => status(counters, cache),
        "status" => Response::not_allowed(method, "GET, HEAD"),
        "echo" if method == Method::POST => echo(request),
        "echo" => Response::not_allowed(method, "POST"),
        _ => json(
            StatusCode::NOT_FOUND,
            br#"{"error":"there is no such call"}"#.to_vec(),
        ),
    }
}

fn status(counters: &Counters, cache: &Cache) -> Response {
    let status = Status {
        server: crate::response::SERVER,
        counters,
        cache_files: cache.files(),
        cache_bytes: cache.bytes(),
    };
    match serde_json::to_vec(&status) {
        Ok(bytes) => json(StatusCode::OK, bytes),
        Err(_) => Response::text(StatusCode::INTERNAL_SERVER_ERROR, "the status cannot be told"),
    }
}

fn json(status: StatusCode, bytes: Vec<u8>) -> Response {
    let len = bytes.len() as u64;
    Response::new(status, Body::Known(vec![Piece::Owned(bytes)], len))
        .field("Content-Type", "application/json")
        .field("Cache-Control", "no-store")
}

/// What came in chunks goes in chunks.
fn echo(request: &mut Request) -> Response {
    let bytes = core::mem::take(&mut request.body);
    let body = match request.framing {
        Framing::Chunked => Body::Chunked(vec![Piece::Owned(bytes)]),
        Framing::Length(len) => Body::Known(vec![Piece::Owned(bytes)], len),
    };
    let content_type = request
        .content_type
        .as_deref()
        .unwrap_or("application/octet-stream");
    Response::new(StatusCode::OK, body)
        .field("Content-Type", content_type)
        .field("Cache-Control", "no-store")
        .field("X-Content-Type-Options", "nosniff")
}
