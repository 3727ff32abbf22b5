//! How long the body is (RFC 9112, section 6.3), without any of the ways to say two things at once.

use super::Refusal;
use http::{StatusCode, Version};

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes; without a body: none.
    Length(u64),
    /// With its last chunk.
    Chunked,
}

/// What the fields say of it.
#[derive(Debug, Default)]
pub(super) struct Announced {
    length: Option<u64>,
    chunked: bool,
}

impl Announced {
    /// Two fields are refused though they agree, and so is a list: that is what smuggling is made of.
    pub(super) fn content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.length.is_some() {
            return Err(Refusal::bad("there is more than one field Content-Length"));
        }
        let digits = core::str::from_utf8(value)
            .ok()
            .map(|text| text.trim_matches([' ', '\t']));
        let length = digits
            .filter(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok());
        self.length = Some(length.ok_or(Refusal::bad("Content-Length is no number"))?);
        Ok(())
    }

    pub(super) fn transfer_encoding(&mut self, value: &str) -> Result<(), Refusal> {
        if self.chunked {
            return Err(Refusal::bad("a body can be chunked only once, and last"));
        }
        if value.eq_ignore_ascii_case("chunked") {
            self.chunked = true;
            return Ok(());
        }
        let mut codings = value.split(',').map(str::trim);
        if codings.any(|coding| coding.eq_ignore_ascii_case("chunked")) && codings.next().is_some() {
            return Err(Refusal::bad("a body can be chunked only once, and last"));
        }
        Err(Refusal::new(
            StatusCode::NOT_IMPLEMENTED,
            "no transfer coding but chunked is understood",
        ))
    }

    pub(super) fn finish(&self, version: Version) -> Result<Framing, Refusal> {
        match (self.length, self.chunked) {
            (Some(_), true) => Err(Refusal::bad(
                "there are both Content-Length and Transfer-Encoding",
            )),
            (None, true) if version == Version::HTTP_10 => {
                Err(Refusal::bad("HTTP/1.0 knows no Transfer-Encoding"))
            }
            (None, true) => Ok(Framing::Chunked),
            (length, false) => Ok(Framing::Length(length.unwrap_or(0))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Announced, Framing};
    use http::Version;

    fn framing(fields: &[(&str, &str)], version: Version) -> Result<Framing, u16> {
        let mut announced = Announced::default();
        let mut gather = || {
            for (name, value) in fields {
                match *name {
                    "CL" => announced.content_length(value.as_bytes())?,
                    _ => announced.transfer_encoding(value)?,
                }
            }
            announced.finish(version)
        };
        gather().map_err(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn only_one_way_to_say_the_length_is_taken() {
        let v11 = Version::HTTP_11;
        assert_eq!(framing(&[], v11), Ok(Framing::Length(0)));
        assert_eq!(framing(&[("CL", "17")], v11), Ok(Framing::Length(17)));
        assert_eq!(framing(&[("TE", "Chunked")], v11), Ok(Framing::Chunked));
        for fields in [
            &[("CL", "5"), ("CL", "5")][..],
            &[("CL", "5, 5")],
            &[("CL", "+5")],
            &[("CL", "-1")],
            &[("CL", "0x5")],
            &[("CL", "")],
            &[("CL", "1 2")],
            &[("CL", "99999999999999999999")],
            &[("CL", "5"), ("TE", "chunked")],
            &[("TE", "chunked"), ("CL", "5")],
            &[("TE", "chunked"), ("TE", "chunked")],
            &[("TE", "chunked, chunked")],
            &[("TE", "chunked, gzip")],
        ] {
            assert_eq!(framing(fields, v11), Err(400), "{fields:?}");
        }
        for coding in ["gzip, chunked", "identity", "xchunked", "chunked;a=b", ""] {
            assert_eq!(framing(&[("TE", coding)], v11), Err(501), "{coding}");
        }
        assert_eq!(framing(&[("TE", "chunked")], Version::HTTP_10), Err(400));
    }
}
