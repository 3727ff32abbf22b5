//! The side that sends messages back.

use crate::message::{Assembler, HEADER_BYTES, MAX_BYTES};
use libix::{Answer, Error, Flow, FlowMap, Handler, Io, Knock, RecvBuf, Status};

/// Unacknowledged bytes beyond which a client plays another game than ping-pong.
const MAX_BACKLOG: usize = 2 * (MAX_BYTES as usize + HEADER_BYTES);

/// Clients at once; each may fill a message's worth of memory, and its answer.
const MAX_CLIENTS: usize = 4;

/// The responder: give it to [`libix::run`].
#[derive(Debug)]
pub struct Responder {
    port: u16,
    clients: FlowMap<Assembler>,
    count: usize,
}

impl Responder {
    /// On this TCP port.
    #[must_use]
    pub fn new(port: u16) -> Self {
        Responder {
            port,
            clients: FlowMap::new(),
            count: 0,
        }
    }
}

impl Handler for Responder {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        io.listen(self.port)?;
        println!("netpipe: responding on tcp port {}", self.port);
        Ok(())
    }

    fn on_knock(&mut self, _: &mut Io, flow: Flow, _: Knock) -> Answer {
        if self.count == MAX_CLIENTS {
            return Answer::Reject;
        }
        self.count += 1;
        self.clients.insert(flow, Assembler::default());
        Answer::Accept
    }

    fn on_recv(&mut self, io: &mut Io, flow: Flow, data: RecvBuf) {
        let Some(assembler) = self.clients.get_mut(flow) else {
            return;
        };
        // Errors of sending say that the flow is gone, and then nobody waits for the answer.
        if assembler.is_whole(&data) {
            let _ = io.send(flow, data);
            return;
        }
        let mut used = 0;
        while used < data.len() {
            let Ok((count, message)) = assembler.advance(&data[used..]) else {
                let _ = io.abort(flow);
                return;
            };
            used += count;
            if let Some(message) = message
                && io.send(flow, message).is_ok_and(|backlog| backlog > MAX_BACKLOG)
            {
                let _ = io.abort(flow);
                return;
            }
        }
    }

    fn on_dead(&mut self, _: &mut Io, flow: Flow, _: Result<(), Status>) {
        if self.clients.remove(flow).is_some() {
            self.count -= 1;
        }
    }
}
