//! Calls of `libix::rpc`'s protocol between a client and a server in one thread: without anything in between, or through two
//! of our stacks' UDP.

use crate::ixion::{CLIENT, SERVER, Side, Takes, counted};
use crate::pair::{Pair, REQUEST};
use crate::wire::APP;
use ix_rpc::wire::DATA_BYTES;
use ix_rpc::{Client, Config, Event, Server, Session, Transmit};
use netstack::{Id, Instant, Span};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::rc::Rc;

const CLIENT_PORT: u16 = 5001;
const SERVER_PORT: u16 = 5002;
const METHOD: u16 = 1;

/// Virtual time of a round.
const STEP_NS: u64 = 1000;

/// A packet received.
pub(crate) enum Received {
    /// Where it was sent from.
    Shared(Rc<[u8]>, Range<usize>),
    Copied(Vec<u8>),
}

impl AsRef<[u8]> for Received {
    fn as_ref(&self) -> &[u8] {
        match self {
            Received::Shared(bytes, range) => &bytes[range.clone()],
            Received::Copied(bytes) => bytes,
        }
    }
}

/// Which end of the way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Client,
    Server,
}

/// What is between client and server.
pub(crate) trait Way {
    fn new() -> Self;

    /// `end` sends this.
    fn send(&mut self, end: End, transmit: Transmit);

    /// The next packet that has come for `end`.
    fn receive(&mut self, end: End) -> Option<Received>;
}

/// Nothing.
pub(crate) struct Direct {
    to_client: VecDeque<Received>,
    to_server: VecDeque<Received>,
}

impl Way for Direct {
    fn new() -> Self {
        Direct {
            to_client: VecDeque::new(),
            to_server: VecDeque::new(),
        }
    }

    fn send(&mut self, end: End, transmit: Transmit) {
        let queue = match end {
            End::Client => &mut self.to_server,
            End::Server => &mut self.to_client,
        };
        queue.push_back(Received::Shared(transmit.bytes, transmit.range));
    }

    fn receive(&mut self, end: End) -> Option<Received> {
        match end {
            End::Client => self.to_client.pop_front(),
            End::Server => self.to_server.pop_front(),
        }
    }
}

/// Two stacks. A packet is copied once where a NIC would read it, and once where libix would not.
pub(crate) struct Udp {
    client: Station,
    server: Station,
}

struct Station {
    side: Side,
    socket: Id,
    /// Where in the app's memory the next packet goes.
    next: usize,
}

/// Of the app's memory of a station: more than are ever under way.
const PLACES: usize = 256;
const PLACE_BYTES: usize = 1536;

impl Station {
    fn new(ip: std::net::Ipv4Addr, port: u16) -> Self {
        let mut side = Side::new(ip, 1, PLACES * PLACE_BYTES);
        let socket = side.stack.udp_bind(None, port, 0).expect("room for a socket");
        Station {
            side,
            socket,
            next: 0,
        }
    }

    fn send(&mut self, transmit: &Transmit) {
        let packet = transmit.packet();
        let start = self.next * PLACE_BYTES;
        self.next = (self.next + 1) % PLACES;
        let Side { stack, port } = &mut self.side;
        port.app[start..start + packet.len()].copy_from_slice(packet);
        let span = Span {
            address: APP + start as u64,
            len: u32::try_from(packet.len()).expect("a packet"),
        };
        stack
            .udp_send(port, NOW, self.socket, transmit.to, &[span], 0)
            .expect("room for a datagram");
    }

    fn receive(&mut self) -> Option<Received> {
        let Side { stack, port } = &mut self.side;
        while let Some(event) = stack.poll_event(port, NOW) {
            if let netstack::Event::UdpRecv { buf, offset, len, .. } = event {
                let packet = port.received(&buf, offset, len).to_vec();
                stack.rx_done(port, NOW, buf.0).expect("lent");
                return Some(Received::Copied(packet));
            }
        }
        None
    }
}

/// No timer of the stacks is of interest here.
const NOW: Instant = Instant(1_000_000);

impl Way for Udp {
    fn new() -> Self {
        Udp {
            client: Station::new(CLIENT, CLIENT_PORT),
            server: Station::new(SERVER, SERVER_PORT),
        }
    }

    fn send(&mut self, end: End, transmit: Transmit) {
        match end {
            End::Client => self.client.send(&transmit),
            End::Server => self.server.send(&transmit),
        }
    }

