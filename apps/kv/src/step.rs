//! What a command line or a binary header leads to.

use crate::across::Pending;
use crate::binary;
use crate::store::{Commit, Draft};
use crate::text::SetReply;

/// What a connection does next.
pub(crate) enum Step {
    /// The next command.
    Done,
    /// The value of an item.
    Value(Box<Incoming>),
    /// The value of an item that another core stores: this many bytes, added to the command, go to it.
    Gather(Box<Gathering>),
    /// Drop this many bytes.
    Swallow(usize),
    /// Other cores.
    Wait(Box<Pending>),
    /// Everything is said.
    Close,
}

/// An item on its way in.
pub(crate) struct Incoming {
    pub(crate) draft: Draft,
    pub(crate) commit: Commit,
    pub(crate) reply: StoreReply,
}

/// How the outcome is told.
pub(crate) enum StoreReply {
    Text(SetReply),
    Binary(binary::Header),
}

/// A command with its value, on its way in and then on to another core.
pub(crate) struct Gathering {
    pub(crate) core: usize,
    pub(crate) command: Vec<u8>,
    pub(crate) missing: usize,
}
