//! The executor: a handler that takes note of events and, at the end of a turn, polls whom they have woken.

use super::reactor::{Accepting, Leaving, PortState, Reactor};
use super::{scope, tasks};
use crate::arrays::Interrupt;
use crate::{Answer, Datagram, Error, Flow, Handler, Io, Knock, RecvBuf, Status, UdpPort};
use core::cell::RefCell;
use core::future::Future;
use core::net::SocketAddr;
use core::time::Duration;
use std::rc::Rc;

/// Most tasks polled before the network is looked at again.
const POLLS_IN_TURN: usize = 1024;

/// Most connections that wait to be accepted, at each listener; further ones are reset.
const ACCEPT_BACKLOG: usize = 1024;

/// Longest wait where nothing can interrupt it but the network: a wake from another thread is noticed after this.
const BLIND_WAIT: Duration = Duration::from_millis(1);

/// Runs one future and what it spawns, as the [`Handler`] of an event loop: for apps with a loop of their own, and for
/// `libix::testing`. [`crate::task::run`] is the plain way.
pub struct Executor {
    reactor: Rc<Reactor>,
    outcome: Rc<RefCell<Option<Result<(), Error>>>>,
    looks_often: bool,
}

impl Executor {
    /// Of `future`, which runs from the loop's first turn on. When it ends, the loop is stopped.
    #[must_use]
    pub fn new(future: impl Future<Output = Result<(), Error>> + 'static) -> Self {
        let reactor = Rc::new(Reactor::new());
        let outcome = Rc::new(RefCell::new(None));
        let result = Rc::clone(&outcome);
        reactor.tasks.borrow_mut().add(Box::pin(async move {
            let ended = future.await;
            result.replace(Some(ended));
        }));
        Executor {
            reactor,
            outcome,
            looks_often: false,
        }
    }

    pub(super) fn start(&mut self, io: &Io) {
        let interrupt = io.interrupt();
        self.looks_often = matches!(interrupt, Interrupt::LookOften);
        self.reactor.tasks.borrow().executors.set_interrupt(interrupt);
    }

    /// What the future returned; `Ok` if it was stopped before its end.
    ///
    /// # Errors
    /// The future's.
    pub fn into_result(self) -> Result<(), Error> {
        self.outcome.take().unwrap_or(Ok(()))
    }

    /// `true` once the future has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.outcome.borrow().is_some()
    }

    /// Polls who is ready; those that get ready by that as well, within bounds.
    fn poll_tasks(&self) {
        let reactor = &self.reactor;
        reactor.tasks.borrow_mut().gather_remote();
        for _ in 0..POLLS_IN_TURN {
            let mut tasks = reactor.tasks.borrow_mut();
            tasks.gather();
            let Some((key, mut task)) = tasks.next() else {
                return;
            };
            let waker = tasks.executors.waker(key);
            drop(tasks);
            let ended = tasks::poll(&mut task, &waker);
            let mut tasks = reactor.tasks.borrow_mut();
            let dropped = if ended {
                tasks.remove(key);
                Some(task)
            } else {
                tasks.put_back(key, task)
            };
            // What a task owns may want the tasks when it is dropped.
            drop(tasks);
            drop(dropped);
        }
    }

    fn with_stream(&self, flow: Flow, tell: impl FnOnce(&mut super::reactor::StreamState)) {
        if let Some(state) = self.reactor.streams.borrow_mut().of(flow) {
            tell(state);
        }
    }
}

impl Handler for Executor {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        self.start(io);
        Ok(())
    }

    fn on_knock(&mut self, _: &mut Io, flow: Flow, knock: Knock) -> Answer {
        let mut listeners = self.reactor.listeners.borrow_mut();
        let accepting = listeners
            .iter_mut()
            .find(|accepting| accepting.listener == knock.listener);
        match accepting {
            Some(Accepting {
                waiting, acceptor, ..
            }) if waiting.len() < ACCEPT_BACKLOG => {
                let key = self.reactor.streams.borrow_mut().add(flow, true);
                waiting.push_back((flow, key, knock.peer));
                if let Some(waker) = acceptor.take() {
                    waker.wake();
                }
                Answer::Accept
            }
            _ => Answer::Reject,
        }
    }

    fn on_connected(&mut self, _: &mut Io, flow: Flow, result: Result<(), Status>) {
        self.with_stream(flow, |stream| stream.on_connected(result));
        if result.is_err() {
            self.reactor.streams.borrow_mut().unlink(flow);
        }
    }

    fn on_recv(&mut self, _: &mut Io, flow: Flow, data: RecvBuf) {
        self.with_stream(flow, |stream| stream.on_recv(data));
    }

    fn on_sent(&mut self, _: &mut Io, flow: Flow, count: usize) {
        self.with_stream(flow, |stream| stream.on_sent(count));
    }

    fn on_writable(&mut self, _: &mut Io, flow: Flow) {
        self.with_stream(flow, super::reactor::StreamState::on_writable);
    }

    fn on_eof(&mut self, _: &mut Io, flow: Flow) {
        self.with_stream(flow, super::reactor::StreamState::on_eof);
    }

    fn on_dead(&mut self, _: &mut Io, flow: Flow, reason: Result<(), Status>) {
        self.with_stream(flow, |stream| stream.on_dead(reason));
        self.reactor.streams.borrow_mut().unlink(flow);
    }

    fn on_udp(&mut self, _: &mut Io, port: UdpPort, peer: SocketAddr, data: RecvBuf) {
        let mut ports = self.reactor.ports.borrow_mut();
        if let Some(PortState { inbox, receiver, .. }) = ports.iter_mut().find(|state| state.port == port) {
            inbox.push_back((data, peer));
            if let Some(waker) = receiver.take() {
                waker.wake();
            }
        }
    }

    fn on_datagram_sent(&mut self, _: &mut Io, _: UdpPort, datagram: Datagram, result: Result<(), Status>) {
        if let Some(leaving) = self.reactor.datagrams.borrow_mut().get_mut(&datagram)
            && let Leaving::Waited(waker) = core::mem::replace(leaving, Leaving::Left(result))
        {
            waker.wake();
        }
    }

    fn on_stop(&mut self, io: &mut Io) {
        if !self.reactor.tell_stop() {
            io.stop();
        }
        self.reactor.close_listeners();
    }

    fn on_turn(&mut self, io: &mut Io) {
        for flow in self.reactor.orphans.take() {
            // One that is closed already needs no more.
            let _ = io.close(flow);
        }
        if self.reactor.timers.borrow().next().is_some() {
            let now = io.now();
            self.reactor.timers.borrow_mut().fire(now);
        }
        scope::enter(io, &self.reactor, || self.poll_tasks());
        if self.is_finished() {
            io.stop();
        }
    }

    fn max_wait(&mut self, io: &Io) -> Option<Duration> {
        if self.reactor.tasks.borrow_mut().gather() {
            return Some(Duration::ZERO);
        }
        let next = self.reactor.timers.borrow().next();
        let wait = next.map(|at| at.saturating_sub(io.now()));
        if self.looks_often {
            Some(wait.map_or(BLIND_WAIT, |wait| wait.min(BLIND_WAIT)))
        } else {
            wait
        }
    }
}

impl Drop for Executor {
    /// Tasks and what is known of their streams refer to each other.
    fn drop(&mut self) {
        let tasks = self.reactor.tasks.borrow_mut().clear();
        drop(tasks);
    }
}
