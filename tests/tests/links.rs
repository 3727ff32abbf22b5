//! Several cards in one machine, each on a network of its own: what comes in on any, and who is reached over which.

use ixion_tests::artifacts::Build;
use ixion_tests::{GUEST, HOST, Namespace, Run, Runner, Traffic, artifacts, peer};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::thread::JoinHandle;

/// The second link's tap, and both ends' addresses there.
const TAP: &str = "ixt1";
const GUEST_THERE: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 2);
const HOST_THERE: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);

/// Of the host, on no link: beyond the second one, if a route says so.
const BEYOND: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);

/// On no network that anybody has said anything of.
const NOWHERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

/// With a tap for each of two links.
fn two_taps() -> Namespace {
    let namespace = Namespace::new().unwrap();
    namespace.add_tap(TAP, HOST_THERE).unwrap();
    namespace
}

/// An echo server on both links; the second card is of this model.
fn echo(namespace: &Namespace, nic: &str, options: &[&str]) -> Run {
    let link = format!("net=tap:{TAP},ip={GUEST_THERE}/24,nic={nic}");
    let run = Runner::new(artifacts::echo())
        .on(namespace)
        .options(&["--link", &link])
        .options(options)
        .start();
    run.wait_for("echo: tcp and udp port 7 on 10.77.0.2");
    run
}

fn on_both() -> [SocketAddr; 2] {
    [GUEST, GUEST_THERE].map(|address| (address, 7).into())
}

#[test]
fn a_server_is_reached_on_each_link_whatever_its_card() {
    let namespace = two_taps();
    let run = echo(&namespace, "e1000e", &[]);
    let before = run.held();
    for server in on_both() {
        Traffic::new(&namespace, server).all();
    }
    run.wait_until_home(&before);
    let stats = run.stats();
    for name in ["nic.rx_frames", "nic.tx_frames", "rx_tcp", "rx_udp"] {
        let of = |link: usize| stats[&format!("link{link}.{name}")];
        assert!(of(0) > 1000 && of(1) > 1000, "{name}: {stats:#?}");
        assert_eq!(stats[name], of(0) + of(1), "{name}");
    }
    run.stop()
        .assert_code(0)
        .assert_logged("virtio network device at")
        .assert_logged("Intel 82574L");
}

#[test]
fn an_address_is_its_links_and_no_others() {
    let namespace = two_taps();
    let run = echo(&namespace, "virtio-net", &[]);
    // The second link's address, and the first link's card.
    namespace
        .ip(&format!("route add {GUEST_THERE}/32 dev {}", Namespace::TAP))
        .unwrap();
    let mac = "02:49:0a:4d:00:02";
    namespace
        .ip(&format!(
            "neigh add {GUEST_THERE} lladdr {mac} dev {}",
            Namespace::TAP
        ))
        .unwrap();
    let socket = peer::udp(&namespace, (GUEST_THERE, 7).into());
    let before = run.stat("link0.rx_ipv4_not_ours");
    for _ in 0..3 {
        socket.send(b"to the other link").unwrap();
    }
    run.wait_for_stats("they are dropped where they came in", |stats| {
        stats["link0.rx_ipv4_not_ours"] == before + 3
    });
    assert_eq!(run.stat("rx_udp"), 0);
    run.stop().assert_code(0);
}

#[test]
fn a_link_that_is_down_does_not_hurt_the_other() {
    let namespace = two_taps();
    let run = echo(&namespace, "virtio-net", &[]);
    let before = run.held();
    let [here, there] = on_both();
    let bytes = peer::pattern(1, 100_000);
    let waiting = peer::connect(&namespace, there);
    peer::exchange(&waiting, &bytes);
    namespace.ip(&format!("link set {TAP} down")).unwrap();
    (&waiting).write_all(&bytes).unwrap();
    for _ in 0..3 {
        peer::exchange_and_finish(peer::connect(&namespace, here), &bytes);
    }
    namespace.ip(&format!("link set {TAP} up")).unwrap();
    let mut echoed = vec![0; bytes.len()];
    (&waiting).read_exact(&mut echoed).unwrap();
    peer::assert_same(&echoed, &bytes);
    drop(waiting);
    run.wait_until_home(&before);
    run.stop().assert_code(0);
}

#[test]
fn cores_share_every_links_card() {
    let namespace = two_taps();
    // Two cores: one with a queue of each card, and one that gets what that hands on.
    let run = echo(&namespace, "e1000e", &["--cores", "2"]);
    let before = run.held();
    for server in on_both() {
        Traffic::new(&namespace, server).connections(100);
        Traffic::new(&namespace, server).datagrams();
    }
    run.wait_until_home(&before);
    let stats = run.stats();
    for core in 0..2 {
        for link in 0..2 {
            let accepted = stats[&format!("core{core}.link{link}.tcp_opened_passive")];
            assert!(accepted > 10, "core {core}, link {link}: {stats:#?}");
        }
    }
    assert_eq!(stats["tcp_opened_passive"], 200);
    assert_eq!(stats["link1.tcp_opened_passive"], 100);
    run.stop().assert_code(0);
}

/// Echoes one connection and one datagram; returns whom they came from.
struct Echoes(JoinHandle<[IpAddr; 2]>);

impl Echoes {
    fn at(namespace: &Namespace, address: Ipv4Addr) -> (Self, SocketAddr) {
        let listener = namespace.enter(|| TcpListener::bind((address, 0))).unwrap();
        let at = listener.local_addr().unwrap();
        let socket = namespace.enter(|| UdpSocket::bind(at)).unwrap();
        let echoes = std::thread::spawn(move || {
            let (mut stream, by_tcp) = listener.accept().unwrap();
            let mut room = [0; 1000];
            loop {
                match stream.read(&mut room).unwrap() {
                    0 => break,
                    count => stream.write_all(&room[..count]).unwrap(),
                }
            }
            let (count, by_udp) = socket.recv_from(&mut room).unwrap();
            socket.send_to(&room[..count], by_udp).unwrap();
            [by_tcp.ip(), by_udp.ip()]
        });
        (Echoes(echoes), at)
    }

    fn assert_from(self, address: Ipv4Addr) {
        assert_eq!(self.0.join().unwrap(), [IpAddr::V4(address); 2]);
    }
}

#[test]
fn connections_and_datagrams_take_the_link_that_leads_there() {
    let namespace = two_taps();
    namespace.ip(&format!("address add {BEYOND}/32 dev lo")).unwrap();
    let all = [HOST, HOST_THERE, BEYOND].map(|address| Echoes::at(&namespace, address));
    let link = format!("net=tap:{TAP},ip={GUEST_THERE}/24,nic=e1000");
    let route = format!("10.9.0.0/16={HOST_THERE}");
    let mut words: Vec<_> = all
        .iter()
        .flat_map(|(_, at)| [format!("tcp={at}"), format!("udp={at}")])
        .collect();
    words.extend([format!("none={NOWHERE}:9"), format!("none={GUEST_THERE}:9")]);
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let dial = artifacts::guest("dial_links", Build::Plain);
    let ended = Runner::new(&dial)
        .on(&namespace)
        .options(&["--link", &link, "--route", &route])
        .args(&words)
        .finish();
    ended
        .assert_code(0)
        .assert_said("link 0: Some(10.77.0.2)")
        .assert_said("link 1: Some(10.78.0.2)")
        .assert_said("all were answered");
    let sources = [GUEST, GUEST_THERE, GUEST_THERE];
    for ((echoes, _), source) in all.into_iter().zip(sources) {
        echoes.assert_from(source);
    }
}
