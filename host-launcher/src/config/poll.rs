//! `--poll`: whether cores look for packets for ever, or sleep when none come.

use serde::Deserialize;
use std::str::FromStr;
use std::time::Duration;

/// What a core does when there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Poll {
    /// It goes on looking.
    Always,
    /// It looks for so long, then sleeps.
    Adaptive(Duration),
}

/// How long a core looks that was not told otherwise: longer than a peer with one request outstanding takes to come back.
const BUDGET: Duration = Duration::from_micros(200);

/// The text says neither.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no way to poll; write always, adaptive, or adaptive:MICROSECONDS")]
pub struct PollError(String);

impl FromStr for Poll {
    type Err = PollError;

    fn from_str(text: &str) -> Result<Self, PollError> {
        let bad = || PollError(text.to_owned());
        match text.split_once(':') {
            None if text == "always" => Ok(Self::Always),
            None if text == "adaptive" => Ok(Self::Adaptive(BUDGET)),
            Some(("adaptive", micros)) => match micros.parse::<u32>() {
                Ok(micros @ 1..) => Ok(Self::Adaptive(Duration::from_micros(micros.into()))),
                _ => Err(bad()),
            },
            _ => Err(bad()),
        }
    }
}

impl TryFrom<String> for Poll {
    type Error = PollError;

    fn try_from(text: String) -> Result<Self, PollError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::{BUDGET, Poll};
    use std::time::Duration;

    #[test]
    fn cores_sleep_when_told_to_and_after_as_long_as_told() {
        assert_eq!("always".parse(), Ok(Poll::Always));
        assert_eq!("adaptive".parse(), Ok(Poll::Adaptive(BUDGET)));
        let millisecond = Duration::from_millis(1);
        assert_eq!("adaptive:1000".parse(), Ok(Poll::Adaptive(millisecond)));
        for bad in [
            "",
            "never",
            "always:5",
            "adaptive:",
            "adaptive:0",
            "adaptive:-1",
            "adaptive:x",
        ] {
            assert!(bad.parse::<Poll>().is_err(), "{bad}");
        }
    }
}
