//! libix for programs in C. [`ix.h`](../ix.h) is the documentation; this is its other side, a function for each of its
//! declarations, in the same order.
//!
//! What C hands over is trusted as far as the header says (pointers are what they are said to be), and handles are checked
//! as those of any app are.
#![allow(unsafe_code, reason = "the other side is C")]

/// Addresses and results as C has them.
mod types;
pub use types::{Address, Handler};

/// A handler that calls C.
mod handler;

/// What C calls.
mod calls;
pub use calls::*;

/// The same about buffers.
mod buffers;
pub use buffers::*;
