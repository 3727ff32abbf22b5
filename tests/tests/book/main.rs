//! README and the book, `docs/book`: what they tell one to type works, and says what they say it says; the programs in them are
//! pieces of files that are compiled and tested; their links lead somewhere.
//!
//! In both, what is to be typed is a block `sh`. The blocks of a document run in the order in which they stand, as root, in
//! a network and a home of their own, beginning in the checkout.
//!
//! * `sh` must succeed.
//! * `sh,background` goes on running while the next blocks run, until it ends or, at the end of the chapter, gets Ctrl-C.
//! * `sh,skip-REASON` is not run.
//! * `text` right behind one of the former two is lines of its output, in order; `...` in a line is anything, and a line
//!   may be longer than what stands here.

/// What is in a document.
mod document;

/// A shell that types it.
mod session;

use document::{Chapter, Mode};
use ixion_tests::{Namespace, artifacts, take_turn};
use session::Session;
use std::path::{Path, PathBuf};

fn checkout() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the workspace").to_owned()
}

fn readme() -> Chapter {
    Chapter::read(&checkout().join("README.md"))
}

fn book() -> PathBuf {
    checkout().join("docs/book")
}

/// The chapters, in their order.
fn chapters() -> Vec<Chapter> {
    let summary = Chapter::read(&book().join("src/SUMMARY.md"));
    let files = summary.links.iter().map(|link| book().join("src").join(link));
    files.map(|file| Chapter::read(&file)).collect()
}

/// Types everything in `chapters`.
fn run(chapters: &[Chapter]) {
    // Built before the clocks of the commands start.
    println!("built: {}", artifacts::ix().display());
    let _turn = take_turn();
    let namespace = Namespace::without_tap().unwrap();
    let mut session = Session::new(&namespace, &checkout());
    for chapter in chapters {
        for command in &chapter.commands {
            match &command.mode {
                Mode::Foreground => session.run(command),
                Mode::Background => session.start(command),
                Mode::Skipped(reason) => println!("{}: skipped, {reason}", command.place),
            }
        }
        session.end_chapter();
    }
}

#[test]
fn every_command_in_the_readme_works() {
    run(&[readme()]);
}

#[test]
fn every_command_in_the_book_works() {
    run(&chapters());
}

#[test]
fn nothing_to_type_stands_where_it_would_not_be_run() {
    for chapter in chapters().iter().chain([&readme()]) {
        assert_eq!(chapter.strays, Vec::<String>::new());
    }
    let skipped = chapters()
        .iter()
        .chain([&readme()])
        .flat_map(|chapter| &chapter.commands)
        .filter(|command| matches!(command.mode, Mode::Skipped(_)))
        .count();
    assert!(skipped <= 5, "{skipped} blocks are not run");
}

#[test]
fn programs_in_the_book_are_pieces_of_files() {
    let mut count = 0;
    for chapter in chapters() {
        for program in &chapter.programs {
            let piece = document::included(program, &chapter.folder)
                .unwrap_or_else(|error| panic!("{}: {error}", chapter.name));
            assert!(
                piece.lines().count() > 3,
                "{}: {program} is {piece:?}",
                chapter.name
            );
            count += 1;
        }
    }
    assert!(count >= 8, "{count} programs");
}

#[test]
fn links_lead_to_files() {
    for chapter in chapters().iter().chain([&readme()]) {
        for link in &chapter.links {
            let path = link.split('#').next().unwrap_or_default();
            let is_web = link.contains("://");
            assert!(
                is_web || chapter.folder.join(path).exists(),
                "{}: {link} leads nowhere",
                chapter.name
            );
        }
    }
}

#[test]
fn the_summary_has_each_chapter_once() {
    let mut listed: Vec<_> = chapters().into_iter().map(|chapter| chapter.name).collect();
    listed.push("SUMMARY.md".to_owned());
    listed.sort();
    let files = std::fs::read_dir(book().join("src")).unwrap();
    let mut there: Vec<_> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    assert_eq!(listed, there);
    let settings = std::fs::read_to_string(book().join("book.toml")).unwrap();
    assert!(settings.contains("src = \"src\""), "{settings}");
}
