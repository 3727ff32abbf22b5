//! Two links whose cards only the tests look into.

use super::{Around, Frames, PATIENCE_NS, Told};
use crate::dataplane::Link;
use crate::dataplane::link::{Intake, Taker};
use crate::mem::mbuf::{Pool, testing::pool};
use crate::nic::{Health, Nic, Offloads, RxFrame};
use ix_abi::app::{Command, FrameMode, Handle, HandleKind, Opcode, Status, layout};
use netstack::{Config, Instant, Ipv4Config, RxChecksum, Span, Stack, TxOffload, TxTicket};
use run_io::{Done, Request};
use std::collections::VecDeque;
use std::vec::Vec;

const BUFFERS: u32 = 64;

/// A quarter of them.
const MOST: u32 = 16;

/// A card whose wire is a queue of frames in either direction.
#[derive(Default)]
struct Wires {
    number: u8,
    offloads: Option<Offloads>,
    arrived: VecDeque<RxFrame>,
    header: Vec<u8>,
    /// Headers, and where the rest lies.
    sent: Vec<(Vec<u8>, Vec<Span>)>,
    committed: u32,
    done: u32,
    room: usize,
    promiscuous: bool,
}

impl Nic for Wires {
    fn mac(&self) -> [u8; 6] {
        [2, 0, 0, 0, 0, self.number]
    }

    fn mtu(&self) -> u16 {
        1500
    }

    fn offloads(&self) -> Offloads {
        self.offloads.unwrap_or(Offloads::empty())
    }

    fn link_up(&self) -> bool {
        true
    }

    fn poll_rx(&mut self, budget: usize, sink: &mut impl FnMut(RxFrame)) -> usize {
        let count = self.arrived.len().min(budget);
        self.arrived.drain(..count).for_each(sink);
        count
    }

    fn refill(&mut self, _: &mut Pool) {}

    fn begin_tx(&mut self) -> Option<&mut [u8]> {
        self.header = std::vec![0; 2048];
        (self.room > 0).then_some(&mut self.header)
    }

    fn commit_tx(&mut self, header_len: usize, payload: &[Span], _: TxOffload) -> TxTicket {
        self.sent
            .push((self.header[..header_len].to_vec(), payload.to_vec()));
        self.room -= 1;
        self.committed = self.committed.wrapping_add(1);
        TxTicket(self.committed.wrapping_sub(1))
    }

    fn tx_done(&self, ticket: TxTicket) -> bool {
        self.done.wrapping_sub(ticket.0).cast_signed() > 0
    }

    fn tx_idle(&self) -> bool {
        self.done == self.committed
    }

    fn reclaim_tx(&mut self) {}

    fn kick(&mut self) {}

    fn check(&mut self) -> Health {
        Health::LinkUp
    }

    fn hear_all_stations(&mut self) -> bool {
        self.promiscuous = true;
        self.number < 9
    }

    fn stop(&mut self) {}

    fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        core::iter::empty()
    }
}

struct World {
    frames: Frames,
    links: Vec<Link<Wires>>,
    pool: Pool,
    time: Instant,
}

fn link(number: u8) -> Link<Wires> {
    let nic = Wires {
        number,
        room: 1000,
        committed: u32::MAX - 3, // tickets wrap
        done: u32::MAX - 3,
        ..Wires::default()
    };
    let mut config = Config::new(nic.mac(), [10, 0, number, 1].into(), 24);
    config.ipv4 = Some(Ipv4Config::Fixed {
        address: [10, 0, number, 1].into(),
        prefix: 24,
        gateway: None,
    });
    config.rx_buffers = BUFFERS;
    config.max_flows = 4;
    Link::new(nic, Stack::new(config, Instant(0)))
}

impl World {
    fn new() -> Self {
        World {
            frames: Frames::default(),
            links: [1, 2, 3].map(link).into(),
            pool: pool(BUFFERS),
            time: Instant(0),
        }
    }

    fn command(&mut self, request: Request) -> Result<Done, Status> {
        let mut around = Around {
            links: &mut self.links,
            pool: &mut self.pool,
            home: None,
            time: self.time,
        };
        self.frames.execute(&request, &mut around, 1)
    }

