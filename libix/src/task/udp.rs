//! UDP for tasks.

use super::reactor::{Leaving, PortState, Reactor, remember};
use super::scope;
use crate::{Datagram, RecvBuf, SendBuf, Status, UdpPort};
use core::future::poll_fn;
use core::net::{IpAddr, SocketAddr};
use core::task::{Context, Poll};
use std::collections::VecDeque;
use std::rc::Rc;

/// A UDP port. Datagrams that are kept, and those that are not fetched, hold buffers of which there is a bounded number;
/// beyond it, the kernel drops what comes. Dropping it gives the port back.
pub struct UdpSocket {
    port: UdpPort,
    reactor: Rc<Reactor>,
}

impl UdpSocket {
    /// Binds a port (0: any free one) of every address.
    ///
    /// # Errors
    /// As [`crate::Io::udp_bind`].
    ///
    /// # Panics
    /// Outside of a task.
    pub fn bind(port: u16) -> Result<Self, Status> {
        Ok(Self::bound(scope::with_io(|io| io.udp_bind(port))?))
    }

    /// Binds one address.
    ///
    /// # Errors
    /// As [`crate::Io::udp_bind_at`].
    ///
    /// # Panics
    /// Outside of a task.
    pub fn bind_at(local: SocketAddr) -> Result<Self, Status> {
        Ok(Self::bound(scope::with_io(|io| {
            io.udp_bind_at(Some(local.ip()), local.port())
        })?))
    }

    fn bound(port: UdpPort) -> Self {
        let reactor = scope::reactor();
        reactor.ports.borrow_mut().push(PortState {
            port,
            inbox: VecDeque::new(),
            receiver: None,
        });
        UdpSocket { port, reactor }
    }

    /// Takes datagrams to `group` in, too.
    ///
    /// # Errors
    /// As [`crate::Io::udp_join`].
    ///
    /// # Panics
    /// Outside of a task.
    pub fn join(&self, group: IpAddr) -> Result<(), Status> {
        scope::with_io(|io| io.udp_join(self.port, group))
    }

    /// The next datagram, and who sent it. One task at a time may wait.
    pub async fn recv_from(&self) -> (RecvBuf, SocketAddr) {
        poll_fn(|cx| self.poll_recv_from(cx)).await
    }

    /// The same, to be polled.
    pub fn poll_recv_from(&self, cx: &mut Context<'_>) -> Poll<(RecvBuf, SocketAddr)> {
        let mut ports = self.reactor.ports.borrow_mut();
        // It is there as long as this is.
        let Some(state) = ports.iter_mut().find(|state| state.port == self.port) else {
            return Poll::Pending;
        };
        if let Some(datagram) = state.inbox.pop_front() {
            return Poll::Ready(datagram);
        }
        remember(&mut state.receiver, cx);
        Poll::Pending
    }

    /// Sends a datagram and waits for nothing.
    ///
    /// # Panics
    /// Outside of a task.
    pub fn send_to_now(&self, data: impl Into<SendBuf>, peer: SocketAddr) {
        scope::with_io(|io| io.udp_send(self.port, peer, data));
    }

    /// Sends a datagram, and resolves when it has left.
    ///
    /// # Errors
    /// `MessageTooLong`, `Unreachable`, or `Again` if too many are on their way.
    ///
    /// # Panics
    /// Outside of a task.
    pub async fn send_to(&self, data: impl Into<SendBuf>, peer: SocketAddr) -> Result<(), Status> {
        let datagram = scope::with_io(|io| io.udp_send(self.port, peer, data));
        let left = Left {
            datagram,
            reactor: &self.reactor,
        };
        poll_fn(|cx| left.poll(cx)).await
    }
}

/// Forgets the datagram when nobody waits for it any more.
struct Left<'a> {
    datagram: Datagram,
    reactor: &'a Reactor,
}

impl Left<'_> {
    fn poll(&self, cx: &Context<'_>) -> Poll<Result<(), Status>> {
        let mut datagrams = self.reactor.datagrams.borrow_mut();
        if let Some(Leaving::Left(result)) = datagrams.get(&self.datagram) {
            return Poll::Ready(*result);
        }
        datagrams.insert(self.datagram, Leaving::Waited(cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        self.reactor.datagrams.borrow_mut().remove(&self.datagram);
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        let mut ports = self.reactor.ports.borrow_mut();
        let place = ports.iter().position(|state| state.port == self.port);
        let state = place.map(|place| ports.swap_remove(place));
        drop(ports);
        drop(state);
        // Outside of a task the loop is at its end.
        scope::try_with_io(|io| io.udp_unbind(self.port));
    }
}
