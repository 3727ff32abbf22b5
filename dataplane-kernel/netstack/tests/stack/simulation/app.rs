//! A stack with its device and its app, which writes and reads on several connections, at its own pace.

use super::link::Link;
use crate::harness::driver::{Device, Driver, FRAME_OFFSET};
use crate::harness::parts;
use crate::harness::random::Random;
use netstack::{BufId, Config, Event, Id, Instant, RxChecksum, Span, Stack};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

const SERVICE: u16 = 7777;
const FIRST_PORT: u16 = 1000;
/// What memory holds once it is the app's again.
const POISON: u8 = 0xdd;

/// What the apps do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Most bytes of each direction.
    pub(crate) bytes: u64,
    /// Longest time the app holds a buffer, and pauses between writes.
    pub(crate) slowness_us: u64,
    pub(crate) window_bytes: u32,
}

/// One end of a connection.
struct End {
    flow: Option<Id>,
    is_open: bool,
    /// What is to be written, all of it, and how far it has come.
    output: Vec<u8>,
    written: usize,
    closed: bool,
    /// Spans given to the stack and not yet given back.
    lent: VecDeque<Span>,
    input: Vec<u8>,
    held: Vec<(Instant, BufId)>,
    eof: bool,
    dead: bool,
    next_write: Instant,
}

pub(crate) struct Side {
    stack: Stack,
    driver: Driver,
    plan: Plan,
    /// By the client's port.
    ends: Vec<End>,
    by_flow: HashMap<Id, usize>,
    frames_in: u64,
}

impl fmt::Debug for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "out {} {:?}", self.driver.buffers_out(), self.stack.counters())?;
        for end in &self.ends {
            writeln!(
                f,
                "{:?}: {}/{} written, {} read, closed {}, eof {}, dead {}, {} lent, {} held",
                end.flow,
                end.written,
                end.output.len(),
                end.input.len(),
                end.closed,
                end.eof,
                end.dead,
                end.lent.len(),
                end.held.len()
            )?;
        }
        Ok(())
    }
}

impl End {
    /// When the app has something to do about it.
    fn next(&self) -> Option<Instant> {
        let writes = self.is_open && !self.dead && !self.closed;
        let returns = self.held.iter().map(|(due, _)| *due).min();
        returns.into_iter().chain(writes.then_some(self.next_write)).min()
    }
}

impl Side {
    pub(crate) fn new(ip: Ipv4Addr, plan: &Plan, now: Instant, random: &mut Random) -> Self {
        let mut config = Config::new([2, 0, 0, 0, 1, ip.octets()[3]], ip, 24);
        config.max_flows = 32;
        config.rx_buffers = 512;
        config.rx_reserve = 64;
        config.udp_held_buffers = 0;
        config.rx_checksum = true;
        config.max_send_spans = 512;
        config.tx_checksum = random.chance(50);
        config.tx_segments = random.chance(50);
        config.mtu = [1500, 1500, 9000, 576][random.index(4)];
        config.tcp.receive_window_bytes = plan.window_bytes;
        config.tcp.send_queue_bytes = 1 << 15;
        config.max_loss_boards = [0, 1, 100][random.index(3)];
        config.max_loss_ranges = [2, 20, 1000][random.index(3)];
        config.secret = std::array::from_fn(|_| random.byte());
        // Tens of losses in a row happen here; on real links nobody waits that long.
        config.tcp.max_retransmits = 60;
        config.tcp.max_syn_retransmits = 60;
        config.tcp.max_orphan_retransmits = 60;
        config.tcp.rto_max = std::time::Duration::from_secs(5);
        config.tcp.time_wait = std::time::Duration::from_secs(60);
        let mut driver = Driver::new(config.rx_buffers, 32);
        driver.device = Device::Held;
        Side {
            stack: Stack::new(config, now),
            driver,
            plan: *plan,
            ends: Vec::new(),
            by_flow: HashMap::new(),
            frames_in: 0,
        }
    }

    pub(crate) fn listen(&mut self, flows: u16) {
        self.stack
            .tcp_listen(None, SERVICE, u32::from(flows) + 10, 0)
            .unwrap();
        self.plan_ends(flows, 2);
    }

