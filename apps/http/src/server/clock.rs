//! The time, looked at once a tick and not at each request.

use std::time::{Duration, Instant, SystemTime};

/// Between two looks, while there are clients.
pub(super) const TICK: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    ms: u64,
    date_s: u64,
    date: String,
}

impl Clock {
    pub(super) fn start() -> Self {
        let mut clock = Clock {
            start: Instant::now(),
            ms: 0,
            date_s: 0,
            date: String::new(),
        };
        clock.look();
        clock
    }

    pub(super) fn look(&mut self) {
        self.ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let now = SystemTime::now();
        let date_s = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        if date_s != self.date_s || self.date.is_empty() {
            self.date_s = date_s;
            self.date = httpdate::fmt_http_date(now);
        }
    }

    /// Milliseconds since the start, at the last look.
    pub(super) fn ms(&self) -> u64 {
        self.ms
    }

    /// The date at the last look, as a field's value.
    pub(super) fn date(&self) -> &str {
        &self.date
    }
}
