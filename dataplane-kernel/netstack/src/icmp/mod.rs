//! What the stack says by ICMP and ICMPv6: echo replies, and what is wrong with packets of others. Answers go to the
//! station the packet came from, so they need no address resolution and wait for nothing.

/// ICMP.
pub mod v4;

/// ICMPv6.
pub mod v6;

use crate::Instant;

/// Errors that may go out at once, and how often one more: RFC 1812 section 4.3.2.8 wants a limit and names none.
const ERROR_BURST: u64 = 50;
const ERROR_INTERVAL_NS: u64 = 1_000_000;

/// A token bucket counted in time, so that refilling needs no division.
#[derive(Debug)]
pub struct ErrorLimit {
    /// One message costs [`ERROR_INTERVAL_NS`].
    credit_ns: u64,
    filled: Instant,
}

impl ErrorLimit {
    /// A full bucket.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        ErrorLimit {
            credit_ns: ERROR_BURST * ERROR_INTERVAL_NS,
            filled: now,
        }
    }

    /// Takes leave to send one error now.
    pub fn allows(&mut self, now: Instant) -> bool {
        let credit = self.credit_ns.saturating_add(now.ns_since(self.filled));
        self.credit_ns = credit.min(ERROR_BURST * ERROR_INTERVAL_NS);
        self.filled = now;
        match self.credit_ns.checked_sub(ERROR_INTERVAL_NS) {
            Some(rest) => {
                self.credit_ns = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ERROR_BURST, ERROR_INTERVAL_NS, ErrorLimit};
    use crate::Instant;

    #[test]
    fn a_burst_then_one_per_interval() {
        let mut limit = ErrorLimit::new(Instant(0));
        let burst = (0..1000).filter(|_| limit.allows(Instant(0))).count();
        assert_eq!(u64::try_from(burst).unwrap(), ERROR_BURST);
        assert!(!limit.allows(Instant(ERROR_INTERVAL_NS - 1)));
        assert!(limit.allows(Instant(ERROR_INTERVAL_NS)));
        assert!(!limit.allows(Instant(ERROR_INTERVAL_NS)));
        let later = Instant(1000 * ERROR_INTERVAL_NS);
        let burst = (0..1000).filter(|_| limit.allows(later)).count();
        assert_eq!(u64::try_from(burst).unwrap(), ERROR_BURST);
    }
}
