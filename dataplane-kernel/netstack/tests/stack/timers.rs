//! The app's timers.

use crate::harness::dialogue::Dialogue;
use netstack::{Error, Event, Id};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn start(t: &mut Dialogue, after: Duration, cookie: u64) -> Id {
    t.stack.timer_start(t.now, after, cookie).unwrap()
}

#[test]
fn they_go_off_in_order_and_never_early() {
    let mut t = Dialogue::new();
    let late = start(&mut t, 400_000 * MS, 1); // beyond one turn of the wheel
    let soon = start(&mut t, 5 * MS, 2);
    let next = start(&mut t, 7 * MS, 3);
    t.advance_us(4_999);
    t.no_event();
    t.advance_us(20);
    assert_eq!(
        t.event(),
        Some(Event::Timer {
            timer: soon,
            cookie: 2
        })
    );
    t.advance_ms(3);
    assert_eq!(
        t.event(),
        Some(Event::Timer {
            timer: next,
            cookie: 3
        })
    );
    t.advance_ms(399_991);
    t.no_event();
    t.advance_ms(2);
    assert_eq!(
        t.event(),
        Some(Event::Timer {
            timer: late,
            cookie: 1
        })
    );
    assert_eq!(t.stack.next_deadline(), None);
    t.end();
}

#[test]
fn a_cancelled_one_stays_silent() {
    let mut t = Dialogue::new();
    let timer = start(&mut t, 5 * MS, 1);
    t.stack.timer_cancel(timer).unwrap();
    assert_eq!(t.stack.timer_cancel(timer), Err(Error::BadHandle));
    t.advance_ms(10);
    t.no_event();
    t.end();
}

/// Due, but not fetched by the app: cancelling still wins.
#[test]
fn cancelling_wins_until_the_event_is_fetched() {
    let mut t = Dialogue::new();
    let first = start(&mut t, MS, 1);
    let second = start(&mut t, MS, 2);
    t.advance_ms(5);
    assert_eq!(
        t.event(),
        Some(Event::Timer {
            timer: first,
            cookie: 1
        })
    );
    assert_eq!(t.stack.timer_cancel(first), Err(Error::BadHandle));
    t.stack.timer_cancel(second).unwrap();
    t.no_event();
    t.end();
}

#[test]
fn one_of_no_time_goes_off_with_the_next_tick() {
    let mut t = Dialogue::new();
    let timer = start(&mut t, Duration::ZERO, 9);
    t.advance_us(20);
    assert_eq!(t.event(), Some(Event::Timer { timer, cookie: 9 }));
    t.end();
}

#[test]
fn the_table_is_bounded_and_its_slots_are_used_again() {
    let mut t = Dialogue::with(|config| config.max_timers = 2);
    let first = start(&mut t, MS, 1);
    start(&mut t, 2 * MS, 2);
    assert_eq!(t.stack.timer_start(t.now, MS, 3), Err(Error::NoMemory));
    t.advance_ms(5);
    assert!(t.event().is_some() && t.event().is_some());
    let again = start(&mut t, MS, 4);
    assert_ne!(again, first);
    t.stack.timer_cancel(again).unwrap();
    t.end();
}