    fn bind(&mut self, link: usize, mode: FrameMode) -> Handle {
        let request = Request {
            address: mode as u64,
            len: link as u64,
            cookie: 70 + link as u64,
            ..request(Opcode::FrameBind)
        };
        match self.command(request) {
            Ok(Done::Made(handle)) => handle,
            other => panic!("{other:?}"),
        }
    }

    fn unbind(&mut self, handle: Handle) -> Result<Done, Status> {
        self.command(Request {
            handle,
            ..request(Opcode::FrameUnbind)
        })
    }

    fn forward(&mut self, handle: Handle, address: u64, to: u64, flags: u16) -> Result<Done, Status> {
        self.command(Request {
            handle,
            address,
            len: to,
            flags,
            ..request(Opcode::FrameForward)
        })
    }

    fn done(&mut self, address: u64) -> Result<Done, Status> {
        self.command(Request {
            address,
            ..request(Opcode::FrameDone)
        })
    }

    /// A frame comes by a link.
    fn arrive(&mut self, link: usize, bytes: &[u8]) -> bool {
        let Some(buf) = self.pool.alloc() else {
            return false;
        };
        self.pool.small(&buf)[12..12 + bytes.len()].copy_from_slice(bytes);
        self.links[link].nic.arrived.push_back(RxFrame {
            buf,
            offset: 12,
            len: bytes.len().try_into().unwrap(),
            checksum: RxChecksum::Unknown,
            continues: false,
        });
        true
    }

    /// A turn of the core.
    fn turn(&mut self) {
        let mut intake = Intake::new(64);
        for (number, link) in self.links.iter_mut().enumerate() {
            let mut taker = Taker {
                number,
                frames: &mut self.frames,
                home: None,
            };
            link.receive(&mut self.pool, &mut intake, &mut taker, self.time);
        }
        let mut around = Around {
            links: &mut self.links,
            pool: &mut self.pool,
            home: None,
            time: self.time,
        };
        self.frames.retry(&mut around);
        for link in &mut self.links {
            let (stack, mut wire) = link.ends(&mut self.pool);
            stack.on_timer(&mut wire, self.time);
            stack.flush(&mut wire, self.time);
        }
    }

    fn told(&mut self) -> Option<Told> {
        self.frames.poll(self.pool.region())
    }

    /// A link's card lets go of `count` frames.
    fn let_go(&mut self, link: usize, count: u32) {
        let nic = &mut self.links[link].nic;
        nic.done = nic.done.wrapping_add(count);
    }

    fn free(&self) -> u32 {
        self.pool.available()
    }

    fn counter(&self, name: &str) -> u64 {
        self.frames
            .counters()
            .find(|counter| counter.0 == name)
            .unwrap()
            .1
    }

    /// Nobody has a buffer any more, and none came home twice.
    #[track_caller]
    fn end(&mut self) {
        self.turn();
        assert_eq!((self.free(), self.counter("frames.held")), (BUFFERS, 0));
        assert!(
            self.pool
                .counters()
                .any(|counter| counter == ("pool.bad_frees", 0))
        );
    }
}

fn request(opcode: Opcode) -> Request {
    Request {
        index: 0,
        opcode: opcode as u16,
        flags: 0,
        handle: Handle::NONE,
        cookie: 0,
        address: 0,
        len: 0,
    }
}

fn frame(tag: u8) -> Vec<u8> {
    (0..90).map(|i: u8| i ^ tag).collect()
}

/// A datagram from 10.0.1.9 to an address of `dst`, to the first link's station.
fn datagram(dst: [u8; 4], ttl: u8) -> Vec<u8> {
    let mut packet = std::vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, ttl, 17, 0, 0, 10, 0, 1, 9];
    packet.extend(dst);
    let sum = netstack::checksum::checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(0..20);
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 99, 8, 0][..], &packet].concat()
}

