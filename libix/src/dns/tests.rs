//! Lookups against servers that are well, ill and hostile.

use super::{Addresses, Error, Kind, Lookup, Step};
use core::net::SocketAddr;
use core::time::Duration;
use proptest::prelude::{ProptestConfig, any, prop, proptest};
use proptest::test_runner::TestCaseError;
use simple_dns::rdata::{A, AAAA, CNAME, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, RCODE, ResourceRecord, TYPE};
use std::net::{Ipv4Addr, Ipv6Addr};

const NAME: &str = "www.server.test";
const ID: u64 = 0x1234_5678;

fn server(number: u8) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::new(10, 0, 0, number).into(), 53)
}

/// A lookup that has asked the first of three servers at 0 s.
fn asked() -> (Lookup, Vec<u8>) {
    let mut lookup = Lookup::new(NAME, Kind::A, &[1, 2, 3].map(server)).unwrap();
    match lookup.step(Duration::ZERO, ID) {
        Step::Send { to, query } if to == server(1) => (lookup, query),
        step => panic!("{step:?}"),
    }
}

fn record(name: &'static str, ttl: u32, data: RData<'static>) -> ResourceRecord<'static> {
    ResourceRecord::new(Name::new(name).unwrap(), CLASS::IN, ttl, data)
}

fn a(name: &'static str, ttl: u32, last: u8) -> ResourceRecord<'static> {
    record(name, ttl, RData::A(A::from(Ipv4Addr::new(10, 9, 9, last))))
}

fn alias(name: &'static str, ttl: u32, of: &'static str) -> ResourceRecord<'static> {
    record(name, ttl, RData::CNAME(CNAME(Name::new(of).unwrap())))
}

/// An answer to `query`, changed.
fn answer_with(
    query: &[u8],
    records: Vec<ResourceRecord<'static>>,
    change: impl FnOnce(&mut Packet),
) -> Vec<u8> {
    let mut packet = Packet::parse(query).unwrap().into_reply();
    packet.answers = records;
    change(&mut packet);
    packet.build_bytes_vec_compressed().unwrap()
}

fn answer(query: &[u8], records: Vec<ResourceRecord<'static>>) -> Vec<u8> {
    answer_with(query, records, |_| ())
}

fn found(last: &[u8], ttl_s: u64) -> Option<Result<Addresses, Error>> {
    let ips = last
        .iter()
        .map(|last| Ipv4Addr::new(10, 9, 9, *last).into())
        .collect();
    let ttl = Duration::from_secs(ttl_s);
    Some(Ok(Addresses { ips, ttl }))
}

#[test]
fn a_query_is_as_rfc_1035_has_it() {
    let (_, query) = asked();
    let wanted =
        b"\x56\x78\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x06server\x04test\x00\x00\x01\x00\x01";
    assert_eq!(query, wanted);
}

#[test]
fn only_whole_names_are_asked_for() {
    let long = format!("{}.test", "a".repeat(64));
    let longer = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(62)].join(".");
    for name in ["", ".", "a..b", ".a", "a b", "a\\.b", "ä.test", &long, &longer] {
        let refused = Lookup::new(name, Kind::A, &[server(1)]).err();
        assert_eq!(refused, Some(Error::NotAName), "{name}");
    }
    for name in ["a", "a.b.", "_x.test", &longer[1..]] {
        assert!(Lookup::new(name, Kind::A, &[server(1)]).is_ok(), "{name}");
    }
    assert_eq!(Lookup::new("a", Kind::A, &[]).err(), Some(Error::NoServers));
}

#[test]
fn all_addresses_are_given_with_the_shortest_time_they_hold() {
    let (mut lookup, query) = asked();
    let records = vec![
        a(NAME, 300, 1),
        a("other.test", 5, 7),
        a("WWW.Server.Test", 60, 2),
    ];
    assert_eq!(
        lookup.receive(server(1), &answer(&query, records)),
        found(&[1, 2], 60)
    );
}

#[test]
fn a_time_beyond_31_bits_is_none() {
    let (mut lookup, query) = asked();
    let records = vec![a(NAME, 1 << 31, 1)];
    assert_eq!(
        lookup.receive(server(1), &answer(&query, records)),
        found(&[1], 0)
    );
}

