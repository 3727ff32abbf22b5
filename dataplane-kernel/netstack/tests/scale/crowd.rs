//! Clients beyond a gateway, and the server that they talk to: an echo.

use netstack::checksum::Sum;
use netstack::{BufId, Config, Env, Event, Id, Instant, RxChecksum, Span, Stack, TxOffload, TxTicket};
use std::net::Ipv4Addr;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const PORT: u16 = 7;
/// Clients behind one address.
const PORTS_EACH: u32 = 50_000;
const FIRST_PORT: u32 = 10_000;
const BUFFERS: u32 = 1024;
const BUFFER_LEN: u64 = 2048;
/// Connections that are opened, or requests that are served, in one cycle.
const BATCH: u32 = 64;
const REQUEST: u16 = 64;

const HEADERS: usize = 54;
const SYN: u8 = 0x02;
const PUSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// The headers of a frame from the server, as far as they matter.
#[derive(Clone, Copy)]
struct Answer {
    client: u32,
    flags: u8,
    seq: u32,
    ack: u32,
    data: u16,
}

/// A driver that looks at headers only.
struct Wire {
    header: [u8; 2048],
    free: Vec<u32>,
    answers: Vec<Answer>,
    asked_for_gateway: bool,
    sent: u32,
}

impl Env for Wire {
    fn begin_tx(&mut self) -> Option<&mut [u8]> {
        Some(&mut self.header)
    }

    fn commit_tx(&mut self, header_len: usize, payload: &[Span], _: TxOffload) -> TxTicket {
        if self.header[12..14] == [8, 6] {
            self.asked_for_gateway = true;
        } else {
            let payload_len: u32 = payload.iter().map(|span| span.len).sum();
            self.answers.push(read(&self.header[..header_len], payload_len));
        }
        self.sent = self.sent.wrapping_add(1);
        TxTicket(self.sent)
    }

    fn tx_done(&self, _: TxTicket) -> bool {
        true
    }

    fn free_rx(&mut self, buf: BufId) {
        self.free.push(buf.0);
    }

    fn bytes(&self, _: Span) -> &[u8] {
        unreachable!("the device computes checksums")
    }
}

fn word(frame: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(frame[at..at + 4].try_into().unwrap())
}

fn half(frame: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(frame[at..at + 2].try_into().unwrap())
}

fn read(header: &[u8], payload_len: u32) -> Answer {
    let address = word(header, 30) - word(&Ipv4Addr::new(11, 0, 0, 0).octets(), 0);
    Answer {
        client: address * PORTS_EACH + u32::from(half(header, 36)) - FIRST_PORT,
        flags: header[47],
        seq: word(header, 38),
        ack: word(header, 42),
        data: u16::try_from(payload_len).unwrap(),
    }
}

/// Numbers of a client's, and what is remembered of its server's.
#[derive(Clone, Copy, Default)]
struct Client {
    seq: u32,
    ack: u32,
}

pub(crate) struct Crowd {
    stack: Stack,
    wire: Wire,
    now: Instant,
    clients: Vec<Client>,
    /// Buffer that the answer of this cycle on a flow is sent from.
    held: Vec<(Id, u32)>,
    frames_in: u64,
    random: u64,
}

impl Crowd {
    pub(crate) fn new(flows: u32) -> Self {
        let mut config = Config::new(SERVER_MAC, SERVER, 24);
        config = config.through(GATEWAY);
        (config.rx_checksum, config.tx_checksum) = (true, true);
        config.max_flows = flows;
        config.rx_buffers = BUFFERS;
        config.rx_reserve = BATCH;
        config.max_send_spans = 4096;
        let now = Instant(1_000_000_000);
        let mut stack = Stack::new(config, now);
        stack.tcp_listen(None, PORT, 2 * BATCH, 0).unwrap();
        Crowd {
            stack,
            wire: Wire {
                header: [0; 2048],
                free: (0..BUFFERS).collect(),
                answers: Vec::with_capacity(4096),
                asked_for_gateway: false,
                sent: 0,
            },
            now,
            clients: vec![Client::default(); flows as usize],
            held: Vec::with_capacity(4096),
            frames_in: 0,
            random: 1,
        }
    }

    /// Of which the clients' side takes this much.
    pub(crate) fn own_bytes(&self) -> u64 {
        (self.clients.len() * size_of::<Client>()) as u64
    }

    /// Shakes hands with everybody.
    pub(crate) fn open_all(&mut self) {
        let flows = u32::try_from(self.clients.len()).unwrap();
        for start in (0..flows).step_by(BATCH as usize) {
            let batch = start..(start + BATCH).min(flows);
            for client in batch.clone() {
                self.send(client, SYN, 0);
                self.clients[client as usize].seq = 1;
            }
            self.cycle();
            for client in batch {
                self.send(client, ACK, 0);
            }
            self.cycle();
        }
        assert_eq!(self.stack.counters().flows, u64::from(flows));
        assert_eq!(self.stack.counters().tcp_retransmits, 0);
    }

    /// `requests` times somebody asks; the answer is the right one, and to the one who asked.
    pub(crate) fn echo_on_random_flows(&mut self, requests: u32) {
        let mut answered = 0;
        for _ in 0..requests {
            let client = self.pick();
            let before = self.clients[client as usize];
            self.send(client, ACK | PUSH, REQUEST);
            self.clients[client as usize].seq += u32::from(REQUEST);
            self.cycle();
            let after = self.clients[client as usize];
            answered += u32::from(after.ack == before.ack + u32::from(REQUEST));
            // Acknowledges the answer, so that the server can forget it.
            self.send(client, ACK, 0);
            self.cycle();
        }
        assert_eq!(answered, requests);
        assert_eq!(self.stack.counters().tcp_retransmits, 0);
    }

