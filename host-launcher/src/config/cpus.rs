//! `--cpus 2,3` or `--cpus 2-5`: one virtual CPU for each host core named, pinned to it.

use serde::Deserialize;
use std::str::FromStr;

/// Most virtual CPUs of a machine.
pub const MAX_CPUS: usize = 64;

/// Host cores in the order of the virtual CPUs; none twice, at least one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct CpuList(Vec<u16>);

/// Why a text is no such list.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpuListError {
    /// Not of the form.
    #[error("`{0}` is no list of cores; write it as 2,3 or 2-5")]
    Malformed(String),
    /// One core for two virtual CPUs, each of which polls.
    #[error("core {0} stands twice in --cpus; each virtual CPU needs a core of its own")]
    Twice(u16),
    /// More than we make.
    #[error("--cpus names more than {MAX_CPUS} cores; that is the most a machine can have")]
    TooMany,
}

impl CpuList {
    /// The cores.
    #[must_use]
    pub fn cores(&self) -> &[u16] {
        &self.0
    }
}

impl FromStr for CpuList {
    type Err = CpuListError;

    fn from_str(text: &str) -> Result<Self, CpuListError> {
        let malformed = || CpuListError::Malformed(text.to_owned());
        let number = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse::<u16>().ok().filter(|_| plain).ok_or_else(malformed)
        };
        let mut cores = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(malformed());
            }
            for core in first..=last {
                if cores.contains(&core) {
                    return Err(CpuListError::Twice(core));
                }
                if cores.len() == MAX_CPUS {
                    return Err(CpuListError::TooMany);
                }
                cores.push(core);
            }
        }
        Ok(Self(cores))
    }
}

impl TryFrom<String> for CpuList {
    type Error = CpuListError;

    fn try_from(text: String) -> Result<Self, CpuListError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::{CpuList, CpuListError};

    #[test]
    fn lists_and_ranges_keep_their_order() {
        for (text, cores) in [("2", &[2][..]), ("3,2", &[3, 2]), ("0-2,7", &[0, 1, 2, 7])] {
            assert_eq!(text.parse::<CpuList>().unwrap().cores(), cores);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", ",", "1,", "a", "3-2", "1-", "-1", "+1", "99999", "1 2"] {
            assert_eq!(
                text.parse::<CpuList>(),
                Err(CpuListError::Malformed(text.to_owned())),
                "{text}"
            );
        }
        assert_eq!("1-3,2".parse::<CpuList>(), Err(CpuListError::Twice(2)));
        assert_eq!("0-64".parse::<CpuList>(), Err(CpuListError::TooMany));
        assert_eq!("0-65535".parse::<CpuList>(), Err(CpuListError::TooMany));
    }
}
