//! Time: the time-stamp counter, and how long one of its ticks is.

use super::control::cpuid;
use super::port::{inb, outb};
use core::arch::x86_64::_rdtsc;
use core::sync::atomic::{AtomicU64, Ordering};
use spin::Once;

const NS_PER_S: u64 = 1_000_000_000;

/// Frequency of the programmable interval timer.
const PIT_HZ: u64 = 1_193_182;
const PIT_CHANNEL_2: u16 = 0x42;
const PIT_COMMAND: u16 = 0x43;
/// Channel 2, both bytes, mode 0 (one shot down from the value written).
const PIT_ONE_SHOT: u8 = 0xb0;
/// Channel 2, hold the count to be read.
const PIT_LATCH: u8 = 0x80;
const PIT_GATE: u16 = 0x61;
const GATE_ON: u8 = 0x01;
const SPEAKER_ON: u8 = 0x02;
const CHANNEL_2_OUT: u8 = 0x20;

/// Ticks of the PIT that a calibration takes: 20 ms.
const CALIBRATION_PIT_TICKS: u16 = 23_864;
/// Readings before a PIT is taken to stand still; 20 ms are far fewer.
const MAX_READINGS: u32 = 1_000_000;
/// Measurements before the best so far must do, and the doubt that needs no other.
const MEASUREMENTS: u32 = 20;
const GOOD_ENOUGH_PPM: u64 = 500;

static HZ: AtomicU64 = AtomicU64::new(NS_PER_S);
static SOURCE: Once<&str> = Once::new();
static ORIGIN: AtomicU64 = AtomicU64::new(0);
/// Nanoseconds per tick, times 2^32.
static SCALE: AtomicU64 = AtomicU64::new(1 << 32);

/// The counter.
#[inline(always)]
pub fn ticks() -> u64 {
    // SAFETY: every 64-bit processor has it, and ring 0 may always use it.
    unsafe { _rdtsc() }
}

/// Nanoseconds since boot.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "wraps after 584 years of uptime")]
pub fn now_ns() -> u64 {
    let ticks = ticks().wrapping_sub(ORIGIN.load(Ordering::Relaxed));
    ((u128::from(ticks) * u128::from(SCALE.load(Ordering::Relaxed))) >> 32) as u64
}

/// Ticks per second.
pub fn hz() -> u64 {
    HZ.load(Ordering::Relaxed)
}

/// How the frequency came to be known: told, measured, or guessed because neither could be.
pub fn source() -> &'static str {
    SOURCE.get().copied().unwrap_or("unknown")
}

/// Finds the frequency: from the processor or the hypervisor if they tell, else by measuring against the PIT.
pub fn init() {
    ORIGIN.store(ticks(), Ordering::Relaxed);
    let told = |hz: u64| (hz, "told");
    let (hz, source) = told_by_processor()
        .or_else(told_by_hypervisor)
        .map(told)
        .or_else(|| measure().map(|hz| (hz, "measured")))
        .unwrap_or((NS_PER_S, "guessed"));
    SOURCE.call_once(|| source);
    HZ.store(hz, Ordering::Relaxed);
    SCALE.store(scale(hz), Ordering::Relaxed);
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "below 2^64 for every frequency above 1 Hz"
)]
fn scale(hz: u64) -> u64 {
    ((u128::from(NS_PER_S) << 32) / u128::from(hz.max(2))) as u64
}

/// CPUID leaf 0x15 (SDM volume 3, section 18.7.3): crystal frequency and ratio.
fn told_by_processor() -> Option<u64> {
    let leaf = cpuid(0x15, 0);
    let ticks = u64::from(leaf.ecx) * u64::from(leaf.ebx);
    ticks.checked_div(leaf.eax.into()).filter(|&hz| hz != 0)
}

/// CPUID leaf 0x40000010: kHz, as KVM, QEMU and VMware tell it.
fn told_by_hypervisor() -> Option<u64> {
    let khz = cpuid(0x4000_0010, 0).eax;
    (khz != 0).then(|| u64::from(khz) * 1000)
}

