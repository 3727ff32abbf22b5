//! What a crate may be called: what cargo takes, and programs may be called.

use std::str::FromStr;

/// The name of a new crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrateName(String);

/// Why a word is no name for a crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// It has other characters.
    #[error("a crate's name is made of the letters a to z, digits, - and _, and begins with a letter")]
    Characters,
    /// It is a word of Rust's, or cargo keeps something else under it.
    #[error("this name means something to Rust or to cargo; choose another")]
    Taken,
    /// It is longer than file names should be.
    #[error("a crate's name has 64 characters at most")]
    TooLong,
}

/// Characters of the longest name.
const LONGEST: usize = 64;

/// Keywords of Rust's, in order.
const KEYWORDS: [&str; 52] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
    "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static",
    "struct", "super", "trait", "true", "try", "type", "typeof", "union", "unsafe", "unsized", "use",
    "virtual", "where", "while", "yield",
];

/// Crates that every program has, or that this one depends on, and folders of cargo's in `target`.
const OTHERS: [&str; 10] = [
    "alloc",
    "build",
    "core",
    "deps",
    "examples",
    "incremental",
    "libix",
    "proc-macro",
    "std",
    "test",
];

impl CrateName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CrateName {
    type Err = BadName;

    fn from_str(word: &str) -> Result<Self, BadName> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !word.starts_with(|first: char| first.is_ascii_alphabetic()) || !word.bytes().all(is_part) {
            return Err(BadName::Characters);
        }
        if word.len() > LONGEST {
            return Err(BadName::TooLong);
        }
        if KEYWORDS.binary_search(&word).is_ok() || OTHERS.contains(&word) {
            return Err(BadName::Taken);
        }
        Ok(CrateName(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::{BadName, CrateName, KEYWORDS};

    fn judge(word: &str) -> Result<CrateName, BadName> {
        word.parse()
    }

    #[test]
    fn words_of_letters_digits_and_dashes_are_names() {
        for word in ["a", "hello", "my-server_2", "Echo", &"x".repeat(64)] {
            assert_eq!(judge(word).unwrap().as_str(), word);
        }
    }

    #[test]
    fn what_would_be_a_path_an_option_or_no_identifier_is_none() {
        for word in [
            "", "-x", "_x", "9lives", "a/b", "..", "a.b", "ä", "a b", "a\n", "a\"b", "a'",
        ] {
            assert_eq!(judge(word), Err(BadName::Characters), "{word:?}");
        }
        assert_eq!(judge(&"x".repeat(65)), Err(BadName::TooLong));
    }

    #[test]
    fn words_that_mean_something_are_none() {
        assert!(KEYWORDS.is_sorted());
        for word in ["fn", "self", "test", "std", "libix", "yield", "deps"] {
            assert_eq!(judge(word), Err(BadName::Taken), "{word}");
        }
    }
}
