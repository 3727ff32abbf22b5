//! One connection, and the requests on it that wait for their answers.

use crate::workload::{Malformed, Reader, Reply};
use libix::{Flow, Io, SendBuf};
use std::collections::VecDeque;

#[derive(Debug)]
pub(super) struct Connection {
    reader: Reader,
    /// When the requests on their way were due; answers come in the same order. `None`: nobody waits for it any more.
    pending: VecDeque<Option<u64>>,
}

impl Connection {
    pub(super) fn new(reader: Reader) -> Self {
        Connection {
            reader,
            pending: VecDeque::new(),
        }
    }

    pub(super) fn send(&mut self, io: &mut Io, flow: Flow, request: SendBuf, due_ns: u64) {
        self.pending.push_back(Some(due_ns));
        // An error says that the flow is gone; then `on_dead` loses the request.
        let _ = io.send(flow, request);
    }

    /// Takes bytes from the front of `input`; returns how many, and the answer that is whole with them, if one is and
    /// somebody waits for it.
    ///
    /// # Errors
    /// If it is no answer, or to nothing.
    pub(super) fn receive(&mut self, input: &[u8]) -> Result<(usize, Option<(u64, Reply)>), Malformed> {
        let (count, reply) = self.reader.advance(input)?;
        let Some(reply) = reply else {
            return Ok((count, None));
        };
        let due_ns = self.pending.pop_front().ok_or(Malformed)?;
        Ok((count, due_ns.map(|due_ns| (due_ns, reply))))
    }

    /// Nobody waits any more for what is on its way.
    pub(super) fn give_up(&mut self, on_loss: impl FnMut(u64)) {
        self.pending.iter_mut().filter_map(Option::take).for_each(on_loss);
    }

    /// Nothing of it will be answered.
    pub(super) fn lose(&mut self, on_loss: impl FnMut(u64)) {
        self.pending.drain(..).flatten().for_each(on_loss);
    }
}
