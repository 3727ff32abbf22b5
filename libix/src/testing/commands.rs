//! Commands to a host's stack, as the kernel carries them out, but for the checks of addresses: the app is this very program.

use super::host::SimulatedHost;
use crate::stand_in::SharedMemory;
use ix_abi::app::{Command, Endpoint, SgEntry, Status};
use netstack::Span;
use run_io::{App, Done, Request};

impl SimulatedHost {
    /// Carries out the first `count` commands of the array.
    ///
    /// # Safety
    /// Libix is inside `run_io`, and what the commands name is readable.
    pub(super) unsafe fn submit(&mut self, count: usize) {
        let now = self.now_instant();
        for place in 0..count {
            // SAFETY: the caller's promise.
            let command = unsafe { self.memory.command(place) };
            let request = Request {
                index: u32::try_from(place).unwrap_or(u32::MAX),
                opcode: command.opcode,
                flags: command.flags,
                handle: command.handle,
                cookie: command.cookie,
                address: command.address,
                len: command.len,
            };
            let program = Program {
                command: &command,
                memory: &self.memory,
            };
            let done = run_io::execute(&mut self.stack, &mut self.card, now, &program, &request);
            let (result, made) = match done {
                Ok(Done::Value(value)) => (i32::try_from(value).unwrap_or(i32::MAX), None),
                Ok(Done::Made(handle)) => (0, Some(handle)),
                Err(status) => (status.negated(), None),
            };
            // SAFETY: as above.
            unsafe { self.memory.answer(place, result, made) };
        }
    }
}

/// The app of one command. Whoever makes it promises that what the command names is readable.
struct Program<'a> {
    command: &'a Command,
    memory: &'a SharedMemory,
}

impl App for Program<'_> {
    fn endpoint(&self, _: &Request) -> Endpoint {
        self.command.endpoint
    }

    fn endpoint_at(&self, address: u64) -> Result<Endpoint, Status> {
        // SAFETY: the promise that goes with `Program`.
        Ok(unsafe { (address as *const Endpoint).read() })
    }

    fn sg_entry_at(&self, address: u64) -> Result<SgEntry, Status> {
        // SAFETY: as above.
        Ok(unsafe { (address as *const SgEntry).read() })
    }

    fn span(&self, address: u64, len: u64) -> Result<Span, Status> {
        let len = u32::try_from(len).map_err(|_| Status::Invalid)?;
        Ok(Span { address, len })
    }

    fn received_at(&self, address: u64) -> Result<u32, Status> {
        super::card::buffer_at(self.memory, address).ok_or(Status::Fault)
    }
}
