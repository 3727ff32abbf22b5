//! What libix knows of one connection.

use crate::SendBuf;
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

/// Bytes on their way from which on a flow is not writable, until half of them are acknowledged, unless the app chooses.
const HIGH_WATER_BYTES: usize = 256 << 10;

/// In whole lines of the cache, as the pieces of its queue are: what is beside it may be another core's.
#[repr(align(64))]
pub(crate) struct FlowState {
    pub(crate) handle: Handle,
    pub(crate) queue: SendQueue,
    pub(crate) output: Output,
    /// Bytes of the send command in the current batch.
    pub(crate) offered: usize,
    /// Whether it stands on the list of flows to make commands for.
    pub(crate) listed: bool,
    /// Whether as much is on its way as the app wants, or was and half of it still is.
    pub(crate) is_full: bool,
    pub(crate) high_water: usize,
}

impl FlowState {
    pub(crate) fn new(handle: Handle, output: Output) -> Self {
        FlowState {
            handle,
            queue: SendQueue::default(),
            output,
            offered: 0,
            listed: false,
            is_full: false,
            high_water: HIGH_WATER_BYTES,
        }
    }

    /// Takes `data` in to be sent; returns the backlog.
    #[inline]
    pub(crate) fn push(&mut self, data: SendBuf) -> usize {
        self.queue.push(data);
        let backlog = self.backlog();
        self.is_full |= backlog >= self.high_water;
        backlog
    }

    /// `count` bytes were acknowledged; `true` if that makes the flow writable again.
    #[inline]
    pub(crate) fn acknowledge(&mut self, count: usize) -> bool {
        self.queue.acknowledge(count);
        self.is_full && self.drain()
    }

    /// Whether a full flow is one no more, and then makes it so.
    fn drain(&mut self) -> bool {
        self.is_full = self.backlog() > self.high_water / 2;
        !self.is_full
    }

    /// Another mark; `true` if it makes the flow writable again.
    pub(crate) fn set_high_water(&mut self, bytes: usize) -> bool {
        self.high_water = bytes.max(1);
        if self.is_full {
            return self.drain();
        }
        self.is_full = self.backlog() >= self.high_water;
        false
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
