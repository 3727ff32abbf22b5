//! Ixion's stack, twice.

use crate::pair::{self, Pair, REQUEST, REQUEST_LEN, SEGMENT, SEGMENT_LEN};
use crate::wire::{APP, BUFFERS, Port};
use netstack::{BufId, Config, Event, Id, Instant, RxChecksum, Span, Stack};
use std::net::{Ipv4Addr, SocketAddr};

pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// Bytes in flight of a bulk transfer.
const BULK_WINDOW: u32 = 64 * SEGMENT_LEN;
/// Beyond the connections that are asked for: those of [`Pair::churn`], in TIME-WAIT.
const SPARE_FLOWS: u32 = 64;

/// One side.
pub(crate) struct Side {
    pub(crate) stack: Stack,
    pub(crate) port: Port,
}

impl Side {
    pub(crate) fn new(ip: Ipv4Addr, flows: u32, app_bytes: usize) -> Self {
        let mut config = Config::new([2, 0, 0, 0, 0, ip.octets()[3]], ip, 24);
        (config.rx_checksum, config.tx_checksum) = (true, true);
        config.max_flows = flows + SPARE_FLOWS;
        config.rx_buffers = BUFFERS;
        config.rx_reserve = Port::reserve();
        config.max_send_spans = flows.max(1024);
        config.tcp.max_time_wait = 32;
        Side {
            stack: Stack::new(config, Instant(0)),
            port: Port::new(app_bytes),
        }
    }

    /// Takes in what the other side has sent, and sees to timers.
    pub(crate) fn receive(&mut self, from: &mut Port, now: Instant, takes: Takes) {
        let mut frames = from.take_out();
        self.stack
            .look_ahead(&self.port, frames.iter().map(|(full, len)| &full[..*len]));
        let mut take = takes.first;
        for (full, len) in frames.drain(..) {
            let index = self.port.take_free();
            take(&mut self.stack, &mut self.port, now, BufId(index), &full[..len]);
            from.put_spare(self.port.exchange(index, full));
            take = takes.next;
        }
        from.put_out(frames);
        self.stack.on_timer(&mut self.port, now);
    }
}

type Take = fn(&mut Stack, &mut Port, Instant, BufId, &[u8]);

/// How a batch is taken in.
#[derive(Clone, Copy)]
pub(crate) struct Takes {
    pub(crate) first: Take,
    pub(crate) next: Take,
}

/// The calls whose instructions are counted, each a function of its own, and no two so alike that the compiler makes
/// one of them.
pub(crate) mod counted {
    use super::{BufId, Instant, Port, RxChecksum, Stack};
    use std::hint::black_box;

    #[inline(never)]
    pub(crate) fn client_takes(stack: &mut Stack, port: &mut Port, now: Instant, buf: BufId, frame: &[u8]) {
        stack.receive(port, now, buf, frame, black_box(0), RxChecksum::Good);
    }

    #[inline(never)]
    pub(crate) fn server_takes(stack: &mut Stack, port: &mut Port, now: Instant, buf: BufId, frame: &[u8]) {
        stack.receive(port, now, buf, frame, black_box(2) - 2, RxChecksum::Good);
    }

    #[inline(never)]
    pub(crate) fn client_continues(
        stack: &mut Stack,
        port: &mut Port,
        now: Instant,
        buf: BufId,
        frame: &[u8],
    ) {
        stack.receive_next(port, now, buf, frame, black_box(0), RxChecksum::Good);
    }

    #[inline(never)]
    pub(crate) fn server_continues(
        stack: &mut Stack,
        port: &mut Port,
        now: Instant,
        buf: BufId,
        frame: &[u8],
    ) {
        stack.receive_next(port, now, buf, frame, black_box(2) - 2, RxChecksum::Good);
    }

    #[inline(never)]
    pub(crate) fn client_sends(stack: &mut Stack, port: &mut Port, now: Instant) {
        black_box(1);
        stack.flush(port, now);
    }

    #[inline(never)]
    pub(crate) fn server_sends(stack: &mut Stack, port: &mut Port, now: Instant) {
        black_box(2);
        stack.flush(port, now);
    }
}

/// Both sides.
pub(crate) struct Ixion {
    pub(crate) client: Side,
    pub(crate) server: Side,
    flows: Vec<Id>,
    pub(crate) now: Instant,
    /// By which time goes on with each round.
    pub(crate) step_ns: u64,
    /// Each frame is a batch of its own for the server.
    pub(crate) apart: bool,
    answered: usize,
    received_bytes: u64,
    acknowledged: u64,
    /// Connections of [`Pair::churn`] so far.
    churned: u32,
}

