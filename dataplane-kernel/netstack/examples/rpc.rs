//! Echoes 64-byte requests between two stacks in memory, to count what the stack costs:
//!
//! ```text
//! cargo build --release -p netstack --example rpc
//! valgrind --tool=callgrind --toggle-collect='rpc::serve' target/.../release/examples/rpc 16 10000
//! ```
//!
//! The arguments are the number of flows and of requests per flow. With `--toggle-collect` as above callgrind counts the
//! server only: receive, events, the app's calls, flush, and [`Port`], which stands for the driver. Divide by the requests.

use netstack::wire::ethernet;
use netstack::{BufId, ChecksumOffload, Config, Env, Event, Id, Instant, RxChecksum, Span, Stack, TxTicket};
use std::net::{Ipv4Addr, SocketAddr};

const BUFFER: usize = 2048;
const BUFFERS: u32 = 4096;
const REQUEST: u32 = 64;
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// The time one batch takes.
const STEP_NS: u64 = 50_000;

/// A driver: receive buffers, with the app's memory behind them, and frames that have left.
struct Port {
    memory: Vec<u8>,
    free: Vec<u32>,
    header: [u8; BUFFER],
    out: Vec<u8>,
    /// Where the frames in `out` end.
    ends: Vec<usize>,
    sent: u32,
}

impl Port {
    fn new() -> Self {
        Port {
            memory: vec![0; BUFFER * (BUFFERS as usize + 1)],
            free: (0..BUFFERS).collect(),
            header: [0; BUFFER],
            out: Vec::with_capacity(1 << 20),
            ends: Vec::with_capacity(4096),
            sent: 0,
        }
    }

    fn span(index: u32, offset: u16, len: u32) -> Span {
        let address = u64::from(index) * BUFFER as u64 + u64::from(offset);
        Span { address, len }
    }
}

impl Env for Port {
    fn begin_tx(&mut self) -> Option<&mut [u8]> {
        Some(&mut self.header)
    }

    fn commit_tx(&mut self, header_len: usize, payload: &[Span], _: ChecksumOffload) -> TxTicket {
        self.out.extend_from_slice(&self.header[..header_len]);
        for span in payload {
            let start = usize::try_from(span.address).unwrap_or(0);
            self.out
                .extend_from_slice(&self.memory[start..start + span.len as usize]);
        }
        self.ends.push(self.out.len());
        self.sent = self.sent.wrapping_add(1);
        TxTicket(self.sent.wrapping_sub(1))
    }

    fn tx_done(&self, ticket: TxTicket) -> bool {
        self.sent.wrapping_sub(ticket.0).cast_signed() > 0
    }

    fn free_rx(&mut self, buf: BufId) {
        self.free.push(buf.0);
    }

    fn bytes(&self, span: Span) -> &[u8] {
        let start = usize::try_from(span.address).unwrap_or(0);
        &self.memory[start..start + span.len as usize]
    }
}

struct Side {
    stack: Stack,
    port: Port,
    /// Buffers of the last request of each flow, by slot: the answer is sent from them.
    held: Vec<Option<BufId>>,
    /// What has arrived: buffers, and where the frames in them end in `inbox`.
    arrived: Vec<(u32, usize)>,
    /// The frames once more, for the stack to read while it borrows the driver.
    inbox: Vec<u8>,
    answered: u64,
}

impl Side {
    fn new(ip: Ipv4Addr, flows: u32) -> Self {
        let mut config = Config::new([2, 0, 0, 0, 0, ip.octets()[3]], ip, 24);
        config.rx_buffers = BUFFERS;
        config.max_flows = 2 * flows;
        (config.rx_checksum, config.tx_checksum) = (true, true);
        Side {
            stack: Stack::new(config, Instant(0)),
            port: Port::new(),
            held: (0..2 * flows).map(|_| None).collect(),
            arrived: Vec::with_capacity(4096),
            inbox: Vec::with_capacity(1 << 20),
            answered: 0,
        }
    }

    /// Takes in what has arrived.
    fn receive(&mut self, now: Instant) {
        let mut start = 0;
        for (index, end) in self.arrived.drain(..) {
            let frame = &self.inbox[start..end];
            self.stack
                .receive(&mut self.port, now, BufId(index), frame, 0, RxChecksum::Good);
            start = end;
        }
        self.inbox.clear();
        self.stack.on_timer(&mut self.port, now);
    }

