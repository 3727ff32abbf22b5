//! One file, ready to be served.

use crate::request::Validators;
use core::fmt::Write;
use std::sync::Arc;
use std::time::SystemTime;

/// By what it is seen that a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes.
    pub len: u64,
    /// When it was written last.
    pub modified: SystemTime,
}

/// A file as it was when it was read.
#[derive(Debug)]
pub struct File {
    /// Its state.
    pub stamp: Stamp,
    /// Where its bytes are.
    pub content: Content,
    /// Its media type.
    pub content_type: String,
    etag: String,
    /// The fields that go with each of its responses, each with its CRLF.
    pub(super) fields: String,
}

/// A file's bytes.
#[derive(Debug)]
pub enum Content {
    /// In memory.
    Whole(Arc<[u8]>),
    /// Too many of them for that: read piece by piece, as they are sent.
    Open(Arc<std::fs::File>),
}

impl File {
    /// A file of this name.
    #[must_use]
    pub fn new(name: &str, stamp: Stamp, content: Content) -> Self {
        let since = stamp
            .modified
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let etag = format!("\"{:x}-{:x}\"", stamp.len, since.as_nanos());
        let mut fields = format!("ETag: {etag}\r\nAccept-Ranges: bytes\r\n");
        if since.as_secs() > 0 {
            let date = httpdate::fmt_http_date(stamp.modified);
            // Writing to a string cannot fail.
            let _ = write!(fields, "Last-Modified: {date}\r\n");
        }
        File {
            stamp,
            content,
            content_type: content_type(name),
            etag,
            fields,
        }
    }

    /// What conditions are compared with.
    #[must_use]
    pub fn validators(&self) -> Validators<'_> {
        Validators {
            etag: &self.etag,
            modified: self.stamp.modified,
        }
    }

    /// Bytes of memory it takes in a cache, besides its name.
    #[must_use]
    pub fn weight(&self) -> usize {
        let content = match &self.content {
            Content::Whole(bytes) => bytes.len(),
            Content::Open(_) => 0,
        };
        size_of::<Self>() + content + self.fields.len() + self.etag.len() + self.content_type.len()
    }
}

/// By the name's extension; text is said to be UTF-8, which the server cannot know but everybody writes.
fn content_type(name: &str) -> String {
    let guess = mime_guess::from_path(name).first_or_octet_stream();
    let is_text = guess.type_() == mime_guess::mime::TEXT || guess.subtype() == mime_guess::mime::JAVASCRIPT;
    if is_text && guess.get_param("charset").is_none() {
        format!("{guess}; charset=utf-8")
    } else {
        guess.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::{Content, File, Stamp};
    use std::time::{Duration, SystemTime};

    #[test]
    fn media_types_follow_the_name() {
        let stamp = Stamp {
            len: 0,
            modified: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000),
        };
        for (name, media) in [
            ("a/index.html", "text/html; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.json", "application/json"),
            ("a.PNG", "image/png"),
            ("a.svg", "image/svg+xml"),
            ("a.wasm", "application/wasm"),
            ("a", "application/octet-stream"),
            ("a.unheard-of", "application/octet-stream"),
        ] {
            let file = File::new(name, stamp, Content::Whole([].into()));
            assert_eq!(file.content_type, media, "{name}");
            assert!(
                file.fields
                    .contains("Last-Modified: Sun, 09 Sep 2001 01:46:40 GMT\r\n")
            );
        }
    }
}
