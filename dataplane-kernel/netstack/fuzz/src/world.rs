//! A small stack, its driver, its app, and what its peers know of it.

use crate::driver::{BUFFERS, Driver, LARGE};
use crate::frame::{self, ACK, FIN, OUR_IP, OUR_MAC, RST, SYN, Segment};
use fuzzing::Input;
use netstack::{Config, Event, Id, Instant, Ipv6Config, RxChecksum, Span, Stack};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

const SERVER_PORT: u16 = 80;
/// Segments of ours that peers remember.
const REMEMBERED: usize = 32;

pub(crate) struct World {
    stack: Stack,
    driver: Driver,
    now: Instant,
    /// Handles the app has heard of, and two that never were.
    ids: Vec<Id>,
    /// Flows that were offered and may not have been accepted.
    offered: Vec<Id>,
    /// Buffers the app holds.
    held: Vec<u32>,
    timers: Vec<Id>,
    /// Frames of ours, with the bytes they carry.
    seen: Vec<(Vec<u8>, u32)>,
    frames_in: u64,
}

impl World {
    /// One whose settings depend on `choice`.
    pub(crate) fn new(choice: u8) -> Self {
        let mut config = Config::new(OUR_MAC, OUR_IP.into(), 24);
        if choice & 1 != 0 {
            config = config.through(Ipv4Addr::new(10, 0, 0, 254));
        }
        config.ipv6 = (choice & 8 != 0).then(|| Ipv6Config {
            address: Some((frame::OUR_IP6.into(), 64)),
            gateway: None,
            autoconfigure: choice & 16 != 0,
        });
        config.max_flows = 8;
        config.max_listeners = 3;
        config.max_udp_sockets = 3;
        config.max_timers = 3;
        config.rx_buffers = BUFFERS + LARGE;
        config.rx_reserve = 8;
        config.udp_held_buffers = 12;
        config.udp_sends = 6;
        (config.rx_checksum, config.tx_checksum) = (true, true);
        config.max_send_spans = 24;
        config.tcp.send_queue_bytes = 20_000;
        config.tcp.receive_window_bytes = if choice & 2 != 0 { 100_000 } else { 8_000 };
        config.tcp.time_wait = Duration::from_secs(2);
        config.tcp.max_time_wait = 3;
        config.tcp.offer_options = choice & 4 == 0;
        let now = Instant(1 << 40);
        let mut stack = Stack::new(config, now);
        stack.tcp_listen(None, SERVER_PORT, 4, 1).expect("a fresh stack");
        let socket = stack.udp_bind(None, 7, 2).expect("a fresh stack");
        let never = Id {
            index: u32::MAX,
            generation: 7,
        };
        World {
            stack,
            driver: Driver::new(),
            now,
            ids: vec![socket, never],
            offered: Vec::new(),
            held: Vec::new(),
            timers: Vec::new(),
            seen: Vec::new(),
            frames_in: 0,
        }
    }

    fn receive(&mut self, frame: &[u8], checksum: RxChecksum) {
        let frame = &frame[..frame.len().min(1514)];
        let Some(buf) = self.driver.take() else {
            return;
        };
        self.frames_in += 1;
        self.driver
            .receive(&mut self.stack, self.now, buf, frame, checksum);
    }

    /// One frame: an opening, an answer that is right or nearly so, or anything else; bent or not.
    pub(crate) fn inject(&mut self, input: &mut Input<'_>) {
        let mut frame = match input.below(8) {
            0 => Segment {
                peer_port: 40_000 + u16::from(input.byte() & 7),
                our_port: SERVER_PORT,
                seq: input.word(),
                flags: SYN,
                ..Segment::default()
            }
            .frame(input.half(), input.bytes(40), input.bytes(16)),
            1 => frame::other(input),
            2 => match self.some_seen(input) {
                Some((ours, _)) => frame::icmp_error(input, &ours),
                None => frame::arp(input),
            },
            _ => self.answer_nearly(input),
        };
        if input.byte() < 60 {
            frame::bend(&mut frame, input);
        }
        let checksum = if input.byte() < 240 {
            RxChecksum::Good
        } else {
            RxChecksum::Unknown
        };
        self.receive(&frame, checksum);
    }

