//! [`launcher_fuzz::calls`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| launcher_fuzz::calls(bytes));
