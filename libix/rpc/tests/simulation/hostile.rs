//! Whoever sends rubbish, guesses or forges gets nothing, and disturbs nobody.

use crate::world::{Bytes, ECHO, EXECUTE, SERVER, Weather, World, address, client_address, named, pattern};
use ix_rpc::wire::{Header, Kind};
use ix_rpc::{CallError, Client, Config, Server};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

const KINDS: [Kind; 13] = [
    Kind::Connect,
    Kind::Challenge,
    Kind::Accept,
    Kind::Refuse,
    Kind::Request,
    Kind::Credit,
    Kind::Response,
    Kind::Fetch,
    Kind::Ping,
    Kind::Pong,
    Kind::Close,
    Kind::Closed,
    Kind::Reset,
];

/// Well-formed headers of whoever knows the session's numbers, and perhaps its token.
fn header(tokens: Vec<u64>) -> impl Strategy<Value = Header> {
    let token = prop_oneof![1 => any::<u64>(), 4 => proptest::sample::select(tokens)];
    let session = prop_oneof![4 => Just(1_u32 << 20), 1 => any::<u32>()];
    let small = |most: u32| prop_oneof![4 => 0..most, 1 => any::<u32>()];
    let packet = prop_oneof![4 => 0..5_u16, 1 => any::<u16>()];
    let code = prop_oneof![Just(ECHO), Just(EXECUTE), Just(0xFF00), any::<u16>()];
    let kind = proptest::sample::select(&KINDS[..]);
    (
        kind,
        0..8_u8,
        code,
        packet,
        session.clone(),
        session,
        token,
        small(4),
        small(20_000),
    )
        .prop_map(
            |(kind, slot, code, packet, session, source, token, number, length)| Header {
                kind,
                slot,
                flags: 0,
                code,
                packet,
                session,
                source,
                token,
                number,
                length,
            },
        )
}

/// A packet with the data its header asks for.
fn packet(header: &Header, fill: u8) -> Bytes {
    let len = match header.kind {
        Kind::Request | Kind::Response => ix_rpc::wire::part_bytes(header.length, header.packet).unwrap_or(0),
        Kind::Connect | Kind::Challenge | Kind::Accept => 8,
        _ => 0,
    };
    let mut bytes = header.encode().to_vec();
    bytes.resize(bytes.len() + len, fill);
    bytes
}

/// The token of the first session, as it is on the wire.
fn token_of(world: &mut World) -> u64 {
    let session = world.connect(0);
    world.run_for(1);
    let message = world.clients[0].message_of(b"x").expect("short");
    world.clients[0]
        .call(world.now_ns, session, ECHO, message, 1000)
        .expect("taken");
    let transmit = world.clients[0].poll_transmit().expect("a request");
    let (header, _) = Header::decode(transmit.packet()).expect("well-formed");
    world.inject(client_address(0), SERVER, transmit.packet().to_vec());
    world.run_for(1);
    header.token
}

proptest! {
    #[test]
    fn rubbish_is_counted_and_leaves_no_trace(datagrams in vec(vec(any::<u8>(), 0..100), 0..50)) {
        let mut server = Server::<Bytes>::new(&Config::default(), [1; 16]);
        let mut client = Client::<Bytes>::new(&Config::default(), [2; 16]);
        client.connect(0, SERVER).expect("room");
        let count = datagrams.len() as u64;
        for datagram in datagrams {
            server.receive(5, address(9, 9), datagram.clone());
            client.receive(5, SERVER, datagram);
        }
        assert_eq!((server.counters().received, client.counters().received), (count, count));
        assert_eq!((server.session_count(), client.session_count()), (0, 1));
        assert!(server.poll_request().is_none());
    }

    #[test]
    fn a_peer_that_breaks_every_rule_breaks_only_its_own_session(
        headers in proptest::collection::vec((header(vec![0]), any::<u8>(), any::<bool>()), 1..80),
    ) {
        let mut world = World::new(1, 2, Weather::default(), &Config::default());
        let token = token_of(&mut world);
        let good = world.connect(1);
        for (mut header, fill, to_server) in headers {
            if header.token == 0 {
                header.token = token;
            }
            let bytes = packet(&header, fill);
            if to_server {
                world.inject(client_address(0), SERVER, bytes);
            } else {
                world.inject(SERVER, client_address(0), bytes);
            }
            world.run_for(1);
        }
        world.call(1, good, EXECUTE, &named(77, 5_000), 77);
        assert!(world.run_until(2_000, |world| world.done.contains_key(&77)));
        assert_eq!(world.done[&77], Ok((0, named(77, 5_000))));
        let most = Config::default().memory_bytes;
        assert!(world.server.memory_left() <= most && world.clients[0].memory_left() <= most);
        // And when all have left, nothing is left of them.
        world.cut_off = true;
        world.run_for(20_000);
        assert_eq!((world.server.session_count(), world.server.memory_left()), (0, most));
        assert_eq!(world.clients[0].memory_left(), most);
    }
}

