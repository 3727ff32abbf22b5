//! Packets get lost, come twice and overtake each other.

use crate::world::{ECHO, EXECUTE, EXECUTE_LATER, FILL, Weather, World, named, pattern};
use ix_rpc::Config;
use ix_rpc::wire::MAX_MESSAGE_BYTES;
use proptest::prelude::{ProptestConfig, proptest};

fn weather(loss: f64, duplication: f64, jitter_ns: u64) -> Weather {
    Weather {
        loss,
        duplication,
        jitter_ns,
    }
}

/// Calls of all kinds on several sessions; each must be carried out once and answered by what it asked for.
fn calls_are_carried_out_once(seed: u64, weather: Weather, calls: u64) {
    let mut world = World::new(seed, 3, weather, &Config::default());
    let sessions: Vec<_> = (0..6)
        .map(|number| (number % 3, world.connect(number % 3)))
        .collect();
    let mut expected = Vec::new();
    for tag in 0..calls {
        let (client, session) = sessions[world.random.usize(..sessions.len())];
        // Most are short; some take more packets than there are credits.
        let len = match world.random.u32(0..10) {
            0 => world.random.usize(0..60_000),
            1 | 2 => world.random.usize(0..6_000),
            _ => world.random.usize(0..200),
        };
        let method = [EXECUTE, EXECUTE, EXECUTE_LATER, FILL, ECHO][world.random.usize(..5)];
        let mut request = named(tag, len);
        let mut response = None;
        if method == EXECUTE_LATER {
            let delay_us = world.random.u32(0..20_000);
            request[8..12].copy_from_slice(&delay_us.to_be_bytes());
        } else if method == FILL {
            request[..4].copy_from_slice(&u32::try_from(len).expect("short").to_be_bytes());
            response = Some(pattern(len));
        }
        world.call(client, session, method, &request, tag);
        let is_executed = matches!(method, EXECUTE | EXECUTE_LATER);
        expected.push((is_executed, response.unwrap_or(request)));
    }
    let all = usize::try_from(calls).expect("few");
    assert!(
        world.run_until(60_000, |world| world.done.len() == all),
        "{} of {all} are done",
        world.done.len()
    );
    // Whatever is still on the wire must change nothing.
    world.run_for(100);
    for (tag, (is_executed, response)) in (0..).zip(expected) {
        assert_eq!(world.done[&tag], Ok((0, response)), "call {tag}");
        assert_eq!(
            world.executed.get(&tag).copied().unwrap_or(0),
            u32::from(is_executed),
            "call {tag}"
        );
    }
    for (client, session) in sessions {
        world.clients[client].close(world.now_ns, session);
    }
    assert!(world.run_until(20_000, |world| world.server.session_count() == 0));
    assert_eq!(world.server.memory_left(), Config::default().memory_bytes);
    assert!(
        world
            .clients
            .iter()
            .all(|client| client.memory_left() == Config::default().memory_bytes)
    );
}

#[test]
fn on_a_perfect_wire_nothing_is_sent_twice() {
    let mut world = World::new(1, 1, Weather::default(), &Config::default());
    let session = world.connect(0);
    for tag in 0..100 {
        world.call(0, session, EXECUTE, &named(tag, 3_000), tag);
    }
    assert!(world.run_until(1_000, |world| world.done.len() == 100));
    assert_eq!(world.clients[0].counters().sent_again, 0);
    assert_eq!(
        (
            world.clients[0].counters().dropped(),
            world.server.counters().dropped()
        ),
        (0, 0)
    );
}

#[test]
fn a_third_of_the_packets_lost_and_a_third_repeated() {
    calls_are_carried_out_once(7, weather(0.3, 0.3, 100_000), 60);
}

#[test]
fn the_longest_messages_arrive_both_ways() {
    let mut world = World::new(3, 1, weather(0.002, 0.01, 10_000), &Config::default());
    let session = world.connect(0);
    let request = pattern(MAX_MESSAGE_BYTES);
    world.call(0, session, ECHO, &request, 0);
    assert!(world.run_until(60_000, |world| world.done.len() == 1));
    assert!(world.done[&0] == Ok((0, request)), "not what was sent");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn calls_are_carried_out_once_whatever_the_weather(
        seed: u64,
        loss in 0.0..0.25f64,
        duplication in 0.0..0.5f64,
        jitter_ns in 0..500_000u64,
    ) {
        calls_are_carried_out_once(seed, weather(loss, duplication, jitter_ns), 40);
    }
}
