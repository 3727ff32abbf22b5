//! SIGTERM and SIGINT ask the app to finish, as `ix stop` does; the second of them ends the process.

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::{pipe, unregister};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

/// Of no socket.
pub(super) const TOKEN: Token = Token(3);

/// What a shell reports of a process that was ended by `signal`.
fn status(signal: i32) -> i32 {
    128 + signal
}

pub(super) struct Stop {
    /// Becomes readable.
    _signalled: UnixStream,
    handlers: Vec<SigId>,
    told: bool,
}

impl Stop {
    /// From now on the two signals are taken note of. Every loop of the process hears of them.
    pub(super) fn catch(registry: &Registry) -> io::Result<Self> {
        end_at_the_second()?;
        let (signalled, writer) = UnixStream::pair()?;
        registry.register(&mut SourceFd(&signalled.as_raw_fd()), TOKEN, Interest::READABLE)?;
        let mut stop = Stop {
            _signalled: signalled,
            handlers: Vec::new(),
            told: false,
        };
        for signal in [SIGTERM, SIGINT] {
            stop.handlers.push(pipe::register(signal, writer.try_clone()?)?);
        }
        Ok(stop)
    }

    /// `true` once.
    pub(super) fn is_first(&mut self) -> bool {
        !core::mem::replace(&mut self.told, true)
    }
}

/// Once in a process, before anything else hears of the signals.
fn end_at_the_second() -> io::Result<()> {
    static DONE: OnceLock<Result<(), i32>> = OnceLock::new();
    let done = DONE.get_or_init(|| {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            signal_hook::flag::register_conditional_shutdown(signal, status(signal), Arc::clone(&asked))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&asked)))
                .map_err(|error| error.raw_os_error().unwrap_or(0))?;
        }
        Ok(())
    });
    done.map_err(io::Error::from_raw_os_error)
}

impl Drop for Stop {
    fn drop(&mut self) {
        for handler in self.handlers.drain(..) {
            unregister(handler);
        }
    }
}
