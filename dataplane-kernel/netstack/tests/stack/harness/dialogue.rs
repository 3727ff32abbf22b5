//! The stack on one side, the test on the other. Each call of the test is one cycle of the driver: frames in, timers, the
//! call, flush.

use super::driver::{Driver, FRAME_OFFSET, LARGE};
use super::segment::{ACK, OUR_PORT, PEER_PORT, SYN, Segment, ack, data, syn, syn_ack};
use super::{OUR_IP, OUR_MAC, PEER_IP, frames, frames_v6};
use etherparse::ArpOperation;
use netstack::wire::vlan::{TAG_LEN, VlanId};
use netstack::{BufId, Config, Error, Event, Id, Instant, RxChecksum, Stack};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

/// The peer's initial sequence number: 100 bytes before the numbers wrap.
pub(crate) const PEER_ISN: u32 = u32::MAX - 100;

/// The cookies of listeners, and of flows that a test accepts or opens.
pub(crate) const LISTENER: u64 = 11;
pub(crate) const FLOW: u64 = 22;

/// Initial sequence numbers of a connection; ours is known from our SYN on.
#[derive(Clone, Copy)]
struct Numbers {
    peer: u32,
    ours: u32,
}

pub(crate) struct Dialogue {
    pub(crate) stack: Stack,
    pub(crate) driver: Driver,
    pub(crate) now: Instant,
    /// The peer answers ARP requests by itself.
    pub(crate) answers_arp: bool,
    /// The test looks at the reports of groups, too.
    pub(crate) hears_reports: bool,
    /// It speaks IPv6.
    speaks_v6: bool,
    /// The tag of all frames, both ways, which the test does not see.
    tag: Option<VlanId>,
    numbers: HashMap<(u16, u16), Numbers>,
    frames: VecDeque<Vec<u8>>,
    frames_in: u64,
    flows: Vec<Id>,
}

pub(crate) fn peer(port: u16) -> SocketAddr {
    SocketAddr::new(PEER_IP.into(), port)
}

