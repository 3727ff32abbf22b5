//! The command `ix`.
fn main() {}
