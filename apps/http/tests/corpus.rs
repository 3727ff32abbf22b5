//! Malformed and unwelcome requests, a file each: its name begins with the status that answers it. Statuses that say that
//! the stream cannot be understood end the connection, whatever follows.

use http_server::connection::{Connection, Now};
use http_server::request::Limits;
use http_server::site::{Cache, Site};
use std::path::Path;

const NOW: Now = Now {
    ms: 0,
    date: "Sun, 09 Sep 2001 01:46:40 GMT",
};

/// What comes back for `input`, cut into pieces.
fn answer(input: &[u8], cuts: usize) -> (String, bool) {
    let limits = Limits {
        head_bytes: 16_384,
        body_bytes: 1 << 20,
    };
    let mut site = Site::new(Cache::new(0, 0));
    let mut connection = Connection::new(limits, 100);
    let mut output = Vec::new();
    for mut piece in input.chunks(cuts) {
        while !piece.is_empty() {
            let used = connection.receive(&mut site, piece, NOW);
            piece = &piece[used..];
            assert!(
                connection.awaited().is_none(),
                "it should not get as far as a file"
            );
            while let Some(piece) = connection.next_output() {
                output.extend_from_slice(piece.bytes().expect("in memory"));
            }
        }
    }
    (String::from_utf8(output).expect("text"), connection.is_finished())
}

/// A path, a method or a call that is not served harms nobody; the connection goes on.
fn ends(status: &str, output: &str) -> bool {
    !["404", "405"].contains(&status) && !output.contains("the path ") && !output.contains("no such method")
}

#[test]
fn each_is_answered_with_its_status_however_it_is_cut() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut failures = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let (status, _) = name.split_once('-').unwrap();
        let input = std::fs::read(&path).unwrap();
        for cuts in [input.len(), 1_000, 7, 1] {
            let (output, finished) = answer(&input, cuts);
            let expected = format!("HTTP/1.1 {status} ");
            let once = output.starts_with(&expected) && output.matches("HTTP/1.1 ").count() == 1;
            if !once || finished != ends(status, &output) {
                failures.push(format!("{name}, cut every {cuts}: {output}"));
            }
        }
        count += 1;
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(count >= 70, "{count} requests");
}
