//! One call under way.
//!
//! Its packets to the server are counted in one row, *steps*: first those of the request, then a `Fetch` for each packet of
//! the response but the first. Step `n` is answered by answer `n`: a `Credit`, for the last of the request the first packet
//! of the response, for a `Fetch` the packet fetched.

use crate::body::{Assembly, Body};
use crate::message::Sealed;
use crate::wire::{CREDITS, packets};

/// Times of that many steps are kept: no more are on their way.
const TIMES: usize = CREDITS as usize;

#[derive(Debug)]
pub(super) struct Call {
    pub(super) tag: u64,
    pub(super) request: Sealed,
    /// The step to send next, and the one whose answer is next.
    pub(super) next_step: u16,
    answered: u16,
    /// Steps below have been sent more than once, so their answers tell nothing about time.
    repeated_below: u16,
    /// The response, once its first packet of several is here.
    response: Option<(u16, Assembly)>,
    /// When it last got on, or was repeated.
    pub(super) progress_at_ns: u64,
    /// How often it was repeated since it last got on.
    pub(super) repeats: u32,
    /// The server has the whole request, and works.
    pub(super) is_worked_on: bool,
}

/// When the steps on their way were sent. A slot's, and not its call's: calls come and go, and it is long.
#[derive(Debug, Default)]
pub(super) struct Times([u64; TIMES]);

impl Times {
    #[inline]
    fn of(&mut self, step: u16) -> &mut u64 {
        &mut self.0[usize::from(step) % TIMES]
    }
}

/// What an answer has changed.
pub(super) struct Progress {
    /// Credits that came back.
    pub(super) credits: u16,
    /// When the step was sent, if only once.
    pub(super) sent_at_ns: Option<u64>,
}

impl Call {
    #[inline]
    pub(super) fn new(request: Sealed, tag: u64, now_ns: u64) -> Self {
        Call {
            tag,
            request,
            next_step: 0,
            answered: 0,
            repeated_below: 0,
            response: None,
            progress_at_ns: now_ns,
            repeats: 0,
            is_worked_on: false,
        }
    }

    /// Packets on their way.
    #[inline]
    pub(super) fn in_flight(&self) -> u16 {
        self.next_step - self.answered
    }

    /// The step that the last packet of the request is.
    #[inline]
    pub(super) fn last_request_step(&self) -> u16 {
        self.request.packets() - 1
    }

    /// Steps in all, as far as is known.
    #[inline]
    fn steps(&self) -> u16 {
        let fetches = match &self.response {
            Some((_, assembly)) => packets(assembly.length()) - 1,
            None => 0,
        };
        self.request.packets() + fetches
    }

    #[inline]
    pub(super) fn has_more_to_send(&self) -> bool {
        self.next_step < self.steps()
    }

    /// The next step is sent now. Returns whether that is for the first time.
    #[inline]
    pub(super) fn sent(&mut self, now_ns: u64, times: &mut Times) -> bool {
        let step = self.next_step;
        *times.of(step) = now_ns;
        if self.in_flight() == 0 {
            self.progress_at_ns = now_ns;
        }
        self.next_step += 1;
        step >= self.repeated_below
    }

    /// Answer `step` is here, and with it all before: `None` if that is no news.
    #[inline]
    pub(super) fn answer(&mut self, step: u16, now_ns: u64, times: &mut Times) -> Option<Progress> {
        if step < self.answered {
            return None;
        }
        let was_in_flight = self.in_flight();
        let is_measured = step >= self.repeated_below && step < self.next_step;
        let sent_at_ns = is_measured.then(|| *times.of(step));
        self.answered = step + 1;
        // An answer to what was to be sent again has come after all.
        self.next_step = self.next_step.max(self.answered);
        self.progress_at_ns = now_ns;
        self.repeats = 0;
        Some(Progress {
            credits: was_in_flight.saturating_sub(self.in_flight()),
            sent_at_ns,
        })
    }

    /// The step whose answer is next.
    pub(super) fn answered(&self) -> u16 {
        self.answered
    }

    /// Goes back to the first step without an answer; returns the credits that come back.
    pub(super) fn roll_back(&mut self, now_ns: u64) -> u16 {
        let credits = self.in_flight();
        self.repeated_below = self.repeated_below.max(self.next_step);
        self.next_step = self.answered;
        self.progress_at_ns = now_ns;
        self.repeats += 1;
        credits
    }

    /// Whether the request has been answered, so that only packets of the response are missing.
    #[inline]
    pub(super) fn has_response(&self) -> bool {
        self.response.is_some()
    }

    /// Begins a response of several packets.
    pub(super) fn begin_response(&mut self, status: u16, length: u32) {
        self.response = Some((status, Assembly::new(length)));
    }

    /// Whether a packet of the response agrees with the first.
    pub(super) fn agrees(&self, status: u16, length: u32) -> bool {
        self.response
            .as_ref()
            .is_some_and(|(first, assembly)| *first == status && assembly.length() == length)
    }

    /// Adds data to the response; tells whether it is whole.
    pub(super) fn push(&mut self, data: &[u8]) -> bool {
        let Some((_, assembly)) = &mut self.response else {
            return false;
        };
        assembly.push(data);
        assembly.is_whole()
    }

    /// Memory that the response takes of the budget, in bytes.
    pub(super) fn reserved_bytes(&self) -> usize {
        self.response
            .as_ref()
            .map_or(0, |(_, assembly)| assembly.length() as usize)
    }

    /// The response, which is whole.
    pub(super) fn take_response<R>(&mut self) -> Option<(u16, Body<R>)> {
        let (status, assembly) = self.response.take()?;
        Some((status, Body::Whole(assembly.into_bytes())))
    }
}