impl Dialogue {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// One with a configuration changed by `change`.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(OUR_MAC.0, OUR_IP, 24);
        config.max_flows = 64;
        config.rx_buffers = 256 + LARGE;
        config.rx_reserve = 32;
        config.udp_held_buffers = 64;
        config.udp_sends = 64;
        config.max_send_spans = 1024;
        change(&mut config);
        let (now, tag) = (Instant(5_000_000_000), config.vlan);
        Dialogue {
            driver: Driver::on_vlan(config.rx_buffers - LARGE, 64, config.vlan),
            stack: Stack::new(config, now),
            now,
            answers_arp: true,
            hears_reports: false,
            speaks_v6: false,
            tag,
            numbers: HashMap::new(),
            frames: VecDeque::new(),
            frames_in: 0,
            flows: Vec::new(),
        }
    }

    /// One between IPv6 hosts, whose address is ours already.
    pub(crate) fn new_v6() -> Self {
        Self::with_v6(|_| {})
    }

    /// The same with a configuration changed by `change`.
    pub(crate) fn with_v6(change: impl FnOnce(&mut Config)) -> Self {
        let mut t = Self::with(|config| {
            config.ipv6 = Some(frames_v6::fixed());
            change(config);
        });
        t.speaks_v6 = true;
        t.turn();
        t.advance_ms(1001);
        t.frames.clear(); // the questions whether anybody has our addresses
        t
    }

    /// The peer's address, with this port.
    pub(crate) fn peer(&self, port: u16) -> SocketAddr {
        if self.speaks_v6 {
            return SocketAddr::new(frames_v6::PEER_IP6.into(), port);
        }
        peer(port)
    }

    /// Hands frames to the stack as one batch.
    pub(crate) fn inject_all<'a>(&mut self, frames: impl IntoIterator<Item = &'a [u8]>) {
        for frame in frames {
            let frame = self.tag.map_or(frame.to_vec(), |tag| tagged(frame, tag));
            self.receive(&frame);
        }
        self.receive_whole();
    }

    /// Hands in a frame as it is, without the tag that others are given.
    pub(crate) fn inject_untouched(&mut self, frame: &[u8]) {
        self.receive(frame);
        self.receive_whole();
    }

    fn receive(&mut self, frame: &[u8]) {
        let buf = self.driver.fill(frame).expect("the pool is empty");
        self.frames_in += 1;
        let checksum = RxChecksum::Unknown;
        self.stack
            .receive_next(&mut self.driver, self.now, buf, frame, FRAME_OFFSET, checksum);
    }

    fn receive_whole(&mut self) {
        self.driver.receive_whole(&mut self.stack, self.now);
        self.turn();
    }

    /// A frame is handed in by the test itself.
    pub(crate) fn count_frame(&mut self) {
        self.frames_in += 1;
    }

    pub(crate) fn inject(&mut self, frame: &[u8]) {
        self.inject_all([frame]);
    }

    /// Timers, flush, and the frames that left.
    pub(crate) fn turn(&mut self) {
        self.stack.on_timer(&mut self.driver, self.now);
        self.stack.flush(&mut self.driver, self.now);
        self.collect();
    }

    /// Takes the frames off the wire.
    pub(crate) fn collect(&mut self) {
        while let Some(mut frame) = self.driver.sent.pop_front() {
            if let Some(tag) = self.tag {
                let plain = [&frame[..12], &frame[16..]].concat();
                assert_eq!(tagged(&plain, tag), frame);
                frame = plain;
            }
            if !self.hears_reports && frames_v6::is_report(&frame) {
                continue;
            }
            if self.answers_arp && frames_v6::asks_for_peer(&frame) {
                self.inject(&frames_v6::advertisement());
                continue;
            }
            match frames::decode_arp(&frame) {
                Some((_, arp)) if self.answers_arp && arp.operation == ArpOperation::REQUEST => {
                    assert_eq!(arp.target_ipv4, PEER_IP.octets(), "only the peer is asked for");
                    self.inject(&frames::arp_reply());
                }
                _ => self.frames.push_back(frame),
            }
        }
    }

    pub(crate) fn next_frame(&mut self) -> Option<Vec<u8>> {
        self.frames.pop_front()
    }

    fn numbers(&mut self, segment: &Segment) -> &mut Numbers {
        let fresh = Numbers {
            peer: PEER_ISN,
            ours: 0,
        };
        self.numbers
            .entry((segment.peer_port, segment.our_port))
            .or_insert(fresh)
    }

    /// Forgets a connection, so that the same ports can begin another; the peer's will begin with `isn`.
    pub(crate) fn forget(&mut self, isn: u32) {
        self.numbers
            .insert((PEER_PORT, OUR_PORT), Numbers { peer: isn, ours: 0 });
    }

    /// Our initial sequence number of the connection between the usual ports.
    pub(crate) fn our_isn(&self) -> u32 {
        self.numbers[&(PEER_PORT, OUR_PORT)].ours
    }

    /// The frame of a segment, its numbers made absolute.
    pub(crate) fn encode(&mut self, segment: &Segment) -> Vec<u8> {
        let numbers = *self.numbers(segment);
        let ack = if segment.flags & ACK != 0 {
            segment.ack.wrapping_add(numbers.ours)
        } else {
            segment.ack
        };
        let seq = segment.seq.wrapping_add(numbers.peer);
        if self.speaks_v6 {
            segment.encode_v6(seq, ack)
        } else {
            segment.encode(seq, ack)
        }
    }

    /// The peer sends a segment.
    pub(crate) fn send(&mut self, segment: Segment) {
        let frame = self.encode(&segment);
        self.inject(&frame);
    }

    /// The peer sends segments that arrive in one batch.
    pub(crate) fn send_all(&mut self, segments: impl IntoIterator<Item = Segment>) {
        let frames: Vec<Vec<u8>> = segments
            .into_iter()
            .map(|segment| self.encode(&segment))
            .collect();
        self.inject_all(frames.iter().map(Vec::as_slice));
    }

    /// The next segment we sent, its numbers made relative.
    pub(crate) fn next_segment(&mut self) -> Option<Segment> {
        let frame = self.frames.pop_front()?;
        let mut segment = Segment::decode(&frame).unwrap_or_else(|| panic!("not TCP: {frame:02x?}"));
        let seq = segment.seq;
        let numbers = self.numbers(&segment);
        if segment.flags & SYN != 0 {
            numbers.ours = seq;
        }
        let numbers = *numbers;
        segment.seq = segment.seq.wrapping_sub(numbers.ours);
        if segment.flags & ACK != 0 {
            segment.ack = segment.ack.wrapping_sub(numbers.peer);
        }
        Some(segment)
    }

    /// We have sent exactly this next.
    #[track_caller]
    pub(crate) fn expect(&mut self, wanted: Segment) -> Segment {
        match self.next_segment() {
            Some(got) if wanted.matches(&got) => got,
            got => panic!("\nwanted {wanted:?}\n   got {got:?}\n  then {:?}", self.rest()),
        }
    }

    /// What we have sent, to whomever, is of no interest.
    pub(crate) fn discard_frames(&mut self) {
        self.frames.clear();
    }

    #[track_caller]
    pub(crate) fn expect_nothing(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "\nwanted silence\n   got {rest:?}");
    }

    fn rest(&mut self) -> Vec<Segment> {
        std::iter::from_fn(|| self.next_segment()).collect()
    }

    /// Lets time pass, with a turn at each deadline the stack names.
    pub(crate) fn advance_ms(&mut self, ms: u64) {
        self.advance_us(ms * 1000);
    }

    pub(crate) fn advance_us(&mut self, us: u64) {
        let end = self.now.after_ns(us * 1000);
        let mut turns = 0;
        while let Some(deadline) = self.stack.next_deadline().filter(|deadline| *deadline <= end) {
            turns += 1;
            assert!(turns < 10_000, "the stack's deadlines do not come to an end");
            self.now = self.now.max(deadline);
            self.turn();
            if self.stack.next_deadline() == Some(deadline) {
                break; // waits for room in the transmit ring
            }
        }
        self.now = end;
        self.turn();
    }

    pub(crate) fn event(&mut self) -> Option<Event> {
        self.stack.poll_event(&mut self.driver, self.now)
    }

    #[track_caller]
    pub(crate) fn no_event(&mut self) {
        let event = self.event();
        assert!(event.is_none(), "wanted no event, got {event:?}");
    }

    pub(crate) fn listen(&mut self) -> Id {
        self.listen_with_backlog(8)
    }

    pub(crate) fn listen_with_backlog(&mut self, backlog: u32) -> Id {
        self.stack.tcp_listen(None, OUR_PORT, backlog, LISTENER).unwrap()
    }

    #[track_caller]
    pub(crate) fn knock(&mut self) -> Id {
        match self.event() {
            Some(Event::Knock {
                flow,
                cookie: LISTENER,
                ..
            }) => flow,
            event => panic!("wanted a knock, got {event:?}"),
        }
    }

    /// A connection opened by the peer's `syn`, and accepted. Both sides' next number is 1.
    #[track_caller]
    pub(crate) fn accepted_with(&mut self, syn: Segment) -> Id {
        self.listen();
        let (timestamp, window) = (syn.timestamp(), syn.window);
        self.send(syn);
        let answer = self.expect(syn_ack());
        let mut last = Segment { window, ..ack(1, 1) };
        if let (Some((value, _)), Some((ours, _))) = (timestamp, answer.timestamp()) {
            last = last.timestamps(value, ours);
        }
        self.send(last);
        let flow = self.knock();
        self.take(flow);
        flow
    }

    /// A connection opened by the peer, without options but an MSS of 1460.
    #[track_caller]
    pub(crate) fn accepted(&mut self) -> Id {
        self.accepted_with(syn().mss(1460))
    }

    pub(crate) fn take(&mut self, flow: Id) {
        self.stack.tcp_accept(flow, FLOW).unwrap();
        self.flows.push(flow);
    }

    /// Begins to connect to the peer's usual port from ours.
    pub(crate) fn connect(&mut self) -> Id {
        let to = self.peer(PEER_PORT);
        let flow = self
            .stack
            .tcp_connect(&mut self.driver, self.now, to, None, Some(OUR_PORT), FLOW)
            .unwrap();
        self.flows.push(flow);
        self.turn();
        flow
    }

    /// A connection opened by us; the peer's MSS is 1460.
    #[track_caller]
    pub(crate) fn connected(&mut self) -> Id {
        let flow = self.connect();
        self.expect(super::segment::ack(0, 0).flags(SYN));
        self.send(syn_ack().mss(1460));
        self.expect(ack(1, 1));
        self.expect_connected(flow, Ok(()));
        flow
    }

    #[track_caller]
    pub(crate) fn expect_connected(&mut self, flow: Id, result: Result<(), Error>) {
        assert_eq!(
            self.event(),
            Some(Event::Connected {
                flow,
                cookie: FLOW,
                result
            })
        );
    }

    /// Gives bytes to be sent; gives how many were accepted.
    pub(crate) fn write(&mut self, flow: Id, bytes: impl AsRef<[u8]>) -> u32 {
        let span = self.driver.place(bytes.as_ref());
        let accepted = self
            .stack
            .tcp_send(&mut self.driver, self.now, flow, &[span])
            .unwrap();
        self.turn();
        accepted
    }

    /// The next event is a `Recv`; gives the bytes and the buffer, which the app keeps.
    #[track_caller]
    pub(crate) fn hold(&mut self, flow: Id) -> (Vec<u8>, BufId) {
        match self.event() {
            Some(Event::Recv {
                flow: of,
                cookie: FLOW,
                buf,
                offset,
                len,
            }) if of == flow => (self.driver.view(&buf, offset, len).to_vec(), buf),
            event => panic!("wanted bytes of {flow:?}, got {event:?}"),
        }
    }

    pub(crate) fn give_back(&mut self, buf: BufId) {
        self.stack.rx_done(&mut self.driver, self.now, buf.0).unwrap();
        self.turn();
    }

    /// The next event is a `Recv` of these bytes; the app returns the buffer at once.
    #[track_caller]
    pub(crate) fn read(&mut self, flow: Id, bytes: impl AsRef<[u8]>) {
        let (got, buf) = self.hold(flow);
        assert_eq!(
            String::from_utf8_lossy(&got),
            String::from_utf8_lossy(bytes.as_ref())
        );
        self.give_back(buf);
    }

    /// The next event tells that `bytes` more have been acknowledged.
    #[track_caller]
    pub(crate) fn expect_sent(&mut self, flow: Id, bytes: u32) {
        match self.event() {
            Some(Event::Sent {
                flow: of,
                cookie: FLOW,
                len,
                ..
            }) if (of, len) == (flow, bytes) => {}
            event => panic!("wanted {bytes} bytes sent, got {event:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn expect_eof(&mut self, flow: Id) {
        assert_eq!(self.event(), Some(Event::Eof { flow, cookie: FLOW }));
    }

    #[track_caller]
    pub(crate) fn expect_dead(&mut self, flow: Id, reason: Result<(), Error>) {
        assert_eq!(
            self.event(),
            Some(Event::Dead {
                flow,
                cookie: FLOW,
                reason
            })
        );
        self.flows.retain(|other| *other != flow);
    }

    pub(crate) fn close(&mut self, flow: Id) {
        self.stack.tcp_close(&mut self.driver, self.now, flow).unwrap();
        self.turn();
    }

    /// Closes a flow that may be over already.
    pub(crate) fn close_or_gone(&mut self, flow: Id) {
        let _ = self.stack.tcp_close(&mut self.driver, self.now, flow);
        self.turn();
    }

    /// Takes all events, which must be `Sent` or `Recv`, without looking closer.
    #[track_caller]
    pub(crate) fn expect_sent_or_read(&mut self, flow: Id) {
        while let Some(event) = self.event() {
            match event {
                Event::Recv { flow: of, buf, .. } if of == flow => self.give_back(buf),
                Event::Sent { flow: of, .. } if of == flow => {}
                event => panic!("{event:?}"),
            }
        }
    }

    pub(crate) fn shutdown(&mut self, flow: Id) {
        self.stack.tcp_shutdown(&mut self.driver, self.now, flow).unwrap();
        self.turn();
    }

    pub(crate) fn abort(&mut self, flow: Id) {
        self.stack.tcp_abort(&mut self.driver, self.now, flow).unwrap();
        self.turn();
    }

    /// Every frame has been counted once; whatever is still open is aborted; all buffers are home.
    #[track_caller]
    pub(crate) fn end(mut self) {
        self.expect_nothing();
        self.no_event();
        for flow in std::mem::take(&mut self.flows) {
            // One that the test has closed may be gone already.
            let _ = self.stack.tcp_abort(&mut self.driver, self.now, flow);
        }
        self.turn();
        self.driver.transmit(usize::MAX);
        self.turn();
        while let Some(event) = self.event() {
            let expected = matches!(event, Event::Dead { .. } | Event::Sent { .. })
                || matches!(
                    event,
                    Event::Connected {
                        result: Err(Error::Aborted),
                        ..
                    }
                );
            assert!(expected, "{event:?} at the end");
        }
        let counters = self.stack.counters();
        let counted: u64 = counters
            .each()
            .filter(|(name, _)| name.starts_with("rx_"))
            .map(|(_, n)| n)
            .sum();
        assert_eq!(counted, self.frames_in, "{counters:?}");
        assert_eq!(
            (
                counters.buffers_queued,
                counters.buffers_lent,
                counters.send_spans
            ),
            (0, 0, 0)
        );
        assert_eq!((counters.loss_boards, counters.loss_ranges), (0, 0));
        assert_eq!(counters.flows, counters.flows_time_wait, "flows are left");
        assert_eq!(self.driver.buffers_out(), 0, "buffers are left");
        assert_eq!(self.driver.in_flight(), 0);
    }
}

/// The frame with a tag.
pub(crate) fn tagged(frame: &[u8], tag: VlanId) -> Vec<u8> {
    let mut room = [&[0; TAG_LEN][..], frame].concat();
    tag.tag(&mut room);
    room
}

/// Some bytes that tell their place.
pub(crate) fn pattern(start: usize, len: usize) -> Vec<u8> {
    (start..start + len)
        .map(|i| b"0123456789abcdefghijklmnopqrstuvw"[i % 33])
        .collect()
}

/// Data of a full segment, at this number.
pub(crate) fn full(seq: u32, our_seq: u32) -> Segment {
    data(seq, our_seq, pattern(seq as usize, 1460))
}
