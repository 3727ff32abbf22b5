//! The wire, the server's app, and the clock.

use ix_rpc::{Body, Client, Config, Event, Message, Request, RequestId, Response, Server, Session, Transmit};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};

pub(crate) type Bytes = Vec<u8>;

/// Methods of the server's app.
pub(crate) const ECHO: u16 = 1;
/// Carries out what the first eight bytes name, and echoes.
pub(crate) const EXECUTE: u16 = 2;
/// The same, but responds after as many microseconds as the next four bytes say.
pub(crate) const EXECUTE_LATER: u16 = 3;
/// As many bytes as the first four say.
pub(crate) const FILL: u16 = 4;
/// Never responds.
pub(crate) const IGNORE: u16 = 5;

pub(crate) const SERVER: SocketAddr = address(1, 5000);

pub(crate) const fn address(host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)), port)
}

/// What the wire does, as probabilities and nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    pub(crate) loss: f64,
    pub(crate) duplication: f64,
    pub(crate) jitter_ns: u64,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct InTransit {
    at_ns: u64,
    number: u64,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Bytes,
}

pub(crate) struct World {
    pub(crate) now_ns: u64,
    pub(crate) weather: Weather,
    pub(crate) random: fastrand::Rng,
    pub(crate) server: Server<Bytes>,
    pub(crate) clients: Vec<Client<Bytes>>,
    pub(crate) done: BTreeMap<u64, Result<(u16, Bytes), ix_rpc::CallError>>,
    pub(crate) ended: Vec<Session>,
    /// How often each was carried out.
    pub(crate) executed: HashMap<u64, u32>,
    /// Packets that went onto the wire.
    pub(crate) packets: u64,
    /// Hosts that hear nobody.
    pub(crate) cut_off: bool,
    wire: BinaryHeap<Reverse<InTransit>>,
    later: BinaryHeap<Reverse<(u64, u64)>>,
    waiting: HashMap<u64, (RequestId, Bytes)>,
}

const DELAY_NS: u64 = 20_000;

pub(crate) fn client_address(place: usize) -> SocketAddr {
    address(2, 6000 + u16::try_from(place).expect("few"))
}

impl World {
    pub(crate) fn new(seed: u64, clients: usize, weather: Weather, config: &Config) -> Self {
        let key = |number: usize| [u8::try_from(number + 1).expect("few"); 16];
        World {
            now_ns: 1_000_000,
            weather,
            random: fastrand::Rng::with_seed(seed),
            server: Server::new(config, [0; 16]),
            clients: (0..clients)
                .map(|place| Client::new(config, key(place)))
                .collect(),
            done: BTreeMap::new(),
            ended: Vec::new(),
            executed: HashMap::new(),
            packets: 0,
            cut_off: false,
            wire: BinaryHeap::new(),
            later: BinaryHeap::new(),
            waiting: HashMap::new(),
        }
    }

    pub(crate) fn connect(&mut self, client: usize) -> Session {
        self.clients[client].connect(self.now_ns, SERVER).expect("room")
    }

    pub(crate) fn call(&mut self, client: usize, session: Session, method: u16, bytes: &[u8], tag: u64) {
        let request = self.clients[client].message_of(bytes).expect("short enough");
        self.clients[client]
            .call(self.now_ns, session, method, request, tag)
            .expect("taken");
    }

    /// Puts a packet onto the wire, as anybody can.
    pub(crate) fn inject(&mut self, from: SocketAddr, to: SocketAddr, bytes: Bytes) {
        self.packets += 1;
        let at_ns = self.now_ns + DELAY_NS + self.random.u64(0..=self.weather.jitter_ns);
        self.wire.push(Reverse(InTransit {
            at_ns,
            number: self.packets,
            from,
            to,
            bytes,
        }));
    }

    fn send(&mut self, from: SocketAddr, transmit: &Transmit) {
        let copies = 1 + usize::from(self.random.f64() < self.weather.duplication);
        for _ in 0..copies {
            if !self.cut_off && self.random.f64() >= self.weather.loss {
                self.inject(from, transmit.to, transmit.packet().to_vec());
            }
        }
    }

