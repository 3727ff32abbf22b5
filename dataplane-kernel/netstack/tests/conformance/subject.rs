//! The crate as the subject of a script.

use crate::app;
use crate::harness::driver::{Driver, FRAME_OFFSET, LARGE};
use crate::harness::{OUR_IP, OUR_MAC, PEER_IP, PEER_MAC};
use netstack::{Config, EcnPolicy, Event, Id, Instant, Ipv6Config, RxChecksum, Stack};
use packet_script::frame::Stations;
use packet_script::{Hope, Subject, script, v6};
use std::collections::VecDeque;
use std::time::Duration;

pub(crate) const STATIONS: Stations = Stations {
    our_mac: OUR_MAC.0,
    our_ip: OUR_IP,
    peer_mac: PEER_MAC.0,
    peer_ip: PEER_IP,
    our_port: 80,
    peer_port: 40_000,
};

/// 100 bytes before sequence numbers wrap.
pub(crate) const PEER_ISN: u32 = u32::MAX - 100;

/// A flow of the app's.
#[derive(Clone, Copy)]
pub(crate) struct Flow {
    pub(crate) id: Id,
    /// Relative number of the next byte that it sends, and of the next that it receives.
    pub(crate) next_sent: u32,
    pub(crate) next_received: u32,
}

/// The stack, its driver and its app.
pub(crate) struct Crate {
    pub(crate) stack: Stack,
    pub(crate) driver: Driver,
    pub(crate) now: Instant,
    pub(crate) events: VecDeque<Event>,
    pub(crate) listener: Option<Id>,
    pub(crate) sockets: Vec<Id>,
    pub(crate) flows: Vec<Flow>,
    /// The one that is spoken of.
    pub(crate) current: usize,
    /// A flow that knocked.
    pub(crate) knocking: Option<Id>,
    /// Buffers that the app keeps for now.
    pub(crate) held: Vec<u32>,
    frames_in: u64,
}

impl Crate {
    pub(crate) fn new(settings: &[(String, String)]) -> Result<Self, String> {
        let mut config = Config::new(OUR_MAC.0, OUR_IP, 24);
        config.max_flows = 64;
        config.rx_buffers = 512 + LARGE;
        config.rx_reserve = 32;
        config.udp_held_buffers = 64;
        config.udp_sends = 64;
        config.max_send_spans = 1024;
        for (name, value) in settings {
            set(&mut config, name, value)?;
        }
        let now = Instant(5_000_000_000);
        Ok(Crate {
            driver: Driver::new(config.rx_buffers - LARGE, 256),
            stack: Stack::new(config, now),
            now,
            events: VecDeque::new(),
            listener: None,
            sockets: Vec::new(),
            flows: Vec::new(),
            current: 0,
            knocking: None,
            held: Vec::new(),
            frames_in: 0,
        })
    }

    /// A cycle of the driver without a frame.
    pub(crate) fn turn(&mut self) {
        self.stack.on_timer(&mut self.driver, self.now);
        self.stack.flush(&mut self.driver, self.now);
    }

    /// The app's next event.
    pub(crate) fn event(&mut self) -> Option<Event> {
        let front = self.events.pop_front();
        front.or_else(|| self.stack.poll_event(&mut self.driver, self.now))
    }

    /// Everything still open is reset: each frame was counted once, every buffer is home, nothing is left.
    pub(crate) fn end(mut self) -> Result<(), String> {
        if let Some(event) = self.event() {
            return Err(format!("at the end the app was not asked about {event:?}"));
        }
        if let Some(knocking) = self.knocking.take() {
            let _ = self.stack.tcp_reject(&mut self.driver, self.now, knocking);
        }
        self.stack.abort_all(&mut self.driver, self.now);
        for buf in std::mem::take(&mut self.held) {
            let returned = self.stack.rx_done(&mut self.driver, self.now, buf);
            returned.map_err(|error| format!("a held buffer: {error}"))?;
        }
        self.turn();
        while self.event().is_some() {}
        let counters = self.stack.counters();
        let counted: u64 = counters
            .each()
            .filter(|(name, _)| name.starts_with("rx_"))
            .map(|(_, count)| count)
            .sum();
        let left = counters.buffers_queued + counters.buffers_lent + counters.buffers_udp;
        let home = self.driver.buffers_out() == 0 && left == 0;
        if counted != self.frames_in || !home || counters.send_spans != 0 || counters.flows != 0 {
            return Err(format!(
                "it does not add up after {} frames: {counters:?}",
                self.frames_in
            ));
        }
        Ok(())
    }
}

