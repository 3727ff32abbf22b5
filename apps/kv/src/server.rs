//! The libix app: connections and datagrams of one core, and a clock.

use crate::connection::Connection;
use crate::replies::Replies;
use crate::shard::{Arrival, Shard, Worker};
use crate::udp::Frame;
use core::time::Duration;
use libix::{Answer, Error, Flow, FlowMap, Handler, Io, Knock, RecvBuf, Status, Timer, UdpPort};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

/// Bytes sent to a client and not acknowledged beyond which no further command of its is carried out: a client that does
/// not read what it asks for holds this much, and one value more.
const BACKLOG: usize = 256 << 10;

/// How often the clock moves and the crawler looks around.
const TICK: Duration = Duration::from_millis(100);

/// Items the crawler looks at in a tick in which there was work, and in one in which there was none.
const CRAWL_BUSY: u32 = 256;
const CRAWL_IDLE: u32 = 16_384;

const TOO_MANY: &[u8] = b"ERROR Too many open connections\r\n";
const MULTI_PACKET: &[u8] = b"SERVER_ERROR multi-packet request not supported\r\n";

/// The server of one core.
pub struct Server {
    shard: Shard,
    worker: Worker,
    clients: FlowMap<Client>,
    /// Whose answers other cores owe, by the number they know the client by.
    waiting: HashMap<u64, Waiting>,
    next_client: u64,
    replies: Replies,
    started: Instant,
    was_busy: bool,
}

struct Client {
    number: u64,
    connection: Connection,
    /// What has come and could not be carried out yet. It holds the peer's window closed.
    held: VecDeque<RecvBuf>,
    /// The peer has finished sending.
    at_end: bool,
}

enum Waiting {
    Tcp(Flow),
    Udp(Box<Request>),
}

/// A datagram that other cores work at.
struct Request {
    connection: Connection,
    port: UdpPort,
    peer: SocketAddr,
    frame: Frame,
}

impl Server {
    /// Serves `shard`.
    #[must_use]
    pub fn new(shard: Shard) -> Self {
        Server {
            shard,
            worker: Worker::default(),
            clients: FlowMap::new(),
            waiting: HashMap::new(),
            next_client: 0,
            replies: Replies::new(),
            started: Instant::now(),
            was_busy: false,
        }
    }

    fn new_number(&mut self) -> u64 {
        self.next_client += 1;
        self.next_client
    }

    /// Carries out what `flow` has sent: `data`, and before it what is held.
    fn work(&mut self, io: &mut Io, flow: Flow, data: Option<RecvBuf>) {
        self.was_busy = true;
        let Some(client) = self.clients.get_mut(flow) else {
            return;
        };
        let mut next = if client.held.is_empty() {
            data
        } else {
            client.held.extend(data);
            client.held.pop_front()
        };
        while let Some(mut data) = next {
            if client.connection.is_waiting() || io.backlog(flow) >= BACKLOG {
                client.held.push_front(data);
                return;
            }
            let taken = client
                .connection
                .receive(&data, &mut self.shard, &mut self.replies);
            self.shard.traffic.bytes_read += taken as u64;
            self.shard.traffic.bytes_written += self.replies.len() as u64;
            send(io, flow, &mut self.replies);
            if client.connection.is_closing() {
                end(io, flow, client, &mut self.shard);
                return;
            }
            if client.connection.is_waiting() {
                self.waiting.insert(client.number, Waiting::Tcp(flow));
            }
            next = if taken < data.len() {
                data.advance(taken);
                Some(data)
            } else {
                client.held.pop_front()
            };
        }
        if client.at_end && !client.connection.is_waiting() {
            end(io, flow, client, &mut self.shard);
        }
    }

    /// Hands the answers of other cores on, and gives them theirs.
    fn hear(&mut self, io: &mut Io) {
        while let Some(arrival) = self.shard.hear(&mut self.worker) {
            match self.waiting.remove(&arrival.client) {
                Some(Waiting::Tcp(flow)) => self.resume(io, flow, arrival),
                Some(Waiting::Udp(request)) => self.resume_datagram(io, request, arrival),
                // It has closed meanwhile.
                None => {}
            }
        }
    }

    fn resume(&mut self, io: &mut Io, flow: Flow, arrival: Arrival) {
        let Some(client) = self.clients.get_mut(flow) else {
            return;
        };
        client.connection.answer(arrival, &mut self.replies);
        self.shard.traffic.bytes_written += self.replies.len() as u64;
        send(io, flow, &mut self.replies);
        if client.connection.is_waiting() {
            self.waiting.insert(client.number, Waiting::Tcp(flow));
        } else {
            self.work(io, flow, None);
        }
    }

    fn resume_datagram(&mut self, io: &mut Io, mut request: Box<Request>, arrival: Arrival) {
        let number = arrival.client;
        request.connection.answer(arrival, &mut self.replies);
        if request.connection.is_waiting() {
            self.waiting.insert(number, Waiting::Udp(request));
        } else {
            self.reply(io, request.port, request.peer, request.frame);
        }
    }

    /// Sends the replies as datagrams.
    fn reply(&mut self, io: &mut Io, port: UdpPort, peer: SocketAddr, frame: Frame) {
        self.shard.traffic.bytes_written += self.replies.len() as u64;
        for datagram in frame.datagrams(&self.replies.flat()) {
            io.udp_send(port, peer, datagram);
        }
        self.replies.clear();
    }

