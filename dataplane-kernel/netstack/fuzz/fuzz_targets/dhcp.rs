//! [`netstack_fuzz::dhcp`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netstack_fuzz::dhcp(bytes));