    fn ask(&mut self, now: Instant, flow: Id) {
        let request = Port::span(BUFFERS, 0, REQUEST);
        let accepted = self.stack.tcp_send(&mut self.port, now, flow, &[request]);
        assert_eq!(accepted, Ok(REQUEST));
    }

    fn return_held(&mut self, now: Instant, flow: Id) {
        if let Some(buf) = self.held[flow.index as usize].take() {
            self.stack
                .rx_done(&mut self.port, now, buf.0)
                .expect("a buffer of ours");
        }
    }
}

/// One cycle of the server.
#[inline(never)]
fn serve(side: &mut Side, now: Instant) {
    side.receive(now);
    while let Some(event) = side.stack.poll_event(&mut side.port, now) {
        match event {
            Event::Knock { flow, .. } => side.stack.tcp_accept(flow, 0).expect("offered"),
            Event::Recv {
                flow,
                buf,
                offset,
                len,
                ..
            } => {
                let answer = Port::span(buf.0, offset, len.into());
                side.held[flow.index as usize] = Some(buf);
                side.stack
                    .tcp_send(&mut side.port, now, flow, &[answer])
                    .expect("room");
            }
            Event::Sent { flow, .. } => side.return_held(now, flow),
            event => panic!("{event:?}"),
        }
    }
    side.stack.flush(&mut side.port, now);
}

/// One cycle of the client: each answer is followed by the next request.
#[inline(never)]
fn demand(side: &mut Side, now: Instant) {
    side.receive(now);
    while let Some(event) = side.stack.poll_event(&mut side.port, now) {
        match event {
            Event::Connected { flow, result, .. } => {
                result.expect("connected");
                side.ask(now, flow);
            }
            Event::Recv { flow, buf, len, .. } => {
                assert_eq!(u32::from(len), REQUEST);
                side.stack.rx_done(&mut side.port, now, buf.0).expect("lent");
                side.answered += 1;
                side.ask(now, flow);
            }
            Event::Sent { .. } => {}
            event => panic!("{event:?}"),
        }
    }
    side.stack.flush(&mut side.port, now);
}

/// Carries what has left one side to the other.
#[inline(never)]
fn carry(from: &mut Side, to: &mut Side) {
    let mut start = 0;
    for end in from.port.ends.drain(..) {
        let frame = &from.port.out[start..end];
        assert!(frame.len() >= ethernet::HEADER_LEN);
        let index = to.port.free.pop().expect("a buffer");
        let place = index as usize * BUFFER;
        to.port.memory[place..place + frame.len()].copy_from_slice(frame);
        to.inbox.extend_from_slice(frame);
        to.arrived.push((index, to.inbox.len()));
        start = end;
    }
    from.port.out.clear();
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u32>());
    let flows = arguments
        .next()
        .map_or(16, |flows| flows.expect("a number of flows"));
    let each = arguments
        .next()
        .map_or(10_000, |each| each.expect("a number of requests"));
    let requests = u64::from(flows) * u64::from(each);

    let (mut server, mut client) = (Side::new(SERVER, flows), Side::new(CLIENT, flows));
    let mut now = Instant(0);
    server
        .stack
        .tcp_listen(None, 80, flows, 0)
        .expect("the port is free");
    for _ in 0..flows {
        let remote = SocketAddr::new(SERVER.into(), 80);
        client
            .stack
            .tcp_connect(&mut client.port, now, remote, None, None, 0)
            .expect("room");
    }
    let (mut batches, started) = (0u64, std::time::Instant::now());
    while client.answered < requests {
        demand(&mut client, now);
        carry(&mut client, &mut server);
        serve(&mut server, now);
        carry(&mut server, &mut client);
        now = now.after_ns(STEP_NS);
        batches += 1;
    }
    let nanoseconds = started.elapsed().as_nanos() / u128::from(requests);
    let counters = server.stack.counters();
    println!(
        "{} requests over {flows} flows in {batches} batches, {nanoseconds} ns each (both sides)",
        client.answered
    );
    println!(
        "server: {} frames in, {} predicted, {} frames out",
        counters.rx_tcp, counters.tcp_predicted, counters.tx_tcp
    );
}