    /// Everything that happens at this moment.
    fn settle(&mut self) {
        while self
            .wire
            .peek()
            .is_some_and(|Reverse(first)| first.at_ns <= self.now_ns)
        {
            let Some(Reverse(InTransit { from, to, bytes, .. })) = self.wire.pop() else {
                break;
            };
            if to == SERVER {
                self.server.receive(self.now_ns, from, bytes);
            } else if let Some(place) = (0..self.clients.len()).find(|place| client_address(*place) == to) {
                self.clients[place].receive(self.now_ns, from, bytes);
            }
        }
        self.serve();
        self.server.on_time(self.now_ns);
        while let Some(transmit) = self.server.poll_transmit() {
            self.send(SERVER, &transmit);
        }
        for place in 0..self.clients.len() {
            self.clients[place].on_time(self.now_ns);
            while let Some(event) = self.clients[place].poll_event() {
                self.on_event(event);
            }
            while let Some(transmit) = self.clients[place].poll_transmit() {
                self.send(client_address(place), &transmit);
            }
        }
    }

    fn on_event(&mut self, event: Event<Bytes>) {
        match event {
            Event::Done { tag, result } => {
                let result = result.map(|Response { status, body }| (status, body.to_vec()));
                assert!(
                    self.done.insert(tag, result).is_none(),
                    "call {tag} is over twice"
                );
            }
            Event::Ended(session) => self.ended.push(session),
            Event::Connected(_) => {}
        }
    }

    fn serve(&mut self) {
        while self
            .later
            .peek()
            .is_some_and(|Reverse((at_ns, _))| *at_ns <= self.now_ns)
        {
            let Some(Reverse((_, name))) = self.later.pop() else {
                break;
            };
            if let Some((id, bytes)) = self.waiting.remove(&name) {
                self.respond(id, &bytes);
            }
        }
        while let Some(Request { id, method, body, .. }) = self.server.poll_request() {
            match method {
                EXECUTE | EXECUTE_LATER => self.execute(id, method, &body),
                FILL => {
                    let len = body.first_chunk().map_or(0, |len| u32::from_be_bytes(*len));
                    self.respond(id, &pattern(len as usize));
                }
                IGNORE => {}
                _ => self.respond(id, &body),
            }
        }
    }

    fn execute(&mut self, id: RequestId, method: u16, body: &Body<Bytes>) {
        let name = body.first_chunk().map_or(0, |name| u64::from_be_bytes(*name));
        *self.executed.entry(name).or_default() += 1;
        if method == EXECUTE {
            self.respond(id, body);
            return;
        }
        let delay_us = body[8..].first_chunk().map_or(0, |us| u32::from_be_bytes(*us));
        self.later
            .push(Reverse((self.now_ns + u64::from(delay_us) * 1000, name)));
        self.waiting.insert(name, (id, body.to_vec()));
    }

    fn respond(&mut self, id: RequestId, bytes: &[u8]) {
        // Its session may be over, or the memory used up: the client is told, or nobody is there.
        let response = Message::copy_of(bytes).expect("short enough");
        let _ = self.server.respond(self.now_ns, id, 0, response);
    }

    /// Lets time pass until `done`, `limit_ms` at most; whether it came to that.
    pub(crate) fn run_until(&mut self, limit_ms: u64, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now_ns + limit_ms * 1_000_000;
        loop {
            self.settle();
            if done(self) {
                return true;
            }
            if self.now_ns >= end {
                return false;
            }
            let times = self.clients.iter().map(Client::next_time).chain([
                self.server.next_time(),
                self.wire.peek().map(|Reverse(first)| first.at_ns),
                self.later.peek().map(|Reverse((at_ns, _))| *at_ns),
            ]);
            let next = times.flatten().min().unwrap_or(end);
            self.now_ns = next.max(self.now_ns + 1).min(end);
        }
    }

    pub(crate) fn run_for(&mut self, ms: u64) {
        self.run_until(ms, |_| false);
    }
}

/// Bytes that differ from their neighbours, and between packets.
pub(crate) fn pattern(len: usize) -> Bytes {
    let low = |number: usize| number.to_le_bytes()[0];
    (0..len).map(|at| low(at % 251) ^ low(at >> 11)).collect()
}

/// A request that carries out `name`.
pub(crate) fn named(name: u64, len: usize) -> Bytes {
    let mut bytes = pattern(len.max(12));
    bytes[..8].copy_from_slice(&name.to_be_bytes());
    bytes
}
