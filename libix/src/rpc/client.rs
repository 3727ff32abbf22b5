//! Calls from an event loop.

use super::clock::{Clock, random_key, until};
use super::{Config, Counters, Event, Message, Refused, Session, TooLong};
use crate::{Io, RecvBuf, SendBuf, Status, UdpPort};
use core::net::SocketAddr;
use core::time::Duration;

/// A client on a UDP port of its own. Its handler hands it datagrams ([`Client::on_udp`]), ends each turn with
/// [`Client::on_turn`], waits no longer than [`Client::max_wait`], and takes events from [`Client::poll_event`].
#[derive(Debug)]
pub struct Client {
    port: UdpPort,
    protocol: ix_rpc::Client<RecvBuf>,
    clock: Clock,
}

impl Client {
    /// Binds a free UDP port.
    ///
    /// # Errors
    /// As [`Io::udp_bind`].
    pub fn bind(io: &mut Io, config: &Config) -> Result<Self, Status> {
        Ok(Client {
            port: io.udp_bind(0)?,
            protocol: ix_rpc::Client::new(config, random_key()),
            clock: Clock::default(),
        })
    }

    /// Asks `server` for a session. It can be used at once; [`Event::Connected`] tells when it is there.
    ///
    /// # Errors
    /// [`Refused::TooManySessions`].
    pub fn connect(&mut self, io: &mut Io, server: SocketAddr) -> Result<Session, Refused> {
        let session = self.protocol.connect(self.clock.now_ns(io), server)?;
        self.send(io);
        Ok(session)
    }

    /// A message to fill, for [`Client::call`].
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

    /// Calls `method` of the session's server; [`Event::Done`] with `tag` follows.
    ///
    /// # Errors
    /// `Busy` if too many calls wait: go on when one is done. `NoSession` if it is over.
    #[inline]
    pub fn call(
        &mut self,
        io: &mut Io,
        session: Session,
        method: u16,
        request: Message,
        tag: u64,
    ) -> Result<(), Refused> {
        self.protocol
            .call(self.clock.now_ns(io), session, method, request, tag)?;
        self.send(io);
        Ok(())
    }

    /// How many calls of `session` are not over.
    pub fn outstanding(&mut self, session: Session) -> usize {
        self.protocol.outstanding(session)
    }

    /// Ends `session`; its calls fail, the server is told.
    pub fn close(&mut self, io: &mut Io, session: Session) {
        self.protocol.close(self.clock.now_ns(io), session);
        self.send(io);
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

    /// The turn ends: what is due by now is done.
    pub fn on_turn(&mut self, io: &mut Io) {
        if self.protocol.next_time().is_some() {
            self.protocol.on_time(self.clock.now_ns(io));
            self.send(io);
        }
        self.clock.forget();
    }

    /// How long the next turn may wait.
    pub fn max_wait(&mut self, io: &Io) -> Option<Duration> {
        self.clock.forget();
        until(self.protocol.next_time(), io)
    }

    /// The next thing that has happened.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.protocol.poll_event()
    }

    /// What has been counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.protocol.counters()
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
