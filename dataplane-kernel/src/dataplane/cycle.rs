//! `run_io` and, in it, the cycle: receive, timers, events, ring 3, commands, transmit. Entering ring 3 reads as the
//! subroutine call that [`super::serve`] makes of it.

use super::serve::told_to_stop_now;
use super::{Core, now};
use crate::nic::Nic;
use crate::user::{RunIo, Seat};
use ix_abi::app::Status;

impl<N: Nic> Core<N> {
    /// One `run_io` (see [`ix_abi::app::trap::RUN_IO`]): the commands of the batch ring 3 has just worked on, then the
    /// next batch. What the commands and the received segments want sent leaves in one doorbell, before waiting.
    pub(super) fn run_io(&mut self, seat: &mut Seat, call: &RunIo) -> Result<u32, Status> {
        let (commands, room) = self.io.check(call.commands, call.max_events)?;
        let mut time = now();
        self.tally.run_io_calls += 1;
        self.submit(commands, seat.view(), time);
        self.transmit(time);
        if room == 0 {
            return Ok(0);
        }
        let until = time.0.saturating_add(call.wait_ns);
        loop {
            self.receive(time);
            self.on_timer(time);
            let events = self.deliver(room, time);
            if events > 0 || time.0 >= until {
                return Ok(events);
            }
            self.transmit(time);
            self.idle(seat, time);
            if seat.has_ended() || told_to_stop_now() {
                return Ok(0);
            }
            time = now();
        }
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
