//! What tasks wait for: what the event loop has told of each connection, port and moment, and whom to wake.

use super::tasks::Tasks;
use crate::slab::{Key, Slab};
use crate::{Datagram, Flow, FlowMap, Listener, RecvBuf, Status, UdpPort};
use core::cell::RefCell;
use core::net::SocketAddr;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Everything one executor knows. Each part is borrowed for moments only, and never while a task runs.
pub(super) struct Reactor {
    pub(super) tasks: RefCell<Tasks>,
    pub(super) streams: RefCell<Streams>,
    pub(super) listeners: RefCell<Vec<Accepting>>,
    pub(super) ports: RefCell<Vec<PortState>>,
    pub(super) datagrams: RefCell<HashMap<Datagram, Leaving>>,
    pub(super) timers: RefCell<Timers>,
    pub(super) stop: RefCell<Stop>,
    /// Streams dropped where there was no way to close them.
    pub(super) orphans: RefCell<Vec<Flow>>,
}

/// What is known of connections.
#[derive(Default)]
pub(super) struct Streams {
    by_flow: FlowMap<Key>,
    states: Slab<StreamState>,
}

/// What is known of one.
pub(super) struct StreamState {
    pub(super) inbox: VecDeque<RecvBuf>,
    pub(super) eof: bool,
    /// Our side has finished sending.
    pub(super) is_shut_down: bool,
    /// The handshake is done (or the peer knocked).
    pub(super) open: bool,
    pub(super) dead: Option<Result<(), Status>>,
    /// Bytes acknowledged so far.
    pub(super) acknowledged: u64,
    /// Bytes given to be sent so far.
    pub(super) sent: u64,
    /// Whoever receives, or waits for the handshake.
    pub(super) receiver: Option<Waker>,
    /// Whoever waits for room.
    pub(super) writer: Option<Waker>,
    /// Whoever waits for acknowledgements, and up to where; in order.
    pub(super) senders: VecDeque<(u64, Waker)>,
}

impl StreamState {
    fn new(open: bool) -> Self {
        StreamState {
            inbox: VecDeque::new(),
            eof: false,
            is_shut_down: false,
            open,
            dead: None,
            acknowledged: 0,
            sent: 0,
            receiver: None,
            writer: None,
            senders: VecDeque::new(),
        }
    }

    pub(super) fn backlog(&self) -> u64 {
        self.sent - self.acknowledged
    }

    /// The reason, if nothing can be sent or received any more.
    pub(super) fn failure(&self) -> Option<Status> {
        self.dead.map(|reason| reason.err().unwrap_or(Status::Closed))
    }

    pub(super) fn on_recv(&mut self, data: RecvBuf) {
        self.inbox.push_back(data);
        wake(&mut self.receiver);
    }

    pub(super) fn on_eof(&mut self) {
        self.eof = true;
        wake(&mut self.receiver);
    }

    pub(super) fn on_sent(&mut self, count: usize) {
        self.acknowledged += count as u64;
        while self
            .senders
            .front()
            .is_some_and(|(until, _)| *until <= self.acknowledged)
        {
            self.senders
                .pop_front()
                .into_iter()
                .for_each(|(_, waker)| waker.wake());
        }
    }

    pub(super) fn on_writable(&mut self) {
        wake(&mut self.writer);
    }

    pub(super) fn on_shut_down(&mut self) {
        self.is_shut_down = true;
        wake(&mut self.writer);
    }

    pub(super) fn on_dead(&mut self, reason: Result<(), Status>) {
        self.dead = Some(reason);
        wake(&mut self.receiver);
        wake(&mut self.writer);
        self.senders.drain(..).for_each(|(_, waker)| waker.wake());
    }

