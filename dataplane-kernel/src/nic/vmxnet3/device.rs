//! The device as a whole: its registers, the area shared with it, and its way back from a reset.

use super::init::{self, InitError};
use super::regs::{GONE, QUEUE_ERRORS, Register, Registers, command};
use super::shared::{Failures, Setup, SharedArea};
use crate::nic::pairs::Pairs;
use crate::nic::recovery::{self, Card, State};

#[derive(Debug)]
pub(in crate::nic) struct Device<R> {
    pub(super) registers: R,
    pub(super) area: SharedArea,
    pub(super) setup: Setup,
    pub(super) recovery: recovery::Counters,
    /// What the device has counted, and what it had before it was activated last.
    now: Failures,
    before: Failures,
}

impl<R: Registers> Device<R> {
    pub(super) fn new(registers: R, area: SharedArea, setup: Setup) -> Self {
        Device {
            registers,
            area,
            setup,
            recovery: recovery::Counters::default(),
            now: Failures::default(),
            before: Failures::default(),
        }
    }

    /// Sets a device that was reset to work.
    pub(super) fn start(&mut self) -> Result<(), InitError> {
        self.before = self.failures();
        self.now = Failures::default();
        init::start(&self.registers, &self.area, &self.setup)
    }

    /// What the device counts of what did not work.
    pub(super) fn failures(&self) -> Failures {
        let (now, before) = (self.now, self.before);
        Failures {
            tx_errors: before.tx_errors.wrapping_add(now.tx_errors),
            tx_discarded: before.tx_discarded.wrapping_add(now.tx_discarded),
            rx_no_buffer: before.rx_no_buffer.wrapping_add(now.rx_no_buffer),
            rx_errors: before.rx_errors.wrapping_add(now.rx_errors),
        }
    }

    /// Has it read again what has changed in [`Device::setup`]. One that is down does when it is back.
    pub(super) fn update(&mut self, pairs: &Pairs) {
        if pairs.is_down() {
            return;
        }
        self.area.describe_what_may_change(&self.setup);
        self.registers.write(Register::CMD, command::UPDATE_FEATURE);
        self.registers.write(Register::CMD, command::UPDATE_RX_MODE);
    }

    /// Stops it: it touches no memory any more. One that is gone touches none either.
    pub(super) fn stop(&mut self) {
        // It fails for a device that is gone.
        let _ = init::reset(&self.registers);
    }
}

impl<R: Registers> Card for Device<R> {
    type Error = InitError;

    /// No register tells whether a device is active. But one that is not writes no statistics.
    fn state(&mut self) -> State {
        if self.registers.read(Register::VRRS) == GONE {
            return State::Gone;
        }
        let events = self.area.events();
        if events != 0 {
            self.registers.write(Register::ECR, events);
        }
        self.area.forget_failures();
        self.registers.write(Register::CMD, command::GET_STATS);
        let Some(failures) = self.area.failures() else {
            return State::WasReset;
        };
        self.now = failures;
        if events & QUEUE_ERRORS != 0 {
            State::AsksForReset
        } else {
            State::Works
        }
    }

    fn link_up(&mut self) -> bool {
        init::link_up(&self.registers)
    }

    fn reset(&mut self) -> Result<(), InitError> {
        init::reset(&self.registers)
    }

    fn revive(&mut self) -> Result<(), InitError> {
        self.start()
    }

    fn counters(&mut self) -> &mut recovery::Counters {
        &mut self.recovery
    }
}