impl Pair for Ixion {
    fn open(flows: u32) -> Self {
        let slots = (flows + SPARE_FLOWS) as usize;
        let mut pair = Ixion {
            client: Side::new(CLIENT, flows, SEGMENT * 64),
            server: Side::new(SERVER, flows, slots * REQUEST),
            flows: Vec::with_capacity(flows as usize),
            now: Instant(1_000_000),
            step_ns: 0,
            apart: false,
            answered: 0,
            received_bytes: 0,
            acknowledged: 0,
            churned: 0,
        };
        for port in pair::server_ports(flows) {
            pair.server
                .stack
                .tcp_listen(None, port, 0, 0)
                .expect("room for a listener");
        }
        for flow in 0..flows {
            let (client_port, server_port) = pair::ports(flow);
            let id = pair.connect(client_port, server_port);
            pair.flows.push(id);
        }
        pair
    }

    fn requests(&mut self, flows: &[u32]) {
        let request = Span {
            address: APP,
            len: REQUEST_LEN,
        };
        let now = self.now;
        for flow in flows {
            let id = self.flows[*flow as usize];
            let Side { stack, port } = &mut self.client;
            let accepted = stack.tcp_send(port, now, id, &[request]);
            assert_eq!(accepted, Ok(REQUEST_LEN));
        }
        self.answered = 0;
        self.round();
        assert_eq!(self.answered, flows.len());
    }

    fn bulk(&mut self, segments: u32) {
        let total = u64::from(segments) * SEGMENT as u64;
        let (mut queued, start, acknowledged) = (0, self.received_bytes, self.acknowledged);
        while self.received_bytes - start < total {
            let now = self.now;
            while queued < total && queued - (self.acknowledged - acknowledged) < u64::from(BULK_WINDOW) {
                let span = Span {
                    address: APP,
                    len: SEGMENT_LEN,
                };
                let Side { stack, port } = &mut self.client;
                let accepted = stack.tcp_send(port, now, self.flows[0], &[span]);
                queued += u64::from(accepted.expect("open"));
            }
            self.round();
        }
    }

    fn churn(&mut self, times: u32) {
        for _ in 0..times {
            // Ports come round again after so many that TIME-WAIT has let go of them.
            let port = 1024 + (self.churned % 8192) as u16;
            self.churned += 1;
            let id = self.connect(port, pair::FIRST_SERVER_PORT);
            let Side { stack, port } = &mut self.client;
            stack.tcp_close(port, self.now, id).expect("open");
            self.round();
            self.round();
        }
    }
}

impl Ixion {
    /// Client out, server in and out, client in.
    pub(crate) fn round(&mut self) {
        let now = self.now;
        counted::client_sends(&mut self.client.stack, &mut self.client.port, now);
        let next = if self.apart {
            counted::server_takes
        } else {
            counted::server_continues
        };
        let takes = Takes {
            first: counted::server_takes,
            next,
        };
        self.server.receive(&mut self.client.port, now, takes);
        self.serve();
        counted::server_sends(&mut self.server.stack, &mut self.server.port, now);
        let takes = Takes {
            first: counted::client_takes,
            next: counted::client_continues,
        };
        self.client.receive(&mut self.server.port, now, takes);
        self.take_answers();
        self.now = now.after_ns(self.step_ns);
    }

    fn connect(&mut self, client_port: u16, server_port: u16) -> Id {
        let remote = SocketAddr::new(SERVER.into(), server_port);
        let Side { stack, port } = &mut self.client;
        let id = stack
            .tcp_connect(port, self.now, remote, None, Some(client_port), 0)
            .expect("room for a connection");
        self.round();
        self.round();
        id
    }

    /// The echo. A request is copied once, so that its buffer can go home at once.
    #[inline(never)]
    fn serve(&mut self) {
        let now = self.now;
        let Side { stack, port } = &mut self.server;
        while let Some(event) = stack.poll_event(port, now) {
            match event {
                Event::Recv {
                    flow,
                    buf,
                    offset,
                    len,
                    ..
                } => {
                    self.received_bytes += u64::from(len);
                    if usize::from(len) == REQUEST {
                        port.keep(flow.index, &buf, offset);
                        let answer = Port::answer_span(flow.index, len);
                        stack.tcp_send(port, now, flow, &[answer]).expect("room");
                    }
                    stack.rx_done(port, now, buf.0).expect("lent");
                }
                Event::Knock { flow, .. } => stack.tcp_accept(flow, 0).expect("offered"),
                Event::Eof { flow, .. } => stack.tcp_close(port, now, flow).expect("open"),
                Event::Sent { .. } | Event::Dead { .. } => {}
                event => panic!("{event:?}"),
            }
        }
    }

    fn take_answers(&mut self) {
        let now = self.now;
        let Side { stack, port } = &mut self.client;
        while let Some(event) = stack.poll_event(port, now) {
            match event {
                Event::Recv { buf, len, .. } => {
                    assert_eq!(usize::from(len), REQUEST);
                    self.answered += 1;
                    stack.rx_done(port, now, buf.0).expect("lent");
                }
                Event::Sent { len, .. } => self.acknowledged += u64::from(len),
                Event::Connected { result, .. } => result.expect("connected"),
                Event::Eof { .. } | Event::Dead { .. } => {}
                event => panic!("{event:?}"),
            }
        }
    }
}
