//! Ring 3: one program, its memory and its threads.
//!
//! `App::load` checks the program's file (`image`), gives it memory (`loader`) and a first thread. Each core has a `Seat` in
//! it: `Seat::run` runs threads until the dataplane is needed, and says why (`Leave`). Linux calls, faults and changes of
//! threads are served on the way, in the `process`, which the cores share behind a lock (`app`, `linux`, `fault`).
//!
//! Nothing here trusts ring 3: its pointers are translated before use (`access`), its counts are bounded, and what it
//! does wrong ends it and nobody else.
#![allow(unsafe_code, reason = "this is the wall around ring 3's memory")]

/// The program's file.
pub mod image;

/// The stack it starts with.
mod stack;

/// From file to memory and first thread.
mod loader;
pub use loader::Program;

/// Linear windows of ring 3's memory, with their page tables.
mod window;

/// Where they lie.
mod view;
pub use view::View;

/// What is mapped where.
mod regions;

/// All of ring 3's memory.
mod memory;

/// Reading and writing it.
mod access;
pub use access::Plain;

/// Threads.
mod thread;

/// Which threads can run.
mod scheduler;

/// What the threads share.
mod process;

/// The same as cores share it.
mod app;
pub use app::App;

/// Threads on a core.
mod seat;
pub use seat::{Leave, RunIo, Seat};

/// Waiting and waking.
mod futex;

/// What its descriptors stand for.
mod descriptors;

/// Waiting for the launcher.
mod host_calls;

/// What it does wrong.
mod fault;

/// Random numbers.
pub mod random;

/// Linux calls.
mod linux;
