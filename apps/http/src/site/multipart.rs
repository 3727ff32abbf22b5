//! Several ranges in one response (RFC 9110, section 14.6).

use super::File;
use super::answer::{content_range, push};
use crate::response::{Body, Piece, Response};
use core::ops::Range;
use http::StatusCode;

/// Stands between the parts. That it does not stand in a file cannot be promised by any other either; clients find the
/// parts by their lengths.
const BOUNDARY: &str = "3d6b6a416f9b5c17b8e2";

/// The response with these parts of `file`.
pub(super) fn response(file: &File, ranges: &[Range<u64>]) -> Response {
    let mut pieces = Vec::with_capacity(2 * ranges.len() + 1);
    let mut sum = 0;
    for range in ranges {
        let head = format!(
            "\r\n--{BOUNDARY}\r\nContent-Type: {}\r\nContent-Range: {}\r\n\r\n",
            file.content_type,
            content_range(range, file.stamp.len)
        );
        sum += head.len() as u64 + (range.end - range.start);
        pieces.push(Piece::Owned(head.into_bytes()));
        push(&mut pieces, file, range.clone());
    }
    let end = format!("\r\n--{BOUNDARY}--\r\n");
    sum += end.len() as u64;
    pieces.push(Piece::Owned(end.into_bytes()));
    Response::new(StatusCode::PARTIAL_CONTENT, Body::Known(pieces, sum)).field(
        "Content-Type",
        &format!("multipart/byteranges; boundary={BOUNDARY}"),
    )
}