/// A reading of the PIT and the counter at the same time, and how far from the same it may have been.
struct Reading {
    pit: u16,
    ticks: u64,
    doubt: u64,
}

fn read_both() -> Reading {
    let once = || {
        let before = ticks();
        // SAFETY: the PIT does not touch memory.
        let pit = unsafe {
            outb(PIT_COMMAND, PIT_LATCH);
            u16::from_le_bytes([inb(PIT_CHANNEL_2), inb(PIT_CHANNEL_2)])
        };
        let doubt = ticks().wrapping_sub(before);
        Reading {
            pit,
            ticks: before.wrapping_add(doubt / 2),
            doubt,
        }
    };
    // Between two of the accesses the whole machine may have slept; the quickest of a few readings is good.
    let first = once();
    (0..8).map(|_| once()).fold(
        first,
        |best, next| if next.doubt < best.doubt { next } else { best },
    )
}

/// A frequency, and by how many millionths it may be wrong.
#[derive(Clone, Copy)]
struct Estimate {
    hz: u64,
    doubt_ppm: u64,
}

/// On a busy host the machine may sleep at any point of a measurement, so it is repeated until it went well.
fn measure() -> Option<u64> {
    let mut best: Option<Estimate> = None;
    for estimate in (0..MEASUREMENTS).filter_map(|_| measure_once()) {
        if best.is_none_or(|best| estimate.doubt_ppm < best.doubt_ppm) {
            best = Some(estimate);
        }
        if estimate.doubt_ppm <= GOOD_ENOUGH_PPM {
            break;
        }
    }
    best.map(|best| best.hz)
}

/// `None` if the PIT has run down meanwhile (it goes on counting from 65535, so a count read then means nothing), or
/// does not count at all.
fn measure_once() -> Option<Estimate> {
    // SAFETY: the PIT does not touch memory, and nobody else uses channel 2 (the speaker, which stays off).
    unsafe {
        outb(PIT_GATE, inb(PIT_GATE) & !SPEAKER_ON | GATE_ON);
        outb(PIT_COMMAND, PIT_ONE_SHOT);
        outb(PIT_CHANNEL_2, 0xff);
        outb(PIT_CHANNEL_2, 0xff);
    }
    let start = read_both();
    let count = |reading: &Reading| start.pit.wrapping_sub(reading.pit);
    let end = (0..MAX_READINGS)
        .map(|_| read_both())
        .find(|reading| count(reading) >= CALIBRATION_PIT_TICKS)?;
    // SAFETY: as above.
    let run_down = unsafe { inb(PIT_GATE) } & CHANNEL_2_OUT != 0;
    if run_down {
        return None;
    }
    estimate(
        count(&end),
        end.ticks.wrapping_sub(start.ticks),
        start.doubt + end.doubt,
    )
}

fn estimate(pit_ticks: u16, ticks: u64, doubt: u64) -> Option<Estimate> {
    let hz = (u128::from(ticks) * u128::from(PIT_HZ)).checked_div(pit_ticks.into())?;
    let doubt_ppm = (u128::from(doubt) * 1_000_000).checked_div(ticks.into())?;
    let number = |value: u128| u64::try_from(value).ok();
    Some(Estimate {
        hz: number(hz).filter(|&hz| hz > 1)?,
        doubt_ppm: number(doubt_ppm)?,
    })
}

#[cfg(test)]
mod tests {
    use super::{estimate, scale};

    #[test]
    fn an_estimate_knows_its_doubt() {
        let estimate = estimate(23_864, 52_000_000, 5_200).unwrap();
        assert_eq!((estimate.hz, estimate.doubt_ppm), (2_599_960_777, 100));
        assert!(super::estimate(0, 1, 0).is_none());
        assert!(super::estimate(1, 0, 0).is_none());
    }

    #[test]
    fn a_scaled_second_is_a_second() {
        for hz in [1_000_000, 999_999_937, 2_599_999_000, 5_000_000_001] {
            let ns = (u128::from(scale(hz)) * u128::from(hz)) >> 32;
            assert!((999_999_998..=1_000_000_000).contains(&ns), "{hz}: {ns}");
        }
    }
}
