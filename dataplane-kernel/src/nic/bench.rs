//! A driver at work in tests, with the device it drives and a pool of buffers. What drivers differ in, their own tests add.

use super::{Nic, RxFrame};
use crate::mem::mbuf::Pool;
use std::vec::Vec;

pub(super) struct Bench<N, D> {
    pub(super) nic: N,
    pub(super) device: D,
    pub(super) pool: Pool,
}

impl<N: Nic, D> Bench<N, D> {
    /// Gives the device all the buffers it takes, and shows it what there is.
    pub(super) fn post(&mut self) {
        self.nic.refill(&mut self.pool);
        self.nic.kick();
    }

    pub(super) fn poll(&mut self, budget: usize) -> Vec<RxFrame> {
        let mut frames = Vec::new();
        let count = self.nic.poll_rx(budget, &mut |frame| frames.push(frame));
        assert_eq!(count, frames.len());
        frames
    }

    pub(super) fn data(&self, frame: &RxFrame) -> Vec<u8> {
        self.pool
            .region()
            .bytes(frame.buf.0, frame.offset, frame.len)
            .to_vec()
    }

    pub(super) fn free(&mut self, frames: Vec<RxFrame>) {
        for frame in frames {
            self.pool.free(frame.buf);
        }
    }

    pub(super) fn counter(&self, name: &str) -> u64 {
        self.nic.counters().find(|counter| counter.0 == name).unwrap().1
    }
}
