//! The request line and the fields (RFC 9112, sections 3 and 5).

use super::fields::Fields;
use super::{Refusal, Request, Target};
use core::mem::MaybeUninit;
use http::{Method, StatusCode, Version};

/// Most fields in one head.
const MAX_FIELDS: usize = 64;

/// Longest request target, in bytes (RFC 9112, section 3 asks for 8,000 at least).
const MAX_TARGET_BYTES: usize = 8_192;

/// The request whose head `bytes` begin with, and how long that is; `None` if it is not whole yet.
///
/// # Errors
/// If it never will be.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, Refusal> {
    let mut room = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(bytes, &mut room) {
        Ok(httparse::Status::Complete(len)) => Ok(Some((request(&parsed)?, len))),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(error) => Err(refusal(error, bytes)),
    }
}

fn refusal(error: httparse::Error, head: &[u8]) -> Refusal {
    match error {
        httparse::Error::Version if names_a_version(head) => Refusal::new(
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "only versions 1.0 and 1.1 are spoken",
        ),
        httparse::Error::TooManyHeaders => {
            Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "too many fields")
        }
        httparse::Error::Token | httparse::Error::Version => Refusal::bad("the request line is malformed"),
        _ => Refusal::bad("a field is malformed"),
    }
}

/// `true` if the third word of the request line is a version, whichever; else the line has too many words.
fn names_a_version(head: &[u8]) -> bool {
    let line = head
        .split(|&byte| byte == b'\n')
        .find(|line| !line.trim_ascii().is_empty());
    let mut words = line.unwrap_or_default().split(|&byte| byte == b' ');
    words.nth(2).is_some_and(|word| word.starts_with(b"HTTP/"))
}

fn request(parsed: &httparse::Request) -> Result<Request, Refusal> {
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(Refusal::bad("the request line is not whole"));
    };
    if target.len() > MAX_TARGET_BYTES {
        return Err(Refusal::new(StatusCode::URI_TOO_LONG, "the target is too long"));
    }
    let method =
        Method::from_bytes(method.as_bytes()).map_err(|_| Refusal::bad("the method is not a token"))?;
    let version = if version == 0 {
        Version::HTTP_10
    } else {
        Version::HTTP_11
    };
    let mut fields = Fields::default();
    for field in parsed.headers.iter() {
        fields.add(field.name, field.value)?;
    }
    if version == Version::HTTP_11 && !fields.has_host {
        return Err(Refusal::bad("the field Host is missing"));
    }
    Ok(Request {
        target: Target::parse(&method, target)?,
        framing: fields.framing.finish(version)?,
        persistent: fields.persistent(version),
        expects_continue: fields.expects_continue && version == Version::HTTP_11,
        conditions: fields.conditions,
        range: fields.range,
        content_type: fields.content_type,
        method,
        version,
        body: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::parse;
    use http::{Method, StatusCode, Version};

    fn status(head: &str) -> StatusCode {
        parse(head.as_bytes()).expect_err(head).status
    }

    #[test]
    fn a_head_is_parsed_once_it_is_whole() {
        let head = b"GET /a?b HTTP/1.1\r\nHost: x\r\nRange: bytes=1-\r\n\r\nrest";
        let whole = head.len() - 4;
        for len in 0..whole {
            assert!(parse(&head[..len]).unwrap().is_none(), "{len}");
        }
        let (request, len) = parse(head).unwrap().unwrap();
        assert_eq!((len, &request.method), (whole, &Method::GET));
        assert_eq!(request.range.as_deref(), Some("bytes=1-"));
        assert!(request.persistent);
    }

    #[test]
    fn persistence_follows_version_and_connection() {
        for (head, persistent) in [
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", true),
            (
                "GET / HTTP/1.1\r\nHost: x\r\nConnection: te, Close\r\n\r\n",
                false,
            ),
            ("GET / HTTP/1.0\r\n\r\n", false),
            ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
        ] {
            let (request, _) = parse(head.as_bytes()).unwrap().unwrap();
            assert_eq!(request.persistent, persistent, "{head}");
            assert_eq!(request.version == Version::HTTP_11, head.contains("1.1"));
        }
    }

    #[test]
    fn what_is_wrong_with_a_head_has_its_status() {
        assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), StatusCode::BAD_REQUEST);
        assert_eq!(
            status("GET / HTTP/3.0\r\n\r\n"),
            StatusCode::HTTP_VERSION_NOT_SUPPORTED
        );
        let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(8_192));
        assert_eq!(status(&long), StatusCode::URI_TOO_LONG);
        let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(64));
        assert_eq!(status(&many), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
}
