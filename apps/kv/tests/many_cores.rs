//! Several cores, as threads: every key is found from everywhere, and replies are those of one core.

mod support;

use kv::across::Links;
use kv::connection::Connection;
use kv::replies::Replies;
use kv::shard::Settings;
use kv::shard::{Shard, Worker};
use kv::store::{Clock, KeyHasher};
use proptest::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use support::{Session, UNIX_TIME};

const CORES: usize = 4;

/// With a limit for items that a test reaches soon.
fn settings() -> Settings {
    Settings {
        item: 4096,
        ..support::settings()
    }
}

/// Runs `client` with the shard of core 0 while the others serve.
fn with_cores<T>(client: impl FnOnce(&mut Shard) -> T) -> T {
    let done = AtomicBool::new(false);
    let hasher = KeyHasher::new();
    let mut links = Links::between(CORES);
    let shard = |links| Shard::new(settings(), Clock::starting_at(UNIX_TIME), hasher.clone(), links);
    std::thread::scope(|scope| {
        for links in links.drain(1..) {
            scope.spawn(|| {
                let mut shard = shard(links);
                let mut worker = Worker::default();
                while !done.load(Ordering::Relaxed) {
                    assert!(shard.hear(&mut worker).is_none(), "it has no client");
                    std::thread::yield_now();
                }
            });
        }
        let outcome = client(&mut shard(links.remove(0)));
        done.store(true, Ordering::Relaxed);
        outcome
    })
}

/// The replies to `script`, said to core 0.
fn say(shard: &mut Shard, script: &[u8]) -> Vec<u8> {
    let mut connection = Connection::new(17);
    let (mut replies, mut worker) = (Replies::new(), Worker::default());
    let mut all = Vec::new();
    let mut rest = script;
    while !connection.is_closing() && (!rest.is_empty() || connection.is_waiting()) {
        let taken = connection.receive(rest, shard, &mut replies);
        rest = &rest[taken..];
        if let Some(arrival) = shard.hear(&mut worker) {
            assert_eq!(arrival.client, 17);
            connection.answer(arrival, &mut replies);
        }
        all.extend(replies.flat());
        replies.clear();
    }
    all
}

/// Commands whose replies tell nothing of how many there were before: ids differ from core to core.
fn command() -> impl Strategy<Value = String> {
    let key = (0..12u8).prop_map(|key| format!("key{key}"));
    let keys = prop::collection::vec(key.clone(), 1..8).prop_map(|keys| keys.join(" "));
    let value = prop_oneof!["[a-z]{0,30}", (0..500u32).prop_map(|number| number.to_string())];
    prop_oneof![
        6 => (key.clone(), value.clone()).prop_map(|(key, value)| format!("set {key} 3 0 {}\r\n{value}\r\n", value.len())),
        1 => (key.clone(), value.clone()).prop_map(|(key, value)| format!("set {key} 3 0 {} noreply\r\n{value}\r\n", value.len())),
        2 => (key.clone(), value.clone()).prop_map(|(key, value)| format!("append {key} 3 0 {}\r\n{value}\r\n", value.len())),
        2 => (key.clone(), value).prop_map(|(key, value)| format!("ms {key} {} k Oopaque T0\r\n{value}\r\n", value.len())),
        4 => keys.clone().prop_map(|keys| format!("get {keys}\r\n")),
        2 => keys.prop_map(|keys| format!("gat 100 {keys}\r\n")),
        2 => key.clone().prop_map(|key| format!("mg {key} v k f t\r\n")),
        2 => key.clone().prop_map(|key| format!("delete {key}\r\n")),
        2 => key.clone().prop_map(|key| format!("incr {key} 7\r\n")),
        1 => key.clone().prop_map(|key| format!("touch {key} 100\r\n")),
        1 => key.clone().prop_map(|key| format!("ma {key} N0 J5 v\r\n")),
        1 => key.prop_map(|key| format!("get {}{key} {key}\r\n", "k".repeat(250))),
        1 => Just("flush_all\r\n".to_owned()),
        1 => Just("set key1 0 0 3\r\nabcdef\r\n".to_owned()),
        1 => Just(format!("set key1 0 0 {}\r\n{}\r\n", 5_000, "v".repeat(5_000))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(16) })]

    #[test]
    fn several_cores_answer_as_one(commands in prop::collection::vec(command(), 1..60)) {
        let script = commands.concat().into_bytes();
        let expected = Session::with(settings()).say(&script);
        let got = with_cores(|shard| say(shard, &script));
        prop_assert_eq!(got.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }
}

fn binary(opcode: u8, extras: &[u8], key: &str, value: &[u8]) -> Vec<u8> {
    let body = u32::try_from(extras.len() + key.len() + value.len()).unwrap();
    let mut frame = vec![
        0x80,
        opcode,
        0,
        u8::try_from(key.len()).unwrap(),
        u8::try_from(extras.len()).unwrap(),
        0,
        0,
        0,
    ];
    frame.extend(body.to_be_bytes());
    frame.extend([0; 12]);
    frame.extend([extras, key.as_bytes(), value].concat());
    frame
}

#[test]
fn binary_requests_cross_cores_too() {
    with_cores(|shard| {
        let keys: Vec<_> = (0..50).map(|key| format!("key{key}")).collect();
        let sets = keys
            .iter()
            .flat_map(|key| binary(0x11, &[0; 8], key, key.as_bytes()));
        let gets = keys.iter().flat_map(|key| binary(0x0d, &[], key, b""));
        let end = binary(0x0a, &[], "", b"");
        let script: Vec<u8> = sets.chain(gets).chain(end).collect();
        let reply = say(shard, &script);
        let expected: usize = keys.iter().map(|key| 24 + 4 + 2 * key.len()).sum();
        assert_eq!(reply.len(), expected + 24);
    });
}

#[test]
fn every_core_has_its_share_and_statistics_are_of_all() {
    with_cores(|shard| {
        let script: String = (0..1_000)
            .map(|key| format!("set key{key} 0 0 1\r\nx\r\n"))
            .collect();
        say(shard, script.as_bytes());
        let stats = String::from_utf8(say(shard, b"stats\r\n")).unwrap();
        for line in [
            "curr_items 1000",
            "cmd_set 1000",
            "threads 4",
            "limit_maxbytes 67108864",
        ] {
            assert!(
                stats.contains(&format!("STAT {line}\r\n")),
                "no {line} in {stats}"
            );
        }
        say(shard, b"cache_memlimit 128\r\n");
        let stats = String::from_utf8(say(shard, b"stats\r\n")).unwrap();
        assert!(stats.contains("STAT limit_maxbytes 134217728\r\n"), "{stats}");
        assert_eq!(say(shard, b"stats reset\r\nflush_all\r\n"), b"RESET\r\nOK\r\n");
        let got = say(shard, b"get key1 key2 key3 key4 key5 key6\r\n");
        assert_eq!(got, b"END\r\n");
    });
}
