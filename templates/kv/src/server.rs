//! The connections of one core.

use crate::store::Store;
use libix::{Answer, Error, Flow, FlowMap, Handler, Io, Knock, RecvBuf, SendBuf, Status};
use std::collections::VecDeque;
use std::sync::Arc;

/// Where it listens.
pub const PORT: u16 = 7007;

/// Longest line, in bytes: a client that never ends one must not fill the memory.
const LONGEST: usize = 1 << 20;

/// Bytes on their way to a client above which no more requests of its are taken.
const BACKLOG: usize = 256 << 10;

// ANCHOR: server
/// The service of one core.
pub struct Server {
    store: Arc<Store>,
    clients: FlowMap<Client>,
}

/// What is known of a connection.
#[derive(Default)]
struct Client {
    /// What has come and is not looked at yet. It keeps the client's window closed.
    held: VecDeque<RecvBuf>,
    /// The beginning of a line.
    line: Vec<u8>,
    /// The client has no more to say.
    at_end: bool,
}

impl Server {
    /// One that keeps values in `store`.
    pub fn new(store: Arc<Store>) -> Self {
        Server {
            store,
            clients: FlowMap::new(),
        }
    }

    /// Answers what `flow` has said, as far as it takes the answers.
    fn work(&mut self, io: &mut Io, flow: Flow) -> Result<(), Status> {
        let Some(client) = self.clients.get_mut(flow) else {
            return Ok(());
        };
        while io.backlog(flow) < BACKLOG
            && let Some(data) = client.held.pop_front()
        {
            for piece in data.split_inclusive(|byte| *byte == b'\n') {
                client.line.extend_from_slice(piece);
                if client.line.ends_with(b"\n") {
                    for part in reply(&self.store, client.line.trim_ascii_end()) {
                        io.send(flow, part)?;
                    }
                    client.line.clear();
                }
            }
            if client.line.len() > LONGEST {
                return io.abort(flow);
            }
        }
        if client.at_end && client.held.is_empty() {
            io.close(flow)?;
        }
        Ok(())
    }
}
// ANCHOR_END: server

// ANCHOR: reply
/// What is answered to a line: pieces that are sent from where they lie.
fn reply(store: &Store, line: &[u8]) -> Vec<SendBuf> {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    match (words.next(), words.next(), words.next()) {
        (Some(b"set"), Some(key), Some(value)) => {
            store.set(key, value);
            vec!["ok\n".into()]
        }
        (Some(b"get"), Some(key), None) => match store.get(key) {
            Some(value) => vec!["value ".into(), value.into(), "\n".into()],
            None => vec!["none\n".into()],
        },
        (Some(b"delete"), Some(key), None) if store.delete(key) => vec!["ok\n".into()],
        (Some(b"delete"), Some(_), None) => vec!["none\n".into()],
        _ => vec!["what?\n".into()],
    }
}
// ANCHOR_END: reply

// ANCHOR: handler
impl Handler for Server {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        io.listen(PORT)?;
        Ok(())
    }

    fn on_ready(&mut self, io: &mut Io) {
        if io.core() == 0 {
            println!("serving at port {PORT}");
        }
    }

    fn on_knock(&mut self, _: &mut Io, flow: Flow, _: Knock) -> Answer {
        self.clients.insert(flow, Client::default());
        Answer::Accept
    }

    fn on_recv(&mut self, io: &mut Io, flow: Flow, data: RecvBuf) {
        if let Some(client) = self.clients.get_mut(flow) {
            client.held.push_back(data);
        }
        // An error says that the flow is closed, and then nobody waits for an answer.
        let _ = self.work(io, flow);
    }

    fn on_sent(&mut self, io: &mut Io, flow: Flow, _: usize) {
        let _ = self.work(io, flow);
    }

    fn on_eof(&mut self, io: &mut Io, flow: Flow) {
        if let Some(client) = self.clients.get_mut(flow) {
            client.at_end = true;
        }
        let _ = self.work(io, flow);
    }

    fn on_dead(&mut self, _: &mut Io, flow: Flow, _: Result<(), Status>) {
        self.clients.remove(flow);
    }
}
// ANCHOR_END: handler