#[test]
fn a_buffer_goes_home_when_the_card_has_let_go_of_it_and_not_before() {
    let mut w = World::new();
    let port = w.bind(0, FrameMode::Bridge);
    assert!(w.links[0].nic.promiscuous);
    for tag in 0..3 {
        assert!(w.arrive(0, &frame(tag)));
    }
    w.turn();
    let told: Vec<Told> = core::iter::from_fn(|| w.told()).collect();
    assert_eq!(told.len(), 3);
    for told in &told {
        assert_eq!((told.handle, told.cookie, told.len), (port, 70, 90));
        assert_eq!(w.forward(port, told.address + 89, 1, 0), Ok(Done::Value(0)));
    }
    let region = w.pool.region();
    for (tag, (header, rest)) in (0..).zip(&w.links[1].nic.sent) {
        let index = region
            .index_of(told[usize::from(tag)].address - layout::RX_WINDOW)
            .unwrap();
        assert_eq!((&header[..], rest.len()), (&frame(tag)[..14], 1));
        assert_eq!((rest[0].address, rest[0].len), (region.phys(index).0 + 26, 76));
    }
    for left in [3, 2, 1, 0] {
        w.turn();
        assert_eq!(
            (w.free(), w.counter("frames.held")),
            (BUFFERS - left, left.into())
        );
        w.let_go(1, 1);
    }
    w.links[1].nic.committed = w.links[1].nic.done;
    w.end();
}

#[test]
fn only_what_a_handle_was_lent_and_has_not_given_back_can_be_forwarded_or_given_back() {
    let mut w = World::new();
    let (port, other) = (w.bind(0, FrameMode::Bridge), w.bind(1, FrameMode::Bridge));
    w.arrive(0, &frame(1));
    w.turn();
    let before_told = layout::RX_WINDOW + w.pool.region().window_offset(0);
    let refused = [w.done(before_told), w.forward(port, before_told, 1, 0)];
    assert_eq!(refused, [Err(Status::Invalid); 2], "not told yet");
    let address = w.told().unwrap().address;
    let window_end = layout::RX_WINDOW + w.pool.region().bytes_total();
    for wild in [0, layout::RX_WINDOW - 1, window_end, u64::MAX, layout::ARENA] {
        assert_eq!(w.forward(port, wild, 1, 0), Err(Status::Fault), "{wild:x}");
        assert_eq!(w.done(wild), Err(Status::Fault), "{wild:x}");
    }
    for others in [0, 1, 7] {
        let buffer = (address ^ others << 11) & !2047;
        if buffer != address & !2047 {
            assert_eq!(w.forward(port, buffer, 1, 0), Err(Status::Invalid));
            assert_eq!(w.done(buffer), Err(Status::Invalid));
        }
    }
    assert_eq!(w.forward(other, address, 1, 0), Err(Status::Invalid), "another's");
    for forged in [
        Handle::NONE,
        Handle(port.0 ^ 1 << 32),
        Handle::new(HandleKind::Flow, port.index(), port.generation()),
        Handle::new(HandleKind::Frames, 2, 0),
        Handle::new(HandleKind::Frames, u32::MAX, 1),
    ] {
        assert_eq!(w.forward(forged, address, 1, 0), Err(Status::BadHandle));
        assert_eq!(w.unbind(forged), Err(Status::BadHandle));
    }
    for to in [3, u64::MAX] {
        assert_eq!(w.forward(port, address, to, 0), Err(Status::Invalid));
    }
    assert_eq!(w.forward(port, address, 1, Command::ABORT), Err(Status::Invalid));
    assert_eq!(w.forward(port, address, 1, 0), Ok(Done::Value(0)));
    assert_eq!(w.forward(port, address, 1, 0), Err(Status::Invalid), "twice");
    assert_eq!(w.done(address), Err(Status::Invalid), "on its way");
    w.let_go(1, 1);
    w.turn();
    assert_eq!(w.forward(port, address, 1, 0), Err(Status::Invalid), "home");
    assert_eq!(w.unbind(port), Ok(Done::Value(0)));
    assert_eq!(w.unbind(port), Err(Status::BadHandle));
    let again = w.bind(0, FrameMode::Route);
    assert_ne!(again, port);
    assert_eq!(w.unbind(port), Err(Status::BadHandle), "stale");
    w.end();
}

