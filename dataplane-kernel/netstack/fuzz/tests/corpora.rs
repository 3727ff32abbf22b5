//! The fuzzing targets on any toolchain, some seconds each.

use fuzzing::{Target, replay};
use std::path::Path;

/// Mutations of each target.
const MUTATIONS: u32 = 30_000;

fn run(name: &str, target: Target, mutations: u32) {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    replay(name, target, &corpora.join(name), mutations);
}

#[test]
fn parsers() {
    run("parsers", netstack_fuzz::parsers, 20 * MUTATIONS);
}

#[test]
fn ingress() {
    run("ingress", netstack_fuzz::ingress, MUTATIONS);
}

#[test]
fn fragments() {
    run("fragments", netstack_fuzz::fragments, MUTATIONS);
}

#[test]
fn dhcp() {
    // Minutes pass in each, tick by tick.
    run("dhcp", netstack_fuzz::dhcp, MUTATIONS / 10);
}

#[test]
fn commands() {
    run("commands", netstack_fuzz::commands, MUTATIONS);
}
