//! How a run is brought to its end: the app is asked, then told, then the machine is taken away.

use std::time::{Duration, Instant};

/// What the kernel gets to end the app once the app's own time is over.
const END_TIME: Duration = Duration::from_secs(1);

/// The next step towards the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask the app to finish (stop = 1).
    Ask,
    /// Have the kernel end it (stop = 2).
    End,
    /// Kill the machine.
    Kill,
}

/// How far the stopping has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopping {
    grace: Duration,
    /// The signal that began it, the last step taken, and when the next one is due.
    begun: Option<(i32, Step, Instant)>,
}

impl Stopping {
    /// Not begun. The app will have `grace` to finish by itself.
    #[must_use]
    pub(super) fn new(grace: Duration) -> Self {
        Self { grace, begun: None }
    }

    /// A signal came, or a wish that counts as one: the first asks, any further one is impatience.
    pub(super) fn on_signal(&mut self, signal: i32, now: Instant) -> Step {
        let (signal, step) = match self.begun {
            None => (signal, Step::Ask),
            Some((first, ..)) => (first, Step::Kill),
        };
        self.begun = Some((signal, step, now + self.grace));
        step
    }

    /// The step that is due by now, if one is.
    pub(super) fn on_time(&mut self, now: Instant) -> Option<Step> {
        let (signal, step, _) = self
            .begun
            .filter(|&(_, step, due)| step != Step::Kill && now >= due)?;
        let next = if step == Step::Ask { Step::End } else { Step::Kill };
        self.begun = Some((signal, next, now + END_TIME));
        Some(next)
    }

    /// When [`Stopping::on_time`] will have something to say.
    #[must_use]
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.begun
            .filter(|&(_, step, _)| step != Step::Kill)
            .map(|(_, _, due)| due)
    }

    /// The signal that ended the app, if it did not finish by itself when asked.
    #[must_use]
    pub(super) fn forced_by(&self) -> Option<i32> {
        self.begun
            .filter(|&(_, step, _)| step != Step::Ask)
            .map(|(signal, ..)| signal)
    }

    /// `true` once it has begun.
    #[must_use]
    pub(super) fn is_begun(&self) -> bool {
        self.begun.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::{END_TIME, Step, Stopping};
    use std::time::{Duration, Instant};

    const GRACE: Duration = Duration::from_secs(3);

    #[test]
    fn asked_then_told_then_taken_away() {
        let start = Instant::now();
        let mut stopping = Stopping::new(GRACE);
        assert_eq!((stopping.on_time(start), stopping.deadline()), (None, None));
        assert_eq!(stopping.on_signal(15, start), Step::Ask);
        assert_eq!(stopping.forced_by(), None);
        assert_eq!(stopping.on_time(start + GRACE / 2), None);
        assert_eq!(stopping.on_time(start + GRACE), Some(Step::End));
        assert_eq!(stopping.forced_by(), Some(15));
        assert_eq!(stopping.deadline(), Some(start + GRACE + END_TIME));
        assert_eq!(stopping.on_time(start + GRACE + END_TIME), Some(Step::Kill));
        assert_eq!(
            (stopping.on_time(start + 9 * GRACE), stopping.deadline()),
            (None, None)
        );
    }

    #[test]
    fn the_second_signal_is_immediate_and_the_first_counts() {
        let start = Instant::now();
        let mut stopping = Stopping::new(GRACE);
        stopping.on_signal(2, start);
        assert_eq!(stopping.on_signal(15, start), Step::Kill);
        assert_eq!(stopping.forced_by(), Some(2));
    }
}
