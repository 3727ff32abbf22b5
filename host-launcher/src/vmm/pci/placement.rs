//! What firmware would do: measure every BAR, and give each a place. Everything stays switched off; that is for the guest's
//! drivers to change.

use super::config_space::{BAR_64, register};
use super::{BAR_COUNT, Bdf, DecodeError, Root};
use std::ops::Range;

/// Why the BARs could not be placed.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The windows are full.
    #[error("no room for BAR {index} of {at} on the guest's PCI bus ({len:#x} bytes); pass fewer devices")]
    NoRoom {
        /// The function.
        at: Bdf,
        /// The BAR's number.
        index: u8,
        /// Its size in bytes.
        len: u64,
    },
    /// A function could not follow.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// A BAR of 64 bits that is larger than this goes above RAM, so that the small ones find room below 4 GiB.
const LARGE: u64 = 64 << 20;

/// Flags of a BAR that lies in I/O space.
const BAR_IO: u32 = 1;

/// Bits of a memory BAR's register that are no address.
const FLAGS: u64 = 0xf;

struct Measured {
    at: Bdf,
    index: u8,
    len: u64,
    wide: bool,
}

impl Root {
    /// Places all memory BARs: the largest first, so that no room is lost to alignment.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn place_bars(&mut self) -> Result<(), PlaceError> {
        let mut bars = Vec::new();
        for at in self.all() {
            self.measure(at, &mut bars)?;
        }
        bars.sort_by_key(|bar| std::cmp::Reverse(bar.len));
        let (mut low, mut high) = (self.windows().low.clone(), self.windows().high.clone());
        for bar in bars {
            let above = bar.wide && bar.len > LARGE;
            let window = if above { &mut high } else { &mut low };
            let base = take(window, bar.len);
            // A machine without memory above has the low window only.
            let base = base
                .or_else(|| take(&mut low, bar.len))
                .ok_or(PlaceError::NoRoom {
                    at: bar.at,
                    index: bar.index,
                    len: bar.len,
                })?;
            let [a, b, c, d, high_half @ ..] = base.to_le_bytes();
            self.config_write(bar.at, offset(bar.index), &[a, b, c, d])?;
            if bar.wide {
                self.config_write(bar.at, offset(bar.index) + 4, &high_half)?;
            }
        }
        Ok(())
    }

    /// Writes ones and sees which stick (PCI Local Bus 3.0, section 6.2.5.1).
    fn measure(&mut self, at: Bdf, bars: &mut Vec<Measured>) -> Result<(), DecodeError> {
        let mut index = 0;
        while index < BAR_COUNT {
            let low = self.ones_that_stick(at, offset(index))?;
            let wide = low & (BAR_IO | BAR_64) == BAR_64 && index + 1 < BAR_COUNT;
            let high = if wide {
                self.ones_that_stick(at, offset(index) + 4)?
            } else {
                u32::MAX
            };
            let mask = (u64::from(high) << 32 | u64::from(low)) & !FLAGS;
            let exists = low & !0xf != 0 || (wide && high != 0);
            if low & BAR_IO == 0 && exists {
                let len = 1 << mask.trailing_zeros();
                bars.push(Measured { at, index, len, wide });
            }
            index += if wide { 2 } else { 1 };
        }
        Ok(())
    }

    fn ones_that_stick(&mut self, at: Bdf, offset: u16) -> Result<u32, DecodeError> {
        let mut stuck = [0; 4];
        self.config_write(at, offset, &[0xff; 4])?;
        self.config_read(at, offset, &mut stuck);
        self.config_write(at, offset, &[0; 4])?;
        Ok(u32::from_le_bytes(stuck))
    }
}

fn offset(index: u8) -> u16 {
    register::BAR0 + 4 * u16::from(index)
}

/// Takes `len` bytes, aligned to that, from the front of what is left.
fn take(window: &mut Range<u64>, len: u64) -> Option<u64> {
    let base = window.start.checked_next_multiple_of(len)?;
    let end = base.checked_add(len).filter(|&end| end <= window.end)?;
    window.start = end;
    Some(base)
}
