//! Two cores with a queue each, and one without.

use super::{Wires, arp, udp};
use crate::mem::mbuf::{Pool, testing::pool};
use crate::nic::steered::{Remote, Steered, share};
use crate::nic::{Nic, RxFrame};
use alloc::sync::Arc;
use netstack::rss::{Steering, Table};
use netstack::{Span, TxOffload};
use std::vec::Vec;

struct Mesh {
    hubs: Vec<Steered<Wires>>,
    remote: Remote,
    pools: Vec<Pool>,
    steering: Arc<Steering>,
}

fn mesh() -> Mesh {
    let steering = Arc::new(Steering::new(&[0x6d; 40]));
    (0..3).for_each(|core| steering.offer(core));
    steering.settle();
    let pool = pool(4096);
    let queues = std::vec![Wires::default(), Wires::default()];
    let (hubs, mut remotes) = share(queues, &steering, pool.region(), (3, 1));
    Mesh {
        hubs,
        remote: remotes.remove(0),
        pools: pool.shared(2, 3),
        steering,
    }
}

impl Mesh {
    /// What a core takes in one cycle; it gives the buffers back.
    fn cycle(&mut self, core: usize) -> Vec<Vec<u8>> {
        let pool = &mut self.pools[core];
        let region = pool.region();
        let mut taken: Vec<RxFrame> = Vec::new();
        match self.hubs.get_mut(core) {
            Some(hub) => hub.poll_rx(64, &mut |frame| taken.push(frame)),
            None => self.remote.poll_rx(64, &mut |frame| taken.push(frame)),
        };
        let bytes = |frame: &RxFrame| region.bytes(frame.buf.0, frame.offset, frame.len).to_vec();
        let frames = taken.iter().map(bytes).collect();
        taken.into_iter().for_each(|frame| pool.free(frame.buf));
        match self.hubs.get_mut(core) {
            Some(hub) => hub.refill(pool),
            None => self.remote.refill(pool),
        }
        frames
    }

    /// The frames arrive at a queue; what each core takes of them.
    fn arrive(&mut self, queue: usize, frames: &[Vec<u8>]) -> [Vec<Vec<u8>>; 3] {
        self.hubs[queue].nic.arriving.extend(frames.iter().cloned());
        let mut all: [Vec<Vec<u8>>; 3] = Default::default();
        for _ in 0..4 {
            for (core, found) in all.iter_mut().enumerate() {
                found.extend(self.cycle(core));
            }
        }
        all
    }

    fn port_of(&self, core: u8) -> u16 {
        let home = |port: &u16| {
            let ends = [("10.0.0.1", *port), ("10.0.0.2", 7)];
            let [from, to] = ends.map(|(ip, port)| core::net::SocketAddr::new(ip.parse().unwrap(), port));
            self.steering.home_of(from, to) == core
        };
        (1000..2000).find(home).unwrap()
    }

    fn assert_home(&mut self) {
        (0..3)
            .chain(0..3)
            .for_each(|core| assert!(self.cycle(core).is_empty()));
        for (hub, pool) in self.hubs.iter().zip(&self.pools) {
            let lent = u32::try_from(hub.nic.lent.len()).unwrap();
            assert_eq!(pool.available() + lent + pool.in_large(), pool.count());
        }
    }
}

#[test]
fn a_frame_comes_to_its_core_whatever_queue_it_came_from() {
    let mut mesh = mesh();
    let frames = [0, 1, 2].map(|core| udp(mesh.port_of(core)));
    for queue in 0..2 {
        let found = mesh.arrive(queue, &frames);
        assert_eq!(
            found,
            frames.each_ref().map(|frame| std::vec![frame.clone()]),
            "queue {queue}"
        );
        mesh.assert_home();
    }
    let counter = |hub: usize, name: &str| {
        mesh.hubs[hub]
            .counters()
            .find(|counter| counter.0 == name)
            .unwrap()
            .1
    };
    assert_eq!([counter(0, "steer.handed"), counter(1, "steer.handed")], [2, 2]);
    assert_eq!([counter(0, "steer.taken"), counter(1, "steer.taken")], [1, 1]);
}

#[test]
fn what_comes_to_its_core_by_itself_is_handed_to_nobody() {
    let mut mesh = mesh();
    let port = mesh.port_of(1);
    let frames: Vec<_> = (0..100).map(|_| udp(port)).collect();
    assert_eq!(mesh.arrive(1, &frames)[1].len(), 100);
    assert!(
        mesh.hubs[1]
            .counters()
            .any(|counter| counter == ("steer.handed", 0))
    );
    mesh.assert_home();
}

#[test]
fn what_concerns_all_comes_to_all_from_any_queue() {
    let mut mesh = mesh();
    for queue in 0..2 {
        assert!(
            mesh.arrive(queue, &[arp()])
                .iter()
                .all(|found| found[..] == [arp()]),
            "queue {queue}"
        );
        mesh.assert_home();
    }
}

#[test]
fn a_core_without_a_queue_sends_through_one_that_has() {
    let mut mesh = mesh();
    mesh.remote.begin_tx().unwrap()[0] = 9;
    mesh.remote
        .commit_tx(1, &[Span { address: 7, len: 8 }], TxOffload::Complete);
    mesh.remote.kick();
    (0..2).for_each(|core| drop(mesh.cycle(core)));
    assert_eq!(mesh.hubs[0].nic.sent.len(), 1);
    assert!(mesh.hubs[1].nic.sent.is_empty());
}

#[test]
fn the_card_is_given_the_table_by_queues_once_after_each_change() {
    let mut mesh = mesh();
    let cycles = |mesh: &mut Mesh| (0..6).for_each(|number| drop(mesh.cycle(number % 3)));
    cycles(&mut mesh);
    mesh.steering.set_group(3, 1);
    cycles(&mut mesh);
    let [before, after] = mesh.hubs[0].nic.tables[..] else {
        panic!("{:?}", mesh.hubs[0].nic.tables)
    };
    // Core 2 has no queue, and sends through core 0.
    let expected: Table = core::array::from_fn(|group| u8::from(group % 3 == 1));
    assert_eq!(before, expected);
    assert_eq!((after[3], after[4], after[5]), (1, 1, 0));
    assert!(mesh.hubs[1].nic.tables.is_empty());
    assert!(
        mesh.hubs[0]
            .counters()
            .any(|counter| counter == ("steer.by_card", 1))
    );
}
