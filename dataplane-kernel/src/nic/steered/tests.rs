//! Core 0 and two others share a card that only the tests look into.

/// Several queues.
mod mesh;

use super::{Remote, Steered, share};
use crate::mem::mbuf::{Pool, testing::pool};
use crate::nic::{Health, Nic, Offloads, RxFrame};
use alloc::sync::Arc;
use netstack::rss::{Key, Steering, Table};
use netstack::{BufId, RxChecksum, Span, TxOffload, TxTicket};
use std::collections::VecDeque;
use std::vec::Vec;

/// A card with a wire of frames in either direction.
#[derive(Default)]
struct Wires {
    arriving: VecDeque<Vec<u8>>,
    lent: VecDeque<BufId>,
    received: Vec<(BufId, u16)>,
    header: Vec<u8>,
    /// Frames sent: header, payload.
    sent: Vec<(Vec<u8>, Vec<Span>)>,
    done: u32,
    health: Option<Health>,
    /// The next frame received is only the first part of one.
    next_continues: bool,
    /// The tables it was given.
    tables: Vec<Table>,
}

impl Nic for Wires {
    fn mac(&self) -> [u8; 6] {
        [2, 0, 0, 0, 0, 1]
    }

    fn mtu(&self) -> u16 {
        1400
    }

    fn offloads(&self) -> Offloads {
        Offloads::empty()
    }

    fn link_up(&self) -> bool {
        self.health.is_none()
    }

    fn poll_rx(&mut self, budget: usize, sink: &mut impl FnMut(RxFrame)) -> usize {
        let count = self.received.len().min(budget);
        for (buf, len) in self.received.drain(..count) {
            sink(RxFrame {
                buf,
                offset: 0,
                len,
                checksum: RxChecksum::Unknown,
                continues: core::mem::replace(&mut self.next_continues, false),
            });
        }
        count
    }

    fn refill(&mut self, pool: &mut Pool) {
        while self.lent.len() < 4
            && let Some(buf) = pool.alloc()
        {
            self.lent.push_back(buf);
        }
        while let Some(frame) = self.arriving.pop_front() {
            let Some(buf) = self.lent.pop_front().or_else(|| pool.alloc()) else {
                return;
            };
            pool.small(&buf)[..frame.len()].copy_from_slice(&frame);
            self.received.push((buf, frame.len().try_into().unwrap()));
        }
    }

    fn begin_tx(&mut self) -> Option<&mut [u8]> {
        self.header = std::vec![0; 2048];
        (self.sent.len() < 8).then_some(&mut self.header)
    }

    fn commit_tx(&mut self, header_len: usize, payload: &[Span], _: TxOffload) -> TxTicket {
        let header = self.header[..header_len].to_vec();
        self.sent.push((header, payload.to_vec()));
        TxTicket(u32::try_from(self.sent.len()).unwrap() - 1)
    }

    fn tx_done(&self, ticket: TxTicket) -> bool {
        ticket.0 < self.done
    }

    fn tx_idle(&self) -> bool {
        true
    }

    fn reclaim_tx(&mut self) {}

    fn kick(&mut self) {}

    fn check(&mut self) -> Health {
        self.health.unwrap_or(Health::LinkUp)
    }

    fn set_table(&mut self, key: &Key, table: &Table) -> bool {
        assert_ne!(key, &[0; 40]);
        self.tables.push(*table);
        true
    }

    fn stop(&mut self) {}

    fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        core::iter::empty()
    }
}

struct World {
    hub: Steered<Wires>,
    remotes: Vec<Remote>,
    pool: Pool,
    pools: Vec<Pool>,
    steering: Arc<Steering>,
}