    /// One fragment; now and then anything else.
    pub(crate) fn inject_fragment(&mut self, input: &mut Input<'_>) {
        let mut frame = frame::fragment(input);
        if input.byte() < 20 {
            frame::bend(&mut frame, input);
        }
        self.receive(&frame, RxChecksum::Good);
        if input.byte() < 10 {
            self.inject(input);
        }
    }

    fn some_seen(&self, input: &mut Input<'_>) -> Option<(Vec<u8>, u32)> {
        let at = input.below(u16::try_from(self.seen.len()).unwrap_or(256).max(1));
        self.seen.get(at).cloned()
    }

    fn some_segment(&self, input: &mut Input<'_>) -> Option<Segment> {
        let (header, len) = self.some_seen(input)?;
        Segment::read(&header, len)
    }

    /// What a peer might say to a segment of ours, or thereabouts.
    fn answer_nearly(&mut self, input: &mut Input<'_>) -> Vec<u8> {
        let Some(ours) = self.some_segment(input) else {
            return frame::arp(input);
        };
        let flags = input.one_of(&[ACK, ACK, ACK, ACK | FIN, ACK | SYN, SYN, RST, RST | ACK, 0, 0xff]);
        let mut answer = ours.answered(flags);
        let steps = [
            0,
            0,
            0,
            1,
            10,
            536,
            1460,
            8000,
            100_000,
            u32::MAX,
            u32::MAX - 1459,
            1 << 31,
        ];
        answer.seq = answer.seq.wrapping_add(input.one_of(&steps));
        answer.ack = answer.ack.wrapping_add(input.one_of(&steps));
        let window = input.one_of(&[65_535, 0, 1, 1000, 8000]);
        let options = input.bytes(40);
        let payload = vec![b'p'; input.one_of(&[0, 0, 1, 100, 536, 1460])];
        let room = 1460 - options.len().next_multiple_of(4);
        answer.frame(window, options, &payload[..payload.len().min(room)])
    }

    /// Peers that know what they do: everything of ours is answered.
    pub(crate) fn answer(&mut self, input: &mut Input<'_>) {
        let segments: Vec<Segment> = (0..input.below(4))
            .filter_map(|_| self.some_segment(input))
            .collect();
        for ours in segments {
            let flags = match ours.flags & (SYN | ACK) {
                SYN => SYN | ACK,
                _ => input.one_of(&[ACK, ACK, ACK | FIN]),
            };
            let payload = vec![b'p'; input.one_of(&[0, 0, 64, 1000])];
            let frame = ours.answered(flags).frame(8000, &[], &payload);
            self.receive(&frame, RxChecksum::Good);
        }
        if input.byte() < 100 {
            self.inject(input);
        }
    }

    /// An app that accepts, echoes, gives buffers back, and closes.
    pub(crate) fn behave(&mut self, input: &mut Input<'_>) {
        let (driver, now) = (&mut self.driver, self.now);
        for _ in 0..input.below(32) {
            let Some(event) = self.stack.poll_event(driver, now) else {
                break;
            };
            match event {
                Event::Knock { flow, .. } => {
                    self.stack.tcp_accept(flow, 3).expect("offered just now");
                    self.ids.push(flow);
                }
                Event::Recv { flow, buf, len, .. } => {
                    let span = Span {
                        address: 0,
                        len: len.into(),
                    };
                    // The queue may be full, or closed.
                    let _ = self.stack.tcp_send(driver, now, flow, &[span]);
                    self.held.push(buf.0);
                }
                Event::UdpRecv {
                    socket, peer, buf, ..
                } => {
                    let span = Span { address: 0, len: 10 };
                    let _ = self.stack.udp_send(driver, now, socket, peer, &[span], 9);
                    self.held.push(buf.0);
                }
                Event::Eof { flow, .. } => drop(self.stack.tcp_close(driver, now, flow)),
                _ => {}
            }
        }
        let keep = input.below(32);
        while self.held.len() > keep {
            let buf = self.held.remove(0);
            self.stack.rx_done(driver, now, buf).expect("lent to the app");
        }
        if input.byte() < 30 {
            self.call(input);
        }
    }