impl Subject for Crate {
    fn inject(&mut self, frame: &[u8]) {
        let buf = self.driver.fill(frame).expect("the pool has a buffer");
        self.frames_in += 1;
        let (stack, driver) = (&mut self.stack, &mut self.driver);
        stack.receive(driver, self.now, buf, frame, FRAME_OFFSET, RxChecksum::Unknown);
        driver.receive_whole(stack, self.now);
        self.turn();
    }

    fn next_frame(&mut self, _: Hope) -> Option<Vec<u8>> {
        self.driver.sent.pop_front()
    }

    fn wait(&mut self, duration: Duration) {
        // A timer comes up within a tick after its time; scripts need not know.
        let end = (self.now + duration).after_ns(1 << netstack::timer_wheel::TICK_SHIFT);
        while let Some(deadline) = self.stack.next_deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.turn();
            if self.stack.next_deadline() == Some(deadline) {
                break;
            }
        }
        self.now = end;
        self.turn();
    }

    fn app(&mut self, words: &[&str]) -> Result<(), String> {
        self.act(words)?;
        self.turn();
        Ok(())
    }

    fn counter(&mut self, name: &str) -> Result<u64, String> {
        let counters = self.stack.counters();
        let found = counters.each().find(|(known, _)| *known == name);
        found
            .map(|(_, count)| count)
            .ok_or_else(|| format!("there is no counter {name}"))
    }
}

/// Settings of a script.
fn set(config: &mut Config, name: &str, value: &str) -> Result<(), String> {
    let number = || value.parse::<u32>().map_err(|_| format!("{value} is no number"));
    let time = || script::duration(value);
    match name {
        "window" => config.tcp.receive_window_bytes = number()?,
        "window_max" => config.tcp.receive_window_max_bytes = number()?,
        "send_queue" => config.tcp.send_queue_bytes = number()?,
        "mss" => config.tcp.max_segment = u16::try_from(number()?).map_err(|error| error.to_string())?,
        "congestion" => config.tcp.congestion = app::algorithm(value)?,
        "ecn" => {
            config.tcp.ecn = match value {
                "off" => EcnPolicy::Off,
                "accept" => EcnPolicy::Accept,
                "ask" => EcnPolicy::Ask,
                _ => return Err(format!("there is no ECN policy {value}")),
            }
        }
        "options" => config.tcp.offer_options = value == "on",
        "time_wait" => config.tcp.time_wait = time()?,
        "fin_wait_2" => config.tcp.fin_wait_2 = time()?,
        "delayed_ack" => config.tcp.delayed_ack = time()?,
        "rto_min" => config.tcp.rto_min = time()?,
        "rto_max" => config.tcp.rto_max = time()?,
        "retransmits" => {
            config.tcp.max_retransmits = u8::try_from(number()?).map_err(|error| error.to_string())?
        }
        "syn_retransmits" => {
            config.tcp.max_syn_retransmits = u8::try_from(number()?).map_err(|error| error.to_string())?;
        }
        "keepalive_interval" => config.tcp.keepalive_interval = time()?,
        "keepalive_probes" => {
            config.tcp.keepalive_probes = u8::try_from(number()?).map_err(|error| error.to_string())?;
        }
        "challenge_acks" => config.tcp.challenge_acks_per_second = number()?,
        "flows" => config.max_flows = number()?,
        "ip4" if value == "off" => config.ipv4 = None,
        "ip6" => {
            config.ipv6 = Some(Ipv6Config {
                address: (value == "fixed").then_some((v6::US, 64)),
                gateway: None,
                autoconfigure: value == "auto",
            });
        }
        _ => return Err(format!("there is no setting {name}")),
    }
    Ok(())
}
