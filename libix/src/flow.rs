//! What libix knows of one connection.

use crate::send_queue::SendQueue;
use ix_abi::app::Handle;

/// The sending direction's life, in order. The `...Wanted` states stand for a command that is to come: shutdown and close
/// once the kernel has taken what is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Output {
    /// The handshake is not done; what is sent waits.
    Connecting,
    Open,
    ShutdownWanted,
    ShutdownSent,
    CloseWanted,
    AbortWanted,
    CloseSent,
}

pub(crate) struct FlowState {
    pub(crate) handle: Handle,
    pub(crate) queue: SendQueue,
    pub(crate) output: Output,
    /// Bytes of the send command in the current batch.
    pub(crate) offered: usize,
    /// Whether it stands on the list of flows to make commands for.
    pub(crate) listed: bool,
}

impl FlowState {
    pub(crate) fn new(handle: Handle, output: Output) -> Self {
        FlowState {
            handle,
            queue: SendQueue::default(),
            output,
            offered: 0,
            listed: false,
        }
    }

    /// Bytes given to `send` and not acknowledged by the peer.
    #[inline]
    pub(crate) fn backlog(&self) -> usize {
        self.queue.waiting() + self.queue.lent()
    }

    /// `true` once the app has said that it wants to hear no more of this flow.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.output >= Output::CloseWanted
    }

    /// `true` if there is a command to make as soon as the kernel has taken all it has been offered.
    #[inline]
    pub(crate) fn has_more(&self) -> bool {
        self.queue.waiting() > 0 || matches!(self.output, Output::ShutdownWanted | Output::CloseWanted)
    }
}
