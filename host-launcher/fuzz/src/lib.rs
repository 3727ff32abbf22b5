//! Entry points for fuzzing: bytes in, and a panic if something is wrong. libFuzzer calls them (`fuzz_targets`, by `scripts/fuzz`),
//! and so does a test of fixed length that mutates the corpus (`tests/corpus.rs`).
#![forbid(unsafe_code)]

mod calls;

mod machine;

mod plane;

mod rings;

use calls::Calls;
use fuzzing::Input;
use machine::Machine;

/// A guest that reads the bytes as a program: accesses to ports, to configuration space, to registers, to its own memory
/// with the rings in it, while frames come and go. In the end the network card must work for a driver that behaves.
pub fn guest(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut machine = Machine::new();
    while !input.is_empty() {
        machine.step(&mut input);
    }
    machine.end();
}

/// A guest that asks the launcher for files, with anything for operations, numbers and paths. Whatever it asks is answered,
/// within bounds, and nothing outside its volume is seen or changed.
pub fn calls(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut calls = Calls::new();
    while !input.is_empty() {
        calls.step(&mut input);
    }
    calls.end();
}
