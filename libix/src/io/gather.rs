//! From notes to commands, and the commands to the kernel.

use super::Io;
use crate::Flow;
use crate::arrays::Events;
use crate::flow::Output;
use core::time::Duration;
use ix_abi::app::{Command, MAX_SG_ENTRIES, Opcode, Status};

/// Most bytes offered by one command: its result is 31 bits wide.
const LONGEST_SEND: usize = 1 << 30;

/// Longest wait right after commands, of which one may fail, which shows only when `run_io` returns; and before another
/// try of what the kernel had no room for.
const AFTER_COMMANDS_NS: u64 = 1_000_000;

impl Io {
    /// Ends a turn: submits everything asked for and waits (at most `wait`, or without limit) for events; returns how
    /// many there are.
    #[inline]
    pub(crate) fn submit(&mut self, events: &mut Events, wait: Option<Duration>) -> Result<usize, Status> {
        while let Some(flow) = self.retry.pop() {
            self.list(flow);
        }
        self.gather();
        while self.more_follows || !self.listed.is_empty() {
            self.flush();
            self.gather();
        }
        let wait_ns = self.wait_ns(wait);
        let (commands, count) = self.batch.wait(events, wait_ns)?;
        self.read_results(commands, false);
        Ok(count)
    }

    /// `true` if the next turn has something to submit, or to tell.
    #[cfg(feature = "testing")]
    pub(crate) fn has_more_to_do(&self) -> bool {
        !self.listed.is_empty()
            || !self.batch.is_empty()
            || !self.notices.is_empty()
            || !self.returns.is_empty()
    }

    #[inline]
    fn wait_ns(&self, wait: Option<Duration>) -> u64 {
        let mut wait_ns = wait.map_or(u64::MAX, to_ns).min(self.longest_wait_ns);
        if !self.batch.is_empty() || !self.retry.is_empty() {
            wait_ns = wait_ns.min(AFTER_COMMANDS_NS);
        }
        if !self.notices.is_empty() {
            wait_ns = 0;
        }
        if let Some(at) = self.stop_at {
            wait_ns = wait_ns.min(to_ns(at.saturating_sub(self.now())));
        }
        wait_ns
    }

    /// Carries out the batch and leaves the event array as it is.
    pub(crate) fn flush(&mut self) {
        let follow_up = core::mem::take(&mut self.more_follows);
        // A batch within the arrays' capacity is not refused as a whole.
        if !self.batch.is_empty()
            && let Ok(commands) = self.batch.submit()
        {
            self.read_results(commands, follow_up);
        }
    }

    /// Turns returned buffers and listed flows into commands.
    #[inline]
    fn gather(&mut self) {
        let mut returned = self.returns.exchange(core::mem::take(&mut self.returned_before));
        for buffer in returned.drain(..) {
            let command = self.command();
            command.opcode = buffer.opcode as u16;
            command.flags = 0;
            command.address = buffer.address;
        }
        self.returned_before = returned;
        if self.listed.is_empty() {
            return;
        }
        // A flush in between may list flows again, for the next round.
        let mut flows = core::mem::take(&mut self.listed_before);
        core::mem::swap(&mut flows, &mut self.listed);
        for &flow in &flows {
            if self.batch.is_full() || !self.batch.has_entries(MAX_SG_ENTRIES) {
                self.flush();
            }
            self.gather_flow(flow);
        }
        flows.clear();
        self.listed_before = flows;
    }

    /// Makes the one command that is next for `flow`, for which there is room. Whether another may follow is known when
    /// it has been carried out: what the kernel does not take must go before anything else.
    #[inline]
    fn gather_flow(&mut self, flow: Flow) {
        let Some(state) = self.flows.get_mut(flow.0) else {
            return;
        };
        state.listed = false;
        if state.output == Output::Connecting {
            return;
        }
        let waiting = state.queue.waiting();
        if waiting == 0 {
            self.gather_end(flow);
            return;
        }
        let command = self.batch.add();
        command.flags = 0;
        command.handle = state.handle;
        command.cookie = flow.0.cookie();
        if let Some(span) = state.queue.only_span().filter(|_| waiting <= LONGEST_SEND) {
            command.opcode = Opcode::TcpSend as u16;
            command.address = span.address;
            command.len = span.len;
            state.offered = waiting;
        } else {
            let spans = state.queue.spans(LONGEST_SEND).take(MAX_SG_ENTRIES);
            let (address, entries, bytes) = self.batch.add_entries(spans);
            let command = self.batch.last();
            command.opcode = Opcode::TcpSendv as u16;
            command.address = address;
            command.len = entries;
            state.offered = bytes;
        }
        state.queue.lend(state.offered);
        self.more_follows |= state.has_more();
    }

    /// Finishes the sending side of a flow that has nothing left to send, if the app wants that.
    fn gather_end(&mut self, flow: Flow) {
        let Some(state) = self.flows.get_mut(flow.0) else {
            return;
        };
        let (opcode, flags, next) = match state.output {
            Output::ShutdownWanted => (Opcode::TcpShutdown, 0, Output::ShutdownSent),
            Output::CloseWanted => (Opcode::TcpClose, 0, Output::CloseSent),
            Output::AbortWanted => (Opcode::TcpClose, Command::ABORT, Output::CloseSent),
            _ => return,
        };
        state.output = next;
        let command = self.batch.add();
        command.opcode = opcode as u16;
        command.flags = flags;
        command.handle = state.handle;
    }
}

fn to_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