fn world() -> World {
    let steering = Arc::new(Steering::new(&core::array::from_fn(|place| {
        u8::try_from(place * 41 % 253).unwrap()
    })));
    (0..3).for_each(|core| steering.offer(core));
    steering.settle();
    let pool = pool(1024);
    let (mut hubs, remotes) = share(std::vec![Wires::default()], &steering, pool.region(), (3, 1));
    let mut pools = pool.shared(1, 3);
    let pool = pools.remove(0);
    World {
        hub: hubs.remove(0),
        remotes,
        pool,
        pools,
        steering,
    }
}

fn udp(port: u16) -> Vec<u8> {
    let ports = [port.to_be_bytes(), 7u16.to_be_bytes()].concat();
    let ip = [0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0][..], &ip, &ports].concat()
}

fn arp() -> Vec<u8> {
    [&[0xff; 12][..], &[8, 6], &[7; 28]].concat()
}

impl World {
    /// What core 0 keeps of the frames that arrive; the others' are on their way.
    fn receive(&mut self, frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
        self.hub.nic.arriving.extend(frames);
        let (mut kept, region) = (Vec::new(), self.pool.region());
        for _ in 0..2 {
            self.hub.refill(&mut self.pool);
            let mut taken = Vec::new();
            self.hub.poll_rx(usize::MAX, &mut |frame| taken.push(frame));
            self.hub.refill(&mut self.pool);
            for frame in taken {
                kept.push(region.bytes(frame.buf.0, frame.offset, frame.len).to_vec());
                self.pool.free(frame.buf);
            }
        }
        kept
    }

    /// What a core finds; it gives the buffers back.
    fn take(&mut self, core: usize) -> Vec<Vec<u8>> {
        let region = self.pool.region();
        let (remote, pool) = (&mut self.remotes[core - 1], &mut self.pools[core - 1]);
        let mut taken = Vec::new();
        while remote.poll_rx(64, &mut |frame| taken.push(frame)) > 0 {}
        let bytes = |frame: &RxFrame| region.bytes(frame.buf.0, frame.offset, frame.len).to_vec();
        let frames = taken.iter().map(bytes).collect();
        taken.into_iter().for_each(|frame| pool.free(frame.buf));
        remote.refill(pool);
        frames
    }

    fn home(&self, port: u16) -> usize {
        let ends = [("10.0.0.1", port), ("10.0.0.2", 7)];
        let [from, to] = ends.map(|(ip, port)| core::net::SocketAddr::new(ip.parse().unwrap(), port));
        self.steering.home_of(from, to).into()
    }

    fn assert_home(&mut self) {
        self.hub.refill(&mut self.pool);
        let lent = u32::try_from(self.hub.nic.lent.len()).unwrap();
        assert_eq!(
            self.pool.available() + lent + self.pool.in_large(),
            self.pool.count()
        );
        assert!(
            self.pool
                .counters()
                .all(|(name, value)| name != "pool.bad_frees" || value == 0)
        );
    }
}

#[test]
fn each_flow_comes_to_its_core_in_order_and_buffers_come_home() {
    let mut world = world();
    let frames: Vec<_> = (0..300).map(|port| udp(1000 + port % 100)).collect();
    let mut found = std::vec![world.receive(frames)];
    found.extend((1..3).map(|core| world.take(core)));
    for (core, found) in found.iter().enumerate() {
        let ports = (0..300).map(|port| 1000 + port % 100);
        let expected: Vec<_> = ports.filter(|&port| world.home(port) == core).map(udp).collect();
        assert!(expected.len() > 30);
        assert_eq!(found, &expected, "core {core}");
    }
    world.assert_home();
}

#[test]
fn what_concerns_all_comes_to_all() {
    let mut world = world();
    assert_eq!(world.receive([arp()]), [arp()]);
    assert_eq!([world.take(1), world.take(2)], [[arp()], [arp()]]);
    world.assert_home();
}