    /// One call, with whatever arguments.
    pub(crate) fn call(&mut self, input: &mut Input<'_>) {
        let World {
            stack, driver, now, ..
        } = self;
        let now = *now;
        let mut id = self.ids[input.below(u16::try_from(self.ids.len()).unwrap_or(256))];
        if input.byte() < 10 {
            id.generation = input.word();
        }
        match input.below(22) {
            20 => {
                let _ = stack.udp_join(now, id, group(input));
            }
            21 => {
                let _ = stack.udp_leave(now, id, group(input));
            }
            0 | 1 => {
                let connected =
                    stack.tcp_connect(driver, now, remote(input), local(input), local_port(input), 3);
                self.ids.extend(connected);
            }
            2 | 3 => drop(stack.tcp_accept(id, 4)),
            4 => drop(stack.tcp_reject(driver, now, id)),
            5..=7 => {
                let spans: Vec<Span> = (0..input.below(40)).map(|_| span(input)).collect();
                let offered: u64 = spans.iter().map(|span| u64::from(span.len)).sum();
                if let Ok(taken) = stack.tcp_send(driver, now, id, &spans) {
                    assert!(u64::from(taken) <= offered);
                }
            }
            8 => drop(stack.tcp_close(driver, now, id)),
            9 => drop(stack.tcp_shutdown(driver, now, id)),
            10 => drop(stack.tcp_abort(driver, now, id)),
            11 => self.return_buffer(input),
            12 => {
                let idle = (input.byte() < 200).then(|| Duration::from_nanos(input.word().into()));
                let _ = stack.tcp_keepalive(now, id, idle);
            }
            13 => {
                let spans: Vec<Span> = (0..input.below(40)).map(|_| span(input)).collect();
                let _ = stack.udp_send(driver, now, id, remote(input), &spans, 5);
            }
            14 => self
                .ids
                .extend(stack.udp_bind(local(input), input.half() & 15, 6)),
            15 => drop(stack.udp_unbind(driver, now, id)),
            16 => {
                let delay = Duration::from_micros(u64::from(input.word()) << input.below(33));
                self.timers.extend(stack.timer_start(now, delay, 8));
            }
            17 => drop(self.timers.pop().map(|timer| stack.timer_cancel(timer))),
            18 => {
                let (port, backlog) = (input.half() & 127, input.word());
                self.ids.extend(stack.tcp_listen(local(input), port, backlog, 7));
            }
            _ => self.poll_or_unlisten(input, id),
        }
        self.ids.truncate(200);
    }

    fn return_buffer(&mut self, input: &mut Input<'_>) {
        let buf = if input.byte() < 200 {
            self.held.pop().unwrap_or(0)
        } else {
            input.word()
        };
        if self.stack.rx_done(&mut self.driver, self.now, buf).is_ok() {
            self.held.retain(|held| *held != buf);
        }
    }

    fn poll_or_unlisten(&mut self, input: &mut Input<'_>, id: Id) {
        if input.byte() < 40 {
            let _ = self.stack.tcp_unlisten(&mut self.driver, self.now, id);
        } else if input.byte() < 5 {
            self.stack.close_all(&mut self.driver, self.now);
        }
        while let Some(event) = self.stack.poll_event(&mut self.driver, self.now) {
            match event {
                Event::Knock { flow, .. } => {
                    self.ids.push(flow);
                    self.offered.push(flow);
                }
                Event::Connected { flow, .. } => self.ids.push(flow),
                Event::Recv { buf, .. } | Event::UdpRecv { buf, .. } => self.held.push(buf.0),
                _ => {}
            }
        }
    }

    /// Time passes, and everything leaves.
    pub(crate) fn wait_ms(&mut self, ms: u64) {
        self.now = self.now.after_ns(ms * 1_000_000);
        self.stack.on_timer(&mut self.driver, self.now);
        self.stack.flush(&mut self.driver, self.now);
        self.driver.finish(u32::MAX);
        self.driver.sent.clear();
    }

