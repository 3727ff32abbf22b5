//! A stack with an app that sends all the time, or takes all that comes.

use super::link::Link;
use crate::harness::driver::{Driver, FRAME_OFFSET};
use netstack::{Config, Event, Id, Instant, RxChecksum, Stack};
use std::net::{Ipv4Addr, SocketAddr};

const PORT: u16 = 5001;
/// What the app writes at a time, over and over.
const WRITE: u32 = 64 * 1024;

pub(crate) struct Node {
    pub(crate) stack: Stack,
    pub(crate) driver: Driver,
    pub(crate) received: u64,
    /// On which it sends all the time.
    flows: Vec<Id>,
    /// Its app takes what comes, and keeps it.
    pub(crate) hoards: bool,
}

impl Node {
    /// One at `ip`, its configuration changed by `change`.
    pub(crate) fn new(ip: Ipv4Addr, now: Instant, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new([2, 0, 0, 0, 1, ip.octets()[3]], ip, 24);
        config.rx_checksum = true;
        config.tx_checksum = true;
        config.tcp.delayed_ack = std::time::Duration::from_millis(1);
        config.tcp.send_queue_bytes = 1 << 23;
        change(&mut config);
        let mut driver = Driver::new(config.rx_buffers, 64);
        driver.memory = vec![0x5a; WRITE as usize];
        Node {
            stack: Stack::new(config, now),
            driver,
            received: 0,
            flows: Vec::new(),
            hoards: false,
        }
    }

    pub(crate) fn listen(&mut self) {
        self.stack.tcp_listen(None, PORT, 1024, 0).unwrap();
    }

    /// Opens a connection, and sends on it as soon and as long as it can.
    pub(crate) fn connect(&mut self, to: Ipv4Addr, now: Instant) {
        let remote = SocketAddr::new(to.into(), PORT);
        self.stack
            .tcp_connect(&mut self.driver, now, remote, None, None, 0)
            .unwrap();
    }

    /// A cycle of its driver.
    pub(crate) fn step(&mut self, now: Instant, from: &mut Link) {
        while let Some(frame) = from.arrived(now) {
            if let Some(buf) = self.driver.fill(&frame) {
                self.stack
                    .receive(&mut self.driver, now, buf, &frame, FRAME_OFFSET, RxChecksum::Good);
            }
        }
        self.stack.on_timer(&mut self.driver, now);
        while let Some(event) = self.stack.poll_event(&mut self.driver, now) {
            match event {
                Event::Knock { flow, .. } => self.stack.tcp_accept(flow, 0).unwrap(),
                Event::Connected { flow, result, .. } => {
                    result.unwrap();
                    self.flows.push(flow);
                }
                Event::Recv { buf, len, .. } => {
                    self.received += u64::from(len);
                    if !self.hoards {
                        self.stack.rx_done(&mut self.driver, now, buf.0).unwrap();
                    }
                }
                Event::Sent { .. } => {}
                event => panic!("{event:?}"),
            }
        }
        for flow in &self.flows {
            let span = netstack::Span {
                address: 0,
                len: WRITE,
            };
            while self.stack.tcp_send(&mut self.driver, now, *flow, &[span]) == Ok(WRITE) {}
        }
        self.stack.flush(&mut self.driver, now);
    }
}
