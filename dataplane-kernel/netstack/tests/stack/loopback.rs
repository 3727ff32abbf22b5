//! An interface that leads back to its own stack: an app talks to itself, over both families, and nobody is asked for a station.

use crate::harness::driver::{Driver, FRAME_OFFSET, LARGE};
use netstack::{BufId, Config, Error, Event, Id, Instant, Ipv4Config, Ipv6Config, Medium, RxChecksum, Stack};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const PORT: u16 = 7;
const BUFFERS: u32 = 1024;

/// The two ends of a connection of the stack to itself, of which one echoes.
#[derive(Debug, Default)]
struct End {
    received: Vec<u8>,
    /// Still to be sent.
    left: Vec<u8>,
    echoes: bool,
}

struct Host {
    stack: Stack,
    driver: Driver,
    now: Instant,
    ends: HashMap<Id, End>,
    datagrams: Vec<(SocketAddr, Vec<u8>)>,
    refused: u32,
    dead: Vec<Result<(), Error>>,
}

impl Host {
    /// At 127.0.0.1 and ::1, with checksums left out or not.
    fn new(checksums: bool) -> Self {
        let config = Config {
            medium: Medium::Loopback,
            mtu: 1500,
            ipv4: Some(Ipv4Config::Fixed {
                address: Ipv4Addr::LOCALHOST,
                prefix: 8,
                gateway: None,
            }),
            ipv6: Some(Ipv6Config {
                address: Some((Ipv6Addr::LOCALHOST, 128)),
                ..Ipv6Config::default()
            }),
            rx_checksum: !checksums,
            tx_checksum: !checksums,
            rx_buffers: BUFFERS + LARGE,
            rx_reserve: BUFFERS / 8,
            ..Config::without_address([2, 0, 0, 0, 0, 1])
        };
        let now = Instant(1);
        Host {
            driver: Driver::new(BUFFERS, 64),
            stack: Stack::new(config, now),
            now,
            ends: HashMap::new(),
            datagrams: Vec::new(),
            refused: 0,
            dead: Vec::new(),
        }
    }

    fn connect(&mut self, to: SocketAddr, from_port: Option<u16>) -> Id {
        let (driver, now) = (&mut self.driver, self.now);
        let flow = self
            .stack
            .tcp_connect(driver, now, to, None, from_port, 0)
            .unwrap();
        self.ends.insert(flow, End::default());
        flow
    }

    /// A cycle: what was sent is received.
    fn step(&mut self) {
        self.stack.flush(&mut self.driver, self.now);
        for frame in std::mem::take(&mut self.driver.sent) {
            let buf = self.driver.fill(&frame).expect("a buffer");
            let (driver, now) = (&mut self.driver, self.now);
            self.stack
                .receive_next(driver, now, buf, &frame, FRAME_OFFSET, RxChecksum::Good);
        }
        self.now = self.now.after_ns(1_000_000);
        self.stack.on_timer(&mut self.driver, self.now);
        while let Some(event) = self.stack.poll_event(&mut self.driver, self.now) {
            self.on_event(event);
        }
        for (flow, end) in &mut self.ends {
            let span = self.driver.place(&end.left);
            let taken = match self.stack.tcp_send(&mut self.driver, self.now, *flow, &[span]) {
                Ok(taken) => taken as usize,
                Err(_) => 0,
            };
            end.left.drain(..taken);
        }
    }

    fn take(&mut self, buf: &BufId, offset: u16, len: u16) -> Vec<u8> {
        let bytes = self.driver.view(buf, offset, len).to_vec();
        self.stack.rx_done(&mut self.driver, self.now, buf.0).unwrap();
        bytes
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Knock { flow, peer, .. } => {
                assert!(peer.ip().is_loopback());
                self.stack.tcp_accept(flow, 0).unwrap();
                let echoes = true;
                self.ends.insert(
                    flow,
                    End {
                        echoes,
                        ..End::default()
                    },
                );
            }
            Event::Recv {
                flow,
                buf,
                offset,
                len,
                ..
            } => {
                let bytes = self.take(&buf, offset, len);
                let end = self.ends.get_mut(&flow).unwrap();
                if end.echoes {
                    end.left.extend(&bytes);
                }
                end.received.extend(bytes);
            }
            Event::Eof { flow, .. } => {
                let _ = self.stack.tcp_close(&mut self.driver, self.now, flow);
            }
            Event::Dead { flow, reason, .. } => {
                self.ends.remove(&flow);
                self.dead.push(reason);
            }
            Event::UdpRecv {
                peer,
                buf,
                offset,
                len,
                ..
            } => {
                let bytes = self.take(&buf, offset, len);
                self.datagrams.push((peer, bytes));
            }
            Event::UdpRefused { .. } => self.refused += 1,
            Event::Connected { result, .. } | Event::UdpSent { result, .. } => result.unwrap(),
            Event::Sent { .. } => {}
            event => panic!("{event:?}"),
        }
    }

    fn run(&mut self, steps: u32) {
        (0..steps).for_each(|_| self.step());
    }

    /// Nobody was asked for a station, nothing was dropped as being no host's, and all buffers are home.
    fn check(&self) {
        let counters = self.stack.counters();
        assert_eq!((counters.tx_arp, counters.rx_ipv4_bad_source), (0, 0));
        assert_eq!((counters.rx_ipv6_bad_source, counters.rx_ipv6_not_ours), (0, 0));
        assert_eq!((counters.rx_tcp_checksum, counters.rx_udp_checksum), (0, 0));
        assert_eq!(self.driver.available(), BUFFERS as usize);
    }
}

