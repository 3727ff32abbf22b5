//! Host calls ([`ix_abi::host::hostcall`]), the launcher's side: files under the volumes that were granted, and standard
//! input. Nothing else of the host can be asked for.
//!
//! Whatever stands in the host area may have been written by an adversary. A request is copied, then checked; paths are
//! resolved by Linux with the volume as the root (`openat2(2)`), so that neither `..` nor a symbolic link leads out.
//!
//! Files and input are served by a thread each ([`Server`]), so that a slow disk or a silent user holds up neither the
//! other nor the app's output.

/// What is granted.
mod volumes;
pub use volumes::{VolumeError, Volumes};

/// From a path to a place.
mod place;

/// What is open.
mod handles;

/// Opening.
mod open;

/// The calls on files.
mod files;
pub use files::Files;

/// Standard input.
mod input;

/// The threads.
mod server;
pub use server::{Server, ServerError, serve_slot};

#[cfg(test)]
mod tests;
