//! A stream of a child process, read as it comes.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What has been read so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    text: String,
    /// Nothing more will be read.
    ended: bool,
    /// Nothing more is wanted.
    closed: bool,
}

impl Stream {
    /// Reads `source` to its end, on a thread of its own.
    pub(crate) fn of(mut source: impl Read + Send + 'static) -> Self {
        let stream = Stream::default();
        let own = stream.clone();
        std::thread::spawn(move || {
            let mut room = [0; 4096];
            while let Ok(count @ 1..) = source.read(&mut room) {
                if own.state().closed {
                    break;
                }
                own.push(&room[..count]);
            }
            drop(source);
            own.end();
        });
        stream
    }

    /// Something more has been read.
    pub(crate) fn push(&self, bytes: &[u8]) {
        self.state().text.push_str(&String::from_utf8_lossy(bytes));
        self.0.1.notify_all();
    }

    /// Nothing more will be.
    pub(crate) fn end(&self) {
        self.state().ended = true;
        self.0.1.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the stream as soon as something more comes.
    pub(crate) fn close(&self) {
        self.state().closed = true;
    }

    pub(crate) fn text(&self) -> String {
        self.state().text.clone()
    }

    /// Waits until `enough` is said, or nothing more will be; `false` if time is up first.
    fn wait(&self, until: Instant, enough: impl Fn(&str) -> bool) -> bool {
        let mut state = self.state();
        while !enough(&state.text) && !state.ended {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self
                .0
                .1
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        enough(&state.text)
    }

    /// The line with `part` in it, once it has come.
    pub(crate) fn line_with(&self, part: &str, patience: Duration) -> Option<String> {
        let line = |text: &str| {
            let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
            whole.lines().find(|line| line.contains(part)).map(str::to_owned)
        };
        self.wait(Instant::now() + patience, |text| line(text).is_some());
        line(&self.text())
    }

    /// All of it, once it has ended or `patience` has.
    pub(crate) fn whole(&self, patience: Duration) -> String {
        let until = Instant::now() + patience;
        let mut state = self.state();
        while !state.ended && Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now());
            state = self
                .0
                .1
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.text.clone()
    }
}
