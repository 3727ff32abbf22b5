//! The app's responses.

use super::session::{Phase, charge_for_response};
use super::{RequestId, Server};
use crate::message::Message;
use crate::wire::{DELAYED, FIRST_RESERVED_STATUS, Header, Kind, STATUS_RESPONSE_LOST};
use core::fmt;

/// A response within that time is made at once, in nanoseconds.
const AT_ONCE_NS: u64 = 20_000;

/// Why a response is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RespondError {
    /// The request has been responded to, or its session is over.
    NoRequest,
    /// From [`FIRST_RESERVED_STATUS`] on they are the protocol's.
    ReservedStatus,
    /// There is no memory to keep the response in; the client is told so.
    NoMemory,
}

impl fmt::Display for RespondError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RespondError::NoRequest => "nobody waits for the response",
            RespondError::ReservedStatus => "the status is one of the protocol's",
            RespondError::NoMemory => "there is no memory to keep the response in",
        })
    }
}

impl std::error::Error for RespondError {}

impl<R: AsRef<[u8]>> Server<R> {
    /// Responds to a request, by a status of the app's and a message.
    ///
    /// # Errors
    /// If that is not sent.
    #[inline]
    pub fn respond(
        &mut self,
        now_ns: u64,
        id: RequestId,
        status: u16,
        response: Message,
    ) -> Result<(), RespondError> {
        if status >= FIRST_RESERVED_STATUS {
            return Err(RespondError::ReservedStatus);
        }
        let slot = self
            .sessions
            .get_mut(id.session)
            .map(|state| &mut state.slots[usize::from(id.slot)]);
        let Some(slot) = slot.filter(|slot| slot.number == id.number) else {
            return Err(RespondError::NoRequest);
        };
        let Phase::Running {
            charged, since_ns, ..
        } = slot.phase
        else {
            return Err(RespondError::NoRequest);
        };
        self.running -= 1;
        self.budget.give_back(charged);
        let flags = if now_ns.saturating_sub(since_ns) > AT_ONCE_NS {
            DELAYED
        } else {
            0
        };
        if self.budget.take(charge_for_response(response.len())) {
            self.finish(id, status, flags, response);
            return Ok(());
        }
        self.counters.no_memory += 1;
        if let Ok(empty) = self.pool.message(0) {
            self.finish(id, STATUS_RESPONSE_LOST, flags, empty);
        }
        Err(RespondError::NoMemory)
    }

    /// Keeps and sends a response.
    #[inline]
    pub(super) fn finish(&mut self, id: RequestId, status: u16, flags: u8, response: Message) {
        let Some(state) = self.sessions.get_mut(id.session) else {
            return;
        };
        let header = Header {
            slot: id.slot,
            flags,
            code: status,
            number: id.number,
            ..state.header(Kind::Response)
        };
        let response = response.seal(header);
        self.outbox.push(state.peer, &response, 0);
        state.slots[usize::from(id.slot)].phase = Phase::Done(response);
    }
}
