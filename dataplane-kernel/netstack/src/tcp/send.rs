//! The app sends: spans of its memory are queued, not copied, and leave at the next flush. Tenth step of a packet's way.

use super::Shared;
use super::flow::{Flow, Marks};
use crate::{Error, Span};

impl Flow {
    /// Bytes the app could queue now. What it has not been told to be sent counts as queued.
    #[inline]
    pub(crate) fn send_room(&self, shared: &Shared) -> u32 {
        shared
            .tuning
            .send_queue_bytes
            .saturating_sub(self.queued_bytes() + self.sent_untold)
    }

    /// Queues what there is room for, from the front; tells how many bytes that was.
    ///
    /// # Errors
    /// `Closed` after a close of either kind or the end; `NoMemory` if not even the first piece finds a place in the
    /// table of spans.
    #[inline(always)]
    pub(crate) fn queue(&mut self, shared: &mut Shared, spans: &[Span]) -> Result<u32, Error> {
        if !self.state.may_queue() || self.marks.has(Marks::FIN_QUEUED) {
            return Err(Error::Closed);
        }
        let mut room = self.send_room(shared);
        let mut accepted = 0;
        for span in spans {
            let len = span.len.min(room);
            if len == 0 {
                continue;
            }
            let part = Span { len, ..*span };
            if !self.send.push(&mut shared.spans, part) {
                break;
            }
            accepted += len;
            room -= len;
        }
        if accepted == 0 {
            return if room > 0 && spans.iter().any(|span| span.len > 0) {
                Err(Error::NoMemory)
            } else {
                Ok(0)
            };
        }
        self.snd_end += accepted;
        self.make_dirty(shared);
        Ok(accepted)
    }
}
