//! Amounts of guest memory: `256M`, `1G`.

use serde::Deserialize;
use std::fmt;
use std::str::FromStr;

const MIB: u64 = 1 << 20;

/// Size of guest memory: a whole number of MiB, at least [`MemSize::MIN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct MemSize {
    mib: u32,
}

/// Why a text is no memory size.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemSizeError {
    /// Not a number with a known unit.
    #[error("`{0}` is no memory size; write it as 256M or 1G")]
    Malformed(String),
    /// Not enough to boot.
    #[error("{0} MiB is too little memory; the kernel and its packet buffers need at least {min} MiB", min = MemSize::MIN.mib)]
    TooLittle(u32),
}

impl MemSize {
    /// The least a kernel boots with: its heap, tables and packet buffers, and a small app.
    pub const MIN: Self = Self { mib: 64 };

    /// What a machine gets that was not told otherwise.
    pub const DEFAULT: Self = Self { mib: 256 };

    /// The size in bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        u64::from(self.mib) * MIB
    }
}

impl FromStr for MemSize {
    type Err = MemSizeError;

    fn from_str(text: &str) -> Result<Self, MemSizeError> {
        let malformed = || MemSizeError::Malformed(text.to_owned());
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let factor = match text[digits.len()..].to_ascii_lowercase().as_str() {
            "" | "m" | "mb" | "mib" => 1,
            "g" | "gb" | "gib" => 1024,
            _ => return Err(malformed()),
        };
        let number: u32 = digits.parse().map_err(|_| malformed())?;
        let mib = number.checked_mul(factor).ok_or_else(malformed)?;
        if mib < Self::MIN.mib {
            return Err(MemSizeError::TooLittle(mib));
        }
        Ok(Self { mib })
    }
}

impl TryFrom<String> for MemSize {
    type Error = MemSizeError;

    fn try_from(text: String) -> Result<Self, MemSizeError> {
        text.parse()
    }
}

impl fmt::Display for MemSize {
    /// As QEMU reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}M", self.mib)
    }
}

#[cfg(test)]
mod tests {
    use super::{MemSize, MemSizeError};

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!("256M".parse(), Ok(MemSize::DEFAULT));
        assert_eq!("256".parse(), Ok(MemSize::DEFAULT));
        assert_eq!("1GiB".parse::<MemSize>().unwrap().bytes(), 1 << 30);
    }

    #[test]
    fn nonsense_and_too_little_are_told_apart() {
        for text in ["", "M", "12q", "-5M", "1.5G", "99999999999G"] {
            assert_eq!(
                text.parse::<MemSize>(),
                Err(MemSizeError::Malformed(text.to_owned()))
            );
        }
        let error = "16M".parse::<MemSize>().unwrap_err();
        assert!(error.to_string().contains("at least 64 MiB"), "{error}");
    }
}
