//! A card made of a few bytes, that notes what is done to it.

use crate::vmm::vfio::hardware::Hardware;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// Something done to the card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Config(u16, Vec<u8>),
    Read(u8, u64, usize),
    Write(u8, u64, Vec<u8>),
    Map(u8, Range<u64>),
    Show(u8, Range<u64>, u64),
    Hide(u8, Range<u64>),
}

#[derive(Clone)]
pub(super) struct FakeCard {
    pub(super) config: [u8; 256],
    pub(super) bars: [u64; 6],
    pub(super) mappable: [Vec<Range<u64>>; 6],
    pub(super) deeds: Arc<Mutex<Vec<Deed>>>,
}

impl FakeCard {
    /// A virtio-net card as QEMU makes it: BAR 1 with the MSI-X table, BAR 4 of 64 bits with the registers, BAR 5's slot
    /// the upper half of that; capabilities for power management, MSI-X, and all five of virtio's.
    pub(super) fn virtio() -> Self {
        let mut card = Self {
            config: [0; 256],
            bars: [0x20, 0x1000, 0, 0, 0x4000, 0],
            mappable: std::array::from_fn(|_| Vec::new()),
            deeds: Arc::default(),
        };
        card.mappable[4].push(0..0x4000);
        card.mappable[1].push(0..0x1000);
        card.set(0, &[0xf4, 0x1a, 0x41, 0x10, 0x03, 0x01, 0x10, 0, 1, 0, 0, 2]);
        card.set(0x10, &[1, 0xc0, 0, 0]);
        card.set(0x14, &[0, 0, 0x10, 0xfe]);
        card.set(0x20, &[0x0c, 0, 0, 0xfd]);
        card.set(0x2c, &[0xf4, 0x1a, 0, 0x11]);
        card.set(0x34, &[0x40]);
        card.set(0x40, &[0x01, 0x48, 3, 0]);
        card.set(0x48, &[0x11, 0x54, 2, 0, 1, 0, 0, 0, 1, 0x08, 0, 0]);
        for (kind, at) in [(1, 0x54), (2, 0x64), (3, 0x78), (4, 0x88), (5, 0x98_u8)] {
            let len = if kind == 2 || kind == 5 { 20 } else { 16 };
            let next = if kind == 5 { 0 } else { at + len };
            card.set(
                at.into(),
                &[9, next, len, kind, 4, 0, 0, 0, 0, kind << 4, 0, 0, 0, 0x10],
            );
        }
        card
    }

    pub(super) fn set(&mut self, at: usize, bytes: &[u8]) {
        self.config[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn note(&self, deed: Deed) {
        self.deeds.lock().unwrap().push(deed);
    }
}

impl Hardware for FakeCard {
    fn config_read(&self, offset: u16, data: &mut [u8]) {
        let at = usize::from(offset);
        data.copy_from_slice(&self.config[at..at + data.len()]);
    }

    fn config_write(&self, offset: u16, data: &[u8]) {
        self.note(Deed::Config(offset, data.to_vec()));
    }

    fn bar_bytes(&self, bar: u8) -> u64 {
        self.bars[usize::from(bar)]
    }

    fn mappable(&self, bar: u8) -> Vec<Range<u64>> {
        self.mappable[usize::from(bar)].clone()
    }

    fn read(&self, bar: u8, offset: u64, data: &mut [u8]) {
        self.note(Deed::Read(bar, offset, data.len()));
        data.fill(0x5a);
    }

    fn write(&self, bar: u8, offset: u64, data: &[u8]) {
        self.note(Deed::Write(bar, offset, data.to_vec()));
    }

    fn map(&mut self, bar: u8, part: Range<u64>) -> io::Result<()> {
        self.note(Deed::Map(bar, part));
        Ok(())
    }

    fn show(&mut self, bar: u8, part: Range<u64>, at: u64) -> io::Result<()> {
        self.note(Deed::Show(bar, part, at));
        Ok(())
    }

    fn hide(&mut self, bar: u8, part: Range<u64>) -> io::Result<()> {
        self.note(Deed::Hide(bar, part));
        Ok(())
    }
}
