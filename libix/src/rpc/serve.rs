//! A service as an app.

use super::{Config, Request, Server};
use crate::{Error, Handler, Io, RecvBuf, Timer, UdpPort};
use core::net::SocketAddr;
use core::time::Duration;

/// What a server does.
#[allow(
    unused_variables,
    reason = "the names of the arguments document the defaults that ignore them"
)]
pub trait Service {
    /// The port is bound.
    fn on_start(&mut self, io: &mut Io, server: &mut Server) {}

    /// A request to carry out: [`Server::respond`] to it now or later. It comes once.
    fn on_request(&mut self, io: &mut Io, server: &mut Server, request: Request);

    /// A timer of [`Io::start_timer`] went off: the time, perhaps, for a response.
    fn on_timer(&mut self, io: &mut Io, server: &mut Server, timer: Timer) {}
}

/// Serves on one UDP port, as the handler of a loop: give it to [`crate::run`], or one for each core to
/// [`crate::run_on`].
#[derive(Debug)]
pub struct Serve<S> {
    port: u16,
    config: Config,
    server: Option<Server>,
    service: S,
}

impl<S: Service> Serve<S> {
    /// `service`, on UDP port `port`.
    #[must_use]
    pub fn new(port: u16, config: &Config, service: S) -> Self {
        Serve {
            port,
            config: config.clone(),
            server: None,
            service,
        }
    }

    /// The service.
    #[must_use]
    pub fn service(&self) -> &S {
        &self.service
    }

    /// The server, once the loop has started.
    #[must_use]
    pub fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }
}

impl<S: Service> Handler for Serve<S> {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        let server = Server::bind(io, self.port, &self.config)?;
        let server = self.server.insert(server);
        self.service.on_start(io, server);
        Ok(())
    }

    #[inline]
    fn on_udp(&mut self, io: &mut Io, port: UdpPort, peer: SocketAddr, data: RecvBuf) {
        let Some(server) = &mut self.server else {
            return;
        };
        // There is no other port here.
        server.on_udp(io, port, peer, data);
        while let Some(request) = server.poll_request() {
            self.service.on_request(io, server, request);
        }
    }

    fn on_timer(&mut self, io: &mut Io, timer: Timer) {
        if let Some(server) = &mut self.server {
            self.service.on_timer(io, server, timer);
        }
    }

    fn on_turn(&mut self, io: &mut Io) {
        if let Some(server) = &mut self.server {
            server.on_turn(io);
        }
    }

    fn max_wait(&mut self, io: &Io) -> Option<Duration> {
        self.server.as_mut()?.max_wait(io)
    }
}
