//! `ix new`: a crate to start from, made of a template that is a crate of this workspace.

/// What a crate may be called.
mod name;
pub use name::{BadName, CrateName};

/// Where libix is.
mod library;
pub use library::{Library, LibraryMissing};

/// The files.
mod templates;
pub use templates::Template;

use std::io;
use std::path::{Path, PathBuf};

/// Why there is no new crate.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// It would depend on nothing.
    #[error(transparent)]
    Library(#[from] LibraryMissing),
    /// Something of that name is there.
    #[error("{0} is there already; choose another name, or remove it")]
    Exists(PathBuf),
    /// It cannot be written.
    #[error("cannot write {0}")]
    Write(PathBuf, #[source] io::Error),
}

/// Makes the crate in a folder of its name below `parent`; nothing is left of it if that fails.
///
/// # Errors
/// If there is such a folder, or it cannot be written.
pub fn create(
    parent: &Path,
    name: &CrateName,
    template: Template,
    library: &Library,
) -> Result<PathBuf, ScaffoldError> {
    let folder = parent.join(name.as_str());
    std::fs::create_dir(&folder).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => ScaffoldError::Exists(folder.clone()),
        _ => ScaffoldError::Write(folder.clone(), error),
    })?;
    if let Err(error) = fill(&folder, name, template, library) {
        // What it says matters more than what is left.
        let _ = std::fs::remove_dir_all(&folder);
        return Err(error);
    }
    Ok(folder)
}

fn fill(folder: &Path, name: &CrateName, template: Template, library: &Library) -> Result<(), ScaffoldError> {
    for (path, content) in template.files(name, library) {
        write(&folder.join(path), content.as_bytes())?;
    }
    // The versions that libix is tested with, which are on this machine already; cargo drops those it has no use for.
    if let Some(lock) = library.lock_file() {
        write(&folder.join("Cargo.lock"), &lock)?;
    }
    Ok(())
}

fn write(path: &Path, content: &[u8]) -> Result<(), ScaffoldError> {
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    written
        .and_then(|()| std::fs::write(path, content))
        .map_err(|error| ScaffoldError::Write(path.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use super::{CrateName, Library, ScaffoldError, Template, create};
    use std::path::{Path, PathBuf};

    /// A folder of the test's own, removed at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Self {
            let path = std::env::temp_dir().join(format!("ix-new-{test}-{}", std::process::id()));
            std::fs::create_dir(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn library() -> Library {
        Library::find(None).unwrap()
    }

    #[test]
    fn nothing_of_the_template_is_left_in_a_crate_but_the_program() {
        let folder = Folder::new("content");
        for template in [Template::Echo, Template::Async, Template::Kv] {
            let name: CrateName = format!("my-{template:?}").to_lowercase().parse().unwrap();
            let made = create(&folder.0, &name, template, &library()).unwrap();
            let read = |file: &str| std::fs::read_to_string(made.join(file)).unwrap();
            let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
            assert_eq!(manifest["package"]["name"].as_str(), Some(name.as_str()));
            let dependency = manifest["dependencies"]["libix"]["path"].as_str().unwrap();
            assert!(Path::new(dependency).join("src/lib.rs").is_file(), "{dependency}");
            assert!(manifest.contains_key("workspace"));
            for file in [
                "src/main.rs",
                "src/server.rs",
                "src/tests.rs",
                "README.md",
                "Cargo.toml",
            ] {
                let text = read(file);
                assert!(!text.is_empty());
                for leftover in ["ANCHOR", "NAME", "template", "../"] {
                    assert!(!text.contains(leftover), "{leftover} in {file}: {text}");
                }
            }
            assert!(read(".cargo/config.toml").parse::<toml::Table>().is_ok());
            assert!(read("Cargo.lock").contains("name = \"libix\""));
        }
    }

    #[test]
    fn what_is_there_is_not_touched() {
        let folder = Folder::new("exists");
        std::fs::write(folder.0.join("taken"), "mine").unwrap();
        let name = "taken".parse().unwrap();
        let error = create(&folder.0, &name, Template::Echo, &library()).unwrap_err();
        assert!(matches!(error, ScaffoldError::Exists(_)), "{error}");
        assert_eq!(std::fs::read(folder.0.join("taken")).unwrap(), b"mine");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let name = "new".parse().unwrap();
        let error = create(Path::new("/nowhere"), &name, Template::Echo, &library()).unwrap_err();
        assert!(matches!(error, ScaffoldError::Write(..)), "{error}");
    }
}
