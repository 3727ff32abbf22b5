//! Configuration space for tests.

use super::config::{Address, ConfigSpace, register};
use std::collections::HashMap;

pub(crate) fn at(bus: u8, device: u8, function: u8) -> Address {
    Address {
        bus,
        device,
        function,
    }
}

#[derive(Default)]
pub(crate) struct FakeConfig {
    functions: HashMap<(u8, u8, u8), FakeFunction>,
}

/// A function: 64 words, and which bits of its BARs can be written.
pub(crate) struct FakeFunction {
    words: [u32; 64],
    bar_masks: [u32; 6],
    pub(crate) header_type: u8,
}

impl FakeFunction {
    pub(crate) fn word(&self, offset: u8) -> u32 {
        self.words[usize::from(offset / 4)]
    }

    pub(crate) fn set_word(&mut self, offset: u8, value: u32) {
        self.words[usize::from(offset / 4)] = value;
    }

    pub(crate) fn set_bar(&mut self, index: u8, value: u32, mask: u32) {
        self.set_word(register::BAR0 + 4 * index, value);
        self.bar_masks[usize::from(index)] = mask;
    }

    /// A list that starts at `first`, of (offset, kind, offset of the next).
    pub(crate) fn set_capabilities(&mut self, first: u8, list: &[(u8, u8, u8)]) {
        self.words[1] |= 1 << 20;
        self.set_word(register::CAPABILITIES, first.into());
        for &(offset, kind, next) in list {
            let before = self.words[usize::from(offset / 4)] & 0xffff_0000;
            self.set_word(offset, before | u32::from(next) << 8 | u32::from(kind));
        }
    }
}

impl FakeConfig {
    pub(crate) fn endpoint(&mut self, at: Address, vendor: u16, device: u16) -> &mut FakeFunction {
        let mut function = FakeFunction {
            words: [0; 64],
            bar_masks: [0; 6],
            header_type: 0,
        };
        function.words[0] = u32::from(device) << 16 | u32::from(vendor);
        self.functions
            .entry((at.bus, at.device, at.function))
            .insert_entry(function)
            .into_mut()
    }

    pub(crate) fn bridge(&mut self, at: Address, secondary: u8) {
        let bridge = self.endpoint(at, 0x1b36, 0xc);
        bridge.header_type = 1;
        bridge.set_word(register::BUS_NUMBERS, u32::from(secondary) << 8);
    }
}

impl ConfigSpace for FakeConfig {
    fn read(&mut self, at: Address, offset: u8) -> u32 {
        let Some(function) = self.functions.get(&(at.bus, at.device, at.function)) else {
            return u32::MAX;
        };
        match offset & !3 {
            register::HEADER_TYPE => u32::from(function.header_type) << 16,
            offset => function.words[usize::from(offset / 4)],
        }
    }

    fn write(&mut self, at: Address, offset: u8, value: u32) {
        let Some(function) = self.functions.get_mut(&(at.bus, at.device, at.function)) else {
            return;
        };
        let word = &mut function.words[usize::from(offset / 4)];
        match offset & !3 {
            register::COMMAND => *word = (*word & 0xffff_0000) | (value & 0xffff),
            offset @ register::BAR0..0x28 => {
                let mask = function.bar_masks[usize::from((offset - register::BAR0) / 4)];
                let fixed = mask & 0xf & if mask & 1 != 0 { 3 } else { 0xf };
                *word = if mask & 0xf == 0 || mask == u32::MAX {
                    value & mask
                } else {
                    (value & mask & !0xf) | fixed
                };
            }
            _ => *word = value,
        }
    }
}
