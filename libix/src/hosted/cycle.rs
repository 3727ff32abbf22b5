//! `run_io` on sockets: the commands, then epoll, then the events of whatever is ready.

use super::deadlines::Due;
use super::{Hosted, Object, handle, stop};
use crate::slab::Key;
use core::time::Duration;
use ix_abi::app::{Event, EventKind, HandleKind, Status};
use mio::Token;
use std::io::ErrorKind;

/// Epoll waits in milliseconds; what is shorter is spent looking again and again.
const SHORTEST_WAIT_NS: u64 = 1_000_000;

/// The low bits of a token say what it is, the others where.
const KIND_BITS: u32 = 2;

impl Object {
    pub(super) fn token(self) -> Token {
        let (kind, key) = match self {
            Object::Flow(key) => (0, key),
            Object::Listener(key) => (1, key),
            Object::Port(key) => (2, key),
        };
        Token(key.index() << KIND_BITS | kind)
    }
}

impl Hosted {
    /// # Safety
    /// Libix is inside `run_io`, and what the commands lend is readable.
    #[allow(unsafe_code, reason = "the arrays are shared by address")]
    pub(super) unsafe fn cycle(&mut self, commands: usize, max_events: usize, wait_ns: u64) -> i64 {
        if commands > self.memory.commands_capacity() {
            return Status::Invalid.negated().into();
        }
        // SAFETY: the caller's promise.
        unsafe { self.submit(commands) };
        if max_events == 0 {
            return 0;
        }
        let until = Self::now_ns().saturating_add(wait_ns);
        let mut out = Out {
            events: core::mem::take(&mut self.delivered),
            room: max_events,
        };
        out.events.clear();
        loop {
            let wait_until = if self.has_something() { 0 } else { until };
            if let Err(status) = self.look(wait_until) {
                return status.negated().into();
            }
            self.deliver(&mut out);
            if !out.events.is_empty() || core::mem::take(&mut self.woken) || Self::now_ns() >= until {
                break;
            }
        }
        for (place, event) in out.events.iter().enumerate() {
            // SAFETY: libix asks for events, and has room for so many.
            unsafe { self.memory.write_event(place, *event) };
        }
        self.delivered = out.events;
        i64::try_from(self.delivered.len()).unwrap_or(i64::MAX)
    }

    fn has_something(&self) -> bool {
        !self.ready.is_empty() || !self.told.is_empty()
    }

    /// Waits until `until`, or something is due, or a socket has something to say; takes note of that.
    fn look(&mut self, until: u64) -> Result<(), Status> {
        let until = self.deadlines.next().map_or(until, |due| due.min(until));
        let wait_ns = until.saturating_sub(Self::now_ns());
        let timeout = (until != u64::MAX).then(|| Duration::from_millis(wait_ns / SHORTEST_WAIT_NS));
        match self.poll.poll(&mut self.polled, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(_) => return Err(Status::NoMemory),
            Ok(()) => {}
        }
        if self.polled.is_empty() && timeout == Some(Duration::ZERO) && wait_ns > 0 {
            std::thread::yield_now();
        }
        self.take_note();
        let now = Self::now_ns();
        while let Some(due) = self.deadlines.pop(now) {
            self.on_due(due);
        }
        Ok(())
    }

    /// What epoll said.
    fn take_note(&mut self) {
        let polled = core::mem::replace(&mut self.polled, mio::Events::with_capacity(0));
        for event in &polled {
            let index = event.token().0 >> KIND_BITS;
            let object = match event.token().0 & ((1 << KIND_BITS) - 1) {
                0 => self.flows.key_at(index).map(Object::Flow),
                1 => self.listeners.key_at(index).map(Object::Listener),
                2 => self.ports.key_at(index).map(Object::Port),
                _ => {
                    if event.token() == stop::TOKEN {
                        self.on_stop_signal();
                    } else {
                        self.woken = true;
                    }
                    None
                }
            };
            match object {
                Some(Object::Flow(key)) => {
                    if let Some(flow) = self.flows.get_mut(key) {
                        flow.on_polled(event);
                    }
                }
                Some(Object::Port(key)) => {
                    if let Some(port) = self.ports.get_mut(key) {
                        port.on_polled(event);
                    }
                }
                _ => {}
            }
            if let Some(object) = object {
                self.make_ready(object);
            }
        }
        self.polled = polled;
    }

    fn on_stop_signal(&mut self) {
        if self.stop.is_first() {
            self.told.push_front(Event {
                kind: EventKind::Stop as u16,
                ..Event::default()
            });
        }
    }

    fn on_due(&mut self, due: Due) {
        match due {
            Due::Timer(key) => {
                if let Some(timer) = self.timers.remove(key) {
                    self.told.push_back(Event {
                        kind: EventKind::Timer as u16,
                        handle: handle(HandleKind::Timer, key),
                        cookie: timer.cookie,
                        ..Event::default()
                    });
                }
            }
            Due::Acknowledgements(key) => {
                if let Some(flow) = self.flows.get_mut(key) {
                    flow.on_look_due();
                    self.make_ready(Object::Flow(key));
                }
            }
            Due::Linger(key) => self.on_linger_over(key),
            Due::Accept(key) => self.make_ready(Object::Listener(key)),
        }
    }

    /// A peer that still takes in what it was sent gets more time.
    fn on_linger_over(&mut self, key: Key) {
        let Some(flow) = self.flows.get_mut(key) else {
            return;
        };
        flow.linger_due = None;
        if flow.awaits_acknowledgement() {
            self.arrange_linger(key);
        } else {
            flow.give_up(Status::TimedOut);
            self.make_ready(Object::Flow(key));
        }
    }

    /// Gathers events, until there is no room or nobody has more to tell.
    fn deliver(&mut self, out: &mut Out) {
        while !out.is_full()
            && let Some(event) = self.told.pop_front()
        {
            out.events.push(event);
        }
        // Each once: who has more comes again in the next turn.
        for _ in 0..self.ready.len() {
            if out.is_full() {
                return;
            }
            match self.ready.pop_front() {
                Some(Object::Flow(key)) => self.tell_flow(key, out),
                Some(Object::Listener(key)) => self.tell_listener(key, out),
                Some(Object::Port(key)) => self.tell_port(key, out),
                None => return,
            }
        }
    }

    /// Buffers have come back: whoever waited for one tries again.
    pub(super) fn feed(&mut self) {
        for object in core::mem::take(&mut self.starved) {
            self.make_ready(object);
        }
    }

    pub(super) fn remove_flow(&mut self, key: Key) {
        if let Some(mut flow) = self.flows.remove(key) {
            if let Some(due) = flow.look_due.take() {
                self.deadlines.cancel(due, Due::Acknowledgements(key));
            }
            if let Some(due) = flow.linger_due.take() {
                self.deadlines.cancel(due, Due::Linger(key));
            }
        }
    }
}

/// Events on their way into the array.
pub(super) struct Out {
    pub(super) events: Vec<Event>,
    room: usize,
}

impl Out {
    pub(super) fn is_full(&self) -> bool {
        self.events.len() >= self.room
    }
}
