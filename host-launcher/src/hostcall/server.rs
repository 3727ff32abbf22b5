use super::files::Files;
use super::input::Input;
use super::volumes::Volumes;
use crate::jail::{self, JailError, Kind, Landlock};
use crate::sys::GuestRam;
use ix_abi::host::HostCalls;
use ix_abi::host::hostcall::{DATA_BYTES, Slot};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SigSet, Signal};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvError, sync_channel};
use std::thread;
use std::time::Duration;

/// Signals that the loop of the run handles, and no other thread may take.
const SIGNALS: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGPIPE];

/// Why nobody answers host calls.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The host lacks a descriptor, or a thread.
    #[error("cannot start the threads that answer the app's calls")]
    Start(#[from] io::Error),
    /// They keep too many rights.
    #[error(transparent)]
    Jail(#[from] JailError),
    /// One of them is gone.
    #[error("a thread that answers the app's calls has ended at once")]
    Gone(#[from] RecvError),
}

/// The threads that answer host calls. They end when this is dropped, as soon as what they are at lets them.
#[derive(Debug)]
pub struct Server {
    alarms: [Arc<EventFd>; 2],
    /// How many calls had been posted when the threads were last woken.
    seen: u32,
    over: Arc<AtomicBool>,
    landlock: Landlock,
}

/// What a thread waits at.
struct Bell {
    alarm: Arc<EventFd>,
    over: Arc<AtomicBool>,
}

impl Server {
    /// Starts the threads. They map the host area of `ram` for themselves, and give up all rights but those their work
    /// takes before they look into it.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn start(ram: &GuestRam, volumes: Volumes) -> Result<Self, ServerError> {
        let over = Arc::new(AtomicBool::new(false));
        let bell = || {
            let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
            let alarm = Arc::new(EventFd::from_value_and_flags(0, flags)?);
            let over = Arc::clone(&over);
            Ok::<_, io::Error>(Bell { alarm, over })
        };
        let (files_bell, input_bell) = (bell()?, bell()?);
        let alarms = [&files_bell, &input_bell].map(|bell| Arc::clone(&bell.alarm));
        let (files_ram, input_ram) = (ram.map_again()?, ram.map_again()?);
        let files = Files::new(volumes);
        let input = Input::new(io::stdin());
        let landlock = spawn(
            "ix-files",
            files,
            |files| jail::enter_with(&files.volumes),
            move |files| serve_files(&files_bell, &files_ram, files),
        )?;
        spawn(
            "ix-input",
            input,
            |_| jail::enter(Kind::Input),
            move |input| serve_input(&input_bell, &input_ram, input),
        )?;
        Ok(Self {
            alarms,
            seen: 0,
            over,
            landlock,
        })
    }

    /// Whether this kernel holds the threads to their files.
    #[must_use]
    pub fn landlock(&self) -> Landlock {
        self.landlock
    }

    /// Whether calls have come that the threads have not been told of.
    #[must_use]
    pub fn is_behind(&self, calls: &HostCalls) -> bool {
        calls.posted() != self.seen
    }

    /// Tells the threads of new calls.
    pub fn notice(&mut self, calls: &HostCalls) {
        let posted = calls.posted();
        if posted != self.seen {
            self.seen = posted;
            self.wake();
        }
    }

    fn wake(&self) {
        for alarm in &self.alarms {
            // It fails when it counts 2^64 already, and then it wakes all the same.
            let _ = alarm.write(1);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        self.wake();
    }
}

/// A thread that leaves the run's signals to others, and enters the jail before it does anything else.
fn spawn<T: Send + 'static>(
    name: &str,
    state: T,
    enter: impl FnOnce(&T) -> Result<Landlock, JailError> + Send + 'static,
    body: impl FnOnce(T) + Send + 'static,
) -> Result<Landlock, ServerError> {
    let signals: SigSet = SIGNALS.into_iter().collect();
    let (sender, entered) = sync_channel(1);
    let start = move || {
        // Fails for a wrong number only.
        let _ = signals.thread_block();
        let result = enter(&state);
        let failed = result.is_err();
        // Somebody waits for it.
        let _ = sender.send(result);
        if !failed {
            body(state);
        }
    };
    thread::Builder::new().name(name.to_owned()).spawn(start)?;
    Ok(entered.recv()??)
}

fn serve_files(bell: &Bell, ram: &GuestRam, mut files: Files) {
    let calls = &ram.area().host_calls;
    let mut data = Vec::with_capacity(DATA_BYTES);
    while bell.wait(None, None) {
        while calls
            .files
            .iter()
            .fold(false, |any, slot| any | serve_slot(slot, &mut files, &mut data))
        {}
    }
}

/// Answers what is in a slot; `false` if nothing is. `data` is room for its data, kept for the next.
pub fn serve_slot(slot: &Slot, files: &mut Files, data: &mut Vec<u8>) -> bool {
    let Some(request) = slot.request() else {
        return false;
    };
    data.clear();
    data.resize(request.data_bytes, 0);
    slot.read(0, data);
    match files.answer(&request, data) {
        Ok(value) => {
            slot.write(0, data);
            slot.answer(request.turn, Ok(value), data.len());
        }
        Err(errno) => slot.answer(request.turn, Err(errno as i32), 0),
    }
    true
}

fn serve_input(bell: &Bell, ram: &GuestRam, mut input: Input) {
    let calls = &ram.area().host_calls;
    loop {
        let (source, patience) = input.wants();
        if !bell.wait(source, patience) {
            return;
        }
        input.serve(calls);
    }
}

impl Bell {
    /// Waits until the alarm rings, `other` can be read, or `patience` is over. `false`: this is the end.
    fn wait(&self, other: Option<BorrowedFd<'_>>, patience: Option<Duration>) -> bool {
        let mut fds = vec![PollFd::new(self.alarm.as_fd(), PollFlags::POLLIN)];
        fds.extend(other.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        let timeout = patience.map_or(PollTimeout::NONE, |patience| {
            let patience = patience + Duration::from_millis(1);
            patience.try_into().unwrap_or(PollTimeout::MAX)
        });
        // An error is an interruption, or lasts; then the look that follows is what there is.
        let _ = poll(&mut fds, timeout);
        let _ = self.alarm.read();
        !self.over.load(Ordering::SeqCst)
    }
}
