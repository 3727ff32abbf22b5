//! Whether KVM is what it says: a /dev/kvm that opens and makes machines may still only interpret ring 0, a million
//! times too slow for a dataplane, and without SSE. A guest of a few bytes finds that out in milliseconds.

/// The guest.
mod guest;

use crate::vmm::legacy::Effect;
use crate::vmm::ram::Ram;
use crate::vmm::vm::{Cores, Vm, VmError};
use crate::vmm::{cpuid, registers};
use ix_abi::host::exit;
use kvm_ioctls::{VcpuExit, VcpuFd};
use std::fmt;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use vm_memory::{Bytes, GuestAddress};

/// Memory of the guest: what one large page of its page tables covers.
const RAM_BYTES: usize = 2 << 20;

/// How long KVM may take for everything before it is taken to hang.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the guest may count; what is slower is judged by what it got done.
const COUNTING: Duration = Duration::from_millis(500);
/// Instructions per second below which no processor runs them. An emulated one (QEMU's) does twenty times as many, an
/// interpreter a fifth.
const LEAST_RATE: u64 = 10_000_000;

/// What KVM is here.
#[derive(Debug)]
pub enum Verdict {
    /// It runs ring 0, SSE included.
    Usable,
    /// It cannot be used at all.
    Unusable(VmError),
    /// It does not get a CPU into 64-bit mode.
    NoLongMode,
    /// It gives up at SSE in ring 0.
    NoSse,
    /// It runs ring 0, but so slowly that it must be an interpreter.
    Interpreted {
        /// Instructions per second.
        rate: u64,
    },
    /// It does not come back.
    Hangs,
}

impl fmt::Display for Verdict {
    /// Ends a sentence such as "QEMU is taken, because ...".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usable => f.write_str("KVM runs ring 0 at full speed"),
            Self::Unusable(error) => error.fmt(f),
            Self::NoLongMode => f.write_str("KVM here does not get a CPU into 64-bit mode"),
            Self::NoSse => f.write_str("KVM here only interprets ring 0, and has no SSE in it"),
            Self::Interpreted { rate } => {
                let millions = rate / 1_000_000;
                write!(
                    f,
                    "KVM here only interprets ring 0, at {millions} million instructions a second"
                )
            }
            Self::Hangs => f.write_str("KVM here does not come back from a guest"),
        }
    }
}

/// Runs the guest in a virtual machine of its own.
#[must_use]
pub fn probe() -> Verdict {
    let (sender, verdict) = mpsc::channel();
    let started = std::thread::Builder::new()
        .name("probe".to_owned())
        .spawn(move || {
            // Who has lost patience does not listen any more.
            let _ = sender.send(judge());
        });
    // A thread that does not come back ends with the process.
    match started.map(|_| verdict.recv_timeout(PATIENCE)) {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(_)) | Err(_) => Verdict::Hangs,
    }
}

fn judge() -> Verdict {
    match prepare() {
        Ok((_vm, vcpu)) => run(vcpu),
        Err(error) => Verdict::Unusable(error),
    }
}

/// The machine and its CPU, at the program's entry. The same steps as for a real one.
fn prepare() -> Result<(Vm, VcpuFd), VmError> {
    let refused = VmError::refused("take a guest of two megabytes");
    let no_memory = || refused(kvm_ioctls::Error::new(nix::libc::ENOMEM));
    let ram = Ram::from_ranges(&[(GuestAddress(0), RAM_BYTES)]).map_err(|_| no_memory())?;
    let write = |address, bytes: &[u8]| {
        ram.write_slice(bytes, GuestAddress(address))
            .map_err(|_| no_memory())
    };
    write(guest::CODE, guest::PROGRAM)?;
    for (address, entry) in guest::page_tables() {
        write(address, &entry.to_le_bytes())?;
    }
    let vm = Vm::create(&ram, Cores::Shared)?;
    let supported = vm.supported_cpuid()?;
    let vcpu = vm
        .fd
        .create_vcpu(0)
        .map_err(VmError::refused("make a virtual CPU"))?;
    let leaves = cpuid::filter(&supported, 0, 1, None).ok_or_else(no_memory)?;
    vcpu.set_cpuid2(&leaves)
        .and_then(|()| registers::enter_at(&vcpu, u32::try_from(guest::CODE).unwrap_or_default()))
        .map_err(VmError::refused("set up a virtual CPU"))?;
    Ok((vm, vcpu))
}

