//! The fields that mean something here.

use super::framing::Announced;
use super::{Conditions, Refusal};
use http::{StatusCode, Version};

/// Gathered field by field.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) has_host: bool,
    pub(super) framing: Announced,
    pub(super) expects_continue: bool,
    pub(super) conditions: Conditions,
    pub(super) range: Option<String>,
    pub(super) content_type: Option<String>,
    says_close: bool,
    says_keep_alive: bool,
}

impl Fields {
    /// # Errors
    /// If the request cannot be understood with it.
    pub(super) fn add(&mut self, name: &str, value: &[u8]) -> Result<(), Refusal> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("host") {
            self.host(text(value)?)?;
        } else if is("connection") {
            self.connection(text(value)?);
        } else if is("content-length") {
            self.framing.content_length(value)?;
        } else if is("transfer-encoding") {
            self.framing.transfer_encoding(text(value)?)?;
        } else if is("expect") {
            self.expect(text(value)?)?;
        } else if is("range") {
            // Two make no sense together, and a server may ignore the field (RFC 9110, section 14.2).
            self.range = match self.range {
                None => Some(text(value)?.to_owned()),
                Some(_) => Some(String::new()),
            };
        } else if is("content-type") {
            self.content_type = Some(text(value)?.to_owned());
        } else if name.len() >= "if-match".len() && is_condition(name) {
            self.conditions.add(name, text(value)?);
        }
        Ok(())
    }

    /// RFC 9112, section 3.2: exactly one, and nothing in it that cannot stand in an authority.
    fn host(&mut self, value: &str) -> Result<(), Refusal> {
        if self.has_host {
            return Err(Refusal::bad("there is more than one field Host"));
        }
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte);
        if !value.bytes().all(fits) {
            return Err(Refusal::bad("the field Host names no host"));
        }
        self.has_host = true;
        Ok(())
    }

    fn connection(&mut self, value: &str) {
        for token in value.split(',').map(str::trim) {
            self.says_close |= token.eq_ignore_ascii_case("close");
            self.says_keep_alive |= token.eq_ignore_ascii_case("keep-alive");
        }
    }

    /// RFC 9110, section 10.1.1.
    fn expect(&mut self, value: &str) -> Result<(), Refusal> {
        if !value.eq_ignore_ascii_case("100-continue") {
            return Err(Refusal::new(
                StatusCode::EXPECTATION_FAILED,
                "only 100-continue can be expected",
            ));
        }
        self.expects_continue = true;
        Ok(())
    }

    /// RFC 9112, section 9.3.
    pub(super) fn persistent(&self, version: Version) -> bool {
        !self.says_close && (version == Version::HTTP_11 || self.says_keep_alive)
    }
}

fn is_condition(name: &str) -> bool {
    name.as_bytes()[..3].eq_ignore_ascii_case(b"if-")
}

fn text(value: &[u8]) -> Result<&str, Refusal> {
    let text = core::str::from_utf8(value).map_err(|_| Refusal::bad("a field is not text"))?;
    Ok(text.trim_matches([' ', '\t']))
}
