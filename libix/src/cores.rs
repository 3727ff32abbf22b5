//! A loop on each of several cores.

use crate::{Error, EventLoop, Handler};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many cores the dataplane has (`ix run --cores`); without `ix`, how many processors Linux lets this process use, which
/// `taskset` and control groups decide.
#[must_use]
pub fn cores() -> u16 {
    std::thread::available_parallelism().map_or(1, |count| u16::try_from(count.get()).unwrap_or(u16::MAX))
}

/// Runs a handler on each of the first `cores` cores (at least one): `make` makes it, on a thread bound to its core, or,
/// without `ix`, on a thread that Linux runs where it likes, and then there may be more of them than processors. Handlers share nothing unless `make` gives it to them: a connection is the business of one of them from its knock to its
/// end, and each must listen, for connections come to all cores.
///
/// Returns when all of them have stopped.
///
/// # Errors
/// As [`crate::run`]. Nothing is served if a core cannot be had, or a [`Handler::on_start`] fails on any.
///
/// # Panics
/// If a thread cannot be started, or a handler panics.
pub fn run_on<H: Handler>(cores: u16, make: impl Fn(u16) -> H + Sync) -> Result<(), Error> {
    let cores = cores.max(1);
    // One each: who is slow to read the first vote must not see a core fail in the second.
    let (there, started) = (Vote::among(cores), Vote::among(cores));
    let work = |core| -> Result<(), Error> {
        let event_loop = EventLoop::on_core(core);
        // Flows are spread over the cores that are there when the first socket is opened.
        let all_there = there.cast(event_loop.is_ok());
        let mut event_loop = event_loop?;
        if !all_there {
            return Ok(());
        }
        let mut handler = make(core);
        let result = handler.on_start(event_loop.io());
        let all_started = started.cast(result.is_ok());
        result?;
        if !all_started {
            return Ok(());
        }
        handler.on_ready(event_loop.io());
        event_loop.run(&mut handler)
    };
    std::thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> = (1..cores).map(|core| scope.spawn(move || work(core))).collect();
        let first = work(0);
        let results = others.into_iter().map(|thread| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        results.fold(first, Result::and)
    })
}

/// All cores say once whether they can go on, and learn whether all can.
struct Vote {
    together: Barrier,
    failed: AtomicBool,
}

impl Vote {
    fn among(cores: u16) -> Self {
        Vote {
            together: Barrier::new(cores.into()),
            failed: AtomicBool::new(false),
        }
    }

    /// `true` if all could; waits for all.
    fn cast(&self, can: bool) -> bool {
        self.failed.fetch_or(!can, Ordering::SeqCst);
        self.together.wait();
        !self.failed.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::run_on;
    use crate::{Error, Handler, Io, Status};
    use std::sync::atomic::{AtomicU16, Ordering};

    struct Stops<'a> {
        core: u16,
        started: &'a AtomicU16,
        fails_on: Option<u16>,
    }

    impl Handler for Stops<'_> {
        fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
            self.started.fetch_add(1, Ordering::SeqCst);
            io.stop();
            if self.fails_on == Some(self.core) {
                return Err(Status::AddressInUse.into());
            }
            Ok(())
        }
    }

    fn run(fails_on: Option<u16>) -> (Result<(), Error>, u16) {
        let started = AtomicU16::new(0);
        let result = run_on(3, |core| Stops {
            core,
            started: &started,
            fails_on,
        });
        (result, started.into_inner())
    }

    #[test]
    fn each_core_has_a_handler_of_its_own() {
        assert_eq!(run(None), (Ok(()), 3));
    }

    #[test]
    fn where_one_cannot_start_none_serves() {
        for core in 0..3 {
            assert_eq!(run(Some(core)), (Err(Status::AddressInUse.into()), 3));
        }
    }
}
