//! TCP for tasks.

use super::reactor::{Accepting, Reactor, StreamState, remember};
use super::scope;
use crate::slab::Key;
use crate::{Flow, Listener, RecvBuf, SendBuf, Status};
use core::future::poll_fn;
use core::net::SocketAddr;
use core::task::{Context, Poll};
use core::time::Duration;
use std::collections::VecDeque;
use std::rc::Rc;

/// A port that connections come in at. Dropping it stops that.
pub struct TcpListener {
    listener: Listener,
    reactor: Rc<Reactor>,
}

impl TcpListener {
    /// Listens on `port` of every address.
    ///
    /// # Errors
    /// As [`crate::Io::listen`].
    ///
    /// # Panics
    /// Outside of a task.
    pub fn bind(port: u16) -> Result<Self, Status> {
        Self::listening(scope::with_io(|io| io.listen(port))?)
    }

    /// Listens on one address.
    ///
    /// # Errors
    /// As [`crate::Io::listen_at`].
    ///
    /// # Panics
    /// Outside of a task.
    pub fn bind_at(local: SocketAddr) -> Result<Self, Status> {
        Self::listening(scope::with_io(|io| {
            io.listen_at(Some(local.ip()), local.port(), 0)
        })?)
    }

    fn listening(listener: Listener) -> Result<Self, Status> {
        let reactor = scope::reactor();
        reactor.listeners.borrow_mut().push(Accepting {
            listener,
            waiting: VecDeque::new(),
            acceptor: None,
        });
        Ok(TcpListener { listener, reactor })
    }

    /// The next connection, and who it is. One task at a time may wait.
    ///
    /// # Errors
    /// `Closed` once the app has been asked to finish.
    pub async fn accept(&self) -> Result<(TcpStream, SocketAddr), Status> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// The same, to be polled.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<(TcpStream, SocketAddr), Status>> {
        let mut listeners = self.reactor.listeners.borrow_mut();
        let Some(accepting) = listeners
            .iter_mut()
            .find(|accepting| accepting.listener == self.listener)
        else {
            return Poll::Ready(Err(Status::Closed));
        };
        if let Some((flow, key, peer)) = accepting.waiting.pop_front() {
            let stream = TcpStream {
                flow,
                key,
                reactor: Rc::clone(&self.reactor),
            };
            return Poll::Ready(Ok((stream, peer)));
        }
        if self.reactor.stop.borrow().asked {
            return Poll::Ready(Err(Status::Closed));
        }
        remember(&mut accepting.acceptor, cx);
        Poll::Pending
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        let mut listeners = self.reactor.listeners.borrow_mut();
        let place = listeners
            .iter()
            .position(|accepting| accepting.listener == self.listener);
        let Some(accepting) = place.map(|place| listeners.swap_remove(place)) else {
            return;
        };
        drop(listeners);
        let received: Vec<_> = accepting
            .waiting
            .iter()
            .filter_map(|(flow, key, _)| self.reactor.streams.borrow_mut().remove(*key, *flow))
            .collect();
        drop(received);
        // Outside of a task the loop is at its end, and so is all it listens to.
        scope::try_with_io(|io| {
            io.unlisten(self.listener);
            for (flow, ..) in accepting.waiting {
                // Nobody has it; one that is dead already needs no more.
                let _ = io.abort(flow);
            }
        });
    }
}

/// A connection. Sending and receiving are independent of each other, so one task may do both at once; of each kind, one
/// task at a time may wait. Dropping it closes it in order: what was sent is still delivered.
pub struct TcpStream {
    flow: Flow,
    key: Key,
    reactor: Rc<Reactor>,
}

impl TcpStream {
    /// Opens a connection.
    ///
    /// # Errors
    /// As [`crate::Io::connect`], and why it could not be opened.
    ///
    /// # Panics
    /// Outside of a task.
    pub async fn connect(remote: SocketAddr) -> Result<Self, Status> {
        let reactor = scope::reactor();
        let flow = scope::with_io(|io| io.connect(remote))?;
        let key = reactor.streams.borrow_mut().add(flow, false);
        let stream = TcpStream { flow, key, reactor };
        poll_fn(|cx| stream.poll_connected(cx)).await?;
        Ok(stream)
    }

    fn poll_connected(&self, cx: &Context<'_>) -> Poll<Result<(), Status>> {
        self.with(|state| {
            if let Some(failure) = state.failure() {
                return Poll::Ready(Err(failure));
            }
            if state.open {
                return Poll::Ready(Ok(()));
            }
            remember(&mut state.receiver, cx);
            Poll::Pending
        })
    }

    fn with<R>(&self, look: impl FnOnce(&mut StreamState) -> R) -> R {
        let mut streams = self.reactor.streams.borrow_mut();
        look(
            streams
                .get(self.key)
                .expect("it is there as long as its owner is"),
        )
    }

    /// The event loop's name of it.
    #[must_use]
    pub fn flow(&self) -> Flow {
        self.flow
    }

