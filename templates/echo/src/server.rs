//! The service: what is done when something happens.

use libix::{Error, Flow, Handler, Io, RecvBuf, UdpPort};
use std::net::SocketAddr;

/// Where it listens.
pub const PORT: u16 = 7007;

// ANCHOR: handler
/// The service of one core.
pub struct Echo;

impl Handler for Echo {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        io.listen(PORT)?;
        io.udp_bind(PORT)?;
        Ok(())
    }

    fn on_ready(&mut self, io: &mut Io) {
        if io.core() == 0 {
            println!("serving at port {PORT}");
        }
    }

    fn on_recv(&mut self, io: &mut Io, flow: Flow, data: RecvBuf) {
        // An error says that the flow is closed, and then nobody waits for the echo.
        let _ = io.send(flow, data);
    }

    fn on_udp(&mut self, io: &mut Io, port: UdpPort, peer: SocketAddr, data: RecvBuf) {
        io.udp_send(port, peer, data);
    }
}
// ANCHOR_END: handler
