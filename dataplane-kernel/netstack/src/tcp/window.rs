//! The receive window (RFC 9293 section 3.8.6): what may still come in, and when it is told.

use super::flow::{Flow, Marks};
use super::{BUFFER_SHARE_SHIFT, Shared};
use crate::Instant;
use crate::seq::SeqNum;

impl Flow {
    /// Bytes the peer may send from here on.
    #[inline]
    pub(crate) fn receive_window(&self) -> u32 {
        u32::try_from(self.rcv_nxt.signed_distance_to(self.rcv_edge)).unwrap_or(0)
    }

    /// Where the window could end now. A buffer takes from it what lies in it, and half its size at least: many small
    /// segments must not hold more memory than few large ones.
    #[inline]
    fn possible_edge(&self, shared: &Shared) -> SeqNum {
        let taken = self.held_bytes.max(self.held_buffers << BUFFER_SHARE_SHIFT);
        let left = self.window_bytes.saturating_sub(taken);
        self.rcv_nxt + (left >> shared.rx.scarcity())
    }

    /// The least step by which the window is opened (section 3.8.6.2.2, against the silly window syndrome).
    #[inline]
    fn least_step(&self) -> u32 {
        u32::from(self.mss).min(self.window_bytes / 2)
    }

    /// Moves the end of the window on. (Apart, it saves a segment sent 12 instructions.)
    #[inline(never)]
    fn open_window(&mut self, shared: &Shared) {
        let edge = self.possible_edge(shared);
        if self.rcv_edge.signed_distance_to(edge) >= self.least_step().cast_signed() {
            self.rcv_edge = edge;
        }
    }

    /// Opens the window as far as is sensible; gives what stands in the header for it.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "limited to 16 bits")]
    pub(crate) fn announce_window(&mut self, shared: &Shared) -> u16 {
        if self.receive_window() <= self.window_bytes - shared.tuning.window_slack {
            self.open_window(shared);
        }
        (self.receive_window() >> self.rcv_shift).min(0xffff) as u16
    }

    /// The app has returned a buffer of `len` bytes. `true` if the peer has to be told: what it may send has come down
    /// to half a window, and a step can be made.
    #[inline]
    pub(crate) fn give_room(&mut self, shared: &Shared, len: u32) -> bool {
        self.held_bytes = self.held_bytes.saturating_sub(len);
        self.held_buffers = self.held_buffers.saturating_sub(1);
        if !self.state.may_receive() {
            return false;
        }
        if self.marks.has(Marks::STARVED) && self.held_buffers <= self.max_buffers() / 2 {
            self.marks.clear(Marks::STARVED);
            return true;
        }
        if self.receive_window() > self.window_bytes / 2 {
            return false;
        }
        let step = self.rcv_edge.signed_distance_to(self.possible_edge(shared));
        step >= self.least_step().cast_signed()
    }

    /// Most receive buffers the flow may hold, however little is in them.
    #[inline]
    pub(crate) fn max_buffers(&self) -> u32 {
        (self.window_bytes >> BUFFER_SHARE_SHIFT).max(8)
    }

    /// `true` if the flow may hold one more buffer.
    #[inline]
    pub(crate) fn may_hold_more(&self, shared: &Shared) -> bool {
        let held = self.held_buffers + u32::from(self.beyond_buffers);
        held < self.max_buffers() && shared.rx.has_room()
    }

    /// Data for which there is window and no buffer is left to the peer to send again; it hears when there is room.
    #[cold]
    #[inline(never)]
    pub(crate) fn drop_for_lack_of_room(&mut self, shared: &mut Shared) {
        shared.counters.tcp_data_dropped += 1;
        self.marks.set(Marks::STARVED);
        self.owe_ack(shared);
    }

    /// An ACK that carries data, or any other segment, has gone out.
    #[inline]
    pub(crate) fn acknowledged_all(&mut self) {
        self.ack_sent = self.rcv_nxt;
        self.delayed_ack_at = Instant::FAR;
        self.marks.clear(Marks::ACK_NOW.or(Marks::ACK_DELAYED));
    }
}
