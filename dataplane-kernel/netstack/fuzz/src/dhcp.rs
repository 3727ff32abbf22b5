//! A host that asks for its address, and servers that say anything.

use crate::driver::{BUFFERS, Driver, LARGE};
use crate::frame::{self, OUR_MAC};
use fuzzing::Input;
use netstack::checksum::checksum;
use netstack::{Config, Instant, Ipv4Config, RxChecksum, Stack};

/// Longest time that passes at once.
const MOST_MS: u64 = 200_000;

/// DHCP: servers' messages, good and bad, claims by ARP, and time.
pub fn dhcp(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut host = Host::new();
    while !input.is_empty() {
        match input.below(8) {
            0 => host.wait_ms(u64::from(input.word()) % MOST_MS),
            1 => {
                let mut claim = frame::arp(&mut input);
                frame::bend(&mut claim, &mut input);
                host.receive(&claim);
            }
            _ => {
                let mut reply = reply(host.xid, &mut input);
                if input.byte() < 40 {
                    frame::bend(&mut reply, &mut input);
                }
                host.receive(&reply);
            }
        }
        host.turn();
    }
    host.end();
}

struct Host {
    stack: Stack,
    driver: Driver,
    now: Instant,
    /// Of the message it sent last.
    xid: [u8; 4],
    frames_in: u64,
}

impl Host {
    fn new() -> Self {
        let mut config = Config::without_address(OUR_MAC);
        config.ipv4 = Some(Ipv4Config::Dhcp);
        (config.max_flows, config.rx_buffers, config.rx_reserve) = (4, BUFFERS + LARGE, 8);
        (config.udp_sends, config.max_send_spans) = (4, 16);
        (config.rx_checksum, config.tx_checksum) = (true, true);
        let now = Instant(1 << 40);
        let mut host = Host {
            stack: Stack::new(config, now),
            driver: Driver::new(),
            now,
            xid: [0; 4],
            frames_in: 0,
        };
        host.turn();
        host
    }

    fn receive(&mut self, frame: &[u8]) {
        let frame = &frame[..frame.len().min(1514)];
        let Some(buf) = self.driver.take() else {
            return;
        };
        self.frames_in += 1;
        self.driver
            .receive(&mut self.stack, self.now, buf, frame, RxChecksum::Good);
    }

    fn wait_ms(&mut self, ms: u64) {
        let end = self.now.after_ns(ms * 1_000_000);
        for _ in 0..1000 {
            let Some(due) = self.stack.next_deadline().filter(|due| *due <= end) else {
                break;
            };
            self.now = self.now.max(due);
            self.turn();
            assert_ne!(self.stack.next_deadline(), Some(due), "it waits for nothing");
        }
        self.now = end;
    }

    /// Timers and what leaves; what it says must be consistent.
    fn turn(&mut self) {
        self.stack.on_timer(&mut self.driver, self.now);
        self.stack.flush(&mut self.driver, self.now);
        self.driver.finish(u32::MAX);
        for (frame, _) in self.driver.sent.drain(..) {
            if frame.get(36..38) == Some(&[0, 67]) {
                self.xid.copy_from_slice(&frame[46..50]);
            }
        }
        while self.stack.poll_event(&mut self.driver, self.now).is_some() {}
        let address = self.stack.ipv4();
        assert_eq!(address, self.stack.lease().map(|lease| lease.address));
        if let Some(address) = address {
            let first = address.octets()[0];
            assert!(
                (1..224).contains(&first) && first != 127,
                "{address} is no host's"
            );
        }
    }

    fn end(mut self) {
        self.turn();
        // A bent frame may be a fragment, whose time ends.
        self.wait_ms(61_000);
        self.turn();
        let counters = self.stack.counters();
        let counted: u64 = counters
            .each()
            .filter(|(name, _)| name.starts_with("rx_"))
            .map(|(_, count)| count)
            .sum();
        assert_eq!(counted, self.frames_in, "{counters:?}");
        assert_eq!(self.driver.buffers_out(), 0, "a buffer is lost");
    }
}

/// A server's message about an address that depends on `input`, in a frame to us or to all.
fn reply(xid: [u8; 4], input: &mut Input<'_>) -> Vec<u8> {
    let mut message = vec![0; 240];
    message[..3].copy_from_slice(&[2, 1, 6]);
    message[4..8].copy_from_slice(&xid);
    message[16..20].copy_from_slice(&[10, 0, 0, input.byte()]);
    message[28..34].copy_from_slice(&OUR_MAC);
    message[236..].copy_from_slice(&[99, 130, 83, 99]);
    let kind = input.one_of(&[2, 5, 5, 6, 0]);
    message.extend_from_slice(&[53, 1, kind, 54, 4, 10, 0, 0, 2]);
    if input.byte() < 220 {
        let lease = u32::from(input.half());
        message.extend_from_slice(&[1, 4, 255, 255, 255, 0, 51, 4]);
        message.extend_from_slice(&lease.to_be_bytes());
        message.extend_from_slice(&[58, 4, 0, 0, 0, input.byte(), 59, 4, 0, 0, 0, input.byte()]);
    }
    message.extend_from_slice(input.bytes(64));
    message.push(255);

    let to = if input.byte() & 1 == 0 {
        [255; 4]
    } else {
        [10, 0, 0, 1]
    };
    let udp_len = 8 + u16::try_from(message.len()).expect("a message is short");
    let mut frame = [&OUR_MAC[..], &[2, 0, 0, 0, 0, 9, 8, 0]].concat();
    let mut ip = [0; 20];
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&(20 + udp_len).to_be_bytes());
    (ip[8], ip[9]) = (64, 17);
    ip[12..16].copy_from_slice(&[10, 0, 0, 2]);
    ip[16..].copy_from_slice(&to);
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    frame.extend_from_slice(&ip);
    frame.extend_from_slice(&[0, 67, 0, 68]);
    frame.extend_from_slice(&udp_len.to_be_bytes());
    frame.extend_from_slice(&[0, 0]);
    frame.extend_from_slice(&message);
    frame
}
