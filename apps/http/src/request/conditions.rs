//! Conditional requests (RFC 9110, section 13).

use http::{Method, StatusCode};
use std::time::{Duration, SystemTime};

/// The condition fields of a request, as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    if_match: Option<String>,
    if_none_match: Option<String>,
    if_modified_since: Option<String>,
    if_unmodified_since: Option<String>,
    if_range: Option<String>,
}

/// What they are compared with.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// The entity tag, with its quotes; a strong one.
    pub etag: &'a str,
    /// When the representation changed last.
    pub modified: SystemTime,
}

impl Conditions {
    pub(super) fn add(&mut self, name: &str, value: &str) {
        let place = match name.to_ascii_lowercase().as_str() {
            "if-match" => &mut self.if_match,
            "if-none-match" => &mut self.if_none_match,
            "if-modified-since" => &mut self.if_modified_since,
            "if-unmodified-since" => &mut self.if_unmodified_since,
            "if-range" => &mut self.if_range,
            _ => return,
        };
        match place {
            // A list may come in several fields (RFC 9110, section 5.3).
            Some(list) => {
                list.push(',');
                list.push_str(value);
            }
            None => *place = Some(value.to_owned()),
        }
    }

    /// The status to answer with instead of carrying the method out (RFC 9110, section 13.2.2).
    #[must_use]
    pub fn evaluate(&self, method: &Method, validators: &Validators) -> Option<StatusCode> {
        if let Some(tags) = &self.if_match {
            if !any_tag(tags, |tag| tag == validators.etag) {
                return Some(StatusCode::PRECONDITION_FAILED);
            }
        } else if let Some(date) = date(self.if_unmodified_since.as_ref())
            && whole_seconds(validators.modified) > date
        {
            return Some(StatusCode::PRECONDITION_FAILED);
        }
        let is_read = method == Method::GET || method == Method::HEAD;
        if let Some(tags) = &self.if_none_match {
            let weakly = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag) == validators.etag;
            return any_tag(tags, weakly).then_some(if is_read {
                StatusCode::NOT_MODIFIED
            } else {
                StatusCode::PRECONDITION_FAILED
            });
        }
        let since = date(self.if_modified_since.as_ref()).filter(|_| is_read)?;
        (whole_seconds(validators.modified) <= since).then_some(StatusCode::NOT_MODIFIED)
    }

    /// `false` if a range is wanted of another representation than there is now (RFC 9110, section 13.1.5).
    #[must_use]
    pub fn allow_range(&self, validators: &Validators) -> bool {
        let Some(wanted) = &self.if_range else {
            return true;
        };
        match httpdate::parse_http_date(wanted) {
            Ok(date) => whole_seconds(validators.modified) == date,
            Err(_) => wanted == validators.etag,
        }
    }
}

/// What is no date counts as no condition.
fn date(field: Option<&String>) -> Option<SystemTime> {
    field.and_then(|value| httpdate::parse_http_date(value).ok())
}

/// HTTP's dates have no fractions.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

/// Tags made here hold no comma, so what a comma in another's tag cuts matches nothing.
fn any_tag(list: &str, matches: impl Fn(&str) -> bool) -> bool {
    list.split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || matches(tag))
}

#[cfg(test)]
mod tests {
    use super::{Conditions, Validators};
    use http::Method;
    use std::time::{Duration, SystemTime};

    const BEFORE: &str = "Sun, 09 Sep 2001 01:46:39 GMT";
    const THEN: &str = "Sun, 09 Sep 2001 01:46:40 GMT";

    fn validators() -> Validators<'static> {
        Validators {
            etag: "\"5-a\"",
            modified: SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 7),
        }
    }

    fn conditions(fields: &[(&str, &str)]) -> Conditions {
        let mut conditions = Conditions::default();
        fields
            .iter()
            .for_each(|(name, value)| conditions.add(name, value));
        conditions
    }

    #[test]
    fn conditions_are_evaluated_in_their_order() {
        for (fields, status) in [
            (&[][..], None),
            (&[("If-None-Match", "\"5-a\"")], Some(304)),
            (&[("if-none-match", "\"x\", W/\"5-a\"")], Some(304)),
            (
                &[("If-None-Match", "\"x\""), ("If-None-Match", "\"5-a\"")],
                Some(304),
            ),
            (&[("If-None-Match", "*")], Some(304)),
            (&[("If-None-Match", "\"x\""), ("If-Modified-Since", THEN)], None),
            (&[("If-Modified-Since", THEN)], Some(304)),
            (&[("If-Modified-Since", BEFORE)], None),
            (&[("If-Modified-Since", "yesterday")], None),
            (&[("If-Match", "\"5-a\"")], None),
            (&[("If-Match", "W/\"5-a\"")], Some(412)),
            (&[("If-Match", "\"x\"")], Some(412)),
            (&[("If-Unmodified-Since", BEFORE)], Some(412)),
            (&[("If-Unmodified-Since", THEN)], None),
            (&[("If-Match", "*"), ("If-Unmodified-Since", BEFORE)], None),
        ] {
            let found = conditions(fields).evaluate(&Method::GET, &validators());
            assert_eq!(found.map(|status| status.as_u16()), status, "{fields:?}");
        }
        let posted = conditions(&[("If-None-Match", "*")]).evaluate(&Method::POST, &validators());
        assert_eq!(posted.map(|status| status.as_u16()), Some(412));
    }

    #[test]
    fn a_range_is_allowed_of_the_same_representation() {
        for (wanted, allowed) in [
            ("\"5-a\"", true),
            ("W/\"5-a\"", false),
            ("\"x\"", false),
            (THEN, true),
            (BEFORE, false),
        ] {
            assert_eq!(
                conditions(&[("If-Range", wanted)]).allow_range(&validators()),
                allowed,
                "{wanted}"
            );
        }
        assert!(Conditions::default().allow_range(&validators()));
    }
}