    pub(crate) fn connect(&mut self, server: Ipv4Addr, flows: u16, now: Instant) {
        self.plan_ends(flows, 1);
        for (index, port) in (FIRST_PORT..FIRST_PORT + flows).enumerate() {
            let remote = SocketAddr::new(server.into(), SERVICE);
            let flow = self
                .stack
                .tcp_connect(&mut self.driver, now, remote, None, Some(port), 0)
                .unwrap();
            self.ends[index].flow = Some(flow);
            self.by_flow.insert(flow, index);
        }
    }

    fn plan_ends(&mut self, flows: u16, side: u64) {
        for flow in 0..flows {
            let mut random = Random::new(side << 32 | u64::from(flow) << 16 | self.plan.bytes);
            let len = random.below(self.plan.bytes + 1);
            self.ends.push(End {
                flow: None,
                is_open: false,
                // No byte is as the poison.
                output: (0..len).map(|_| random.byte() & 0x7f).collect(),
                written: 0,
                closed: false,
                lent: VecDeque::new(),
                input: Vec::new(),
                held: Vec::new(),
                eof: false,
                dead: false,
                next_write: Instant(0),
            });
        }
    }

    /// One cycle.
    pub(crate) fn step(&mut self, now: Instant, from: &mut Link, random: &mut Random) {
        let merges = random.chance(50);
        let mut next = from.arrived(now);
        while let Some(mut frame) = next {
            next = from.arrived(now);
            while merges
                && let Some(more) = &next
                && let Some(whole) = parts::merged(&frame, more)
            {
                (frame, next) = (whole, from.arrived(now));
            }
            self.take(&frame, now, random);
        }
        self.stack.on_timer(&mut self.driver, now);
        // An event array has an end.
        for _ in 0..=random.below(64) {
            let Some(event) = self.stack.poll_event(&mut self.driver, now) else {
                break;
            };
            self.on_event(event, now, random);
        }
        self.act(now, random);
        self.stack.flush(&mut self.driver, now);
        let frames = random.index(self.driver.in_flight() + 2);
        self.driver.transmit(frames);
    }

    /// An empty pool drops frames, as a card does.
    fn take(&mut self, frame: &[u8], now: Instant, random: &mut Random) {
        let checksum = if random.chance(50) {
            RxChecksum::Good
        } else {
            RxChecksum::Unknown
        };
        let Side { stack, driver, .. } = self;
        if frame.len() > 2000 || random.chance(5) {
            let mut lengths = parts::filled(frame.len());
            if let [all] = lengths[..] {
                let cut = 14 + random.index(all - 14);
                lengths = vec![cut, all - cut];
                lengths.retain(|len| *len > 0);
            }
            self.frames_in += u64::from(parts::receive(stack, driver, now, frame, &lengths, checksum));
        } else if let Some(buf) = driver.fill(frame) {
            self.frames_in += 1;
            stack.receive_next(driver, now, buf, frame, FRAME_OFFSET, checksum);
        }
    }

    fn on_event(&mut self, event: Event, now: Instant, random: &mut Random) {
        match event {
            Event::Knock { flow, peer, .. } => {
                let index = usize::from(peer.port() - FIRST_PORT);
                assert!(self.ends[index].flow.is_none(), "a second knock of {peer}");
                self.ends[index].flow = Some(flow);
                self.ends[index].is_open = true;
                self.by_flow.insert(flow, index);
                self.stack.tcp_accept(flow, 0).unwrap();
            }
            Event::Connected { flow, result, .. } => {
                result.unwrap();
                self.ends[self.by_flow[&flow]].is_open = true;
            }
            Event::Recv {
                flow,
                buf,
                offset,
                len,
                ..
            } => {
                let end = &mut self.ends[self.by_flow[&flow]];
                assert!(!end.eof && !end.dead, "data after the end");
                end.input.extend_from_slice(self.driver.view(&buf, offset, len));
                end.held
                    .push((now.after_ns(random.scaled(self.plan.slowness_us * 1000)), buf));
            }
            Event::Sent { flow, len, .. } => self.poison(flow, len),
            Event::Eof { flow, .. } => self.ends[self.by_flow[&flow]].eof = true,
            Event::Dead { flow, reason, .. } => {
                let end = &mut self.ends[self.by_flow[&flow]];
                assert_eq!(reason, Ok(()), "{flow:?}");
                assert!(end.lent.is_empty() && end.eof && !end.dead);
                end.dead = true;
            }
            event => panic!("{event:?}"),
        }
    }