    fn receive(&mut self, end: End) -> Option<Received> {
        let (here, there) = match end {
            End::Client => (&mut self.client, &mut self.server),
            End::Server => (&mut self.server, &mut self.client),
        };
        let takes = Takes {
            first: counted::server_takes,
            next: counted::server_continues,
        };
        if let Some(received) = here.receive() {
            return Some(received);
        }
        // Neighbours that are not known yet are asked for first.
        for _ in 0..2 {
            there.side.stack.flush(&mut there.side.port, NOW);
            here.side.receive(&mut there.side.port, NOW, takes);
            here.side.stack.flush(&mut here.side.port, NOW);
            there.side.receive(&mut here.side.port, NOW, takes);
        }
        here.receive()
    }
}

/// Both ends.
pub(crate) struct Calls<W> {
    way: W,
    client: Client<Received>,
    server: Server<Received>,
    sessions: Vec<Session>,
    now_ns: u64,
    answered: usize,
}

fn server_address() -> SocketAddr {
    SocketAddr::new(SERVER.into(), SERVER_PORT)
}

fn client_address() -> SocketAddr {
    SocketAddr::new(CLIENT.into(), CLIENT_PORT)
}

impl<W: Way> Calls<W> {
    /// Everything that is to be sent, received, carried out and answered now, until nothing is left.
    #[inline(never)]
    fn counted_round(&mut self) {
        loop {
            let mut is_idle = true;
            while let Some(transmit) = self.client.poll_transmit() {
                self.way.send(End::Client, transmit);
                is_idle = false;
            }
            while let Some(packet) = self.way.receive(End::Server) {
                self.server.receive(self.now_ns, client_address(), packet);
            }
            while let Some(request) = self.server.poll_request() {
                let len = request.body.len().min(REQUEST);
                let answer = self.server.message_of(&request.body[..len]).expect("short");
                self.server
                    .respond(self.now_ns, request.id, 0, answer)
                    .expect("the client waits");
            }
            while let Some(transmit) = self.server.poll_transmit() {
                self.way.send(End::Server, transmit);
                is_idle = false;
            }
            while let Some(packet) = self.way.receive(End::Client) {
                self.client.receive(self.now_ns, server_address(), packet);
            }
            while let Some(event) = self.client.poll_event() {
                if let Event::Done { result, .. } = event {
                    assert_eq!(result.expect("answered").body.len(), REQUEST);
                    self.answered += 1;
                }
            }
            if is_idle {
                break;
            }
            self.now_ns += STEP_NS;
        }
        self.client.on_time(self.now_ns);
        self.server.on_time(self.now_ns);
    }

    #[inline(never)]
    fn counted_call(&mut self, session: Session, bytes: &[u8]) {
        let request = self.client.message_of(bytes).expect("short enough");
        self.client
            .call(self.now_ns, session, METHOD, request, 0)
            .expect("few are under way");
    }

    fn finish(&mut self, calls: usize) {
        self.answered = 0;
        self.counted_round();
        assert_eq!(self.answered, calls);
    }
}

impl<W: Way> Pair for Calls<W> {
    fn open(flows: u32) -> Self {
        let config = Config {
            sessions: flows as usize + 1,
            ..Config::default()
        };
        let mut calls = Calls {
            way: W::new(),
            client: Client::new(&config, [1; 16]),
            server: Server::new(&config, [2; 16]),
            sessions: Vec::new(),
            now_ns: 1_000_000,
            answered: 0,
        };
        for _ in 0..flows {
            let session = calls.client.connect(calls.now_ns, server_address());
            calls.sessions.push(session.expect("room"));
            calls.finish(0);
        }
        calls
    }

    fn requests(&mut self, flows: &[u32]) {
        for flow in flows {
            self.counted_call(self.sessions[*flow as usize], &[0x55; REQUEST]);
        }
        self.finish(flows.len());
    }

    fn bulk(&mut self, segments: u32) {
        let request = vec![0x55; segments as usize * DATA_BYTES];
        self.counted_call(self.sessions[0], &request);
        self.finish(1);
    }

    fn churn(&mut self, times: u32) {
        for _ in 0..times {
            let session = self.client.connect(self.now_ns, server_address()).expect("room");
            self.finish(0);
            self.client.close(self.now_ns, session);
            self.finish(0);
        }
    }
}