/// Runs the program, as far as it comes.
fn run(mut vcpu: VcpuFd) -> Verdict {
    let mut progress = Progress::new(Instant::now());
    loop {
        let effect = match vcpu.run() {
            Ok(VcpuExit::IoOut(exit::PORT, &[byte])) => Effect::Exit(byte),
            Err(error) if error.errno() == nix::libc::EINTR => Effect::None,
            // Whatever else it is, it is not what this program does on a processor.
            Ok(_) | Err(_) => return progress.end(),
        };
        if let Effect::Exit(word) = effect
            && let Some(verdict) = progress.hear(word, Instant::now())
        {
            return verdict;
        }
    }
}

/// How far the program has come.
struct Progress {
    last: u8,
    /// When counting began, and when the current round did.
    since: [Instant; 2],
    /// The quickest round: on a busy host, the others say how busy it is.
    quickest: Duration,
}

impl Progress {
    fn new(now: Instant) -> Self {
        Self {
            last: 0,
            since: [now; 2],
            quickest: Duration::MAX,
        }
    }

    /// The program has said a word. `Some` if nothing more needs to be heard.
    fn hear(&mut self, word: u8, now: Instant) -> Option<Verdict> {
        let [beginning, round] = self.since;
        match word {
            guest::LONG_MODE => (),
            guest::SSE => self.since = [now; 2],
            guest::ROUND => {
                self.quickest = self.quickest.min(now.duration_since(round));
                self.since = [beginning, now];
            }
            guest::DONE => return Some(self.rate()),
            _ => return Some(self.end()),
        }
        self.last = word;
        (word == guest::ROUND && now.duration_since(beginning) >= COUNTING).then(|| self.rate())
    }

    fn rate(&self) -> Verdict {
        let nanoseconds = self.quickest.as_nanos().max(1);
        let rate = u128::from(guest::ROUND_INSTRUCTIONS) * 1_000_000_000 / nanoseconds;
        match u64::try_from(rate).unwrap_or(u64::MAX) {
            LEAST_RATE.. => Verdict::Usable,
            rate => Verdict::Interpreted { rate },
        }
    }

    /// The program goes no further.
    fn end(&self) -> Verdict {
        match self.last {
            0 => Verdict::NoLongMode,
            guest::LONG_MODE => Verdict::NoSse,
            _ => Verdict::Interpreted { rate: 0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::guest::{DONE, LONG_MODE, ROUND, SSE};
    use super::{Progress, Verdict, probe};
    use std::time::{Duration, Instant};

    fn judge(words: &[(u8, u64)]) -> Verdict {
        let start = Instant::now();
        let mut progress = Progress::new(start);
        let at = |ms| start + Duration::from_millis(ms);
        let mut heard = words.iter().filter_map(|&(word, ms)| progress.hear(word, at(ms)));
        let verdict = heard.next();
        verdict.unwrap_or_else(|| progress.end())
    }

    #[test]
    fn how_far_the_guest_comes_decides() {
        assert!(matches!(judge(&[]), Verdict::NoLongMode));
        assert!(matches!(judge(&[(LONG_MODE, 0)]), Verdict::NoSse));
        assert!(matches!(judge(&[(LONG_MODE, 0), (5, 0)]), Verdict::NoSse));
        let mut words = vec![(LONG_MODE, 0), (SSE, 1)];
        words.extend((0..16).map(|round| (ROUND, 1 + round)));
        words.push((DONE, 20));
        assert!(matches!(judge(&words), Verdict::Usable));
    }

    #[test]
    fn a_slow_guest_is_not_waited_for() {
        let mut words = vec![(LONG_MODE, 0), (SSE, 0)];
        words.extend((1..=16).map(|round| (ROUND, round * 131)));
        let Verdict::Interpreted { rate } = judge(&words) else {
            panic!("two million a second are an interpreter's")
        };
        assert!((1_900_000..2_100_000).contains(&rate), "{rate}");
        // The same, but now and then the guest got a core for itself.
        words[5].1 = words[4].1 + 2;
        assert!(matches!(judge(&words), Verdict::Usable));
    }

    #[test]
    fn the_verdict_comes_quickly_whatever_is_here() {
        let asked = Instant::now();
        let verdict = probe();
        assert!(asked.elapsed() < Duration::from_secs(11), "{verdict}");
        assert!(!verdict.to_string().contains('\n'));
        assert!(!matches!(verdict, Verdict::Hangs), "{verdict}");
    }
}
