use serde::Serialize;

/// How good it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but slower, or without something.
    Warn,
    /// Something does not work at all.
    Fail,
}

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub check: &'static str,
    /// How good it is.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do, unless all is well.
    pub cure: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Ok,
            found: found.into(),
            cure: None,
        }
    }

    pub(super) fn warn(check: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Warn,
            found: found.into(),
            cure: Some(cure.into()),
        }
    }

    /// Something does not work, for the reason that a message of the form `what is wrong; what to do` gives. To one that does
    /// not know what to do, `else_do` is the cure.
    pub(super) fn told(check: &'static str, verdict: Verdict, message: &str, else_do: &str) -> Self {
        let (found, cure) = message.split_once("; ").unwrap_or((message, else_do));
        Self {
            verdict,
            ..Self::warn(check, found, cure)
        }
    }
}
