//! `run_io` and, in it, the cycle: receive, timers, events, ring 3, commands, transmit. Entering ring 3 reads as the
//! subroutine call that [`super::serve`] makes of it.

use super::processor::{Stay, Turn};
use super::serve::{Phase, told_to_stop_now};
use super::{Core, now};
use crate::nic::Nic;
use crate::user::{RunIo, Seat};
use ix_abi::app::Status;
use netstack::Instant;

/// A `run_io` that has submitted its commands and waits for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    room: u32,
    until_ns: u64,
}

impl Wait {
    pub(super) fn until_ns(self) -> u64 {
        self.until_ns
    }
}

impl<N: Nic> Core<N> {
    /// One `run_io` (see [`ix_abi::app::trap::RUN_IO`]): the commands of the batch ring 3 has just worked on, then the
    /// next batch. What the commands and the received segments want sent leaves in one doorbell, before waiting.
    #[inline]
    pub(super) fn run_io(&mut self, seat: &mut Seat, call: &RunIo, stay: &Stay<'_>) -> Turn {
        let time = now();
        match self.begin(seat, call, time) {
            Ok(wait) if wait.room > 0 => {
                if stay.is_over() {
                    self.phase = Phase::Waiting(wait);
                    return Turn::Worked;
                }
                self.look(seat, wait, time)
            }
            Ok(_) => self.finish(seat, 0),
            Err(error) => self.finish(seat, error.negated().into()),
        }
    }

    fn begin(&mut self, seat: &Seat, call: &RunIo, time: Instant) -> Result<Wait, Status> {
        let (commands, room) = self.io.check(call.commands, call.max_events)?;
        self.tally.run_io_calls += 1;
        self.submit(commands, seat.view(), time);
        self.transmit(time);
        let until_ns = time.0.saturating_add(call.wait_ns);
        Ok(Wait { room, until_ns })
    }

    /// Looks for the events of a `run_io`, once.
    #[inline]
    pub(super) fn look(&mut self, seat: &mut Seat, wait: Wait, time: Instant) -> Turn {
        self.receive(time);
        self.on_timer(time);
        let events = self.deliver(wait.room, time);
        if events > 0 || time.0 >= wait.until_ns {
            return self.finish(seat, events.into());
        }
        self.transmit(time);
        if seat.has_ended() || told_to_stop_now() {
            return self.finish(seat, 0);
        }
        self.phase = Phase::Waiting(wait);
        Turn::Idle
    }

    #[inline]
    fn finish(&mut self, seat: &mut Seat, result: i64) -> Turn {
        seat.finish_call(result);
        self.phase = Phase::Running;
        Turn::Worked
    }

    /// The part of the cycle that needs no ring 3: keeps ARP, ACKs and retransmissions going while the app computes or
    /// has not called yet. Events stay in the stack.
    pub(super) fn attend(&mut self) {
        let time = now();
        self.receive(time);
        self.on_timer(time);
        self.transmit(time);
    }
}
