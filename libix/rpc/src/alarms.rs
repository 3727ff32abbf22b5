//! When sessions want to be looked at.
//!
//! A session has one entry here, at or before the time at which it has something to do. Most times move further away before
//! they come (an answer arrives), which costs nothing: the entry is found to be early, and made anew.

use crate::table::Session;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Times, each with the session it is of.
#[derive(Debug, Default)]
pub(crate) struct Alarms {
    heap: BinaryHeap<Reverse<(u64, Session)>>,
}

/// A session's entry. [`Alarm::NONE`] if it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alarm(u64);

impl Alarm {
    pub(crate) const NONE: Alarm = Alarm(u64::MAX);
}

impl Alarms {
    /// Has `session`, whose entry is `alarm`, looked at by `at_ns`.
    #[inline]
    pub(crate) fn set(&mut self, session: Session, alarm: &mut Alarm, at_ns: u64) {
        if at_ns < alarm.0 {
            alarm.0 = at_ns;
            self.heap.push(Reverse((at_ns, session)));
        }
    }

    /// When the first is due; it may turn out to be early.
    #[inline]
    pub(crate) fn next(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at_ns, _))| *at_ns)
    }

    /// Takes out one that is due. It counts only if it is the session's ([`Alarms::is_of`]).
    pub(crate) fn pop(&mut self, now_ns: u64) -> Option<(u64, Session)> {
        if self.next()? > now_ns {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Whether what was taken out is the session's entry, which it then has no more.
    pub(crate) fn is_of(alarm: &mut Alarm, at_ns: u64) -> bool {
        let is_of = alarm.0 == at_ns;
        if is_of {
            *alarm = Alarm::NONE;
        }
        is_of
    }
}

#[cfg(test)]
mod tests {
    use super::{Alarm, Alarms};
    use crate::table::Session;

    #[test]
    fn only_the_earliest_of_a_session_counts() {
        let mut alarms = Alarms::default();
        let mut alarm = Alarm::NONE;
        alarms.set(Session(1), &mut alarm, 50);
        alarms.set(Session(1), &mut alarm, 90);
        alarms.set(Session(1), &mut alarm, 20);
        assert_eq!(alarms.next(), Some(20));
        assert_eq!(alarms.pop(19), None);
        assert_eq!(alarms.pop(60), Some((20, Session(1))));
        assert!(Alarms::is_of(&mut alarm, 20));
        assert_eq!(alarms.pop(60), Some((50, Session(1))));
        assert!(!Alarms::is_of(&mut alarm, 50));
        assert_eq!(alarms.next(), None);
    }
}
