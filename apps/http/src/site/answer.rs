//! Responses made of a file.

use super::{Content, File, multipart};
use crate::request::{Ranges, Request, select_ranges};
use crate::response::{Body, Piece, Response};
use core::ops::Range;
use http::{Method, StatusCode};
use std::sync::Arc;

/// The response to `request`, which asks for `file`.
pub(super) fn file(file: &File, request: &Request) -> Response {
    let validators = file.validators();
    match request.conditions.evaluate(&request.method, &validators) {
        Some(status @ StatusCode::NOT_MODIFIED) => {
            return with_fields(Response::new(status, Body::None), file);
        }
        Some(status) => return Response::text(status, "the file is not what the condition wants"),
        None => {}
    }
    let len = file.stamp.len;
    // A range of a HEAD request is not looked at (RFC 9110, section 14.2).
    let wanted = request.range.as_deref().filter(|_| request.method == Method::GET);
    let ranges = match wanted {
        Some(field) if request.conditions.allow_range(&validators) => select_ranges(field, len),
        _ => Ranges::Whole,
    };
    match ranges {
        Ranges::Whole => {
            let mut pieces = Vec::with_capacity(1);
            push(&mut pieces, file, 0..len);
            typed(Response::new(StatusCode::OK, Body::Known(pieces, len)), file)
        }
        Ranges::One(range) => {
            let mut pieces = Vec::with_capacity(1);
            let (sent, content_range) = (range.end - range.start, content_range(&range, len));
            push(&mut pieces, file, range);
            let response = Response::new(StatusCode::PARTIAL_CONTENT, Body::Known(pieces, sent));
            typed(response, file).field("Content-Range", &content_range)
        }
        Ranges::Several(ranges) => with_fields(multipart::response(file, &ranges), file),
        Ranges::Unsatisfiable => {
            let status = StatusCode::RANGE_NOT_SATISFIABLE;
            let response = Response::text(status, "the file has no such part");
            response.field("Content-Range", &format!("bytes */{len}"))
        }
    }
}

/// RFC 9110, section 14.4.
pub(super) fn content_range(range: &Range<u64>, len: u64) -> String {
    format!("bytes {}-{}/{len}", range.start, range.end - 1)
}

/// Adds this part of `file`.
pub(super) fn push(pieces: &mut Vec<Piece>, file: &File, range: Range<u64>) {
    if range.is_empty() {
        return;
    }
    pieces.push(match &file.content {
        // A range in memory fits into usize.
        #[allow(clippy::cast_possible_truncation, reason = "an address space of 64 bits")]
        Content::Whole(bytes) => Piece::Shared(Arc::clone(bytes), range.start as usize..range.end as usize),
        Content::Open(open) => Piece::Stored(Arc::clone(open), range),
    });
}

fn with_fields(response: Response, file: &File) -> Response {
    response.lines(&file.fields)
}

fn typed(response: Response, file: &File) -> Response {
    with_fields(response, file).field("Content-Type", &file.content_type)
}
