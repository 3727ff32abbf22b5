//! The kernel's part, played on the host for the tests of the event loop: same arrays, scripted answers.

use crate::EventLoop;
use crate::arrays::{Interrupt, since_start};
use crate::stand_in::{SharedMemory, StandIn};
use core::cell::RefCell;
use core::time::Duration;
use ix_abi::app::{Command, Endpoint, Event, EventKind, Handle, HandleKind, IoInfo, Opcode, SgEntry, Status};
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::rc::Rc;

const WINDOW_BYTES: usize = 1 << 16;

thread_local! {
    static KERNEL: RefCell<Option<FakeKernel>> = const { RefCell::new(None) };
}

pub(crate) struct FakeKernel {
    commands: &'static mut [Command],
    events: &'static mut [Event],
    info: &'static IoInfo,
    window: &'static mut [u8],
    window_used: usize,
    handles: u32,
    /// What the app will be told.
    pub(crate) pending: VecDeque<Event>,
    /// Every command carried out, with its result.
    pub(crate) done: Vec<Command>,
    /// The bytes taken from send commands.
    pub(crate) sent: Vec<u8>,
    /// Bytes that sends will still be taken for.
    pub(crate) room: usize,
    /// The next command of this kind fails.
    pub(crate) fail: Option<(Opcode, Status)>,
    /// `wait_ns` of each call that asked for events.
    pub(crate) waits: Vec<u64>,
}

/// Boots one for this thread, with arrays of these capacities. Leaks them: they live as long as the "machine".
pub(crate) fn boot(commands: usize, events: usize) {
    let commands = Vec::leak(vec![Command::default(); commands]);
    let events = Vec::leak(vec![Event::default(); events]);
    let window = Vec::leak(vec![0u8; WINDOW_BYTES]);
    let info = Box::leak(Box::new(IoInfo {
        commands: commands.as_mut_ptr() as u64,
        commands_capacity: commands.len().try_into().unwrap(),
        events_capacity: events.len().try_into().unwrap(),
        events: events.as_mut_ptr() as u64,
        rx_window: window.as_mut_ptr() as u64,
        rx_window_len: window.len() as u64,
        local: Endpoint::v4(Ipv4Addr::new(10, 0, 2, 15), 0),
        ..IoInfo::default()
    }));
    KERNEL.set(Some(FakeKernel {
        commands,
        events,
        info,
        window,
        window_used: 0,
        handles: 0,
        pending: VecDeque::new(),
        done: Vec::new(),
        sent: Vec::new(),
        room: usize::MAX,
        fail: None,
        waits: Vec::new(),
    }));
}

/// Looks into the kernel of this thread.
pub(crate) fn with<R>(look: impl FnOnce(&mut FakeKernel) -> R) -> R {
    KERNEL.with_borrow_mut(|kernel| look(kernel.as_mut().expect("boot() comes first")))
}

impl FakeKernel {
    pub(crate) fn new_handle(&mut self, kind: HandleKind) -> Handle {
        self.handles += 1;
        Handle::new(kind, self.handles, 1)
    }

    pub(crate) fn event(&mut self, kind: EventKind, cookie: u64, fill: impl FnOnce(&mut Event)) {
        let mut event = Event {
            kind: kind as u16,
            cookie,
            ..Event::default()
        };
        fill(&mut event);
        self.pending.push_back(event);
    }

    /// Puts `bytes` into the receive window and tells of them; returns their address.
    pub(crate) fn receive(&mut self, kind: EventKind, cookie: u64, bytes: &[u8]) -> u64 {
        let place = &mut self.window[self.window_used..][..bytes.len()];
        place.copy_from_slice(bytes);
        let address = place.as_ptr() as u64;
        self.window_used += bytes.len();
        self.event(kind, cookie, |event| {
            event.address = address;
            event.len = bytes.len().try_into().unwrap();
        });
        address
    }

    /// The opcodes carried out since the last call.
    pub(crate) fn take_opcodes(&mut self) -> Vec<Opcode> {
        let opcode = |command: Command| Opcode::from_u16(command.opcode).unwrap();
        self.done.drain(..).map(opcode).collect()
    }

    fn carry_out(&mut self, command: &mut Command) -> Result<usize, Status> {
        let opcode = Opcode::from_u16(command.opcode).ok_or(Status::Invalid)?;
        if self.fail.is_some_and(|(failing, _)| failing == opcode)
            && let Some((_, status)) = self.fail.take()
        {
            return Err(status);
        }
        match opcode {
            Opcode::TcpListen => command.handle = self.new_handle(HandleKind::Listener),
            Opcode::TcpConnect => command.handle = self.new_handle(HandleKind::Flow),
            Opcode::UdpBind => command.handle = self.new_handle(HandleKind::Udp),
            Opcode::TimerStart => command.handle = self.new_handle(HandleKind::Timer),
            Opcode::TcpSend => {
                let span = SgEntry {
                    address: command.address,
                    len: command.len,
                };
                return Ok(self.take(span));
            }
            Opcode::TcpSendv => {
                let count = usize::try_from(command.len).unwrap();
                // SAFETY: the test's libix names entries that it keeps until this call returns.
                let spans = unsafe { core::slice::from_raw_parts(command.address as *const SgEntry, count) };
                return Ok(spans.iter().map(|span| self.take(*span)).sum());
            }
            _ => {}
        }
        Ok(0)
    }

    fn take(&mut self, span: SgEntry) -> usize {
        let count = usize::try_from(span.len).unwrap().min(self.room);
        self.room -= count;
        // SAFETY: the test's libix lends this memory.
        let bytes = unsafe { core::slice::from_raw_parts(span.address as *const u8, count) };
        self.sent.extend_from_slice(bytes);
        count
    }

    fn run_io(&mut self, commands: usize, max_events: usize, wait_ns: u64) -> usize {
        for place in 0..commands {
            let mut command = self.commands[place];
            command.result = match self.carry_out(&mut command) {
                Ok(value) => value.try_into().unwrap(),
                Err(status) => status.negated(),
            };
            self.commands[place] = command;
            self.done.push(command);
        }
        if max_events == 0 {
            return 0;
        }
        self.waits.push(wait_ns);
        let count = self.pending.len().min(max_events);
        for (entry, event) in self.events.iter_mut().zip(self.pending.drain(..count)) {
            *entry = event;
        }
        count
    }
}

/// The kernel of this thread, as the event loop sees it.
pub(crate) struct Fake;

impl StandIn for Fake {
    fn info(&self) -> IoInfo {
        with(|kernel| *kernel.info)
    }

    fn memory(&self) -> Rc<SharedMemory> {
        // What the loop uses is leaked by `boot`.
        Rc::new(SharedMemory::new(1, 1, 1))
    }

    unsafe fn run_io(&mut self, commands: usize, max_events: usize, wait_ns: u64) -> i64 {
        let count = with(|kernel| kernel.run_io(commands, max_events, wait_ns));
        count.try_into().unwrap()
    }

    fn now(&self) -> Duration {
        since_start()
    }

    fn interrupt(&self) -> Interrupt {
        Interrupt::Unneeded
    }
}

/// A loop on the kernel of this thread.
pub(crate) fn event_loop() -> EventLoop {
    EventLoop::on(Box::new(Fake)).unwrap()
}
