//! Random bytes, for ring 3 and for the stack's secrets: ChaCha20, seeded by the launcher.

use crate::host;
use core::arch::asm;
use core::arch::x86_64::{__cpuid, _rdtsc};
use core::sync::atomic::Ordering;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The generator.
pub struct Random(ChaCha20Rng);

impl core::fmt::Debug for Random {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Random")
    }
}

impl Random {
    /// Seeded by the host area or, where there is none, by the processor's generator and clock, with a warning. What comes
    /// from one `stream` says nothing about another.
    pub fn from_host(stream: u64) -> Self {
        let words = match host::area() {
            Some(area) => {
                core::array::from_fn(|i| area.seed.get(i).map_or(0, |word| word.load(Ordering::Relaxed)))
            }
            None => {
                log::warn!(
                    "no host area: random numbers are seeded by this processor alone and may be guessed"
                );
                core::array::from_fn(|_| processor_word())
            }
        };
        Self::from_words(words, stream)
    }

    fn from_words(words: [u64; 4], stream: u64) -> Self {
        let mut seed = [0; 32];
        for (bytes, word) in seed.as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        let mut generator = ChaCha20Rng::from_seed(seed);
        generator.set_stream(stream);
        Random(generator)
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

/// What the processor can say that others cannot know well: RDRAND if it has it, mixed with its clock.
fn processor_word() -> u64 {
    // SAFETY: every x86-64 processor has a time-stamp counter, and ring 0 may read it.
    let clock = unsafe { _rdtsc() };
    let mut random: u64 = 0;
    if __cpuid(1).ecx & 1 << 30 != 0 {
        // SAFETY: CPUID.1:ECX.RDRAND says the instruction exists. When it fails it leaves 0, and the clock must do.
        unsafe { asm!("rdrand {}", out(reg) random, options(nomem, nostack)) };
    }
    random ^ clock.rotate_left(32) ^ clock
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn streams_of_one_seed_differ_and_repeat() {
        let bytes = |stream| {
            let mut bytes = [0; 100];
            Random::from_words([1, 2, 3, 4], stream).fill(&mut bytes);
            bytes
        };
        assert_eq!(bytes(0), bytes(0));
        assert_ne!(bytes(0), bytes(1));
    }
}
