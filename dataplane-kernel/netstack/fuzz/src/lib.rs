//! Entry points for fuzzing, all with one signature: bytes in, and a panic if something is wrong. libFuzzer calls them
//! (`fuzz_targets`, by `scripts/fuzz`), and so does a test of fixed length that mutates the corpora (`tests/corpora.rs`).
//!
//! [`ingress`], [`fragments`] and [`commands`] read the bytes as a program for a `World`: a stack with flows, its driver, and an
//! app, in virtual time; [`dhcp`] does the same with a host that has no address yet.
#![forbid(unsafe_code)]

mod dhcp;

mod driver;

mod frame;

mod parsers;

mod world;

pub use dhcp::dhcp;
pub use parsers::parsers;

use fuzzing::Input;
use world::World;

/// Frames, good and bad, for a stack with live flows and an app that behaves.
pub fn ingress(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut world = World::new(input.byte());
    while !input.is_empty() {
        for _ in 0..=input.below(4) {
            world.inject(&mut input);
        }
        world.behave(&mut input);
        world.turn(&mut input);
    }
    world.end();
}

/// Calls with any arguments, from an app that keeps to nothing, while peers behave.
pub fn commands(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut world = World::new(input.byte());
    while !input.is_empty() {
        for _ in 0..=input.below(4) {
            world.call(&mut input);
        }
        world.answer(&mut input);
        world.turn(&mut input);
    }
    world.end();
}

/// Fragments of either family that may make packets together, or not.
pub fn fragments(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut world = World::new(input.byte() | 8);
    // Until our address of IPv6 is known to be nobody else's.
    for _ in 0..3 {
        world.wait_ms(1000);
    }
    while !input.is_empty() {
        for _ in 0..=input.below(8) {
            world.inject_fragment(&mut input);
        }
        world.behave(&mut input);
        world.turn(&mut input);
    }
    world.end();
}