#[test]
fn binding_is_checked() {
    let mut w = World::new();
    let bind = |w: &mut World, len, address| {
        w.command(Request {
            len,
            address,
            ..request(Opcode::FrameBind)
        })
    };
    let handle = w.bind(1, FrameMode::Route);
    assert_eq!(bind(&mut w, 1, 1), Err(Status::Busy));
    for (link, mode) in [(3, 1), (u64::MAX, 1), (0, 0), (0, 3), (0, u64::MAX)] {
        assert_eq!(bind(&mut w, link, mode), Err(Status::Invalid), "{link} {mode}");
    }
    w.links[0].nic.offloads = Some(Offloads::LRO);
    assert_eq!(
        bind(&mut w, 0, 2),
        Err(Status::NotSupported),
        "it merges segments"
    );
    w.links[2].nic.number = 9;
    assert_eq!(
        bind(&mut w, 2, 1),
        Err(Status::NotSupported),
        "it hears its own frames only"
    );
    for opcode in [36, 99, u16::MAX] {
        let strange = Request {
            opcode,
            ..request(Opcode::Nop)
        };
        assert_eq!(w.command(strange), Err(Status::NoSuchCall));
    }
    w.unbind(handle).unwrap();
    w.end();
}

#[test]
fn a_frame_can_leave_by_several_links_and_goes_home_after_the_last() {
    for given_back_first in [true, false] {
        let mut w = World::new();
        let port = w.bind(0, FrameMode::Bridge);
        w.arrive(0, &frame(1));
        w.turn();
        let address = w.told().unwrap().address;
        for to in [1, 2] {
            assert_eq!(w.forward(port, address, to, Command::KEEP), Ok(Done::Value(0)));
        }
        if given_back_first {
            w.done(address).unwrap();
        }
        for to in [2, 1] {
            w.turn();
            assert_eq!(w.free(), BUFFERS - 1);
            w.let_go(to, 1);
        }
        if !given_back_first {
            w.turn();
            assert_eq!(w.free(), BUFFERS - 1);
            w.done(address).unwrap();
        }
        w.end();
    }
}

#[test]
fn nobody_holds_more_than_a_share_and_what_is_beyond_it_is_counted() {
    let mut w = World::new();
    let port = w.bind(0, FrameMode::Bridge);
    for tag in 0..40 {
        assert!(w.arrive(0, &frame(tag)));
    }
    w.turn();
    assert_eq!(w.counter("frames.taken"), MOST.into());
    assert_eq!(w.counter("frames.no_room"), u64::from(40 - MOST));
    assert_eq!(w.free(), BUFFERS - MOST);
    // Those on their way count, too.
    let told: Vec<Told> = core::iter::from_fn(|| w.told()).collect();
    for told in &told {
        w.forward(port, told.address, 1, 0).unwrap();
    }
    w.arrive(0, &frame(1));
    w.turn();
    assert_eq!(w.counter("frames.no_room"), u64::from(41 - MOST));
    w.let_go(1, MOST);
    w.end();
}

#[test]
fn frames_over_several_buffers_are_dropped_whole() {
    let mut w = World::new();
    w.bind(0, FrameMode::Bridge);
    for continues in [true, true, false, false] {
        w.arrive(0, &frame(1));
        w.links[0].nic.arrived.back_mut().unwrap().continues = continues;
    }
    w.turn();
    assert_eq!((w.counter("frames.in_parts"), w.counter("frames.taken")), (1, 1));
    let address = w.told().unwrap().address;
    assert_eq!(w.told(), None);
    w.done(address).unwrap();
    w.end();
}

#[test]
fn after_a_reset_of_the_card_everything_is_home() {
    let mut w = World::new();
    let port = w.bind(0, FrameMode::Bridge);
    for tag in 0..10 {
        w.arrive(0, &frame(tag));
    }
    w.turn();
    while let Some(told) = w.told() {
        w.forward(port, told.address, 1, 0).unwrap();
    }
    w.turn();
    assert_eq!(w.counter("frames.held"), 10);
    // What a driver does: all tickets are done.
    w.links[1].nic.done = w.links[1].nic.committed;
    w.end();
}

