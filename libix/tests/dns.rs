//! Names resolved by tasks: hosted, with name servers that are plain Linux programs, and on hosts in virtual time.

use libix::dns::{Addresses, Error, Kind, Resolver};
use libix::task::{self, Executor, UdpSocket};
use libix::testing::Network;
use simple_dns::rdata::{A, AAAA, RData};
use simple_dns::{CLASS, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};
use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

const PORT: u16 = 7009;
const FOUR: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 3);
const SIX: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 3);

/// What a name server has to say, for the first label of a name.
fn answer(query: &[u8]) -> Vec<u8> {
    let mut packet = Packet::parse(query).unwrap().into_reply();
    let asked = packet.questions[0].clone();
    let data = match (&*asked.qname.get_labels()[0].to_string(), asked.qtype) {
        ("four" | "both", QTYPE::TYPE(TYPE::A)) => Some(RData::A(A::from(FOUR))),
        ("six" | "both", QTYPE::TYPE(TYPE::AAAA)) => Some(RData::AAAA(AAAA::from(SIX))),
        _ => None,
    };
    let records = data.map(|data| ResourceRecord::new(asked.qname.clone(), CLASS::IN, 60, data));
    packet.answers.extend(records);
    match &*asked.qname.get_labels()[0].to_string() {
        "nobody" => *packet.rcode_mut() = RCODE::NameError,
        "ill" => *packet.rcode_mut() = RCODE::ServerFailure,
        "long" => packet.set_flags(PacketFlag::TRUNCATION),
        _ => {}
    }
    packet.build_bytes_vec().unwrap()
}

/// A name server on Linux, that lets `first` be said before each answer.
fn serve(host: u8, first: fn(&std::net::UdpSocket, &[u8], SocketAddr)) -> SocketAddr {
    let at = SocketAddr::new(Ipv4Addr::new(127, 0, 9, host).into(), PORT);
    let socket = std::net::UdpSocket::bind(at).unwrap();
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((count, peer)) = socket.recv_from(&mut query) {
            first(&socket, &query[..count], peer);
            socket.send_to(&answer(&query[..count]), peer).unwrap();
        }
    });
    at
}

fn with_resolver(servers: &[SocketAddr], test: impl AsyncFnOnce(Resolver) + 'static) {
    let resolver = Resolver::with_servers(servers);
    task::run(async move {
        test(resolver).await;
        Ok(())
    })
    .unwrap();
}

fn found(ip: impl Into<IpAddr>) -> Result<Addresses, Error> {
    Ok(Addresses {
        ips: vec![ip.into()],
        ttl: Duration::from_secs(60),
    })
}

#[test]
fn addresses_of_either_family_are_found_and_failures_told_apart() {
    let server = serve(1, |_, _, _| ());
    with_resolver(&[server], async |resolver| {
        assert_eq!(resolver.resolve("four.test").await, found(FOUR));
        assert_eq!(resolver.resolve("six.test.").await, found(SIX));
        assert_eq!(resolver.resolve("both.test").await, found(FOUR));
        assert_eq!(resolver.lookup("both.test", Kind::Aaaa).await, found(SIX));
        assert_eq!(resolver.lookup("six.test", Kind::A).await, Err(Error::NoAddress));
        for (name, error) in [
            ("none.test", Error::NoAddress),
            ("nobody.test", Error::NoSuchName),
            ("ill.test", Error::ServerFailure),
            ("long.test", Error::Truncated),
            ("no name", Error::NotAName),
        ] {
            assert_eq!(resolver.resolve(name).await, Err(error), "{name}");
        }
    });
}

#[test]
fn a_forger_without_the_number_or_the_address_is_not_believed() {
    let server = serve(2, |socket, query, peer| {
        let mut forged = answer(query);
        let end = forged.len();
        forged[end - 1] = 66;
        let elsewhere = std::net::UdpSocket::bind("127.0.9.3:0").unwrap();
        elsewhere.send_to(&forged, peer).unwrap();
        forged[0] ^= 1;
        socket.send_to(&forged, peer).unwrap();
        socket.send_to(b"nonsense", peer).unwrap();
    });
    with_resolver(&[server], async |resolver| {
        assert_eq!(resolver.resolve("four.test").await, found(FOUR));
    });
}

#[test]
fn the_next_server_is_asked_when_one_is_silent() {
    let silent = std::net::UdpSocket::bind("127.0.9.4:7009").unwrap();
    let server = serve(5, |_, _, _| ());
    with_resolver(&[silent.local_addr().unwrap(), server], async |resolver| {
        let start = std::time::Instant::now();
        assert_eq!(resolver.resolve("four.test").await, found(FOUR));
        assert!(start.elapsed() >= Duration::from_secs(2));
    });
    let (count, _) = silent.recv_from(&mut [0; 512]).unwrap();
    assert_eq!(count, b"\x04four\x04test\0".len() + 16);
}

#[test]
fn nobody_to_ask_is_told_at_once() {
    with_resolver(&[], async |resolver| {
        assert_eq!(resolver.resolve("four.test").await, Err(Error::NoServers));
    });
}

#[test]
fn an_answer_is_found_under_loss_and_silence_ends_after_six_seconds() {
    let mut network = Network::new(5);
    let server = network
        .add(Executor::new(async {
            let socket = UdpSocket::bind(53)?;
            let mut heard = 0;
            loop {
                let (query, peer) = socket.recv_from().await;
                heard += 1;
                // The first two questions are lost on it, and all about silence.
                if heard > 2 && !query.windows(6).any(|label| label == b"silent") {
                    socket.send_to_now(answer(&query), peer);
                }
            }
        }))
        .unwrap();
    let at = SocketAddr::new(network.ip(&server), 53);
    let said = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&said);
    let client = network
        .add(Executor::new(async move {
            let resolver = Resolver::with_servers(&[at]);
            for name in ["four.test", "silent.test"] {
                let answer = resolver.resolve(name).await;
                log.borrow_mut().push(answer);
            }
            Ok(())
        }))
        .unwrap();
    assert!(network.run_until(Duration::from_secs(5), |_| said.borrow().len() == 1));
    let first = network.now();
    assert!(first >= Duration::from_secs(4), "{first:?}");
    assert!(network.run_until(Duration::from_secs(20), |network| network.is_over(&client)));
    assert_eq!(*said.borrow(), [found(FOUR), Err(Error::TimedOut)]);
    assert!(network.now() >= first + Duration::from_secs(6));
}