#[test]
fn without_the_token_nobody_can_speak_for_another() {
    let mut world = World::new(1, 1, Weather::default(), &Config::default());
    let session = world.connect(0);
    world.run_for(1);
    let forged = |kind| Header {
        kind,
        slot: 0,
        flags: 0,
        code: EXECUTE,
        packet: 0,
        session: 1 << 20,
        source: 1 << 20,
        token: 0x0123_4567_89AB_CDEF,
        number: 1,
        length: 12,
    };
    for kind in KINDS {
        world.inject(client_address(0), SERVER, packet(&forged(kind), 1));
        world.inject(SERVER, client_address(0), packet(&forged(kind), 1));
    }
    world.run_for(1);
    assert!(world.executed.is_empty());
    assert_eq!(
        world.server.counters().forged,
        4,
        "a request, a fetch, a ping and a close"
    );
    world.call(0, session, EXECUTE, &named(5, 12), 1);
    assert!(world.run_until(100, |world| world.done.len() == 1));
    assert_eq!(world.done[&1], Ok((0, named(5, 12))));
    assert!(world.ended.is_empty());
}

#[test]
fn a_client_that_does_not_receive_where_it_says_it_is_gets_no_session() {
    let mut world = World::new(1, 0, Weather::default(), &Config::default());
    for port in 0..1_000 {
        let header = Header {
            kind: Kind::Connect,
            slot: 0,
            flags: 0,
            code: 0,
            packet: 0,
            session: 0,
            source: 7,
            token: u64::from(port),
            number: 0,
            length: 0,
        };
        world.inject(address(9, port), SERVER, packet(&header, 0));
    }
    world.run_for(1);
    assert_eq!(world.server.session_count(), 0);
    assert_eq!(world.server.counters().sent, 1_000, "a challenge for each");
}

#[test]
fn answers_to_strangers_are_no_longer_than_their_questions() {
    for kind in KINDS {
        let mut server = Server::<Bytes>::new(&Config::default(), [1; 16]);
        let mut header = Header {
            kind,
            slot: 0,
            flags: 0,
            code: 0,
            packet: 0,
            session: 5,
            source: 7,
            token: 9,
            number: 1,
            length: 100,
        };
        for version in [ix_rpc::wire::VERSION, 9] {
            header.length = 100;
            let mut question = packet(&header, 0);
            question[0] = version;
            let len = question.len();
            server.receive(5, address(9, 9), question);
            while let Some(answer) = server.poll_transmit() {
                assert!(answer.packet().len() <= len, "{kind:?}");
            }
        }
    }
}

#[test]
fn a_server_that_answers_with_more_than_there_is_memory_for_is_not_believed() {
    let config = Config {
        memory_bytes: 1 << 20,
        ..Config::default()
    };
    let mut world = World::new(1, 1, Weather::default(), &config);
    let session = world.connect(0);
    world.run_for(1);
    let message = world.clients[0].message_of(&pattern(10)).expect("short");
    world.clients[0]
        .call(world.now_ns, session, ECHO, message, 1)
        .expect("taken");
    let transmit = world.clients[0].poll_transmit().expect("a request");
    let (request, _) = Header::decode(transmit.packet()).expect("well-formed");
    let huge = Header {
        kind: Kind::Response,
        session: request.source,
        source: request.session,
        length: 8 << 20,
        ..request
    };
    world.inject(SERVER, client_address(0), packet(&huge, 0));
    assert!(world.run_until(100, |world| world.done.len() == 1));
    assert_eq!(world.done[&1], Err(CallError::ResponseLost));
    assert_eq!(world.clients[0].memory_left(), config.memory_bytes);
}
