//! The fuzzing targets on any toolchain, some seconds each.

use fuzzing::{Target, replay};
use std::path::Path;

fn run(name: &str, target: Target, mutations: u32) {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    replay(name, target, &corpora.join(name), mutations);
}

#[test]
fn guests_of_all_kinds() {
    run("guest", launcher_fuzz::guest, 20_000);
}

#[test]
fn calls_of_all_kinds() {
    run("calls", launcher_fuzz::calls, 2_000);
}
