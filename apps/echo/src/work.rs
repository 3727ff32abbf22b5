//! Think time: what a server does with a request before it answers, as far as time goes. It is spent computing.

use std::str::FromStr;
use std::time::{Duration, Instant};

/// `--work`: how long it takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Work {
    /// Always the same.
    Fixed(Duration),
    /// Exponentially distributed, with this mean.
    Exponential(Duration),
    /// Mostly short; of this share, from 0 to 1, long.
    Bimodal {
        short: Duration,
        long: Duration,
        share: f64,
    },
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotWork;

impl std::fmt::Display for NotWork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "write US, exponential:US, or bimodal:SHORT:LONG:SHARE, in microseconds, SHARE from 0 to 1",
        )
    }
}

impl std::error::Error for NotWork {}

impl FromStr for Work {
    type Err = NotWork;

    fn from_str(text: &str) -> Result<Self, NotWork> {
        let time = |text: &str| -> Result<Duration, NotWork> {
            let microseconds: f64 = text.parse().map_err(|_| NotWork)?;
            Duration::try_from_secs_f64(microseconds / 1e6).map_err(|_| NotWork)
        };
        let words: Vec<&str> = text.split(':').collect();
        match words[..] {
            [fixed] | ["fixed", fixed] => Ok(Work::Fixed(time(fixed)?)),
            ["exponential", mean] => Ok(Work::Exponential(time(mean)?)),
            ["bimodal", short, long, share] => Ok(Work::Bimodal {
                short: time(short)?,
                long: time(long)?,
                share: share
                    .parse()
                    .ok()
                    .filter(|share| (0.0..=1.0).contains(share))
                    .ok_or(NotWork)?,
            }),
            _ => Err(NotWork),
        }
    }
}

impl Work {
    /// How long the next request takes.
    fn draw(self) -> Duration {
        match self {
            Work::Fixed(time) => time,
            // The inverse of the distribution; `f64` is below 1.
            Work::Exponential(mean) => mean.mul_f64(-(1.0 - fastrand::f64()).ln()),
            Work::Bimodal { short, long, share } => {
                if fastrand::f64() < share {
                    long
                } else {
                    short
                }
            }
        }
    }

    /// Does it.
    pub(crate) fn perform(self) {
        let until = Instant::now() + self.draw();
        while Instant::now() < until {
            core::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{NotWork, Work};
    use std::time::{Duration, Instant};

    #[test]
    fn what_is_written_is_what_is_meant() {
        let us = Duration::from_micros;
        assert_eq!("10".parse(), Ok(Work::Fixed(us(10))));
        assert_eq!("fixed:2.5".parse(), Ok(Work::Fixed(Duration::from_nanos(2_500))));
        assert_eq!("exponential:7".parse(), Ok(Work::Exponential(us(7))));
        let (short, long, share) = (us(1), us(100), 0.25);
        assert_eq!(
            "bimodal:1:100:0.25".parse(),
            Ok(Work::Bimodal { short, long, share })
        );
        for text in [
            "",
            "x",
            "-1",
            "nan",
            "exponential",
            "bimodal:1:2",
            "bimodal:1:2:1.5",
            "fixed:1:2",
        ] {
            assert_eq!(text.parse::<Work>(), Err(NotWork), "{text}");
        }
    }

    #[test]
    fn draws_have_the_mean_that_was_asked_for() {
        let mean = |text: &str| {
            let work: Work = text.parse().unwrap();
            let sum: Duration = (0..20_000).map(|_| work.draw()).sum();
            (sum / 20_000).as_micros()
        };
        assert_eq!(mean("50"), 50);
        assert!((95..=105).contains(&mean("exponential:100")));
        assert!((47..=53).contains(&mean("bimodal:0:100:0.5")));
    }

    #[test]
    fn work_takes_its_time() {
        let start = Instant::now();
        "2000".parse::<Work>().unwrap().perform();
        assert!(start.elapsed() >= Duration::from_millis(2));
    }
}
