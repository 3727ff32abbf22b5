//! The first serial line (a 16550): where the log goes. It is written without interrupts and never read.

use super::port::{inb, outb};
use core::fmt;

/// Its first register.
pub const COM1: u16 = 0x3f8;

const DIVISOR_LATCH: u8 = 0x80;
const EIGHT_BITS_NO_PARITY: u8 = 0x03;
const FIFO_ON_AND_CLEAR: u8 = 0x07;
const DTR_RTS: u8 = 0x03;
const TRANSMITTER_EMPTY: u8 = 0x20;

/// Looks at the line status before a byte is sent to a transmitter that never gets empty. A line without a device
/// reads as all ones, which is empty.
const PATIENCE: u32 = 100_000;

/// Sets 115200 baud, 8 bits, no interrupts.
pub fn init() {
    let settings = [
        (1, 0),
        (3, DIVISOR_LATCH),
        (0, 1),
        (1, 0),
        (3, EIGHT_BITS_NO_PARITY),
        (2, FIFO_ON_AND_CLEAR),
        (4, DTR_RTS),
    ];
    for (register, value) in settings {
        // SAFETY: a serial port does not touch memory.
        unsafe { outb(COM1 + register, value) };
    }
}

/// Sends bytes as they are.
pub fn write(bytes: &[u8]) {
    for &byte in bytes {
        // SAFETY: a serial port does not touch memory.
        unsafe {
            let mut patience = PATIENCE;
            while inb(COM1 + 5) & TRANSMITTER_EMPTY == 0 && patience > 0 {
                patience -= 1;
            }
            outb(COM1, byte);
        }
    }
}

/// The line as a destination of formatted text.
#[derive(Debug)]
pub struct Serial;

impl fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write(text.as_bytes());
        Ok(())
    }
}