fn localhosts() -> [IpAddr; 2] {
    [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
}

#[test]
fn bytes_come_back_over_a_connection_of_an_app_to_itself() {
    for (ip, checksums) in localhosts().into_iter().flat_map(|ip| [(ip, false), (ip, true)]) {
        let mut host = Host::new(checksums);
        host.stack.tcp_listen(None, PORT, 16, 0).unwrap();
        let bytes: Vec<u8> = (0..300_000_u32)
            .map(|i| ((i * 7) >> 3).to_le_bytes()[0])
            .collect();
        let flows: Vec<_> = (0..3)
            .map(|_| host.connect(SocketAddr::new(ip, PORT), None))
            .collect();
        for flow in &flows {
            host.ends.get_mut(flow).unwrap().left.clone_from(&bytes);
        }
        host.run(2000);
        assert_eq!(host.ends.len(), 6, "both ends are here");
        for end in host.ends.values() {
            assert!(end.received == bytes, "{ip}: {}", end.received.len());
        }
        for flow in flows {
            host.stack.tcp_close(&mut host.driver, host.now, flow).unwrap();
        }
        host.run(200);
        assert_eq!(host.dead, [Ok(()); 6]);
        host.check();
    }
}

#[test]
fn a_connection_whose_ends_are_one_and_the_same_opens_simultaneously() {
    for ip in localhosts() {
        let mut host = Host::new(false);
        let flow = host.connect(SocketAddr::new(ip, 5000), Some(5000));
        host.run(10);
        let bytes: Vec<u8> = (0..20_000_u32).map(|i| i.to_le_bytes()[0]).collect();
        host.ends.get_mut(&flow).unwrap().left.clone_from(&bytes);
        host.run(200);
        assert_eq!(host.ends.len(), 1);
        assert!(host.ends[&flow].received == bytes, "{ip}");
        host.stack.tcp_close(&mut host.driver, host.now, flow).unwrap();
        host.run(200);
        assert_eq!(host.dead, [Ok(())]);
        host.check();
    }
}

#[test]
fn ports_nobody_listens_on_refuse_at_once() {
    for ip in localhosts() {
        let mut host = Host::new(true);
        let (driver, to) = (&mut host.driver, SocketAddr::new(ip, 9));
        host.stack
            .tcp_connect(driver, host.now, to, None, None, 0)
            .unwrap();
        host.stack.flush(&mut host.driver, host.now);
        let mut result = None;
        for _ in 0..4 {
            for frame in std::mem::take(&mut host.driver.sent) {
                let buf = host.driver.fill(&frame).unwrap();
                let driver = &mut host.driver;
                host.stack
                    .receive(driver, host.now, buf, &frame, FRAME_OFFSET, RxChecksum::Unknown);
            }
            while let Some(event) = host.stack.poll_event(&mut host.driver, host.now) {
                if let Event::Connected { result: what, .. } = event {
                    result = Some(what);
                }
            }
            host.stack.flush(&mut host.driver, host.now);
        }
        assert_eq!(result, Some(Err(Error::ConnectionRefused)), "{ip}");
        host.check();
    }
}

#[test]
fn datagrams_come_back_and_closed_ports_say_so() {
    for ip in localhosts() {
        let mut host = Host::new(false);
        let here = host.stack.udp_bind(None, PORT, 0).unwrap();
        for (to, len) in [(PORT, 1), (PORT, 1400), (PORT, 5000), (9, 10)] {
            let bytes: Vec<u8> = (0..len).map(|i: u32| i.to_le_bytes()[0]).collect();
            let span = host.driver.place(&bytes);
            let (driver, to) = (&mut host.driver, SocketAddr::new(ip, to));
            host.stack
                .udp_send(driver, host.now, here, to, &[span], 0)
                .unwrap();
            for _ in 0..4 {
                host.step();
                host.driver.receive_whole(&mut host.stack, host.now);
            }
            if to.port() == PORT {
                assert_eq!(
                    host.datagrams.pop(),
                    Some((SocketAddr::new(ip, PORT), bytes)),
                    "{ip}"
                );
            }
        }
        assert!(host.datagrams.is_empty() && host.refused == 1);
        host.check();
    }
}

#[test]
fn there_is_no_other_host() {
    let mut host = Host::new(false);
    for ip in ["127.0.0.2", "10.0.0.1", "fe80::1", "2001:db8::1"] {
        let (driver, to) = (&mut host.driver, SocketAddr::new(ip.parse().unwrap(), PORT));
        let refused = host.stack.tcp_connect(driver, host.now, to, None, None, 0);
        assert_eq!(refused, Err(Error::Unreachable), "{ip}");
    }
    // On another link, our own addresses lead nowhere.
    let config = Config::new([2, 0, 0, 0, 0, 1], Ipv4Addr::new(10, 0, 0, 1), 24);
    host.stack = Stack::new(config, host.now);
    for ip in ["127.0.0.1", "10.0.0.1"] {
        let (driver, to) = (&mut host.driver, SocketAddr::new(ip.parse().unwrap(), PORT));
        let refused = host.stack.tcp_connect(driver, host.now, to, None, None, 0);
        assert_eq!(refused, Err(Error::Unreachable), "{ip}");
    }
}
