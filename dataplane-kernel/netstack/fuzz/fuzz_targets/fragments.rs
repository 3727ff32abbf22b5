//! [`netstack_fuzz::fragments`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netstack_fuzz::fragments(bytes));
