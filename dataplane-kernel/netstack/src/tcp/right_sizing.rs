//! How large the receive window should be (dynamic right-sizing: Fisk and Feng, 2001): a peer that fills more than half of it
//! in a round trip may be kept from sending faster, and gets twice as much, up to what is configured. What windows have
//! grown by is taken from one account for all flows, so that nobody is promised memory that is not there.
//!
//! A measurement lasts until data comes from beyond the window that was announced when it began. That data was not sent
//! before the peer had heard of the next window, so a round trip has passed at least; and if the time is not much more
//! than that, the window is the limit.

use super::flow::Flow;
use super::scoreboard::Stamp;
use super::{BUFFER_SHARE_SHIFT, Shared};
use crate::Instant;

/// Binary logarithm of the unit of round-trip times, in nanoseconds.
const UNIT_SHIFT: u32 = 10;
/// How fast a round-trip time that has become longer is believed, as a binary logarithm of measurements.
const CREEP_SHIFT: u32 = 6;

/// What all windows may grow by where flows may hold so many buffers: half of them are enough for it, even if each segment
/// brings so little that a buffer takes no more of the window than it must.
pub(crate) fn room_in(buffers: u32) -> u32 {
    (buffers / 2).saturating_mul(1 << BUFFER_SHARE_SHIFT)
}

impl Flow {
    /// The peer's first number is known, and the window that it is told first.
    pub(crate) fn begin_right_sizing(&mut self, shared: &Shared, now: Instant) {
        self.receive_rtt = 0;
        self.measured_at = Stamp::of(now);
        self.measured_to = self.rcv_nxt + u32::from(shared.tuning.first_window());
    }

    /// A measurement is over; the next one begins.
    #[cold]
    #[inline(never)]
    pub(crate) fn right_size(&mut self, shared: &mut Shared, now: Instant) {
        let taken = self.measure(now);
        // An app that leaves data lying would leave more of it.
        let keeps_up = self.held_bytes < self.window_bytes / 4;
        if shared.rx.scarcity() > 0 {
            self.shrink_window(shared, self.window_bytes / 2);
        } else if keeps_up && taken <= self.receive_rtt.saturating_mul(2) {
            self.widen_window(shared);
        }
        self.measured_at = Stamp::of(now);
        self.measured_to = self.rcv_edge.later_of(self.rcv_nxt + u32::from(self.mss));
    }

    /// How long it took, in units of 2^10 ns; the shortest time there was is the round-trip time. (So is what our own data has
    /// shown, the handshake at least.)
    #[allow(clippy::cast_possible_truncation, reason = "clamped to 32 bits")]
    fn measure(&mut self, now: Instant) -> u32 {
        let units = |ns: u64| (ns >> UNIT_SHIFT).clamp(1, u64::from(u32::MAX)) as u32;
        let taken = units(Stamp::of(now).ns_since(self.measured_at));
        let mut known = self.receive_rtt;
        if self.rtt.min_ns() != 0 {
            let own = units(self.rtt.min_ns());
            known = if known == 0 { own } else { known.min(own) };
        }
        self.receive_rtt = if known == 0 {
            taken
        } else {
            taken.min(known + (taken.saturating_sub(known) >> CREEP_SHIFT))
        };
        taken
    }

    fn widen_window(&mut self, shared: &mut Shared) {
        let most = shared.tuning.window_most.saturating_sub(self.window_bytes);
        let more = self.window_bytes.min(most).min(shared.window_room);
        shared.window_room -= more;
        self.window_bytes += more;
    }

    /// Gives back what the window has grown by, down to `bytes`; what was announced stays so.
    pub(crate) fn shrink_window(&mut self, shared: &mut Shared, bytes: u32) {
        let bytes = bytes.max(shared.tuning.window_bytes);
        let less = self.window_bytes.saturating_sub(bytes);
        self.window_bytes -= less;
        shared.window_room += less;
    }
}
