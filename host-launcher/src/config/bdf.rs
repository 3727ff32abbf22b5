//! The address of a PCI function on the host: `0000:01:00.0`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Domain, bus, device and function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bdf {
    domain: u16,
    bus: u8,
    device: u8,
    function: u8,
}

/// A text that is no such address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no PCI address; write it as 0000:01:00.0, as `lspci -D` and `ix nic list` do")]
pub struct BdfError(String);

impl FromStr for Bdf {
    type Err = BdfError;

    /// The domain may be left out.
    fn from_str(text: &str) -> Result<Self, BdfError> {
        let malformed = || BdfError(text.to_owned());
        let number = |digits: &str, limit: u16, places: usize| {
            let plain = (1..=places).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
            u16::from_str_radix(digits, 16)
                .ok()
                .filter(|&number| plain && number <= limit)
                .ok_or_else(malformed)
        };
        let byte = |digits, limit| number(digits, limit, 2).map(|number| number.to_le_bytes()[0]);
        let (address, function) = text.rsplit_once('.').ok_or_else(malformed)?;
        let (address, device) = address.rsplit_once(':').ok_or_else(malformed)?;
        let (domain, bus) = address.rsplit_once(':').unwrap_or(("0", address));
        Ok(Self {
            domain: number(domain, u16::MAX, 4)?,
            bus: byte(bus, 0xff)?,
            device: byte(device, 31)?,
            function: byte(function, 7)?,
        })
    }
}

impl TryFrom<String> for Bdf {
    type Error = BdfError;

    fn try_from(text: String) -> Result<Self, BdfError> {
        text.parse()
    }
}

impl From<Bdf> for String {
    fn from(bdf: Bdf) -> Self {
        bdf.to_string()
    }
}

impl fmt::Display for Bdf {
    /// As sysfs names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            domain,
            bus,
            device,
            function,
        } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function:x}")
    }
}

#[cfg(test)]
mod tests {
    use super::{Bdf, BdfError};

    #[test]
    fn addresses_are_read_with_and_without_domain() {
        for (text, written) in [
            ("0000:01:00.0", "0000:01:00.0"),
            ("1:0.0", "0000:01:00.0"),
            ("abCd:fF:1f.7", "abcd:ff:1f.7"),
        ] {
            assert_eq!(text.parse::<Bdf>().unwrap().to_string(), written);
        }
        let bdf: Bdf = "0000:02:03.1".parse().unwrap();
        assert_eq!(serde_json::to_string(&bdf).unwrap(), "\"0000:02:03.1\"");
        assert_eq!(serde_json::from_str::<Bdf>("\"02:03.1\"").unwrap(), bdf);
    }

    #[test]
    fn what_no_bus_can_have_is_refused() {
        for text in [
            "",
            "eth0",
            "01:00",
            "01:00.8",
            "01:20.0",
            "100:00.0",
            "10000:01:00.0",
            "01:+1.0",
            "01:-1.0",
            ":.",
            "../x:1.0",
        ] {
            assert_eq!(text.parse::<Bdf>(), Err(BdfError(text.to_owned())), "{text}");
        }
    }
}