#[test]
fn ipv6_addresses_are_asked_for_by_their_own_kind() {
    let mut lookup = Lookup::new(NAME, Kind::Aaaa, &[server(1)]).unwrap();
    let Step::Send { query, .. } = lookup.step(Duration::ZERO, ID) else {
        panic!("nobody is asked");
    };
    let ip = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 9);
    let records = vec![a(NAME, 9, 1), record(NAME, 9, RData::AAAA(AAAA::from(ip)))];
    let addresses = lookup.receive(server(1), &answer(&query, records));
    assert_eq!(addresses.unwrap().unwrap().ips, [ip]);
}

#[test]
fn aliases_are_followed_whatever_their_order() {
    let (mut lookup, query) = asked();
    let records = vec![
        a("c.test", 100, 3),
        alias("b.test", 20, "c.test"),
        alias(NAME, 90, "b.test"),
    ];
    assert_eq!(
        lookup.receive(server(1), &answer(&query, records)),
        found(&[3], 20)
    );
}

#[test]
fn aliases_in_a_circle_and_to_nowhere_lead_to_no_address() {
    for records in [
        vec![alias(NAME, 9, "b.test"), alias("b.test", 9, NAME)],
        vec![alias(NAME, 9, NAME)],
        vec![alias(NAME, 9, "b.test"), a("c.test", 9, 1)],
        vec![],
    ] {
        let (mut lookup, query) = asked();
        let answered = lookup.receive(server(1), &answer(&query, records));
        assert_eq!(answered, Some(Err(Error::NoAddress)));
    }
}

#[test]
fn what_a_server_says_instead_of_an_address_is_told_apart() {
    let says = |change: fn(&mut Packet)| {
        let (mut lookup, query) = asked();
        lookup.receive(server(1), &answer_with(&query, vec![], change))
    };
    let no_such_name = says(|packet| *packet.rcode_mut() = RCODE::NameError);
    assert_eq!(no_such_name, Some(Err(Error::NoSuchName)));
    let truncated = says(|packet| packet.set_flags(PacketFlag::TRUNCATION));
    assert_eq!(truncated, Some(Err(Error::Truncated)));
}

#[test]
fn a_server_that_fails_is_not_waited_for() {
    let (mut lookup, mut query) = asked();
    for number in 1..=3 {
        let failure = answer_with(&query, vec![], |packet| {
            *packet.rcode_mut() = if number == 1 {
                RCODE::ServerFailure
            } else {
                RCODE::Refused
            };
        });
        assert_eq!(lookup.receive(server(number), &failure), None);
        match lookup.step(Duration::ZERO, ID + u64::from(number)) {
            Step::Send { to, query: next } if number < 3 => {
                assert_eq!(to, server(number + 1));
                query = next;
            }
            step => assert_eq!((number, step), (3, Step::Failed(Error::ServerFailure))),
        }
    }
}

#[test]
fn silent_servers_get_two_seconds_each_and_three_queries_in_all() {
    let mut lookup = Lookup::new(NAME, Kind::A, &[1, 2].map(server)).unwrap();
    for (at, number) in [(0, 1), (2, 2), (4, 1)] {
        let now = Duration::from_secs(at);
        let step = lookup.step(now, at);
        assert!(
            matches!(step, Step::Send { to, .. } if to == server(number)),
            "{step:?}"
        );
        let until = now + Duration::from_secs(2);
        let just_before = until - Duration::from_nanos(1);
        assert_eq!(lookup.step(just_before, 77), Step::Wait { until });
    }
    let end = lookup.step(Duration::from_secs(6), 78);
    assert_eq!(end, Step::Failed(Error::TimedOut));
}

#[test]
fn what_answers_another_question_is_ignored() {
    let (mut lookup, query) = asked();
    let good = answer(&query, vec![a(NAME, 9, 1)]);
    let otherwise = |change: &dyn Fn(&mut Packet)| answer_with(&query, vec![a(NAME, 9, 1)], change);
    let question = |name, kind: TYPE, class: CLASS| {
        let name = Name::new(name).unwrap();
        Question::new(name, kind.into(), class.into(), false)
    };
    let strays = [
        otherwise(&|packet| packet.set_id(0x5679)),
        otherwise(&|packet| packet.remove_flags(PacketFlag::RESPONSE)),
        otherwise(&|packet| packet.questions.clear()),
        otherwise(&|packet| packet.questions = vec![question("www.server.tess", TYPE::A, CLASS::IN)]),
        otherwise(&|packet| packet.questions = vec![question(NAME, TYPE::AAAA, CLASS::IN)]),
        otherwise(&|packet| packet.questions = vec![question(NAME, TYPE::A, CLASS::CH)]),
        otherwise(&|packet| packet.questions.push(packet.questions[0].clone())),
        query.clone(),
        good[..good.len() - 1].to_vec(),
        [&good[..], &[0; 512]].concat(),
        Vec::new(),
    ];
    for stray in strays {
        assert_eq!(lookup.receive(server(1), &stray), None, "{stray:x?}");
    }
    let other_port = SocketAddr::new(server(1).ip(), 54);
    assert_eq!(lookup.receive(server(2), &good), None);
    assert_eq!(lookup.receive(other_port, &good), None);
    assert_eq!(lookup.receive(server(1), &good), found(&[1], 9));
    // And nothing after the answer.
    assert_eq!(lookup.receive(server(1), &good), None);
}