    /// Everybody is reset; nothing is left, and every frame was counted.
    pub(crate) fn end(mut self) {
        self.stack.abort_all(&mut self.wire, self.now);
        self.cycle();
        let counters = self.stack.counters();
        let counted: u64 = counters
            .each()
            .filter(|(name, _)| name.starts_with("rx_"))
            .map(|(_, count)| count)
            .sum();
        assert_eq!(counted, self.frames_in, "{counters:?}");
        assert_eq!(
            (counters.flows, counters.buffers_lent, counters.send_spans),
            (0, 0, 0)
        );
        assert_eq!(self.wire.free.len(), BUFFERS as usize);
    }

    /// An LCG's upper half is random enough to spread requests.
    fn pick(&mut self) -> u32 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let flows = self.clients.len() as u64;
        u32::try_from(((self.random >> 32) * flows) >> 32).unwrap()
    }

    fn send(&mut self, client: u32, flags: u8, data: u16) {
        let Client { seq, ack } = self.clients[client as usize];
        let ack = if flags & SYN == 0 { ack } else { 0 };
        let frame = segment(client, flags, seq, ack, data);
        self.receive(&frame[..HEADERS + usize::from(data)]);
    }

    fn receive(&mut self, frame: &[u8]) {
        let buf = BufId(self.wire.free.pop().expect("buffers are home"));
        self.frames_in += 1;
        self.stack
            .receive(&mut self.wire, self.now, buf, frame, 0, RxChecksum::Good);
    }

    /// The driver's cycle with the echo in it, and the clients take what was answered.
    fn cycle(&mut self) {
        let now = self.now;
        self.stack.on_timer(&mut self.wire, now);
        while let Some(event) = self.stack.poll_event(&mut self.wire, now) {
            match event {
                Event::Knock { flow, .. } => self.stack.tcp_accept(flow, 0).unwrap(),
                Event::Recv {
                    flow,
                    buf,
                    offset,
                    len,
                    ..
                } => {
                    let address = u64::from(buf.0) * BUFFER_LEN + u64::from(offset);
                    let span = Span {
                        address,
                        len: len.into(),
                    };
                    let sent = self.stack.tcp_send(&mut self.wire, now, flow, &[span]);
                    assert_eq!(sent, Ok(len.into()));
                    self.held.push((flow, buf.0));
                }
                Event::Sent { flow, .. } => self.give_back(flow),
                Event::Dead { .. } => {}
                event => panic!("{event:?}"),
            }
        }
        self.stack.flush(&mut self.wire, now);
        self.now = now.after_ns(10_000);
        for answer in std::mem::take(&mut self.wire.answers) {
            self.take(answer);
        }
        if std::mem::take(&mut self.wire.asked_for_gateway) {
            self.receive(&gateway_is_there());
            self.cycle();
        }
    }

    fn give_back(&mut self, flow: Id) {
        let at = self.held.iter().position(|(of, _)| *of == flow).unwrap();
        let (_, buf) = self.held.swap_remove(at);
        self.stack.rx_done(&mut self.wire, self.now, buf).unwrap();
    }

    fn take(&mut self, answer: Answer) {
        let client = &mut self.clients[answer.client as usize];
        if answer.flags & SYN != 0 {
            client.ack = answer.seq.wrapping_add(1);
        } else if answer.data > 0 {
            assert_eq!(
                (answer.seq, answer.ack),
                (client.ack, client.seq),
                "of this very client"
            );
            client.ack = client.ack.wrapping_add(answer.data.into());
        }
    }
}

/// A segment of a client's, from the address and port that its place gives it.
fn segment(client: u32, flags: u8, seq: u32, ack: u32, data: u16) -> [u8; HEADERS + REQUEST as usize] {
    let mut frame = [0x55; HEADERS + REQUEST as usize];
    let address = word(&Ipv4Addr::new(11, 0, 0, 0).octets(), 0) + client / PORTS_EACH;
    let port = u16::try_from(FIRST_PORT + client % PORTS_EACH).unwrap();
    frame[..6].copy_from_slice(&SERVER_MAC);
    frame[6..12].copy_from_slice(&GATEWAY_MAC);
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14..16].copy_from_slice(&[0x45, 0]);
    frame[16..18].copy_from_slice(&(40 + data).to_be_bytes());
    frame[18..26].copy_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0]);
    frame[26..30].copy_from_slice(&address.to_be_bytes());
    frame[30..34].copy_from_slice(&SERVER.octets());
    let mut sum = Sum::default();
    sum.add_bytes(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.finish().to_be_bytes());
    frame[34..36].copy_from_slice(&port.to_be_bytes());
    frame[36..38].copy_from_slice(&PORT.to_be_bytes());
    frame[38..42].copy_from_slice(&seq.to_be_bytes());
    frame[42..46].copy_from_slice(&ack.to_be_bytes());
    frame[46..54].copy_from_slice(&[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    frame
}

fn gateway_is_there() -> [u8; 42] {
    let mut frame = [0; 42];
    frame[..6].copy_from_slice(&SERVER_MAC);
    frame[6..12].copy_from_slice(&GATEWAY_MAC);
    frame[12..22].copy_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 2]);
    frame[22..28].copy_from_slice(&GATEWAY_MAC);
    frame[28..32].copy_from_slice(&GATEWAY.octets());
    frame[32..38].copy_from_slice(&SERVER_MAC);
    frame[38..42].copy_from_slice(&SERVER.octets());
    frame
}
