//! Rubbish from the wire and from the app. A live stack survives it without a panic, and leaks nothing.

use crate::harness::driver::{Driver, FRAME_OFFSET, LARGE};
use crate::harness::frames_v6::{self, ALL_NODES, OUR_IP6, PEER_IP6};
use crate::harness::random::{Random, seeds};
use crate::harness::segment::{ACK, FIN, OUR_PORT, PEER_PORT, RST, SYN, Segment, syn};
use crate::harness::{OUR_IP, OUR_MAC, frames};
use etherparse::IpNumber;
use netstack::checksum::checksum;
use netstack::wire::icmpv6::set_checksum;
use netstack::{Config, Event, Id, Instant, Ipv6Config, RxChecksum, Stack};
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

/// The app's side: whatever it has heard of, and much that it has not.
struct Chaos {
    stack: Stack,
    driver: Driver,
    now: Instant,
    random: Random,
    ids: Vec<Id>,
    timers: Vec<Id>,
    frames_in: u64,
    /// Frames of ours and frames to us, to be bent and thrown back.
    seen: Vec<Vec<u8>>,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let mut config = Config::new(OUR_MAC.0, OUR_IP, 24);
        config.max_flows = 16;
        config.max_listeners = 3;
        config.max_udp_sockets = 4;
        config.max_timers = 4;
        config.rx_buffers = 64 + LARGE;
        config.ipv6 = Some(Ipv6Config {
            autoconfigure: true,
            ..frames_v6::fixed()
        });
        config.max_ipv6_pairs = 4;
        config.rx_reserve = 8;
        config.udp_held_buffers = 16;
        config.udp_sends = 8;
        config.rx_checksum = true;
        config.max_send_spans = 32;
        config.tcp.send_queue_bytes = 20_000;
        config.tcp.receive_window_bytes = 10_000;
        config.tcp.time_wait = Duration::from_secs(2);
        config.tcp.max_time_wait = 4;
        let now = Instant(1 << 40);
        let mut driver = Driver::new(config.rx_buffers - LARGE, 8);
        driver.memory = vec![0x61; 4096];
        let mut stack = Stack::new(config, now);
        stack.tcp_listen(None, OUR_PORT, 8, 1).unwrap();
        stack.udp_bind(None, 7, 2).unwrap();
        Chaos {
            stack,
            driver,
            now,
            random: Random::new(seed),
            ids: vec![
                Id {
                    index: 0,
                    generation: 0,
                },
                Id {
                    index: u32::MAX,
                    generation: u32::MAX,
                },
            ],
            timers: Vec::new(),
            frames_in: 0,
            seen: vec![
                frames::arp_request(),
                frames::echo_request(1, 1, b"x"),
                frames::udp(9, 7, b"data"),
                frames_v6::solicitation(PEER_IP6, OUR_IP6),
                frames_v6::udp(BETWEEN, (9, 7), b"data"),
                router_advertisement(),
                fragment(false, 0, true),
                fragment(true, 0, true),
                frames_v6::icmp((PEER_IP6, ALL_NODES), 130, 0, [0; 4], &[0; 20]),
                frames_v6::packet(
                    BETWEEN,
                    0,
                    &[&[60, 0, 5, 2, 0, 0, 1, 0, 43, 0, 1, 4][..], &[0; 20]].concat(),
                ),
            ],
        }
    }

    /// A frame that makes some sense, on a connection of ours if there is one.
    fn sensible(&mut self) -> Vec<u8> {
        match self.random.below(13) {
            8 => frames_v6::udp(BETWEEN, (9, 7), b"data"),
            9 => frames_v6::advertisement(),
            10 => syn().encode_v6(self.random.number32(), 0),
            11 => {
                let at = 8 * usize::from(self.random.byte() % 16);
                let (v6, more) = (self.random.chance(50), self.random.chance(70));
                fragment(v6, at, more)
            }
            12 => router_advertisement(),
            0 => frames::udp(9, 7, b"data"),
            1 => frames::arp_reply(),
            2 => frames::echo_request(1, 2, b"ping"),
            3 => syn()
                .mss(1460)
                .port(PEER_PORT + u16::from(self.random.byte() % 20))
                .encode(self.random.number32(), 0),
            _ => self.answer(),
        }
    }

    /// A segment in answer to one of ours: right, or nearly so.
    fn answer(&mut self) -> Vec<u8> {
        let index = self.random.index(self.seen.len());
        let frame = &self.seen[index];
        let is_ours = frame[6..12] == OUR_MAC.0 && frame[12..14] == [8, 0] && frame.get(23) == Some(&6);
        let Some(ours) = is_ours.then(|| Segment::decode(frame)).flatten() else {
            return frames::arp_reply();
        };
        let flags = [ACK, ACK, ACK, ACK | FIN, RST, SYN | ACK, SYN][self.random.index(7)];
        let len = usize::from(self.random.byte()) * 5;
        let near = |random: &mut Random, number: u32| match random.below(4) {
            0 => number.wrapping_add(random.scaled32(100_000)),
            1 => number.wrapping_sub(random.scaled32(100_000)),
            _ => number,
        };
        let syn_len = u32::from(ours.flags & SYN != 0);
        let ack = near(
            &mut self.random,
            ours.seq
                .wrapping_add(u32::try_from(ours.payload.len()).unwrap() + syn_len),
        );
        let seq = near(&mut self.random, ours.ack);
        let segment = Segment {
            flags,
            payload: vec![b'p'; if self.random.chance(50) { len } else { 0 }],
            window: Some([0, 1, 1000, 65535][self.random.index(4)]),
            ..ours
        };
        segment.encode(seq, ack)
    }

    /// Bends a frame: bits, bytes, its length; half of the time with a right header checksum.
    fn bend(&mut self, frame: &mut Vec<u8>) {
        for _ in 0..self.random.scaled(8) {
            if frame.is_empty() {
                return;
            }
            let at = self.random.index(frame.len());
            match self.random.below(4) {
                0 => frame[at] ^= 1 << self.random.below(8),
                1 => frame[at] = self.random.byte(),
                2 => frame[at] = [0, 0xff, 0x7f, 0x80][self.random.index(4)],
                _ => frame.truncate(at),
            }
        }
        if frame.len() > 62 && frame[12..14] == [0x86, 0xdd] {
            let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&frame[at..at + 16]).unwrap());
            let (src, dst) = (address(22), address(38));
            if frame[20] == 58 && self.random.chance(70) {
                set_checksum(&mut frame[54..], src, dst);
            }
        } else if frame.len() >= 34 && self.random.chance(70) {
            frame[..6].copy_from_slice(&OUR_MAC.0);
            frame[24..26].fill(0);
            let header_len = (usize::from(frame[14] & 15) * 4).clamp(20, frame.len() - 14);
            let sum = checksum(&frame[14..14 + header_len]);
            frame[24..26].copy_from_slice(&sum.to_be_bytes());
        }
    }

    fn inject(&mut self) {
        let mut frame = if self.random.chance(60) {
            self.sensible()
        } else {
            let index = self.random.index(self.seen.len());
            self.seen[index].clone()
        };
        if self.random.chance(50) {
            self.bend(&mut frame);
        }
        if self.random.chance(3) {
            frame = (0..self.random.below(1514)).map(|_| self.random.byte()).collect();
        }
        let Some(buf) = self.driver.fill(&frame) else {
            return;
        };
        self.frames_in += 1;
        let checksum = if self.random.chance(50) {
            RxChecksum::Good
        } else {
            RxChecksum::Unknown
        };
        self.stack
            .receive(&mut self.driver, self.now, buf, &frame, FRAME_OFFSET, checksum);
        while let Some(whole) = self.stack.poll_whole() {
            let bytes = self
                .driver
                .view(whole.buf(), whole.offset(), whole.len())
                .to_vec();
            self.stack
                .receive_whole(&mut self.driver, self.now, whole, &bytes);
        }
    }

    fn poll(&mut self) {
        while let Some(event) = self.stack.poll_event(&mut self.driver, self.now) {
            match event {
                Event::Knock { flow, .. } | Event::Connected { flow, .. } => self.ids.push(flow),
                Event::Recv { buf, offset, len, .. } | Event::UdpRecv { buf, offset, len, .. } => {
                    self.driver.view(&buf, offset, len);
                }
                _ => {}
            }
            if self.random.chance(10) {
                break;
            }
        }
    }

    /// Any call with any arguments; the outcome is not looked at.
    fn call(&mut self) {
        let Chaos {
            stack,
            driver,
            now,
            random,
            ..
        } = self;
        let now = *now;
        let mut id = self.ids[random.index(self.ids.len())];
        if random.chance(5) {
            id.generation = random.number32();
        }
        let len = random.scaled32(1500);
        let span = netstack::Span {
            address: random.below(1024),
            len: len.min(3000),
        };
        let remote: SocketAddr = [
            "10.0.0.2:40000",
            "10.0.0.9:9",
            "192.0.2.1:1",
            "[::1]:1",
            "[fd00:0:0:1::2]:40000",
            "[2001:db8::1]:7",
            "239.1.2.3:7",
            "[ff15::7]:7",
        ][random.index(8)]
        .parse()
        .unwrap();
        let first = Id {
            index: 0,
            generation: 0,
        };
        match random.below(18) {
            16 => drop(stack.udp_join(now, first, remote.ip())),
            17 => drop(stack.udp_leave(now, first, remote.ip())),
            0 => drop(
                stack
                    .tcp_connect(driver, now, remote, None, None, 3)
                    .map(|flow| self.ids.push(flow)),
            ),
            1..=3 => drop(stack.tcp_accept(id, 4)),
            4 => drop(stack.tcp_reject(driver, now, id)),
            5..=7 => drop(stack.tcp_send(driver, now, id, &[span, span])),
            8 => drop(stack.tcp_close(driver, now, id)),
            9 => drop(stack.tcp_shutdown(driver, now, id)),
            10 => drop(stack.tcp_abort(driver, now, id)),
            11 => drop(stack.rx_done(driver, now, random.number32() % 80)),
            12 => drop(stack.tcp_keepalive(now, id, Some(Duration::from_millis(random.scaled(5000))))),
            13 => drop(stack.udp_send(driver, now, first, remote, &[span, span], 5)),
            14 => drop(
                stack
                    .timer_start(now, Duration::from_micros(random.scaled(1 << 40)), 6)
                    .map(|id| self.timers.push(id)),
            ),
            _ => drop(self.timers.pop().map(|timer| stack.timer_cancel(timer))),
        }
    }

    fn turn(&mut self) {
        self.stack.on_timer(&mut self.driver, self.now);
        self.poll();
        for _ in 0..self.random.below(4) {
            self.call();
        }
        self.stack.flush(&mut self.driver, self.now);
        while let Some(frame) = self.driver.sent.pop_front() {
            let place = self.random.index(64);
            match self.seen.get_mut(place) {
                Some(old) => *old = frame,
                None => self.seen.push(frame),
            }
        }
        let step = self.random.scaled(1 << 31);
        self.now = self.now.after_ns(step);
    }

    /// Ends all there is, and counts.
    fn end(mut self) {
        for id in std::mem::take(&mut self.ids) {
            // Most are gone, and some never were.
            let _ = self.stack.tcp_abort(&mut self.driver, self.now, id);
        }
        for _ in 0..200 {
            self.now = self.now.after_ns(10_000_000_000);
            self.stack.on_timer(&mut self.driver, self.now);
            while let Some(event) = self.stack.poll_event(&mut self.driver, self.now) {
                if let Event::Knock { flow, .. } = event {
                    self.stack.tcp_reject(&mut self.driver, self.now, flow).unwrap();
                }
            }
            for index in 0..64 + LARGE {
                let _ = self.stack.rx_done(&mut self.driver, self.now, index);
            }
            self.stack.flush(&mut self.driver, self.now);
            self.driver.sent.clear();
        }
        let counters = self.stack.counters();
        let counted: u64 = counters
            .each()
            .filter(|(name, _)| name.starts_with("rx_"))
            .map(|(_, n)| n)
            .sum();
        assert_eq!(counted, self.frames_in, "{counters:?}");
        assert_eq!(self.driver.buffers_out(), 0, "{counters:?}");
        assert_eq!((counters.flows, counters.send_spans), (0, 0), "{counters:?}");
    }
}

