//! The side that sends messages back.

use crate::message::{Assembler, HEADER_BYTES, MAX_BYTES};
use crate::nptcp::{self, Dialogue, Step};
use libix::{Answer, Error, Flow, FlowMap, Handler, Io, Knock, RecvBuf, Status};

/// Unacknowledged bytes beyond which a client plays another game than ping-pong.
const MAX_BACKLOG: usize = 2 * (MAX_BYTES as usize + HEADER_BYTES);

/// Clients at once; each may fill a message's worth of memory, and its answer.
const MAX_CLIENTS: usize = 4;

/// The responder: give it to [`libix::run`].
#[derive(Debug)]
pub struct Responder {
    port: u16,
    clients: FlowMap<Client>,
    count: usize,
}

/// What a client speaks. Its first byte tells.
#[derive(Debug)]
enum Client {
    Silent,
    Ours(Assembler),
    NpTcp(Dialogue),
}

impl Client {
    /// Whether `data` is to be sent back as it is.
    fn is_whole(&self, data: &[u8]) -> bool {
        match self {
            Client::Silent => false,
            Client::Ours(assembler) => assembler.is_whole(data),
            Client::NpTcp(dialogue) => dialogue.is_whole(data),
        }
    }

    /// Takes bytes from the front of `data`; `None` if they are of no language that is spoken here.
    fn advance(&mut self, data: &[u8]) -> Option<(usize, Step)> {
        match self {
            Client::Silent => None,
            Client::Ours(assembler) => {
                let (count, message) = assembler.advance(data).ok()?;
                Some((count, message.map_or(Step::Wait, Step::Answer)))
            }
            Client::NpTcp(dialogue) => dialogue.advance(data).ok(),
        }
    }
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
        self.clients.insert(flow, Client::Silent);
        Answer::Accept
    }

    fn on_recv(&mut self, io: &mut Io, flow: Flow, data: RecvBuf) {
        let Some(client) = self.clients.get_mut(flow) else {
            return;
        };
        if let (Client::Silent, Some(first)) = (&client, data.first()) {
            *client = if nptcp::begins_with(*first) {
                Client::NpTcp(Dialogue::default())
            } else {
                Client::Ours(Assembler::default())
            };
        }
        // Errors of sending say that the flow is gone, and then nobody waits for the answer.
        if client.is_whole(&data) {
            let _ = io.send(flow, data);
            return;
        }
        let mut used = 0;
        while used < data.len() {
            let Some((count, step)) = client.advance(&data[used..]) else {
                let _ = io.abort(flow);
                return;
            };
            used += count;
            match step {
                Step::Answer(message) => {
                    if io.send(flow, message).is_ok_and(|backlog| backlog > MAX_BACKLOG) {
                        let _ = io.abort(flow);
                        return;
                    }
                }
                Step::Quit => {
                    let _ = io.close(flow);
                    return;
                }
                Step::Wait | Step::Heed => {}
            }
        }
    }

    fn on_dead(&mut self, _: &mut Io, flow: Flow, _: Result<(), Status>) {
        if self.clients.remove(flow).is_some() {
            self.count -= 1;
        }
    }
}