#[test]
fn a_full_ring_drops_and_counts_and_the_buffer_goes_home() {
    let mut w = World::new();
    let port = w.bind(0, FrameMode::Bridge);
    w.links[1].nic.room = 0;
    w.arrive(0, &frame(1));
    w.arrive(0, &[1, 2, 3]);
    w.turn();
    let (address, short) = (w.told().unwrap().address, w.told().unwrap().address);
    assert_eq!(w.forward(port, address, 1, Command::KEEP), Ok(Done::Value(1)));
    assert_eq!(w.forward(port, address, 1, 0), Ok(Done::Value(1)));
    assert_eq!(w.forward(port, short, 1, 0), Ok(Done::Value(1)));
    let counters = w.links[0].stack.counters();
    assert_eq!((counters.forward_ring_full, counters.forward_malformed), (2, 1));
    w.end();
}

#[test]
fn who_unbinds_or_ends_keeps_nothing_and_what_is_on_its_way_goes_on() {
    for ends in [false, true] {
        let mut w = World::new();
        let port = w.bind(0, FrameMode::Bridge);
        for tag in 0..6 {
            w.arrive(0, &frame(tag));
        }
        w.turn();
        let (sent, lent) = (w.told().unwrap().address, w.told().unwrap().address);
        w.forward(port, sent, 1, 0).unwrap();
        if ends {
            let mut around = Around {
                links: &mut w.links,
                pool: &mut w.pool,
                home: None,
                time: w.time,
            };
            w.frames.end(&mut around);
            assert_eq!(w.done(lent), Err(Status::Invalid));
        } else {
            w.unbind(port).unwrap();
            assert_eq!((w.told(), w.counter("frames.held")), (None, 2));
            w.done(lent).unwrap();
        }
        assert_eq!(w.counter("frames.held"), 1);
        w.let_go(1, 1);
        w.end();
    }
}

#[test]
fn packets_for_others_leave_by_the_link_that_leads_there_once_their_neighbour_has_answered() {
    let mut w = World::new();
    let port = w.bind(0, FrameMode::Route);
    assert!(!w.links[0].nic.promiscuous);
    w.arrive(0, &datagram([10, 0, 2, 7], 64));
    w.turn();
    let told = w.told().unwrap();
    assert_eq!((told.len, told.address & 2047), (40, 26), "from its IP header on");
    assert_eq!(w.forward(port, told.address, u64::MAX, 0), Ok(Done::Value(0)));
    w.turn();
    let (question, _) = w.links[1].nic.sent.pop().expect("who has 10.0.2.7?");
    assert_eq!(
        (&question[12..14], &question[38..42]),
        (&[8, 6][..], &[10, 0, 2, 7][..])
    );
    let station = [2, 0, 0, 0, 0, 77];
    let reply: Vec<u8> = [
        &[2, 0, 0, 0, 0, 2][..],
        &station,
        &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2],
        &station,
        &[10, 0, 2, 7, 2, 0, 0, 0, 0, 2, 10, 0, 2, 1],
    ]
    .concat();
    w.arrive(1, &reply);
    w.turn();
    let (header, rest) = w.links[1].nic.sent.pop().expect("the packet");
    assert_eq!(
        (&header[..6], &header[6..12]),
        (&station[..], &[2, 0, 0, 0, 0, 2][..])
    );
    assert_eq!((header[22], header.len(), rest[0].len), (63, 34, 20));
    assert_eq!(w.counter("frames.held"), 1);
    w.let_go(1, 2);
    w.turn();
    // Another one goes at once.
    w.arrive(0, &datagram([10, 0, 2, 7], 64));
    w.turn();
    let address = w.told().unwrap().address;
    w.forward(port, address, 0, 0).unwrap();
    assert_eq!(w.links[1].nic.sent.len(), 1);
    w.let_go(1, 1);
    w.end();
}

