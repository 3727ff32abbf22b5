use serde::Deserialize;
use std::path::PathBuf;
use std::str::FromStr;

/// Whether the app may change what is in a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It may.
    ReadWrite,
    /// It may not.
    ReadOnly,
}

/// `--volume`: a directory of this host that the app sees.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Volume {
    /// The directory.
    pub host: PathBuf,
    /// Where the app sees it: the names on the way from the root.
    pub guest: Vec<String>,
    /// What it may do there.
    pub access: Access,
}

/// What is no volume.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum VolumeError {
    /// It has no two parts.
    #[error("`{0}` is no volume; write HOST:GUEST or HOST:GUEST:ro")]
    Form(String),
    /// The second part is no place.
    #[error("`{0}` is no place for a volume; write an absolute path without . and ..")]
    Guest(String),
}

impl FromStr for Volume {
    type Err = VolumeError;

    fn from_str(text: &str) -> Result<Self, VolumeError> {
        let (places, access) = match text.rsplit_once(':') {
            Some((places, "ro")) => (places, Access::ReadOnly),
            Some((places, "rw")) => (places, Access::ReadWrite),
            _ => (text, Access::ReadWrite),
        };
        let form = || VolumeError::Form(text.to_owned());
        let (host, guest) = places.rsplit_once(':').ok_or_else(form)?;
        if host.is_empty() || text.contains('\0') {
            return Err(form());
        }
        let names: Vec<String> = guest
            .split('/')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        if !guest.starts_with('/') || names.iter().any(|name| name == "." || name == "..") {
            return Err(VolumeError::Guest(guest.to_owned()));
        }
        Ok(Self {
            host: host.into(),
            guest: names,
            access,
        })
    }
}

impl TryFrom<String> for Volume {
    type Error = VolumeError;

    fn try_from(text: String) -> Result<Self, VolumeError> {
        text.parse()
    }
}

impl Volume {
    /// The guest's side as a path.
    #[must_use]
    pub fn guest_path(&self) -> String {
        format!("/{}", self.guest.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, Volume, VolumeError};
    use std::path::Path;

    #[test]
    fn a_volume_has_two_places_and_an_access() {
        for (text, host, guest, access) in [
            ("/srv:/data", "/srv", "/data", Access::ReadWrite),
            ("/srv:/data:ro", "/srv", "/data", Access::ReadOnly),
            ("a:b:/:rw", "a:b", "/", Access::ReadWrite),
            ("x:/a//b/", "x", "/a/b", Access::ReadWrite),
        ] {
            let volume: Volume = text.parse().unwrap();
            assert_eq!(volume.host, Path::new(host));
            assert_eq!((volume.guest_path().as_str(), volume.access), (guest, access));
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["", "/srv", "/srv:ro", ":/data", "/srv\0:/data"] {
            assert!(
                matches!(text.parse::<Volume>(), Err(VolumeError::Form(_))),
                "{text}"
            );
        }
        for text in ["/srv:data", "/srv:", "/srv:/a/../b", "/srv:/data:rx"] {
            assert!(
                matches!(text.parse::<Volume>(), Err(VolumeError::Guest(_))),
                "{text}"
            );
        }
    }
}
