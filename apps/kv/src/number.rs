//! Numbers as clients write them and memcached reads them: by C's `strtoul` and the like, with white space before and after
//! and a sign, which is odd and kept.

/// C's `isspace`.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// Sign and magnitude of the number that `token` begins with, if it is one and only white space follows it at once.
#[inline]
fn parse(token: &[u8]) -> Option<(bool, u64)> {
    let mut rest = token;
    while let [first, after @ ..] = rest
        && is_space(*first)
    {
        rest = after;
    }
    let negative = rest.first() == Some(&b'-');
    if let [b'-' | b'+', after @ ..] = rest {
        rest = after;
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || rest.get(digits).is_some_and(|byte| !is_space(*byte)) {
        return None;
    }
    let mut magnitude = 0u64;
    for digit in &rest[..digits] {
        magnitude = magnitude.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    Some((negative, magnitude))
}

/// 64 bits, unsigned; below zero wraps around as long as the outcome looks positive.
#[inline]
pub(crate) fn unsigned(token: &[u8]) -> Option<u64> {
    let (negative, magnitude) = parse(token)?;
    if !negative {
        return Some(magnitude);
    }
    let wrapped = magnitude.wrapping_neg();
    (wrapped >> 63 == 0).then_some(wrapped)
}

/// The low 32 bits of one.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "so does memcached")]
pub(crate) fn unsigned_32(token: &[u8]) -> Option<u32> {
    unsigned(token).map(|number| number as u32)
}

/// The low 32 bits of a signed one.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "so does memcached")]
pub(crate) fn signed_32(token: &[u8]) -> Option<i32> {
    let (negative, magnitude) = parse(token)?;
    let number = if negative {
        0i64.checked_sub_unsigned(magnitude)?
    } else {
        i64::try_from(magnitude).ok()?
    };
    Some(number as i32)
}

#[cfg(test)]
mod tests {
    use super::{signed_32, unsigned, unsigned_32};

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        for (text, number) in [
            ("0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("12 ", Some(12)),
            (" \t12", Some(12)),
            ("+5", Some(5)),
            ("-0", Some(0)),
            ("-1", None),
            ("-18446744073709551615", Some(1)),
            ("12x", None),
            ("", None),
            ("-", None),
            ("0x10", None),
        ] {
            assert_eq!(unsigned(text.as_bytes()), number, "{text}");
        }
        assert_eq!(unsigned_32(b"4294967297"), Some(1));
        assert_eq!(signed_32(b"-1"), Some(-1));
        assert_eq!(signed_32(b"2147483648"), Some(i32::MIN));
        assert_eq!(signed_32(b"9223372036854775808"), None);
        assert_eq!(signed_32(b"-9223372036854775808"), Some(0));
    }
}
