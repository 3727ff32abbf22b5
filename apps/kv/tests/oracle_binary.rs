//! The same binary requests to us and to memcached: the replies are compared byte for byte.
//!
//! Left out: `Stat` and `Version`, whose answers are our own; and what memcached answers before it closes for good is only
//! compared up to there.

mod support;

use proptest::prelude::*;
use support::assert_same_as_memcached;

#[derive(Clone, Debug, Default)]
struct Request {
    opcode: u8,
    extras: Vec<u8>,
    key: Vec<u8>,
    value: Vec<u8>,
    cas: u64,
    opaque: u32,
}

impl Request {
    fn bytes(&self) -> Vec<u8> {
        let body = self.extras.len() + self.key.len() + self.value.len();
        let mut bytes = vec![0x80, self.opcode];
        bytes.extend(u16::try_from(self.key.len()).unwrap().to_be_bytes());
        bytes.extend([u8::try_from(self.extras.len()).unwrap(), 0, 0, 0]);
        bytes.extend(u32::try_from(body).unwrap().to_be_bytes());
        bytes.extend(self.opaque.to_be_bytes());
        bytes.extend(self.cas.to_be_bytes());
        bytes.extend(&self.extras);
        bytes.extend(&self.key);
        bytes.extend(&self.value);
        bytes
    }
}

const NOOP: u8 = 0x0a;

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::sample::select(vec!["a", "b", "c"]).prop_map(|key| key.as_bytes().to_vec()),
        1 => Just(b"k".repeat(250)),
        1 => prop::collection::vec(any::<u8>(), 1..10),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..30),
        3 => (0..300u64).prop_map(|number| number.to_string().into_bytes()),
        1 => Just(b"18446744073709551615".to_vec()),
        1 => (0..3_000usize).prop_map(|len| b"v".repeat(len)),
    ]
}

fn exptime() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![0, 0, 0, 100, 10_000, 2_592_001, u32::MAX])
}

fn cas() -> impl Strategy<Value = u64> {
    prop_oneof![4 => Just(0u64), 1 => 1..12u64]
}

fn opcode(numbers: Vec<u8>) -> impl Strategy<Value = u8> {
    prop::sample::select(numbers)
}

fn request() -> impl Strategy<Value = Request> {
    let store = (
        opcode(vec![1, 1, 0x11, 2, 0x12, 3, 0x13]),
        any::<u32>(),
        exptime(),
        key(),
        value(),
        cas(),
    );
    let extend = (opcode(vec![0x0e, 0x0f, 0x19, 0x1a]), key(), value(), cas());
    let get = (opcode(vec![0, 9, 0x0c, 0x0d]), key());
    let touch = (opcode(vec![0x1c, 0x1d, 0x1e, 0x23, 0x24]), exptime(), key());
    let delta = (
        opcode(vec![5, 6, 0x15, 0x16]),
        0..200u64,
        any::<u64>(),
        exptime(),
        key(),
        cas(),
    );
    prop_oneof![
        5 => store.prop_map(|(opcode, flags, exptime, key, value, cas)| Request {
            opcode,
            extras: [flags.to_be_bytes(), exptime.to_be_bytes()].concat(),
            key,
            value,
            cas,
            opaque: flags,
        }),
        2 => extend.prop_map(|(opcode, key, value, cas)| Request { opcode, key, value, cas, ..Request::default() }),
        4 => get.prop_map(|(opcode, key)| Request { opcode, key, opaque: 7, ..Request::default() }),
        2 => touch.prop_map(|(opcode, exptime, key)| Request {
            opcode,
            extras: exptime.to_be_bytes().to_vec(),
            key,
            ..Request::default()
        }),
        3 => delta.prop_map(|(opcode, amount, initial, exptime, key, cas)| Request {
            opcode,
            extras: [&amount.to_be_bytes()[..], &initial.to_be_bytes(), &exptime.to_be_bytes()].concat(),
            key,
            cas,
            ..Request::default()
        }),
        2 => (opcode(vec![4, 0x14]), key(), cas()).prop_map(|(opcode, key, cas)| Request { opcode, key, cas, ..Request::default() }),
        1 => opcode(vec![8, 0x18]).prop_map(|opcode| Request { opcode, ..Request::default() }),
        1 => Just(Request { opcode: 8, extras: vec![0; 4], ..Request::default() }),
        1 => Just(Request { opcode: NOOP, opaque: 1, ..Request::default() }),
        1 => opcode(vec![0x1b, 0x20, 0x30, 0x55, 0xff]).prop_map(|opcode| Request { opcode, ..Request::default() }),
        1 => Just(Request { opcode: 0x21, key: b"PLAIN".to_vec(), value: b"\0user\0secret".to_vec(), ..Request::default() }),
    ]
}

/// Requests that are not what their opcode asks for; memcached closes after its answer.
fn malformed() -> impl Strategy<Value = Vec<u8>> {
    let request = (
        opcode((0..0x0a).chain([0x0e, 0x0f, 0x14, 0x19, 0x1c, 0x24]).collect()),
        prop::collection::vec(any::<u8>(), 0..30),
        prop_oneof![Just(vec![]), Just(vec![b'k'; 251])],
    );
    prop_oneof![
        request.prop_map(|(opcode, extras, key)| Request {
            opcode,
            extras,
            key,
            ..Request::default()
        }
        .bytes()),
        // A key longer than the body.
        Just([&[0x80, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 2][..], &[0; 12], b"abcd"].concat()),
    ]
}

/// `Noop` after each makes memcached send what it has: it answers `Increment` of a value that is on its way with a shorter
/// one than it otherwise would.
fn script(requests: &[Request]) -> Vec<u8> {
    let end = Request {
        opcode: NOOP,
        opaque: 0x0e0e_0e0e,
        ..Request::default()
    };
    requests
        .iter()
        .flat_map(|request| [request.bytes(), end.bytes()].concat())
        .collect()
}

fn cases() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(48)
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn binary_requests_are_answered_as_memcached_answers_them(requests in prop::collection::vec(request(), 1..60)) {
        assert_same_as_memcached(&script(&requests));
    }

    #[test]
    fn malformed_binary_requests_are_refused_as_memcached_refuses_them(malformed in malformed()) {
        let get = Request { opcode: 0, key: b"a".to_vec(), ..Request::default() }.bytes();
        assert_same_as_memcached(&[get, malformed].concat());
    }
}
