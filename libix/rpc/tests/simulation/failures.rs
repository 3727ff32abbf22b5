//! Ends that vanish, restart, or take their time.

use crate::world::{ECHO, EXECUTE, EXECUTE_LATER, IGNORE, SERVER, Weather, World, named};
use ix_rpc::{CallError, Config, Message, Refused, Server};

#[test]
fn a_server_that_never_answers_fails_the_session_and_its_calls() {
    let mut world = World::new(1, 1, Weather::default(), &Config::default());
    world.cut_off = true;
    let session = world.connect(0);
    world.call(0, session, ECHO, b"hello", 1);
    assert!(world.run_until(10_000, |world| !world.done.is_empty()));
    assert_eq!(world.done[&1], Err(CallError::NoSession));
    assert_eq!(
        (world.ended.as_slice(), world.clients[0].session_count()),
        (&[session][..], 0)
    );
    assert!(
        (5_000..6_000).contains(&(world.now_ns / 1_000_000)),
        "after {} ns",
        world.now_ns
    );
}

#[test]
fn a_server_that_vanishes_is_given_up_and_forgets_its_clients() {
    let mut world = World::new(1, 1, Weather::default(), &Config::default());
    let session = world.connect(0);
    world.call(0, session, EXECUTE, &named(1, 20), 1);
    assert!(world.run_until(100, |world| world.done.len() == 1));
    world.cut_off = true;
    world.call(0, session, EXECUTE, &named(2, 20), 2);
    assert!(world.run_until(10_000, |world| world.done.len() == 2));
    assert_eq!(world.done[&2], Err(CallError::Gone));
    world.run_for(1_000);
    assert_eq!(
        (world.server.session_count(), world.clients[0].session_count()),
        (0, 0)
    );
    let message = Message::copy_of(b"too late").expect("short");
    let refused = world.clients[0].call(world.now_ns, session, ECHO, message, 3);
    assert_eq!(refused, Err(Refused::NoSession));
}

#[test]
fn an_idle_session_is_kept_by_pings() {
    let mut world = World::new(1, 1, Weather::default(), &Config::default());
    let session = world.connect(0);
    world.run_for(60_000);
    assert!(
        world.packets < 140,
        "{} packets for a minute of silence",
        world.packets
    );
    world.call(0, session, EXECUTE, &named(1, 20), 1);
    assert!(world.run_until(100, |world| world.done.len() == 1));
    assert!(world.done[&1].is_ok());
}

#[test]
fn a_slow_server_is_not_taken_for_a_dead_one() {
    let mut world = World::new(1, 1, Weather::default(), &Config::default());
    let session = world.connect(0);
    let mut request = named(1, 5_000);
    request[8..12].copy_from_slice(&30_000_000_u32.to_be_bytes());
    world.call(0, session, EXECUTE_LATER, &request, 1);
    assert!(world.run_until(31_000, |world| world.done.len() == 1));
    assert_eq!(world.done[&1], Ok((0, request)));
    assert_eq!(world.executed[&1], 1);
    assert!(
        world.packets < 1_000,
        "{} packets while the server works",
        world.packets
    );
}

#[test]
fn a_server_that_has_restarted_resets_sessions_of_before() {
    let mut world = World::new(1, 1, Weather::default(), &Config::default());
    let session = world.connect(0);
    world.run_for(1);
    world.server = Server::new(&Config::default(), [9; 16]);
    world.call(0, session, EXECUTE, &named(1, 20), 1);
    assert!(world.run_until(1_000, |world| world.done.len() == 1));
    assert_eq!(world.done[&1], Err(CallError::Gone));
    assert_eq!(world.ended, [session]);
    assert!(world.executed.is_empty());
}

#[test]
fn closing_fails_what_is_under_way_and_tells_the_server() {
    let mut world = World::new(1, 1, Weather::default(), &Config::default());
    let session = world.connect(0);
    for tag in 0..10 {
        world.call(0, session, IGNORE, b"", tag);
    }
    world.run_for(10);
    world.clients[0].close(world.now_ns, session);
    assert!(world.run_until(100, |world| world.clients[0].session_count() == 0));
    assert_eq!(world.server.session_count(), 0);
    let unsent = world
        .done
        .values()
        .filter(|result| **result == Err(CallError::NoSession))
        .count();
    assert_eq!((world.done.len(), unsent), (10, 2), "two were waiting for a slot");
    assert!(world.ended.is_empty(), "the app has ended it itself");
}

#[test]
fn sessions_and_waiting_calls_are_bounded() {
    let config = Config {
        sessions: 2,
        backlog: 3,
        ..Config::default()
    };
    let mut world = World::new(1, 2, Weather::default(), &config);
    let session = world.connect(0);
    world.connect(0);
    assert_eq!(world.clients[0].connect(0, SERVER), Err(Refused::TooManySessions));
    world.run_for(1);
    for tag in 0..11 {
        world.call(0, session, IGNORE, b"", tag);
    }
    let message = Message::new(0).expect("short");
    assert_eq!(
        world.clients[0].call(world.now_ns, session, IGNORE, message, 11),
        Err(Refused::Busy)
    );
    assert_eq!(world.clients[0].outstanding(session), 11);
    // The server has two sessions; a third client is told so at once.
    world.connect(1);
    assert!(world.run_until(100, |world| !world.ended.is_empty()));
    assert_eq!(world.server.counters().refused, 1);
}
