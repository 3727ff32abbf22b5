//! Plain Linux in the kernel's part: batches are carried out on non-blocking sockets, and epoll says which of them have
//! something to tell.
//!
//! [`Hosted`] is to an event loop what a core of the kernel is. Events are pulled here, too: bytes stay in a socket, and
//! keep its peer's window closed, until there is a buffer for them and an entry in the event array.
//!
//! What differs from the kernel's stack is Linux' own TCP and the fact that Linux copies; docs/libix.md has the list.

/// The cycle: commands, sockets, events.
mod cycle;

/// Command array to sockets.
mod commands;

/// A connection.
mod flow;

/// A UDP port.
mod port;

/// What of them can happen next.
mod tell;

/// How sockets are made.
mod sockets;

/// Ports that several cores share.
mod claims;

/// What only system calls can do.
#[allow(unsafe_code, reason = "system calls by address, that Linux checks")]
mod sys;

/// The receive window.
mod pool;

/// What is due when.
mod deadlines;

/// Where names are resolved.
mod name_servers;

/// Signals that ask to finish.
mod stop;

/// Errors of Linux in the ABI's words.
mod errors;

use crate::Error;
use crate::arrays::{self, Interrupt};
use crate::slab::{Key, Slab};
use crate::stand_in::{SharedMemory, StandIn};
use claims::Claim;
use core::time::Duration;
use deadlines::Deadlines;
use flow::Flow;
use ix_abi::app::{Event, Handle, HandleKind, IoInfo};
use pool::Pool;
use port::Port;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use stop::Stop;

/// Entries of the command array and of the event array.
const ENTRIES: usize = 512;

/// Of no socket.
const WAKER: mio::Token = mio::Token(7);

/// A core of Linux sockets.
pub(crate) struct Hosted {
    core: u16,
    memory: Rc<SharedMemory>,
    pool: Pool,
    poll: mio::Poll,
    /// Where epoll puts what it has to say.
    polled: mio::Events,
    flows: Slab<Flow>,
    listeners: Slab<Listener>,
    ports: Slab<Port>,
    timers: Slab<AppTimer>,
    deadlines: Deadlines,
    /// Whoever may have something to tell, each once.
    ready: VecDeque<Object>,
    /// Whoever waits for a buffer.
    starved: Vec<Object>,
    /// Events that are certain.
    told: VecDeque<Event>,
    /// Those of the last cycle, for their memory.
    delivered: Vec<Event>,
    /// Ends a wait.
    waker: Arc<mio::Waker>,
    woken: bool,
    stop: Stop,
}

/// A socket that listens.
struct Listener {
    socket: socket2::Socket,
    /// Given up after the socket is closed.
    _claim: Option<Claim>,
    cookie: u64,
    queued: bool,
}

/// A timer of the app's.
struct AppTimer {
    cookie: u64,
    due_ns: u64,
}

/// Something that has events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Object {
    Flow(Key),
    Listener(Key),
    Port(Key),
}

impl Hosted {
    pub(crate) fn new(core: u16) -> Result<Self, Error> {
        let poll = mio::Poll::new()?;
        let memory = Rc::new(SharedMemory::new(ENTRIES, ENTRIES, pool::WINDOW_BYTES));
        Ok(Hosted {
            core,
            pool: Pool::new(Rc::clone(&memory)),
            memory,
            waker: Arc::new(mio::Waker::new(poll.registry(), WAKER)?),
            stop: Stop::catch(poll.registry())?,
            woken: false,
            poll,
            polled: mio::Events::with_capacity(256),
            flows: Slab::new(),
            listeners: Slab::new(),
            ports: Slab::new(),
            timers: Slab::new(),
            deadlines: Deadlines::default(),
            ready: VecDeque::new(),
            starved: Vec::new(),
            told: VecDeque::new(),
            delivered: Vec::new(),
        })
    }

    fn now_ns() -> u64 {
        u64::try_from(arrays::since_start().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Lets `object` tell what it may have to.
    fn make_ready(&mut self, object: Object) {
        let queued = match object {
            Object::Flow(key) => self.flows.get_mut(key).map(|flow| &mut flow.queued),
            Object::Listener(key) => self.listeners.get_mut(key).map(|listener| &mut listener.queued),
            Object::Port(key) => self.ports.get_mut(key).map(|port| &mut port.queued),
        };
        if let Some(queued) = queued
            && !*queued
        {
            *queued = true;
            self.ready.push_back(object);
        }
    }
}

#[allow(unsafe_code, reason = "the arrays are shared by address")]
impl StandIn for Hosted {
    fn info(&self) -> IoInfo {
        IoInfo {
            batch: 64,
            core: self.core,
            name_servers: name_servers::of_the_system(),
            ..self.memory.info()
        }
    }

    fn memory(&self) -> Rc<SharedMemory> {
        Rc::clone(&self.memory)
    }

    unsafe fn run_io(&mut self, commands: usize, max_events: usize, wait_ns: u64) -> i64 {
        // SAFETY: the caller's promise.
        unsafe { self.cycle(commands, max_events, wait_ns) }
    }

    fn now(&self) -> Duration {
        arrays::since_start()
    }

    fn interrupt(&self) -> Interrupt {
        Interrupt::Waker(Arc::clone(&self.waker))
    }
}

fn handle(kind: HandleKind, key: Key) -> Handle {
    // The index came out of 32 bits.
    Handle::new(
        kind,
        u32::try_from(key.index()).unwrap_or(u32::MAX),
        key.generation(),
    )
}

fn key(handle: Handle) -> Key {
    Key::new(handle.index(), handle.generation())
}
