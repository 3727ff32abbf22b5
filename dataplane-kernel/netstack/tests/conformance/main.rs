//! The scripts of this folder, each a test: packet dialogues grouped by RFC and section, in virtual time. What can be said in
//! them is in [`packet_script::script`], what the app can do in [`app`].
//!
//! `cargo test -p netstack --test conformance -- rfc9293` runs some of them.

mod app;

mod documented;

#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the other tests, which use more of it"
)]
#[path = "../stack/harness/mod.rs"]
mod harness;

mod subject;

use libtest_mimic::{Arguments, Failed, Trial};
use packet_script::Script;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let mut scripts = Vec::new();
    find(&folder, &mut scripts);
    scripts.sort();
    let (root, all) = (folder.clone(), scripts.clone());
    let trials = scripts.into_iter().map(|path| {
        let name = path.strip_prefix(&folder).unwrap_or(&path).with_extension("");
        Trial::test(name.display().to_string(), move || play(&path))
    });
    let documented = Trial::test("documented", move || {
        documented::named_tests_exist(&root)?;
        Ok(documented::differences_are_told(&all)?)
    });
    libtest_mimic::run(&Arguments::from_args(), trials.chain([documented]).collect()).exit_code()
}

fn find(folder: &Path, scripts: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder of the scripts") {
        let path = entry.expect("an entry of it").path();
        if path.is_dir() {
            find(&path, scripts);
        } else if path.extension().is_some_and(|extension| extension == "pkt") {
            scripts.push(path);
        }
    }
}

fn play(path: &Path) -> Result<(), Failed> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let script = Script::read(&text)?;
    let mut subject = subject::Crate::new(&script.settings)?;
    let mut player = packet_script::Player::new(subject::STATIONS, subject::PEER_ISN);
    player.play(&script, &mut subject)?;
    subject.end()?;
    Ok(())
}