    /// Time passes, the device works, frames leave.
    pub(crate) fn turn(&mut self, input: &mut Input<'_>) {
        let step_ns = u64::from(input.byte()) << input.below(29);
        self.now = self.now.after_ns(step_ns);
        self.stack.on_timer(&mut self.driver, self.now);
        self.stack.flush(&mut self.driver, self.now);
        self.driver.finish(u32::from(input.byte() & 15));
        for sent in std::mem::take(&mut self.driver.sent) {
            if self.seen.len() == REMEMBERED {
                self.seen.remove(0);
            }
            self.seen.push(sent);
        }
    }

    /// Everything is ended: each frame was counted once, every buffer is home, no flow and no span is left.
    pub(crate) fn end(mut self) {
        let mut rounds = 0;
        self.stack.abort_all(&mut self.driver, self.now);
        for flow in std::mem::take(&mut self.offered) {
            // Most were accepted, and many are gone.
            let _ = self.stack.tcp_reject(&mut self.driver, self.now, flow);
        }
        loop {
            self.driver.finish(u32::MAX);
            self.stack.on_timer(&mut self.driver, self.now);
            let mut quiet = true;
            while let Some(event) = self.stack.poll_event(&mut self.driver, self.now) {
                quiet = false;
                match event {
                    Event::Knock { flow, .. } => {
                        let _ = self.stack.tcp_reject(&mut self.driver, self.now, flow);
                    }
                    Event::Recv { buf, .. } | Event::UdpRecv { buf, .. } => self.held.push(buf.0),
                    _ => {}
                }
            }
            for buf in std::mem::take(&mut self.held) {
                self.stack
                    .rx_done(&mut self.driver, self.now, buf)
                    .expect("lent to the app");
            }
            self.stack.flush(&mut self.driver, self.now);
            self.driver.sent.clear();
            rounds += 1;
            assert!(rounds < 1000, "the stack does not come to rest");
            self.now = self.now.after_ns(1_000_000_000);
            if quiet && rounds > 70 {
                break;
            }
        }
        let counters = self.stack.counters();
        let counted: u64 = counters
            .each()
            .filter(|(name, _)| name.starts_with("rx_"))
            .map(|(_, count)| count)
            .sum();
        assert_eq!(counted, self.frames_in, "{counters:?}");
        assert_eq!(self.driver.buffers_out(), 0, "{counters:?}");
        assert_eq!((counters.flows, counters.send_spans), (0, 0), "{counters:?}");
    }
}

fn remote(input: &mut Input<'_>) -> SocketAddr {
    let hosts = [
        "10.0.0.2",
        "10.0.0.2",
        "10.0.0.9",
        "10.0.0.255",
        "10.0.0.1",
        "192.0.2.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
    ];
    let host: IpAddr = input.one_of(&hosts).parse().expect("an address");
    SocketAddr::new(host, input.one_of(&[80, 9, 0, 40_000]))
}

fn group(input: &mut Input<'_>) -> IpAddr {
    let groups = [
        "224.0.0.1",
        "239.1.2.3",
        "239.1.2.4",
        "10.0.0.2",
        "ff02::1",
        "ff02::abcd",
        "fd00::1",
    ];
    input.one_of(&groups).parse().expect("an address")
}

fn local(input: &mut Input<'_>) -> Option<IpAddr> {
    let addresses = [
        None,
        None,
        Some("10.0.0.1"),
        Some("10.0.0.3"),
        Some("::"),
        Some("0.0.0.0"),
    ];
    Some(input.one_of(&addresses)?.parse().expect("an address"))
}

fn local_port(input: &mut Input<'_>) -> Option<u16> {
    (input.byte() < 128).then(|| input.half() & 127)
}

fn span(input: &mut Input<'_>) -> Span {
    Span {
        address: u64::from(input.word()) << input.below(33),
        len: input.one_of(&[64, 0, 1, 1460, 5000, 20_000, 1 << 31, u32::MAX]),
    }
}