    /// The first `len` bytes lent are the app's again.
    fn poison(&mut self, flow: Id, mut len: u32) {
        let end = &mut self.ends[self.by_flow[&flow]];
        while len > 0 {
            let span = end.lent.front_mut().expect("more was sent than was given");
            let count = span.len.min(len);
            let start = usize::try_from(span.address).unwrap();
            self.driver.memory[start..][..count as usize].fill(POISON);
            span.address += u64::from(count);
            span.len -= count;
            len -= count;
            if span.len == 0 {
                end.lent.pop_front();
            }
        }
    }

    /// The app writes, closes, and returns buffers, in any order.
    fn act(&mut self, now: Instant, random: &mut Random) {
        for index in 0..self.ends.len() {
            self.return_buffers(index, now);
            let end = &mut self.ends[index];
            if end.closed || end.dead || end.next_write > now {
                continue;
            }
            let Some(flow) = end.flow else { continue };
            if end.written < end.output.len() {
                self.write(index, flow, now, random);
            } else if end.is_open {
                self.close(index, flow, now, random);
            }
        }
    }

    /// Closes if the peer has; else only our direction, sooner or later.
    fn close(&mut self, index: usize, flow: Id, now: Instant, random: &mut Random) {
        let end = &mut self.ends[index];
        if end.eof {
            self.stack.tcp_close(&mut self.driver, now, flow).unwrap();
        } else if random.chance(20) {
            self.stack.tcp_shutdown(&mut self.driver, now, flow).unwrap();
        } else {
            end.next_write = now.after_ns(100_000);
            return;
        }
        end.closed = true;
    }

    fn return_buffers(&mut self, index: usize, now: Instant) {
        let held = &mut self.ends[index].held;
        while let Some(place) = held.iter().position(|(due, _)| *due <= now) {
            let (_, buf) = held.swap_remove(place);
            self.stack.rx_done(&mut self.driver, now, buf.0).unwrap();
        }
    }

    fn write(&mut self, index: usize, flow: Id, now: Instant, random: &mut Random) {
        let end = &mut self.ends[index];
        let rest = &end.output[end.written..];
        let mut spans = Vec::new();
        let mut taken = 0;
        for _ in 0..=random.below(3) {
            let len = usize::try_from(1 + random.scaled(20_000))
                .unwrap()
                .min(rest.len() - taken);
            spans.push(self.driver.place(&rest[taken..taken + len]));
            taken += len;
        }
        let mut accepted = self.stack.tcp_send(&mut self.driver, now, flow, &spans).unwrap();
        end.written += accepted as usize;
        let taken_all = accepted as usize == taken;
        for mut span in spans {
            span.len = span.len.min(accepted);
            accepted -= span.len;
            if span.len > 0 {
                end.lent.push_back(span);
            }
        }
        let wait_us = if taken_all {
            self.plan.slowness_us
        } else {
            self.plan.slowness_us + 500
        };
        end.next_write = now.after_ns(random.scaled(wait_us * 1000));
    }

    /// Frames that have left.
    pub(crate) fn sent(&mut self) -> Vec<Vec<u8>> {
        self.driver.sent.drain(..).collect()
    }

    /// When it has something to do by itself.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        let device = (self.driver.in_flight() > 0).then(|| now.after_ns(10_000));
        let app = self
            .ends
            .iter()
            .filter_map(End::next)
            .min()
            .map(|next| next.max(now.after_ns(1000)));
        [self.stack.next_deadline(), device, app]
            .into_iter()
            .flatten()
            .min()
    }

    /// All connections are over, TIME-WAIT too, and all is told and returned.
    pub(crate) fn is_finished(&self) -> bool {
        let over = self.ends.iter().all(|end| end.dead && end.held.is_empty());
        over && self.stack.counters().flows == 0 && self.driver.in_flight() == 0
    }

    pub(crate) fn check(&self, other: &Side) {
        for (ours, theirs) in self.ends.iter().zip(&other.ends) {
            assert_eq!(ours.input.len(), theirs.output.len());
            assert!(ours.input == theirs.output, "bytes differ");
        }
        let counters = self.stack.counters();
        let counted: u64 = counters
            .each()
            .filter(|(name, _)| name.starts_with("rx_"))
            .map(|(_, n)| n)
            .sum();
        assert_eq!(counted, self.frames_in, "{counters:?}");
        assert_eq!(self.driver.buffers_out(), 0);
        assert_eq!(
            (
                counters.buffers_queued,
                counters.buffers_lent,
                counters.send_spans
            ),
            (0, 0, 0)
        );
        assert_eq!((counters.loss_boards, counters.loss_ranges), (0, 0));
    }
}