#[test]
fn the_parts_of_a_frame_stay_together() {
    let mut world = world();
    let port = (1000..).find(|&port| world.home(port) == 1).unwrap();
    let rest = std::vec![9; 500];
    world.hub.nic.next_continues = true;
    assert!(
        world.receive([udp(port), rest.clone(), arp()]).len() == 1,
        "the last is for all"
    );
    assert_eq!(world.take(1), [udp(port), rest, arp()]);
    world.take(2);
    world.assert_home();
}

#[test]
fn a_core_that_takes_nothing_loses_its_own_frames_only() {
    let mut world = world();
    let port = (1000..).find(|&port| world.home(port) == 1).unwrap();
    let other = (1000..).find(|&port| world.home(port) == 2).unwrap();
    for _ in 0..6 {
        world.receive((0..250).map(|_| udp(port)));
    }
    world.receive([udp(other)]);
    assert_eq!(world.take(2), [udp(other)]);
    let found = world.take(1).len();
    assert!((64..=128).contains(&found), "{found}");
    let dropped = world.hub.counters().find(|(name, _)| *name == "steer.dropped");
    assert_eq!(dropped, Some(("steer.dropped", 1500 - found as u64)));
    world.assert_home();
}

#[test]
fn frames_of_other_cores_leave_by_core_0_and_are_done_when_the_card_says_so() {
    let mut world = world();
    let span = Span { address: 77, len: 9 };
    let remote = &mut world.remotes[1];
    for number in 0..3 {
        remote.begin_tx().unwrap()[..2].copy_from_slice(&[number, 1]);
        assert_eq!(
            remote.commit_tx(2, &[span], TxOffload::Complete),
            TxTicket(number.into())
        );
    }
    world.hub.poll_rx(1, &mut |_| ());
    assert!(world.hub.nic.sent.is_empty(), "not shown yet");
    world.remotes[1].kick();
    assert_eq!(world.hub.poll_rx(1, &mut |_| ()), 3);
    let expected: Vec<_> = (0..3)
        .map(|number| (std::vec![number, 1], std::vec![span]))
        .collect();
    assert_eq!(world.hub.nic.sent, expected);
    world.hub.nic.done = 2;
    world.hub.reclaim_tx();
    let remote = &mut world.remotes[1];
    assert!(!remote.tx_done(TxTicket(0)), "not looked yet");
    remote.reclaim_tx();
    assert_eq!(
        [0, 1, 2].map(|ticket| remote.tx_done(TxTicket(ticket))),
        [true, true, false]
    );
    assert!(!remote.tx_idle());
    world.hub.nic.done = 3;
    world.hub.reclaim_tx();
    world.remotes[1].reclaim_tx();
    assert!(world.remotes[1].tx_idle());
}

#[test]
fn a_full_card_keeps_other_cores_waiting_and_nothing_is_lost() {
    let mut world = world();
    let remote = &mut world.remotes[0];
    let mut queued = 0;
    while remote.begin_tx().is_some() {
        remote.commit_tx(1, &[], TxOffload::Complete);
        queued += 1;
    }
    assert_eq!(queued, 256);
    remote.kick();
    let mut sent = 0;
    while sent < queued {
        sent += world.hub.poll_rx(1, &mut |_| ());
        world.hub.nic.done = world.hub.nic.sent.len().try_into().unwrap();
        world.hub.reclaim_tx();
        assert!(world.hub.nic.sent.len() <= 8);
        world.hub.nic.sent.clear();
        world.hub.nic.done = 0;
    }
    assert!(world.remotes[0].begin_tx().is_some());
}

#[test]
fn news_of_the_link_reach_all() {
    let mut world = world();
    assert!(world.remotes[0].link_up());
    world.hub.nic.health = Some(Health::LinkDown);
    world.hub.check();
    assert_eq!(world.remotes[1].check(), Health::LinkDown);
    assert!(!world.remotes[1].link_up());
    assert_eq!(
        (world.remotes[0].mac(), world.remotes[0].mtu()),
        ([2, 0, 0, 0, 0, 1], 1400)
    );
}
