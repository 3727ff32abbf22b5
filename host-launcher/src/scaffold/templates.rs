//! The templates: crates of this workspace, compiled and tested with it, with another name and another way to libix.

use super::{CrateName, Library};
use std::path::Path;

/// What a new crate is to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Template {
    /// The event loop: an echo server, TCP and UDP
    Echo,
    /// Tasks that await: a server of lines, with timeouts
    Async,
    /// Several cores: values by key, sent from where they are kept
    Kv,
}

/// A file: where it goes, and what is in it.
type File = (&'static str, &'static str);

macro_rules! files {
    ($template:literal: $($file:literal)*) => {
        &[$(($file, include_str!(concat!("../../../templates/", $template, "/", $file)))),*]
    };
}

const ECHO: &[File] = files!("echo": "Cargo.toml" "README.md" "src/main.rs" "src/server.rs" "src/tests.rs");

const ASYNC: &[File] =
    files!("async": "Cargo.toml" "README.md" "src/lines.rs" "src/main.rs" "src/server.rs" "src/tests.rs");

const KV: &[File] =
    files!("kv": "Cargo.toml" "README.md" "src/main.rs" "src/server.rs" "src/store.rs" "src/tests.rs");

/// In all of them, as they are.
const SHARED: [File; 2] = [
    (
        ".cargo/config.toml",
        include_str!("../../../templates/shared/config.toml"),
    ),
    (".gitignore", include_str!("../../../templates/shared/gitignore")),
];

/// Behind the file of this name.
const TAILS: [File; 2] = [
    ("Cargo.toml", include_str!("../../../templates/shared/tail.toml")),
    ("README.md", include_str!("../../../templates/shared/README.md")),
];

impl Template {
    fn own_files(self) -> &'static [File] {
        match self {
            Template::Echo => ECHO,
            Template::Async => ASYNC,
            Template::Kv => KV,
        }
    }

    /// The name of the template's own crate.
    fn crate_name(self) -> &'static str {
        match self {
            Template::Echo => "template-echo",
            Template::Async => "template-async",
            Template::Kv => "template-kv",
        }
    }

    /// What to try a server with, on the host's port 7007.
    #[must_use]
    pub fn trial(self) -> &'static str {
        match self {
            Template::Echo => "echo hello | nc -q1 127.0.0.1 7007",
            Template::Async => "echo one two three | nc -q1 127.0.0.1 7007",
            Template::Kv => r"printf 'set greeting good day\nget greeting\n' | nc -q1 127.0.0.1 7007",
        }
    }

    /// The files of a crate of this name.
    pub(super) fn files(
        self,
        name: &CrateName,
        library: &Library,
    ) -> impl Iterator<Item = (&'static Path, String)> {
        let own = self.own_files().iter().map(move |&(path, content)| {
            let tail = TAILS.iter().find(|(of, _)| *of == path);
            let content = content
                .lines()
                .filter(|line| !line.trim_start().starts_with("// ANCHOR"))
                .chain(tail.into_iter().flat_map(|(_, tail)| tail.lines()))
                .flat_map(|line| [line, "\n"]);
            let content: String = content.collect();
            let content = content
                .replace(self.crate_name(), name.as_str())
                .replace("../../libix", library.path())
                .replace("NAME", name.as_str());
            (Path::new(path), content)
        });
        let shared = SHARED
            .iter()
            .map(|&(path, content)| (Path::new(path), content.to_owned()));
        own.chain(shared)
    }
}
