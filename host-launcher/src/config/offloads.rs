//! `--offload`: what the machine's card may do for its TCP/IP.

use ix_abi::host::cmdline::offload;
use serde::Deserialize;
use std::fmt;
use std::str::FromStr;

/// Names and whether they are on, such as `tso=off,lro=off`, as the kernel reads them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Offloads(String);

/// A part of a text that is no such choice.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` switches no offload; write NAME=on or NAME=off, several with commas between, with a name of {names}",
    names = offload::ALL.join(", ")
)]
pub struct OffloadsError(String);

impl FromStr for Offloads {
    type Err = OffloadsError;

    fn from_str(text: &str) -> Result<Self, OffloadsError> {
        match offload::choices(text).find_map(Result::err) {
            Some(bad) => Err(OffloadsError(bad.to_owned())),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Offloads {
    type Error = OffloadsError;

    fn try_from(text: String) -> Result<Self, OffloadsError> {
        text.parse()
    }
}

impl fmt::Display for Offloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Offloads;

    #[test]
    fn choices_are_checked_where_they_are_made() {
        let text = "tso=off,lro=on,rxcsum=off,txcsum=off,rss=off,vlan=off,gro=off,gso=off";
        assert_eq!(text.parse::<Offloads>().unwrap().to_string(), text);
        for (text, part) in [("tso=off,jumbo=on", "`jumbo=on`"), ("tso", "`tso`"), ("", "``")] {
            let error = text.parse::<Offloads>().unwrap_err().to_string();
            assert!(error.starts_with(part) && error.contains("rxcsum"), "{error}");
        }
    }
}
