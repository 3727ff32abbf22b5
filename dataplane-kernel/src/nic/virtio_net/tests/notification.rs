//! Doorbells and interrupts: as few as possible.

use super::{Bench, EVENT_IDX};
use crate::nic::Nic;
use netstack::TxOffload;

fn send(bench: &mut Bench, count: u32) {
    for _ in 0..count {
        bench.nic.begin_tx().unwrap();
        bench.nic.commit_tx(60, &[], TxOffload::Complete);
    }
}

/// The device sends all there is, and stops looking.
fn drain(bench: &mut Bench) {
    bench.device.tx(|queue| {
        while let Some(chain) = queue.take() {
            queue.give_back(chain.head.into(), 0);
        }
        queue.set_available_event(queue.used_index());
    });
    bench.nic.reclaim_tx();
}

#[test]
fn a_batch_is_one_doorbell() {
    for features in [&[][..], &[EVENT_IDX]] {
        let mut bench = Bench::new(features);
        for batch in 1..=3000 {
            send(&mut bench, 1 + batch % 20);
            bench.nic.kick();
            bench.nic.kick();
            assert_eq!(bench.device.with(|state| state.tx_doorbells), batch);
            drain(&mut bench);
            bench.nic.kick();
        }
        assert_eq!(bench.counter("nic.tx_doorbells"), 3000);
    }
}

#[test]
fn a_device_that_stands_still_is_notified_again() {
    let mut bench = Bench::new(&[]);
    let doorbells = |bench: &mut Bench| bench.device.with(|state| state.tx_doorbells);
    bench.nic.check();
    bench.nic.check();
    assert_eq!(doorbells(&mut bench), 0, "it has nothing to do");
    send(&mut bench, 3);
    bench.nic.kick();
    assert_eq!(doorbells(&mut bench), 1);
    bench.nic.check();
    assert_eq!(doorbells(&mut bench), 1, "it may have had no time yet");
    bench.nic.check();
    assert_eq!(
        doorbells(&mut bench),
        2,
        "nothing was used since the check before"
    );
    drain(&mut bench);
    bench.nic.check();
    assert_eq!(doorbells(&mut bench), 2);
    assert_eq!(bench.counter("nic.tx_stalls"), 1);
}

#[test]
fn a_device_that_is_looking_gets_no_doorbell() {
    let mut bench = Bench::new(&[]);
    bench.device.tx(|queue| queue.set_no_notify(1));
    send(&mut bench, 3);
    bench.nic.kick();
    assert_eq!(bench.device.with(|state| state.tx_doorbells), 0);
    bench.device.tx(|queue| queue.set_no_notify(0));
    bench.nic.kick();
    assert_eq!(bench.device.with(|state| state.tx_doorbells), 0, "nothing new");
    send(&mut bench, 1);
    bench.nic.kick();
    assert_eq!(bench.device.with(|state| state.tx_doorbells), 1);

    let mut bench = Bench::new(&[EVENT_IDX]);
    send(&mut bench, 1);
    bench.nic.kick();
    assert_eq!(bench.device.with(|state| state.tx_doorbells), 1);
    send(&mut bench, 3);
    bench.nic.kick();
    assert_eq!(
        bench.device.with(|state| state.tx_doorbells),
        1,
        "its event index lies behind"
    );
}

#[test]
fn each_queue_has_its_own_doorbell() {
    let mut bench = Bench::new(&[EVENT_IDX]);
    bench.nic.refill(&mut bench.pool);
    send(&mut bench, 2);
    bench.nic.kick();
    bench
        .device
        .with(|state| assert_eq!((state.rx_doorbells, state.tx_doorbells), (1, 1)));
    for _ in 0..10 {
        bench.device.rx(|queue| queue.receive(0, &[0; 60]));
        let frames = bench.poll(8);
        bench.free(frames);
        bench.post();
    }
    assert_eq!(
        bench.counter("nic.rx_doorbells"),
        1,
        "it has never been without buffers"
    );
}

#[test]
fn interrupts_are_refused() {
    let bench = Bench::receiving(&[]);
    assert_eq!(bench.device.rx(|queue| queue.available_flags()), 1);
    assert_eq!(bench.device.tx(|queue| queue.available_flags()), 1);

    let mut bench = Bench::receiving(&[EVENT_IDX]);
    for _ in 0..5000 {
        let before = bench.device.rx(|queue| queue.used_index());
        for _ in 0..7 {
            assert!(bench.device.rx(|queue| queue.receive(0, &[0; 60])));
        }
        let (event, after) = bench.device.rx(|queue| (queue.used_event(), queue.used_index()));
        assert!(
            after.wrapping_sub(event).wrapping_sub(1) >= after.wrapping_sub(before),
            "it would interrupt"
        );
        let frames = bench.poll(16);
        bench.free(frames);
        bench.post();
    }
    assert_eq!(
        bench.device.rx(|queue| queue.available_flags()),
        0,
        "section 2.7.7.1"
    );
}