    fn tick(&mut self, io: &mut Io) -> Result<(), Status> {
        self.shard.set_uptime(self.started.elapsed().as_secs());
        let busy = core::mem::take(&mut self.was_busy);
        self.shard.crawl(if busy { CRAWL_BUSY } else { CRAWL_IDLE });
        io.start_timer(TICK).map(drop)
    }

    fn log(&self, level: u32, event: &str, who: impl core::fmt::Display) {
        if self.shard.settings.verbosity >= level {
            eprintln!("kv: {event} {who}");
        }
    }
}

impl Handler for Server {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        let (port, udp_port) = (self.shard.settings.port, self.shard.settings.udp_port);
        io.listen(port)?;
        if udp_port != 0 {
            io.udp_bind(udp_port)?;
        }
        if self.shard.cores() > 1 {
            self.shard.links().set_waker(io.waker());
        }
        self.tick(io)?;
        Ok(())
    }

    fn on_ready(&mut self, io: &mut Io) {
        if io.core() != 0 {
            return;
        }
        let (port, udp_port) = (self.shard.settings.port, self.shard.settings.udp_port);
        let ports = match udp_port {
            0 => format!("tcp port {port}"),
            _ => format!("tcp port {port} and udp port {udp_port}"),
        };
        match io.local_ip() {
            Some(ip) => println!("kv: {ports} on {ip}"),
            None => println!("kv: {ports}"),
        }
    }

    fn on_knock(&mut self, io: &mut Io, flow: Flow, knock: Knock) -> Answer {
        let limit = self.shard.settings.connections;
        let is_counted = self.shard.links().add_client(limit);
        let traffic = &mut self.shard.traffic;
        if !is_counted {
            traffic.rejected_connections += 1;
            self.log(1, "too many connections for", knock.peer);
            // Both fail only if the flow is dead.
            let _ = io.send(flow, TOO_MANY);
            let _ = io.close(flow);
            return Answer::Accept;
        }
        traffic.connections += 1;
        traffic.total_connections += 1;
        self.log(2, "connection from", knock.peer);
        let number = self.new_number();
        let client = Client {
            number,
            connection: Connection::new(number),
            held: VecDeque::new(),
            at_end: false,
        };
        self.clients.insert(flow, client);
        Answer::Accept
    }

    #[inline]
    fn on_recv(&mut self, io: &mut Io, flow: Flow, data: RecvBuf) {
        self.work(io, flow, Some(data));
    }

    #[inline]
    fn on_sent(&mut self, io: &mut Io, flow: Flow, _: usize) {
        if let Some(client) = self.clients.get(flow)
            && !client.held.is_empty()
            && io.backlog(flow) < BACKLOG
        {
            self.work(io, flow, None);
        }
    }

    fn on_eof(&mut self, io: &mut Io, flow: Flow) {
        if let Some(client) = self.clients.get_mut(flow) {
            client.at_end = true;
            if client.held.is_empty() {
                self.work(io, flow, None);
            }
        }
    }

    fn on_dead(&mut self, _: &mut Io, flow: Flow, reason: Result<(), Status>) {
        if let Some(mut client) = self.clients.remove(flow) {
            client.connection.end(&mut self.shard);
            self.waiting.remove(&client.number);
            self.shard.traffic.connections -= 1;
            self.shard.links().remove_client();
            self.log(
                2,
                "connection closed:",
                reason.err().map_or("in order", Status::message),
            );
        }
    }

    fn on_udp(&mut self, io: &mut Io, port: UdpPort, peer: SocketAddr, data: RecvBuf) {
        self.was_busy = true;
        let Some((frame, request)) = Frame::split(&data) else {
            return;
        };
        self.shard.traffic.bytes_read += data.len() as u64;
        if frame.total != 1 {
            self.replies.phrase(MULTI_PACKET);
            self.reply(io, port, peer, frame);
            return;
        }
        let number = self.new_number();
        let mut connection = Connection::new(number);
        let taken = connection.receive(request, &mut self.shard, &mut self.replies);
        if connection.is_waiting() && taken == request.len() && self.replies.is_empty() {
            let request = Request {
                connection,
                port,
                peer,
                frame,
            };
            self.waiting.insert(number, Waiting::Udp(Box::new(request)));
            return;
        }
        connection.end(&mut self.shard);
        self.reply(io, port, peer, frame);
    }

    #[inline]
    fn on_turn(&mut self, io: &mut Io) {
        if self.shard.cores() > 1 {
            self.hear(io);
            self.shard.links().wake_peers();
        }
    }

    fn on_timer(&mut self, io: &mut Io, _: Timer) {
        if let Err(error) = self.tick(io) {
            self.log(0, "stops, for want of a timer:", error);
            io.stop();
        }
    }
}

/// Sends the replies on `flow`.
#[inline]
fn send(io: &mut Io, flow: Flow, replies: &mut Replies) {
    replies.send_with(|piece| {
        // An error says that the flow is closed, and then nobody waits for it.
        let _ = io.send(flow, piece);
    });
}

/// Closes `flow`, in order; of what has come nothing more is looked at.
fn end(io: &mut Io, flow: Flow, client: &mut Client, shard: &mut Shard) {
    client.connection.end(shard);
    client.held.clear();
    // An error says that it is closed already.
    let _ = io.close(flow);
}