    /// The next bytes, where the NIC put them; `None` when the peer has finished sending. Bytes that are kept hold that
    /// much of the peer's window, and so do those that are not fetched.
    ///
    /// # Errors
    /// Why the connection died.
    pub async fn recv(&self) -> Result<Option<RecvBuf>, Status> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// The same, to be polled.
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Result<Option<RecvBuf>, Status>> {
        self.with(|state| {
            if let Some(data) = state.inbox.pop_front() {
                return Poll::Ready(Ok(Some(data)));
            }
            if state.eof {
                return Poll::Ready(Ok(None));
            }
            if let Some(reason) = state.dead {
                return Poll::Ready(reason.map(|()| None));
            }
            remember(&mut state.receiver, cx);
            Poll::Pending
        })
    }

    /// Puts bytes that were received back in front of those to come.
    pub(super) fn unreceive(&self, data: RecvBuf) {
        self.with(|state| state.inbox.push_front(data));
    }

    /// Sends `data`, and resolves when the peer has acknowledged it all. Given up before, it is sent all the same.
    ///
    /// # Errors
    /// `Closed` after a shutdown, or why the connection died.
    pub async fn send(&self, data: impl Into<SendBuf>) -> Result<(), Status> {
        self.send_now(data)?;
        let until = self.with(|state| state.sent);
        poll_fn(|cx| self.poll_acknowledged(until, cx)).await
    }

    /// Sends `data` and waits for nothing; returns the bytes that are not acknowledged yet. What the kernel cannot take
    /// now waits here without bound, so a task that produces more than it consumes should wait for
    /// [`TcpStream::writable`].
    ///
    /// # Errors
    /// As [`TcpStream::send`].
    ///
    /// # Panics
    /// Outside of a task.
    pub fn send_now(&self, data: impl Into<SendBuf>) -> Result<usize, Status> {
        if let Some(failure) = self.with(|state| state.failure()) {
            return Err(failure);
        }
        let backlog = scope::with_io(|io| io.send(self.flow, data))?;
        self.with(|state| state.sent = state.acknowledged + backlog as u64);
        Ok(backlog)
    }

    fn poll_acknowledged(&self, until: u64, cx: &Context<'_>) -> Poll<Result<(), Status>> {
        self.with(|state| {
            if state.acknowledged >= until {
                return Poll::Ready(Ok(()));
            }
            if let Some(failure) = state.failure() {
                return Poll::Ready(Err(failure));
            }
            match state.senders.iter_mut().find(|(known, _)| *known == until) {
                Some((_, waker)) => waker.clone_from(cx.waker()),
                None => state.senders.push_back((until, cx.waker().clone())),
            }
            Poll::Pending
        })
    }

    /// Bytes on their way from which on the stream is not writable: 256 KiB at first. It is again when half of them are
    /// acknowledged.
    ///
    /// # Panics
    /// Outside of a task.
    pub fn set_high_water(&self, bytes: usize) {
        // Of a connection that is dead nobody needs it.
        let _ = scope::with_io(|io| io.set_high_water(self.flow, bytes));
    }

    /// Resolves when the stream is writable: fewer bytes are on their way than the high-water mark.
    ///
    /// # Errors
    /// Why the connection died; `Closed` after a shutdown.
    ///
    /// # Panics
    /// Outside of a task.
    pub async fn writable(&self) -> Result<(), Status> {
        poll_fn(|cx| self.poll_writable(cx)).await
    }

    /// The same, to be polled.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let is_writable = scope::with_io(|io| io.is_writable(self.flow));
        self.with(|state| {
            if let Some(failure) = state.failure() {
                return Poll::Ready(Err(failure));
            }
            if is_writable {
                return Poll::Ready(Ok(()));
            }
            if state.is_shut_down {
                return Poll::Ready(Err(Status::Closed));
            }
            remember(&mut state.writer, cx);
            Poll::Pending
        })
    }

    /// Bytes sent and not acknowledged.
    #[must_use]
    pub fn backlog(&self) -> usize {
        usize::try_from(self.with(|state| state.backlog())).unwrap_or(usize::MAX)
    }

    /// Half close: FIN after what was sent; receiving goes on.
    ///
    /// # Errors
    /// `Closed` after an earlier one, `BadHandle` if the connection is dead.
    ///
    /// # Panics
    /// Outside of a task.
    pub fn shutdown(&self) -> Result<(), Status> {
        scope::with_io(|io| io.shutdown(self.flow))?;
        self.with(super::reactor::StreamState::on_shut_down);
        Ok(())
    }

    /// Resets the connection.
    ///
    /// # Panics
    /// Outside of a task.
    pub fn abort(self) {
        // One that is dead already needs no more.
        let _ = scope::with_io(|io| io.abort(self.flow));
    }

    /// Switches keepalive probes on, after `idle` without traffic, or off.
    ///
    /// # Errors
    /// `BadHandle` if the connection is dead.
    ///
    /// # Panics
    /// Outside of a task.
    pub fn keepalive(&self, idle: Option<Duration>) -> Result<(), Status> {
        scope::with_io(|io| io.keepalive(self.flow, idle))
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        let state = self.reactor.streams.borrow_mut().remove(self.key, self.flow);
        // One that is closed, or dead, already needs no more.
        let closed = scope::try_with_io(|io| io.close(self.flow));
        if closed.is_none() && state.as_ref().is_some_and(|state| state.dead.is_none()) {
            self.reactor.orphans.borrow_mut().push(self.flow);
        }
    }
}
