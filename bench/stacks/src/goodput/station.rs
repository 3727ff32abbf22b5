//! Our stack in real time, with an app that sends all the time and takes all that comes.

use crate::wire::{APP, BUFFERS, Port};
use netstack::{BufId, Config, Event, Id, RxChecksum, Span, Stack};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// What the app writes at a time, over and over.
const WRITE: u32 = 1 << 16;

/// What a flow queues for sending; Linux queues up to 4 MiB.
const SEND_QUEUE: u32 = 1 << 22;

pub(super) struct Station {
    stack: Stack,
    port: Port,
    epoch: Instant,
    /// The flows that send all the time, and how much of each is under way.
    sending: HashMap<Id, u32>,
    received: HashMap<Id, u64>,
}

impl Station {
    /// At `ip`, its configuration as it comes but for the room its flows have.
    pub(super) fn new(ip: Ipv4Addr, flows: usize) -> Self {
        let mut config = Config::new([2, 0, 0, 0, 0, ip.octets()[3]], ip, 24);
        config.rx_buffers = BUFFERS;
        config.rx_reserve = Port::reserve();
        config.max_send_spans = u32::try_from(flows)
            .unwrap_or(u32::MAX)
            .saturating_mul(2 * SEND_QUEUE / WRITE);
        config.tcp.send_queue_bytes = SEND_QUEUE;
        Station {
            stack: Stack::new(config, netstack::Instant(0)),
            port: Port::new(WRITE as usize),
            epoch: Instant::now(),
            sending: HashMap::new(),
            received: HashMap::new(),
        }
    }

    fn now(&self) -> netstack::Instant {
        let since = self.epoch.elapsed().as_nanos();
        netstack::Instant(u64::try_from(since).unwrap_or(u64::MAX))
    }

    pub(super) fn listen(&mut self, port: u16) {
        self.stack
            .tcp_listen(None, port, 0, 0)
            .expect("room for a listener");
    }

    /// So many connections to `to`, that send all the time.
    pub(super) fn connect(&mut self, to: SocketAddr, flows: usize) {
        for _ in 0..flows {
            let now = self.now();
            self.stack
                .tcp_connect(&mut self.port, now, to, None, None, 0)
                .expect("room for a connection");
        }
    }

    /// A frame has arrived. Without a buffer for it, it is lost.
    pub(super) fn receive(&mut self, frame: &[u8]) {
        let now = self.now();
        if let Some(index) = self.port.fill(frame) {
            self.stack
                .receive(&mut self.port, now, BufId(index), frame, 0, RxChecksum::Unknown);
        }
    }

    /// A cycle; what leaves goes to `send`.
    pub(super) fn work(&mut self, mut send: impl FnMut(&[u8])) {
        let now = self.now();
        self.stack.on_timer(&mut self.port, now);
        while let Some(event) = self.stack.poll_event(&mut self.port, now) {
            self.on_event(event);
        }
        let span = Span {
            address: APP,
            len: WRITE,
        };
        for (flow, under_way) in &mut self.sending {
            // Whole writes only: small ones would use up the spans that all flows share.
            while *under_way + WRITE <= SEND_QUEUE {
                let accepted = self.stack.tcp_send(&mut self.port, now, *flow, &[span]);
                assert_eq!(accepted, Ok(WRITE), "there is room");
                *under_way += WRITE;
            }
        }
        self.stack.flush(&mut self.port, now);
        let mut frames = self.port.take_out();
        for (frame, len) in frames.drain(..) {
            send(&frame[..len]);
            self.port.put_spare(frame);
        }
        self.port.put_out(frames);
    }

    fn on_event(&mut self, event: Event) {
        let now = self.now();
        match event {
            Event::Knock { flow, .. } => {
                self.received.insert(flow, 0);
                self.stack.tcp_accept(flow, 0).expect("offered");
            }
            Event::Connected { flow, result, .. } => {
                result.expect("connected");
                self.sending.insert(flow, 0);
            }
            Event::Recv { flow, buf, len, .. } => {
                *self.received.entry(flow).or_default() += u64::from(len);
                self.stack.rx_done(&mut self.port, now, buf.0).expect("lent");
            }
            Event::Sent { flow, len, .. } => *self.sending.entry(flow).or_default() -= len,
            event => panic!("{event:?}"),
        }
    }

    /// Bytes so far, by connection that was taken.
    pub(super) fn received(&self) -> Vec<u64> {
        let mut flows: Vec<_> = self.received.iter().collect();
        flows.sort_by_key(|(flow, _)| flow.index);
        flows.into_iter().map(|(_, bytes)| *bytes).collect()
    }

    /// When it has something to do by itself.
    pub(super) fn next(&self) -> Option<Instant> {
        let deadline = self.stack.next_deadline()?;
        Some(self.epoch + Duration::from_nanos(deadline.0))
    }
}