const BETWEEN: (Ipv6Addr, Ipv6Addr) = (PEER_IP6, OUR_IP6);

/// Of a datagram to our port, 8 bytes from `at` on.
fn fragment(v6: bool, at: usize, more: bool) -> Vec<u8> {
    let data = [0, 9, 0, 7, 0, 16, 0, 0];
    let place = u16::try_from(at).unwrap();
    if v6 {
        let [high, low] = (place | u16::from(more)).to_be_bytes();
        let header = [17, 0, high, low, 0, 0, 0, 1];
        return frames_v6::packet(BETWEEN, 44, &[header, data].concat());
    }
    frames::ipv4(IpNumber::UDP, &data, |ip| {
        (ip.dont_fragment, ip.more_fragments) = (false, more);
        ip.fragment_offset = (place / 8).try_into().unwrap();
    })
}

/// A router with a prefix for addresses and a link that is narrow.
fn router_advertisement() -> Vec<u8> {
    let router = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    let prefix = [
        &[3, 4, 64, 0xc0, 0, 0, 14, 16, 0, 0, 7, 8, 0, 0, 0, 0][..],
        &[0x20, 1, 0xd, 0xb8],
        &[0; 12],
    ];
    let body = [&[0; 8][..], &[5, 1, 0, 0, 0, 0, 5, 0], &prefix.concat()].concat();
    frames_v6::icmp((router, ALL_NODES), 134, 0, [64, 0, 7, 8], &body)
}

#[test]
fn rubbish_is_survived() {
    for seed in seeds(0, 30) {
        eprintln!("seed {seed}");
        let mut chaos = Chaos::new(seed);
        for _ in 0..1500 {
            for _ in 0..chaos.random.below(4) {
                chaos.inject();
            }
            chaos.turn();
        }
        chaos.end();
    }
}
