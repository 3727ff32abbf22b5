use super::{Console, Counters, HostCalls};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Guest-physical address the launcher picks for the host area: above the kernel image, below 16 MiB.
pub const HOST_AREA_GPA: u64 = 0x00f0_0000;

/// Its size in guest memory.
pub const HOST_AREA_BYTES: usize = 0x10_0000;

/// [`HostArea::magic`]: "IXIONHA1", little-endian.
pub const MAGIC: u64 = u64::from_le_bytes(*b"IXIONHA1");

/// Doorbell: a byte written to this I/O port (COM2's data register) wakes a launcher that asked for it.
pub const DOORBELL_PORT: u16 = 0x2f8;

/// How the app ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has not.
    Running,
    /// By `exit_group` with this code.
    Exited(u8),
    /// By a signal (a fault, or an abort).
    Signalled(u8),
    /// It never started: its file is not one the kernel can load; the serial line says why.
    NotExecutable,
}

/// The page set that kernel and launcher share. The launcher zeroes it and writes `magic`, `boot_epoch_ns` and `seed`
/// before the machine starts; the counterpart's fields are read with care by both.
#[repr(C, align(4096))]
pub struct HostArea {
    /// [`MAGIC`].
    pub magic: AtomicU64,
    /// Wall-clock time when the machine was started, nanoseconds since 1970.
    pub boot_epoch_ns: AtomicU64,
    /// Secret random bytes for the kernel's generator.
    pub seed: [AtomicU64; 4],
    /// Launcher to kernel: 0, or 1 to ask the app to finish, or 2 to end it now.
    pub stop: AtomicU32,
    /// Launcher to kernel: non-zero, the launcher sleeps and wants the doorbell at the next output.
    pub wants_doorbell: AtomicU32,
    /// Kernel to launcher: 0 booting, 1 the app has been entered.
    pub stage: AtomicU32,
    outcome: AtomicU32,
    /// Launcher to kernel: how many processors are to carry the dataplane's cores; 0, or more than there are: all.
    pub cores_wanted: AtomicU32,
    /// Kernel to launcher: how many do, all cores being where they should be.
    pub cores_active: AtomicU32,
    /// App output.
    pub console: Console,
    /// Counters, for `ix stats`.
    pub counters: Counters,
    /// What the app wants of the host's files and standard input.
    pub host_calls: HostCalls,
}

const _: () = assert!(size_of::<HostArea>() <= HOST_AREA_BYTES);
const _: () = assert!(HOST_AREA_GPA.is_multiple_of(4096));

impl HostArea {
    /// Kernel: records how the app ended.
    pub fn set_outcome(&self, outcome: Outcome) {
        let word = match outcome {
            Outcome::Running => 0,
            Outcome::Exited(code) => 0x100 | u32::from(code),
            Outcome::Signalled(signal) => 0x200 | u32::from(signal),
            Outcome::NotExecutable => 0x300,
        };
        self.outcome.store(word, Ordering::Release);
    }

    /// Launcher: how the app ended. Words the kernel would not write read as `Running`.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let word = self.outcome.load(Ordering::Acquire);
        let [low, high, ..] = word.to_le_bytes();
        match high {
            1 => Outcome::Exited(low),
            2 => Outcome::Signalled(low),
            3 => Outcome::NotExecutable,
            _ => Outcome::Running,
        }
    }
}
