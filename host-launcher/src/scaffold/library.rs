//! Where libix is: in the checkout that this `ix` was built in, or where the user says.

use std::path::{Path, PathBuf};

/// libix' folder.
#[derive(Clone, Debug)]
pub struct Library {
    folder: PathBuf,
}

/// Why there is no libix to depend on.
#[derive(Debug, thiserror::Error)]
pub enum LibraryMissing {
    /// Not where the user said.
    #[error("no libix in {0}; --libix wants Ixion's checkout, or the folder libix in it")]
    NotThere(PathBuf),
    /// The checkout is gone.
    #[error("this ix was built in {0}, where no libix is any more; say where it is with --libix PATH")]
    Gone(PathBuf),
    /// TOML, and cargo, want text.
    #[error("libix lies in {0:?}, which is no text; move it")]
    NotText(PathBuf),
}

impl Library {
    /// In `asked` for, or in the checkout of this program.
    ///
    /// # Errors
    /// If it is not there.
    pub fn find(asked: Option<&Path>) -> Result<Self, LibraryMissing> {
        let home = Path::new(env!("CARGO_MANIFEST_DIR"));
        let checkout = home.parent().unwrap_or(home);
        let folder = match asked {
            Some(path) => Self::below(path).ok_or_else(|| LibraryMissing::NotThere(path.to_owned())),
            None => Self::below(checkout).ok_or_else(|| LibraryMissing::Gone(checkout.to_owned())),
        }?;
        if folder
            .to_str()
            .is_none_or(|text| text.contains(['"', '\\']) || text.contains(char::is_control))
        {
            return Err(LibraryMissing::NotText(folder));
        }
        Ok(Library { folder })
    }

    /// `path` itself or its folder `libix`, whichever is the crate.
    fn below(path: &Path) -> Option<PathBuf> {
        let mut candidates = [path.to_owned(), path.join("libix")].into_iter();
        candidates.find(|folder| Self::is_at(folder))?.canonicalize().ok()
    }

    fn is_at(folder: &Path) -> bool {
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        let manifest: toml::Table = manifest.parse().unwrap_or_default();
        let package = manifest.get("package").and_then(toml::Value::as_table);
        let name = package.and_then(|package| package.get("name"));
        name.and_then(toml::Value::as_str) == Some("libix")
    }

    /// As a path that a TOML string can hold as it is.
    pub(super) fn path(&self) -> &str {
        self.folder.to_str().unwrap_or_default()
    }

    /// The lock file of its workspace.
    pub(super) fn lock_file(&self) -> Option<Vec<u8>> {
        std::fs::read(self.folder.parent()?.join("Cargo.lock")).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{Library, LibraryMissing};
    use std::path::Path;

    #[test]
    fn a_checkout_and_the_folder_in_it_are_both_understood() {
        let here = Library::find(None).unwrap();
        let checkout = Path::new(here.path()).parent().unwrap();
        for path in [checkout, &checkout.join("libix"), &checkout.join("apps/../libix")] {
            assert_eq!(Library::find(Some(path)).unwrap().path(), here.path());
        }
        assert!(here.lock_file().is_some());
    }

    #[test]
    fn other_folders_and_crates_are_not_libix() {
        let apps = Path::new(env!("CARGO_MANIFEST_DIR")).join("../apps/echo");
        for path in [Path::new("/nowhere"), Path::new("/tmp"), &apps] {
            let missing = Library::find(Some(path)).unwrap_err();
            assert!(matches!(missing, LibraryMissing::NotThere(_)), "{missing}");
        }
    }
}