    pub(super) fn on_connected(&mut self, result: Result<(), Status>) {
        self.open = true;
        if result.is_err() {
            self.dead = Some(result);
        }
        wake(&mut self.receiver);
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// Remembers whom to wake. A task that waits again is remembered already.
pub(super) fn remember(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
}

impl Streams {
    pub(super) fn add(&mut self, flow: Flow, open: bool) -> Key {
        let key = self.states.insert(StreamState::new(open));
        self.by_flow.insert(flow, key);
        key
    }

    pub(super) fn get(&mut self, key: Key) -> Option<&mut StreamState> {
        self.states.get_mut(key)
    }

    pub(super) fn of(&mut self, flow: Flow) -> Option<&mut StreamState> {
        self.states.get_mut(*self.by_flow.get(flow)?)
    }

    /// The connection is gone; what is known of it stays for its owner.
    pub(super) fn unlink(&mut self, flow: Flow) {
        self.by_flow.remove(flow);
    }

    /// Its owner is gone. What it had received is the caller's to drop.
    pub(super) fn remove(&mut self, key: Key, flow: Flow) -> Option<StreamState> {
        if self.by_flow.get(flow) == Some(&key) {
            self.by_flow.remove(flow);
        }
        self.states.remove(key)
    }
}

/// A port that connections come in at.
pub(super) struct Accepting {
    pub(super) listener: Listener,
    pub(super) waiting: VecDeque<(Flow, Key, SocketAddr)>,
    pub(super) acceptor: Option<Waker>,
}

/// What is known of a UDP port.
pub(super) struct PortState {
    pub(super) port: UdpPort,
    pub(super) inbox: VecDeque<(RecvBuf, SocketAddr)>,
    pub(super) receiver: Option<Waker>,
}

/// A datagram that somebody waits for to leave.
pub(super) enum Leaving {
    Waited(Waker),
    Left(Result<(), Status>),
}

/// Moments waited for.
#[derive(Default)]
pub(super) struct Timers {
    by_time: BTreeMap<(Duration, u64), Waker>,
    /// Distinguishes those of the same time.
    count: u64,
}

impl Timers {
    pub(super) fn add(&mut self, at: Duration, waker: Waker) -> u64 {
        self.count += 1;
        self.by_time.insert((at, self.count), waker);
        self.count
    }

    pub(super) fn set(&mut self, at: Duration, number: u64, waker: &Waker) {
        if let Some(known) = self.by_time.get_mut(&(at, number)) {
            known.clone_from(waker);
        }
    }

    pub(super) fn remove(&mut self, at: Duration, number: u64) {
        self.by_time.remove(&(at, number));
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.by_time.first_key_value().map(|(&(at, _), _)| at)
    }

    pub(super) fn fire(&mut self, now: Duration) {
        while let Some(first) = self.by_time.first_entry()
            && first.key().0 <= now
        {
            first.remove().wake();
        }
    }
}

/// Whether the app has been asked to finish.
#[derive(Default)]
pub(super) struct Stop {
    pub(super) asked: bool,
    waiting: Vec<Waker>,
}

impl Reactor {
    pub(super) fn new() -> Self {
        Reactor {
            tasks: RefCell::new(Tasks::new()),
            streams: RefCell::default(),
            listeners: RefCell::default(),
            ports: RefCell::default(),
            datagrams: RefCell::default(),
            timers: RefCell::default(),
            stop: RefCell::default(),
            orphans: RefCell::default(),
        }
    }

    pub(super) fn poll_stopping(&self, cx: &Context<'_>) -> Poll<()> {
        let mut stop = self.stop.borrow_mut();
        if stop.asked {
            return Poll::Ready(());
        }
        if !stop.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            stop.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Tells whoever waits for it; `false` if nobody does.
    pub(super) fn tell_stop(&self) -> bool {
        let mut stop = self.stop.borrow_mut();
        stop.asked = true;
        let waited = !stop.waiting.is_empty();
        stop.waiting.drain(..).for_each(Waker::wake);
        waited
    }

    /// Nobody will be accepted any more.
    pub(super) fn close_listeners(&self) {
        for accepting in self.listeners.borrow_mut().iter_mut() {
            wake(&mut accepting.acceptor);
        }
    }
}
