//! Answers from an event loop.

use super::clock::{Clock, random_key, until};
use super::{Config, Counters, Message, Request, RequestId, RespondError, TooLong};
use crate::{Io, RecvBuf, SendBuf, Status, UdpPort};
use core::net::SocketAddr;
use core::time::Duration;

/// A server on a UDP port. [`super::Serve`] is the plain way to have one; a handler that does other things as well hands it
/// datagrams ([`Server::on_udp`]), takes requests from [`Server::poll_request`], ends each turn with
/// [`Server::on_turn`] and waits no longer than [`Server::max_wait`].
#[derive(Debug)]
pub struct Server {
    port: UdpPort,
    protocol: ix_rpc::Server<RecvBuf>,
    clock: Clock,
}

impl Server {
    /// Binds UDP port `port`.
    ///
    /// # Errors
    /// As [`Io::udp_bind`].
    pub fn bind(io: &mut Io, port: u16, config: &Config) -> Result<Self, Status> {
        Ok(Server {
            port: io.udp_bind(port)?,
            protocol: ix_rpc::Server::new(config, random_key()),
            clock: Clock::default(),
        })
    }

    /// A message to fill, for [`Server::respond`].
    ///
    /// # Errors
    /// If it is too long.
    pub fn message(&mut self, len: usize) -> Result<Message, TooLong> {
        self.protocol.message(len)
    }

    /// A message with these bytes.
    ///
    /// # Errors
    /// If they are too many.
    #[inline]
    pub fn message_of(&mut self, bytes: &[u8]) -> Result<Message, TooLong> {
        self.protocol.message_of(bytes)
    }

    /// Responds to a request, at once or at any time later.
    ///
    /// # Errors
    /// If nobody waits for it, or there is no memory to keep it in.
    #[inline]
    pub fn respond(
        &mut self,
        io: &mut Io,
        id: RequestId,
        status: u16,
        response: Message,
    ) -> Result<(), RespondError> {
        let responded = self.protocol.respond(self.clock.now_ns(io), id, status, response);
        self.send(io);
        responded
    }

    /// A datagram has come; one of another port is given back.
    #[inline]
    pub fn on_udp(&mut self, io: &mut Io, port: UdpPort, peer: SocketAddr, data: RecvBuf) -> Option<RecvBuf> {
        if port != self.port {
            return Some(data);
        }
        self.protocol.receive(self.clock.now_ns(io), peer, data);
        self.send(io);
        None
    }

    /// The next request to carry out.
    #[inline]
    pub fn poll_request(&mut self) -> Option<Request> {
        self.protocol.poll_request()
    }

    /// The turn ends: clients that were silent for too long are forgotten.
    pub fn on_turn(&mut self, io: &mut Io) {
        if self.protocol.next_time().is_some() {
            self.protocol.on_time(self.clock.now_ns(io));
        }
        self.clock.forget();
    }

    /// How long the next turn may wait.
    pub fn max_wait(&mut self, io: &Io) -> Option<Duration> {
        self.clock.forget();
        until(self.protocol.next_time(), io)
    }

    /// What has been counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.protocol.counters()
    }

    /// Sessions that are there.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.protocol.session_count()
    }

    #[inline]
    fn send(&mut self, io: &mut Io) {
        while let Some(transmit) = self.protocol.poll_transmit() {
            io.udp_send(
                self.port,
                transmit.to,
                SendBuf::slice(transmit.bytes, transmit.range),
            );
        }
    }
}
