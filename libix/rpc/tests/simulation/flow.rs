//! Memory, credits and rates.

use crate::world::{ECHO, EXECUTE, FILL, IGNORE, Weather, World, named, pattern};
use ix_rpc::wire::CREDITS;
use ix_rpc::{CallError, Config};

#[test]
fn a_server_without_memory_says_so_and_carries_nothing_out() {
    let config = Config {
        memory_bytes: 100_000,
        ..Config::default()
    };
    let mut world = World::new(1, 1, Weather::default(), &config);
    let session = world.connect(0);
    world.call(0, session, EXECUTE, &named(1, 100_001), 1);
    world.call(0, session, EXECUTE, &named(2, 1_000), 2);
    assert!(world.run_until(1_000, |world| world.done.len() == 2));
    assert_eq!(world.done[&1], Err(CallError::Overloaded));
    assert_eq!(world.done[&2], Ok((0, named(2, 1_000))));
    assert!(!world.executed.contains_key(&1));
}

#[test]
fn a_response_for_which_there_is_no_memory_is_lost_and_the_client_knows() {
    let config = Config {
        memory_bytes: 100_000,
        ..Config::default()
    };
    let mut world = World::new(1, 1, Weather::default(), &config);
    let session = world.connect(0);
    world.call(0, session, FILL, &100_001_u32.to_be_bytes(), 1);
    world.call(0, session, FILL, &50_000_u32.to_be_bytes(), 2);
    assert!(world.run_until(1_000, |world| world.done.len() == 2));
    assert_eq!(world.done[&1], Err(CallError::ResponseLost));
    assert_eq!(world.done[&2], Ok((0, pattern(50_000))));
}

#[test]
fn requests_that_nobody_responds_to_do_not_keep_the_nics_buffers() {
    let config = Config {
        held_packets: 2,
        ..Config::default()
    };
    let mut world = World::new(1, 1, Weather::default(), &config);
    let session = world.connect(0);
    for tag in 0..8 {
        world.call(0, session, IGNORE, &[7; 100], tag);
    }
    world.run_for(1);
    assert_eq!(world.server.memory_left(), config.memory_bytes - 6 * 100);
}

#[test]
fn no_more_packets_are_on_their_way_than_there_are_credits() {
    let mut world = World::new(1, 1, Weather::default(), &Config::default());
    let session = world.connect(0);
    world.run_for(1);
    let before = world.packets;
    for tag in 0..8 {
        world.call(0, session, ECHO, &pattern(100_000), tag);
    }
    world.run_for(0);
    assert_eq!(world.packets - before, u64::from(CREDITS));
    assert!(world.run_until(1_000, |world| world.done.len() == 8));
    assert!(
        world
            .done
            .values()
            .all(|result| *result == Ok((0, pattern(100_000))))
    );
}

#[test]
fn a_short_call_is_not_behind_a_long_one() {
    let mut world = World::new(1, 1, Weather::default(), &Config::default());
    let session = world.connect(0);
    world.call(0, session, ECHO, &pattern(4 << 20), 1);
    world.run_for(2);
    let start = world.now_ns;
    world.call(0, session, ECHO, b"short", 2);
    assert!(world.run_until(1_000, |world| world.done.contains_key(&2)));
    assert!(world.now_ns - start < 200_000, "{} ns", world.now_ns - start);
    assert!(!world.done.contains_key(&1));
}