#[test]
fn an_answer_to_an_earlier_query_comes_too_late() {
    let (mut lookup, query) = asked();
    let late = answer(&query, vec![a(NAME, 9, 1)]);
    let second = lookup.step(Duration::from_secs(2), ID + 1);
    assert!(matches!(second, Step::Send { to, .. } if to == server(2)));
    assert_eq!(lookup.receive(server(1), &late), None);
    assert_eq!(lookup.receive(server(2), &late), None);
}

/// Names that point at themselves, at each other, forward and beyond the end.
#[test]
fn names_that_lead_in_circles_are_no_answer() {
    let (mut lookup, query) = asked();
    let end = u16::try_from(query.len()).unwrap();
    for pointer in [end, end + 2, end - 1, 0x3fff, 2] {
        let mut bytes = query.clone();
        (bytes[2], bytes[7]) = (0x81, 2);
        for target in [pointer, end] {
            bytes.extend((0xc000 | target).to_be_bytes());
            bytes.extend(b"\x00\x01\x00\x01\x00\x00\x00\x09\x00\x04\x0a\x09\x09\x01");
        }
        let heard = lookup.receive(server(1), &bytes);
        assert!(!matches!(heard, Some(Ok(_))), "{pointer}: {heard:?}");
    }
}

#[test]
fn counts_without_records_take_no_memory() {
    let (mut lookup, query) = asked();
    for at in [4, 6, 8, 10] {
        let mut bytes = query.clone();
        bytes[2] = 0x81;
        bytes[at..at + 2].fill(0xff);
        assert_eq!(lookup.receive(server(1), &bytes), None);
    }
}

/// Never more than what was said: an address that is in the datagram.
fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    let (mut lookup, _) = asked();
    if let Some(Ok(addresses)) = lookup.receive(server(1), bytes) {
        assert!(!addresses.ips.is_empty());
        for ip in addresses.ips {
            let octets = Ipv4Addr::from_bits(match ip {
                core::net::IpAddr::V4(ip) => ip.to_bits(),
                core::net::IpAddr::V6(_) => panic!("nobody asked for {ip}"),
            })
            .octets();
            assert!(bytes.windows(4).any(|window| window == octets));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        check(&bytes)?;
    }

    /// The header is right, the rest is not.
    #[test]
    fn any_records_are_survived(
        counts in any::<[u8; 3]>(),
        bytes in prop::collection::vec(any::<u8>(), 0..470),
    ) {
        let (_, mut answer) = asked();
        (answer[2], answer[7], answer[9], answer[11]) = (0x81, counts[0] % 8, counts[1] % 4, counts[2] % 4);
        answer.extend(bytes);
        check(&answer)?;
    }

    /// Records of every type, with any data.
    #[test]
    fn records_of_any_type_are_survived(
        records in prop::collection::vec((0..270u16, prop::collection::vec(any::<u8>(), 0..40)), 1..8),
    ) {
        let (_, mut answer) = asked();
        (answer[2], answer[7]) = (0x81, u8::try_from(records.len()).unwrap());
        for (kind, data) in records {
            answer.extend(b"\xc0\x0c");
            answer.extend(kind.to_be_bytes());
            answer.extend(b"\x00\x01\x00\x00\x00\x09");
            answer.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            answer.extend(data);
        }
        check(&answer)?;
    }

    /// A good answer with some bytes changed.
    #[test]
    fn spoilt_answers_are_survived(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let (_, query) = asked();
        let mut bytes = answer(&query, vec![alias(NAME, 9, "b.test"), a("b.test", 9, 1), a("b.test", 9, 2)]);
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        check(&bytes)?;
    }
}