#[test]
fn the_sender_is_told_by_the_link_it_is_on() {
    let mut w = World::new();
    let port = w.bind(0, FrameMode::Route);
    let cases = [([10, 0, 2, 7], 1, [11, 0]), ([192, 0, 2, 1], 64, [3, 0])];
    for (dst, ttl, error) in cases {
        w.arrive(0, &datagram(dst, ttl));
        w.turn();
        let address = w.told().unwrap().address;
        assert_eq!(w.forward(port, address, 0, 0), Ok(Done::Value(1)));
        let (message, _) = w.links[0].nic.sent.pop().expect("a complaint");
        assert_eq!(
            (&message[..6], &message[34..36]),
            (&[2, 0, 0, 0, 0, 99][..], &error[..])
        );
        assert_eq!(message[26..34], [10, 0, 1, 1, 10, 0, 1, 9]);
    }
    // Nobody answers.
    w.arrive(0, &datagram([10, 0, 2, 8], 64));
    w.turn();
    let address = w.told().unwrap().address;
    assert_eq!(w.forward(port, address, 0, 0), Ok(Done::Value(0)));
    w.time = Instant(PATIENCE_NS);
    w.turn();
    let (message, _) = w.links[0].nic.sent.pop().expect("a complaint");
    assert_eq!(message[34..36], [3, 1]);
    assert_eq!(w.links[0].stack.counters().forward_unreached, 1);
    w.end();
}

#[test]
fn more_than_a_few_do_not_wait_for_a_neighbour() {
    let mut w = World::new();
    w.pool = pool(256);
    let port = w.bind(0, FrameMode::Route);
    let mut results = Vec::new();
    for _ in 0..40 {
        w.arrive(0, &datagram([10, 0, 2, 8], 64));
        w.turn();
        let address = w.told().unwrap().address;
        results.push(w.forward(port, address, 0, 0).unwrap());
    }
    let waiting = results.iter().filter(|done| **done == Done::Value(0)).count();
    assert_eq!(waiting, super::MOST_WAITING);
    w.time = Instant(PATIENCE_NS);
    w.turn();
    assert_eq!(w.pool.available(), 256);
}

/// Whatever order things happen in, every buffer is somebody's, once.
#[test]
fn in_any_order_all_buffers_come_home() {
    let mut seed = 1_u64;
    let mut random = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    let mut w = World::new();
    let mut ports = [w.bind(0, FrameMode::Bridge), w.bind(1, FrameMode::Bridge)];
    let mut lent: Vec<(usize, u64)> = Vec::new();
    for step in 0..20_000 {
        let port = usize::try_from(random(2)).unwrap();
        match random(9) {
            0 | 1 => {
                w.arrive(port, &frame(u8::try_from(step % 256).unwrap()));
            }
            2 => w.turn(),
            3 => lent.extend(
                w.told()
                    .map(|told| (usize::from(told.cookie == 71), told.address)),
            ),
            4 | 5 if !lent.is_empty() => {
                let at = usize::try_from(random(lent.len() as u64)).unwrap();
                let (from, address) = lent[at];
                let keep = random(3) == 0;
                let flags = if keep { Command::KEEP } else { 0 };
                w.links[2].nic.room = usize::try_from(random(2)).unwrap() * 1000;
                match w.forward(ports[from], address, 1 + random(2), flags) {
                    Ok(Done::Value(0 | 1)) if !keep => drop(lent.swap_remove(at)),
                    Ok(Done::Value(0 | 1)) => {}
                    other => panic!("{other:?}"),
                }
            }
            6 if !lent.is_empty() => {
                let at = usize::try_from(random(lent.len() as u64)).unwrap();
                let (_, address) = lent.swap_remove(at);
                assert_eq!(w.done(address), Ok(Done::Value(0)));
                let again = w.done(address);
                assert_eq!(again, Err(Status::Invalid));
            }
            7 => {
                let card = 1 + port;
                let nic = &w.links[card].nic;
                let busy = nic.committed.wrapping_sub(nic.done);
                let count = random(u64::from(busy) + 1);
                w.let_go(card, count.try_into().unwrap());
            }
            8 if random(50) == 0 => {
                w.unbind(ports[port]).unwrap();
                lent.retain(|&(from, address)| {
                    if from == port {
                        w.done(address).unwrap();
                    }
                    from != port
                });
                ports[port] = w.bind(port, FrameMode::Bridge);
            }
            _ => {}
        }
        assert!(w.counter("frames.held") <= MOST.into());
    }
    assert!(w.counter("frames.taken") > 1000 && w.counter("frames.no_room") > 100);
    w.turn();
    lent.extend(core::iter::from_fn(|| w.told()).map(|told| (0, told.address)));
    for (_, address) in lent {
        w.done(address).unwrap();
    }
    for link in &mut w.links {
        link.nic.done = link.nic.committed;
    }
    w.end();
}
