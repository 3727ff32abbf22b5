//! A host's stack in the kernel's part: a batch is carried out at the moment that the network's clock shows, and nothing
//! waits.

use super::card::{BUFFERS, Card, WINDOW_BYTES};
use super::wire::{self, Wire};
use crate::arrays::Interrupt;
use crate::stand_in::{SharedMemory, StandIn};
use core::cell::{Cell, RefCell};
use core::net::Ipv4Addr;
use core::time::Duration;
use ix_abi::app::{Endpoint, Event, EventKind, IoInfo, Status};
use netstack::{Config, Instant, RxChecksum, Stack};
use std::rc::Rc;

/// Entries of the command array and of the event array.
const ENTRIES: usize = 256;

/// Buffers that apps may never hold, so that acknowledgements can still be received.
const RESERVE: u32 = BUFFERS / 8;

/// Most connections of a host.
const MAX_FLOWS: u32 = 4096;

/// What the network and a host tell each other.
pub(super) struct Shared {
    pub(super) wire: Rc<RefCell<Wire>>,
    pub(super) clock: Rc<Cell<u64>>,
    /// Something happened in the last turn: there may be more at this moment.
    pub(super) active: Cell<bool>,
    /// The app is to be asked to finish.
    pub(super) stop: Cell<bool>,
    /// When the stack has something to do.
    pub(super) deadline: Cell<Option<u64>>,
}

pub(super) struct SimulatedHost {
    pub(super) card: Card,
    pub(super) stack: Stack,
    pub(super) memory: Rc<SharedMemory>,
    shared: Rc<Shared>,
    number: u8,
}

pub(super) fn ip(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, number)
}

impl SimulatedHost {
    pub(super) fn new(number: u8, shared: Rc<Shared>) -> Self {
        let memory = Rc::new(SharedMemory::new(ENTRIES, ENTRIES, WINDOW_BYTES));
        let mut config = Config::new(wire::mac(number), ip(number), 24);
        config.ipv6 = Some(netstack::Ipv6Config::default());
        config.max_flows = MAX_FLOWS;
        config.rx_buffers = BUFFERS;
        config.rx_reserve = RESERVE;
        config.udp_held_buffers = RESERVE;
        config.secret = shared.wire.borrow_mut().secret();
        SimulatedHost {
            card: Card::new(Rc::clone(&memory)),
            stack: Stack::new(config, Instant(shared.clock.get())),
            memory,
            shared,
            number,
        }
    }

    pub(super) fn now_instant(&self) -> Instant {
        Instant(self.shared.clock.get())
    }

    fn receive(&mut self, now: Instant) {
        loop {
            let frame = self.shared.wire.borrow_mut().receive(self.number);
            let Some(frame) = frame else { break };
            self.shared.active.set(true);
            // Without a buffer it is lost, as in a NIC.
            if let Some(buf) = self.card.take_in(&frame) {
                self.stack
                    .receive(&mut self.card, now, buf, &frame, 0, RxChecksum::Unknown);
            }
        }
        while let Some(whole) = self.stack.poll_whole() {
            let bytes = self
                .card
                .bytes_of(whole.buf().0, whole.offset(), usize::from(whole.len()));
            self.stack.receive_whole(&mut self.card, now, whole, &bytes);
        }
    }

    #[allow(unsafe_code, reason = "the arrays are shared by address")]
    fn deliver(&mut self, room: usize, now: Instant) -> usize {
        let mut count = 0;
        if self.shared.stop.take() {
            let stop = Event {
                kind: EventKind::Stop as u16,
                ..Event::default()
            };
            // SAFETY: libix is inside a `run_io` that asks for events.
            unsafe { self.memory.write_event(count, stop) };
            count += 1;
        }
        while count < room {
            let Some(event) = self.stack.poll_event(&mut self.card, now) else {
                break;
            };
            let mut entry = Event::default();
            run_io::write(event, &mut entry, |buf, offset| {
                self.card.address_of(&buf, offset)
            });
            // SAFETY: as above.
            unsafe { self.memory.write_event(count, entry) };
            count += 1;
        }
        count
    }

    /// What the stack has to send goes onto the wire.
    fn transmit(&mut self, now: Instant) {
        self.stack.flush(&mut self.card, now);
        for frame in self.card.outgoing.drain(..) {
            self.shared.wire.borrow_mut().send(self.number, frame, now.0);
        }
    }
}

#[allow(unsafe_code, reason = "the arrays are shared by address")]
impl StandIn for SimulatedHost {
    fn info(&self) -> IoInfo {
        let (local, mac) = (Endpoint::v4(ip(self.number), 0), wire::mac(self.number));
        let mut info = IoInfo {
            batch: 64,
            local,
            mac,
            link_count: 1,
            ..self.memory.info()
        };
        (info.links[0].mac, info.links[0].v4) = (mac, local);
        info
    }

    fn memory(&self) -> Rc<SharedMemory> {
        Rc::clone(&self.memory)
    }

    unsafe fn run_io(&mut self, commands: usize, max_events: usize, _: u64) -> i64 {
        if commands > self.memory.commands_capacity() {
            return Status::Invalid.negated().into();
        }
        let now = self.now_instant();
        // SAFETY: the caller's promise.
        unsafe { self.submit(commands) };
        if commands > 0 {
            self.shared.active.set(true);
        }
        self.transmit(now);
        let mut count = 0;
        if max_events > 0 {
            self.receive(now);
            self.stack.on_timer(&mut self.card, now);
            count = self.deliver(max_events, now);
            self.transmit(now);
        }
        if count > 0 {
            self.shared.active.set(true);
        }
        self.shared
            .deadline
            .set(self.stack.next_deadline().map(|at| at.0));
        i64::try_from(count).unwrap_or(i64::MAX)
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.shared.clock.get())
    }

    fn interrupt(&self) -> Interrupt {
        Interrupt::Unneeded
    }
}
