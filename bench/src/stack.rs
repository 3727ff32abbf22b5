//! The TCP/IP stack alone, in memory: what an echo costs without driver, rings and emulator. Run it under
//! `valgrind --tool=callgrind` to see its instructions by function.

use crate::load::float;
use anyhow::{Result, ensure};
use netstack::{BufId, ChecksumOffload, Config, Env, Event, Instant, RxChecksum, Span, Stack, TxTicket};
use std::net::Ipv4Addr;

/// Options of `stack`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Connections; each has one request outstanding.
    #[arg(long, default_value_t = 16)]
    connections: u16,
    /// Requests, over all connections.
    #[arg(long, default_value_t = 1_000_000)]
    requests: u64,
}

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const PORT: u16 = 7;
const SIZE: usize = 64;
const BUFFERS: u32 = 8192;
/// Length of Ethernet, IPv4 and TCP headers, the latter with a timestamp option as Linux sends it.
const HEADERS: usize = 14 + 20 + 32;
const ACK: u8 = 0x10;
const PUSH: u8 = 0x08;
const SYN: u8 = 0x02;

/// The driver's side: buffers, and the frames sent in this cycle.
struct Wire {
    header: [u8; 2048],
    sent: Vec<[u8; HEADERS]>,
    free: Vec<u32>,
    tickets: u32,
}

impl Env for Wire {
    fn begin_tx(&mut self) -> Option<&mut [u8]> {
        Some(&mut self.header)
    }

    fn commit_tx(&mut self, _header_len: usize, _payload: &[Span], _checksum: ChecksumOffload) -> TxTicket {
        if let Some(header) = self.header.first_chunk() {
            self.sent.push(*header);
        }
        self.tickets = self.tickets.wrapping_add(1);
        TxTicket(self.tickets)
    }

    fn tx_done(&self, _ticket: TxTicket) -> bool {
        true
    }

    fn free_rx(&mut self, buf: BufId) {
        self.free.push(buf.0);
    }

    fn bytes(&self, _span: Span) -> &[u8] {
        &[]
    }
}

/// A client's end of a connection.
#[derive(Clone, Copy, Default)]
struct Peer {
    seq: u32,
    ack: u32,
    server_time: u32,
}

/// One machine with its clients.
struct Machine {
    stack: Stack,
    wire: Wire,
    now: Instant,
    peers: Vec<Peer>,
    /// Buffers that the app has sent from, by connection; done with when the peer has acknowledged.
    held: Vec<Option<u32>>,
    answered: u64,
}

/// Measures, and prints a line.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut machine = Machine::new(options.connections)?;
    for client in 0..options.connections {
        machine.connect(client)?;
    }
    machine.rounds(options.requests / 10);
    let (before, start) = (machine.answered, std::time::Instant::now());
    machine.rounds(before + options.requests);
    let elapsed = start.elapsed();
    let answered = machine.answered - before;
    let each = elapsed.as_secs_f64() * 1e9 / float(answered.max(1));
    println!(
        "{answered} echoes on {} connections, {each:.0} ns each, the client's part included",
        options.connections
    );
    Ok(())
}

impl Machine {
    fn new(connections: u16) -> Result<Self> {
        let mut config = Config::new(SERVER_MAC, SERVER, 24);
        (config.rx_checksum, config.tx_checksum, config.rx_buffers) = (true, true, BUFFERS);
        let now = Instant(1_000_000);
        let mut stack = Stack::new(config, now);
        stack.tcp_listen(None, PORT, 0, 0).map_err(anyhow::Error::new)?;
        let wire = Wire {
            header: [0; 2048],
            sent: Vec::new(),
            free: (0..BUFFERS).collect(),
            tickets: 0,
        };
        let peers = vec![Peer::default(); connections.into()];
        Ok(Self {
            stack,
            wire,
            now,
            held: vec![None; peers.len()],
            peers,
            answered: 0,
        })
    }

    /// The three-way handshake. The first one also makes the stack ask for the client's address.
    fn connect(&mut self, client: u16) -> Result<()> {
        let syn = self.frame(client, SYN, 0);
        self.receive(&syn);
        self.cycle();
        self.clients_read();
        ensure!(self.peers[usize::from(client)].ack != 0, "no SYN-ACK");
        self.peers[usize::from(client)].seq = 1;
        let ack = self.frame(client, ACK, 0);
        self.receive(&ack);
        self.cycle();
        self.wire.sent.clear();
        Ok(())
    }

    /// Each client sends a request, all are served in one cycle, each client takes its answer.
    fn rounds(&mut self, until_answered: u64) {
        while self.answered < until_answered {
            for client in 0..u16::try_from(self.peers.len()).unwrap_or(u16::MAX) {
                let request = self.frame(client, ACK | PUSH, SIZE);
                self.receive(&request);
                self.peers[usize::from(client)].seq += 64;
            }
            self.cycle();
            self.clients_read();
        }
    }

    fn receive(&mut self, frame: &[u8]) {
        if let Some(buf) = self.wire.free.pop() {
            let (stack, wire) = (&mut self.stack, &mut self.wire);
            stack.receive(wire, self.now, BufId(buf), frame, 12, RxChecksum::Good);
        }
    }

