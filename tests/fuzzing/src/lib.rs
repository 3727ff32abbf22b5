//! What fuzzing targets have in common. A target is a function of bytes that panics if something is wrong; it reads the
//! bytes as a program, by way of [`Input`]. libFuzzer calls it (`scripts/fuzz`), and so does [`replay`], in a test of
//! fixed length.
#![forbid(unsafe_code)]

mod input;
pub use input::Input;

mod replay;
pub use replay::{Target, replay};

/// The mutations of a replay.
mod mutate;

/// Longest program: longer ones find nothing that shorter ones do not, only later.
const MAX_BYTES: usize = 4096;
