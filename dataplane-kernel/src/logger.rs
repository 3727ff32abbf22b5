//! The kernel's log: lines on the serial port, `[  0.001234] INFO  module: text`.

use crate::arch::serial::Serial;
use crate::arch::tsc;
use core::fmt::Write;
use log::{LevelFilter, Log, Metadata, Record};
use spin::Mutex;

struct SerialLog;

static LOG: SerialLog = SerialLog;

/// One core's line at a time. Whoever has it waits for nothing.
static LINE: Mutex<()> = Mutex::new(());

impl Log for SerialLog {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record) {
        let us = tsc::now_ns() / 1000;
        let module = record.target();
        let module = module.strip_prefix("dataplane_kernel::").unwrap_or(module);
        let level = record.level();
        let _line = LINE.lock();
        // The serial line takes everything, so there is no error to handle.
        let _ = writeln!(
            Serial,
            "[{:3}.{:06}] {level:5} {module}: {}",
            us / 1_000_000,
            us % 1_000_000,
            record.args()
        );
    }

    fn flush(&self) {}
}

/// Takes log records from here on, at level info until [`set_level`].
pub fn init() {
    // Fails only the second time.
    let _ = log::set_logger(&LOG);
    set_level(LevelFilter::Info);
}

/// Sets what is worth a line.
pub fn set_level(level: LevelFilter) {
    log::set_max_level(level);
}