    /// The driver's cycle with the echo app in it.
    fn cycle(&mut self) {
        let Self {
            stack,
            wire,
            now,
            held,
            ..
        } = self;
        stack.on_timer(wire, *now);
        while let Some(event) = stack.poll_event(wire, *now) {
            match event {
                Event::Knock { flow, peer, .. } => {
                    let _ = stack.tcp_accept(flow, u64::from(peer.port()) - 1024);
                }
                Event::Recv {
                    flow,
                    cookie,
                    buf,
                    offset,
                    ..
                } => {
                    let span = Span {
                        address: u64::from(buf.0) * 2048 + u64::from(offset),
                        len: 64,
                    };
                    let _ = stack.tcp_send(wire, *now, flow, &[span]);
                    if let Some(slot) = usize::try_from(cookie).ok().and_then(|index| held.get_mut(index)) {
                        *slot = Some(buf.0);
                    }
                }
                Event::Sent { cookie, .. } => {
                    let slot = usize::try_from(cookie).ok().and_then(|index| held.get_mut(index));
                    if let Some(buf) = slot.and_then(Option::take) {
                        let _ = stack.rx_done(wire, *now, buf);
                    }
                }
                _ => {}
            }
        }
        stack.flush(wire, *now);
        self.now = Instant(self.now.0 + 100_000);
    }

    fn answer_arp(&mut self) {
        let mut arp = [0; 42];
        arp[..6].copy_from_slice(&SERVER_MAC);
        arp[6..12].copy_from_slice(&CLIENT_MAC);
        arp[12..22].copy_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 2]);
        arp[22..28].copy_from_slice(&CLIENT_MAC);
        arp[28..32].copy_from_slice(&CLIENT.octets());
        arp[32..38].copy_from_slice(&SERVER_MAC);
        arp[38..42].copy_from_slice(&SERVER.octets());
        self.receive(&arp);
        self.cycle();
    }

    fn clients_read(&mut self) {
        let mut sent = std::mem::take(&mut self.wire.sent);
        let asked = sent.iter().any(|header| header[12..14] == [8, 6]);
        for header in sent.drain(..).filter(|header| header[12..14] == [8, 0]) {
            self.client_reads(&header);
        }
        self.wire.sent = sent;
        if asked {
            self.answer_arp();
            self.clients_read();
        }
    }

    fn client_reads(&mut self, header: &[u8; HEADERS]) {
        let word = |at: usize| {
            header
                .get(at..at + 4)
                .and_then(|b| b.try_into().ok())
                .map_or(0, u32::from_be_bytes)
        };
        let client = usize::from(u16::from_be_bytes([header[36], header[37]])) - 1024;
        let total = u32::from(u16::from_be_bytes([header[16], header[17]]));
        let data = total - 20 - u32::from(header[46] >> 4) * 4;
        let syn = u32::from(header[47] & SYN != 0);
        let peer = &mut self.peers[client];
        peer.ack = word(38).wrapping_add(data + syn);
        // The SYN-ACK has the option elsewhere; any small number will do for the first echo of it.
        peer.server_time = if syn == 0 { word(58) } else { 0 };
        self.answered += u64::from(data > 0);
    }

    fn frame(&self, client: u16, flags: u8, data: usize) -> Vec<u8> {
        let peer = self.peers[usize::from(client)];
        let mut frame = vec![0; HEADERS + data];
        frame[..6].copy_from_slice(&SERVER_MAC);
        frame[6..12].copy_from_slice(&CLIENT_MAC);
        frame[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
        let total = u16::try_from(HEADERS - 14 + data).unwrap_or(u16::MAX);
        frame[16..18].copy_from_slice(&total.to_be_bytes());
        frame[20] = 0x40;
        (frame[22], frame[23]) = (64, 6);
        frame[26..30].copy_from_slice(&CLIENT.octets());
        frame[30..34].copy_from_slice(&SERVER.octets());
        let words = frame[14..34]
            .chunks_exact(2)
            .map(|b| u32::from(u16::from_be_bytes([b[0], b[1]])));
        let sum: u32 = words.sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(0);
        frame[24..26].copy_from_slice(&checksum.to_be_bytes());
        frame[34..36].copy_from_slice(&(1024 + client).to_be_bytes());
        frame[36..38].copy_from_slice(&PORT.to_be_bytes());
        frame[38..42].copy_from_slice(&peer.seq.to_be_bytes());
        frame[42..46].copy_from_slice(&peer.ack.to_be_bytes());
        (frame[46], frame[47]) = (0x80, flags);
        frame[48..50].copy_from_slice(&[0xff, 0xff]);
        frame[54..58].copy_from_slice(&[1, 1, 8, 10]);
        let time = u32::try_from(self.now.0 / 1_000_000 % (1 << 31)).unwrap_or(0);
        frame[58..62].copy_from_slice(&time.to_be_bytes());
        frame[62..66].copy_from_slice(&peer.server_time.to_be_bytes());
        frame
    }
}
