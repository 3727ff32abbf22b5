//! The machine's first thread, once the others run: it sleeps until the launcher wants fresh counters, or a CPU's thread
//! says that the machine has ended.

use super::bus::Bus;
use super::stats::KvmStats;
use super::vcpu::{End, Vcpu, VcpuError};
use super::virtio::net;
use crate::sys::MachineArea;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};

type Outcome = Result<End, VcpuError>;

/// What the thread holds.
pub(super) struct Watch {
    doorbell: UnixStream,
    counters: Counters,
    alarm: (PipeReader, PipeWriter),
    outcome: (Receiver<Outcome>, Sender<Outcome>),
}

/// A CPU thread's way to say how the machine ended.
pub(super) struct Ending {
    alarm: PipeWriter,
    outcome: Sender<Outcome>,
}

impl Ending {
    /// Says it. After the first word, nobody listens any more.
    pub(super) fn tell(mut self, outcome: Outcome) {
        let _ = self.outcome.send(outcome);
        let _ = self.alarm.write(&[1]);
    }
}

impl Watch {
    /// Names the counters in the area that is shared with the launcher, which asks for values by ringing the doorbell from
    /// its side.
    pub(super) fn new(
        doorbell: UnixStream,
        area: MachineArea,
        (bus, tap): (&Arc<Bus<UnixStream, UnixStream>>, Arc<net::Counters>),
        cpus: &[Vcpu],
    ) -> io::Result<Self> {
        let counters = Counters {
            area,
            bus: Arc::clone(bus),
            tap,
            kvm: cpus.iter().filter_map(Vcpu::stats).collect(),
        };
        counters.describe();
        Ok(Self {
            doorbell,
            counters,
            alarm: io::pipe()?,
            outcome: {
                let (sender, receiver) = channel();
                (receiver, sender)
            },
        })
    }

    /// For one CPU's thread.
    pub(super) fn ending(&self) -> io::Result<Ending> {
        Ok(Ending {
            alarm: self.alarm.1.try_clone()?,
            outcome: self.outcome.1.clone(),
        })
    }

    /// Waits for the end.
    pub(super) fn wait(mut self) -> Outcome {
        let mut listening = true;
        loop {
            if let Ok(outcome) = self.outcome.0.try_recv() {
                self.counters.publish();
                return outcome;
            }
            let alarm = PollFd::new(self.alarm.0.as_fd(), PollFlags::POLLIN);
            let doorbell = PollFd::new(self.doorbell.as_fd(), PollFlags::POLLIN);
            let mut fds = if listening {
                vec![alarm, doorbell]
            } else {
                vec![alarm]
            };
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => (),
                // Nothing that could be told to anyone: the CPUs go on, unwatched, until the launcher ends them.
                Err(_) => listening = false,
            }
            let mut bytes = [0; 64];
            match self.doorbell.read(&mut bytes) {
                Ok(0) => listening = false,
                Ok(_) => self.counters.publish(),
                Err(error) if is_momentary(&error) => (),
                Err(_) => listening = false,
            }
        }
    }
}

fn is_momentary(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Everything the machine counts, and where the launcher reads it.
struct Counters {
    area: MachineArea,
    bus: Arc<Bus<UnixStream, UnixStream>>,
    tap: Arc<net::Counters>,
    kvm: Vec<KvmStats>,
}

impl Counters {
    fn ours(&self) -> impl Iterator<Item = (String, u64)> + '_ {
        let bus = self.bus.counters().map(|(name, value)| (name.to_owned(), value));
        let tap = self.tap.snapshot().into_iter();
        bus.chain(tap.map(|(name, value)| (format!("tap.{name}"), value)))
    }

    fn describe(&self) {
        let kvm = self.kvm.first().into_iter().flat_map(KvmStats::names);
        let names = self.ours().map(|(name, _)| name);
        let names: Vec<String> = names.chain(kvm.map(|name| format!("kvm.{name}"))).collect();
        self.area.counters().describe(names.iter().map(String::as_str));
    }

    /// KVM's counters are sums over the CPUs.
    fn publish(&self) {
        let table = self.area.counters();
        let request = table.requested.load(Ordering::Acquire);
        let mut kvm = vec![0_u64; self.kvm.first().map_or(0, |stats| stats.names().count())];
        for stats in &self.kvm {
            for (sum, value) in kvm.iter_mut().zip(stats.values()) {
                *sum = sum.wrapping_add(value);
            }
        }
        table.publish(0, self.ours().map(|(_, value)| value).chain(kvm));
        table.answered.store(request, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::{End, Watch};
    use crate::sys::MachineArea;
    use crate::vmm::bus::Bus;
    use crate::vmm::legacy::Legacy;
    use crate::vmm::pci::{Root, Windows};
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::time::{Duration, Instant};

    #[test]
    fn counters_are_told_when_asked_for_and_the_end_is_heard() {
        let (log, _reader) = UnixStream::pair().unwrap();
        let (mut launcher, doorbell) = UnixStream::pair().unwrap();
        doorbell.set_nonblocking(true).unwrap();
        let root = Root::new(Windows::above(1 << 30, 40));
        let bus = Arc::new(Bus::new(Legacy::new(log, doorbell.try_clone().unwrap()), root));
        let ours = MachineArea::create().unwrap();
        let theirs = ours.as_fd().try_clone_to_owned().unwrap();
        let theirs = MachineArea::map(theirs.into()).unwrap();
        let watch = Watch::new(doorbell, theirs, (&bus, Arc::default()), &[]).unwrap();
        let (first, second) = (watch.ending().unwrap(), watch.ending().unwrap());
        let waiting = std::thread::spawn(|| watch.wait());

        let mut data = [0];
        bus.port_read(0x60, &mut data);
        let table = ours.counters();
        table.requested.store(1, Ordering::Release);
        launcher.write_all(b"!").unwrap();
        let asked = Instant::now();
        while table.answered.load(Ordering::Acquire) != 1 {
            assert!(asked.elapsed() < Duration::from_secs(10), "no answer");
            std::thread::sleep(Duration::from_millis(1));
        }
        let reads = table
            .read()
            .find(|(name, _)| name.starts_with(b"exits.port_reads\0"));
        assert_eq!(reads.unwrap().1, 1);

        // A launcher that is gone is no reason to end.
        drop(launcher);
        first.tell(Ok(End::Exit(0x10)));
        second.tell(Ok(End::Reset));
        assert_eq!(waiting.join().unwrap().unwrap(), End::Exit(0x10));
    }
}
