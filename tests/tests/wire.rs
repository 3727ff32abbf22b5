//! What answers without an app's help, and UDP: ARP, ping, closed ports, datagrams of every size.

use ixion_tests::{GUEST, Namespace, Run, Runner, artifacts, peer};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::ErrorKind;
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// The largest payload of one frame: 1500 bytes less the IPv4 and the ICMP or UDP header.
const LARGEST: usize = 1472;

fn echo(namespace: &Namespace) -> Run {
    let run = Runner::new(artifacts::echo()).on(namespace).start();
    run.wait_for("echo: tcp and udp port 7 on 10.77.0.2");
    run
}

#[test]
fn every_size_of_ping_is_answered() {
    let namespace = Namespace::new().unwrap();
    let run = echo(&namespace);
    let socket = peer::icmp(&namespace);
    for size in 0..=LARGEST {
        let sequence = u16::try_from(size).unwrap();
        peer::ping(&socket, GUEST, sequence, &peer::pattern(size as u64, size));
    }
    let ping = namespace
        .command("ping")
        .args(["-c", "5", "-i", "0.02", "-W", "2"])
        .arg(GUEST.to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ping.stdout);
    assert!(said.contains("5 received"), "{said}");
    run.stop().assert_code(0);
}

#[test]
fn long_pings_and_datagrams_come_back_whole() {
    let namespace = Namespace::new().unwrap();
    let run = echo(&namespace);
    let large_before = run.stats()["pool.free_large"];
    assert!(large_before >= 16);
    for size in ["1473", "3000", "20000", "65507"] {
        let ping = namespace
            .command("ping")
            .args(["-c", "3", "-i", "0.2", "-W", "5", "-s", size])
            .arg(GUEST.to_string())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ping.stdout);
        assert!(said.contains("3 received"), "{size}: {said}");
    }
    let socket = peer::udp(&namespace, peer::guest(7));
    let mut room = vec![0; 70_000];
    for size in [1473, 2000, 2953, 9000, 30_000, 65_507] {
        let bytes = peer::pattern(size as u64, size);
        socket.send(&bytes).unwrap();
        let count = socket
            .recv(&mut room)
            .unwrap_or_else(|error| panic!("{size} bytes: {error}"));
        peer::assert_same(&room[..count], &bytes);
    }
    let stats = run.stats();
    let of = |name: &str| stats.get(name).copied().unwrap_or_else(|| panic!("no {name}"));
    assert!(of("reassembled") >= 18, "{stats:#?}");
    assert_eq!(of("pool.free_large"), large_before, "{stats:#?}");
    run.stop().assert_code(0);
}

/// A group of either family: Linux sends to it, and the answer comes from the guest's own address.
#[test]
fn a_group_is_joined_and_heard() {
    let namespace = Namespace::new().unwrap();
    namespace
        .ip(&format!("-6 address add fd77::1/64 dev {} nodad", Namespace::TAP))
        .unwrap();
    let run = Runner::new(artifacts::echo())
        .on(&namespace)
        .options(&["--ip6", "fd77::2/64"])
        .args(&["--group", "239.77.1.2", "--group", "ff15::77"])
        .start();
    run.wait_for("echo: tcp and udp port 7");
    for (bind, group) in [("10.77.0.1:0", "239.77.1.2:7"), ("[fd77::1]:0", "[ff15::77]:7")] {
        let (from, bytes) = namespace.enter(|| {
            let socket = UdpSocket::bind(bind).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            let interface = nix::net::if_::if_nametoindex(Namespace::TAP).unwrap();
            let group: std::net::SocketAddr = group.parse().unwrap();
            let sockref = socket2::SockRef::from(&socket);
            if group.is_ipv4() {
                sockref.set_multicast_if_v4(&ixion_tests::HOST).unwrap();
            } else {
                sockref.set_multicast_if_v6(interface).unwrap();
            }
            let mut room = [0; 64];
            // The guest's IPv6 address is its own only a second after it was asked for.
            for _ in 0..40 {
                socket.send_to(b"who listens?", group).unwrap();
                if let Ok((count, from)) = socket.recv_from(&mut room) {
                    return (from, room[..count].to_vec());
                }
            }
            panic!("nobody in {group} answers");
        });
        assert_eq!(bytes, b"who listens?");
        let expected = if from.is_ipv4() {
            "10.77.0.2:7"
        } else {
            "[fd77::2]:7"
        };
        assert_eq!(from.to_string(), expected);
    }
    run.stop().assert_code(0);
}

#[test]
fn arp_is_answered_for_its_own_address_only() {
    let namespace = Namespace::new().unwrap();
    let run = echo(&namespace);
    let socket = peer::icmp(&namespace);
    peer::ping(&socket, GUEST, 1, b"x");
    let neighbour = || namespace.ip(&format!("neighbour show {GUEST}")).unwrap();
    assert!(neighbour().contains("lladdr"), "{}", neighbour());

    namespace.ip("neighbour flush all").unwrap();
    peer::ping(&socket, GUEST, 2, b"x");
    assert!(neighbour().contains("lladdr"), "{}", neighbour());

    let nobody = namespace
        .command("ping")
        .args(["-c", "1", "-W", "2", "10.77.0.99"])
        .output()
        .unwrap();
    assert!(!nobody.status.success());
    let absent = namespace.ip("neighbour show 10.77.0.99").unwrap();
    assert!(!absent.contains("lladdr"), "{absent}");
    run.stop().assert_code(0);
}

#[test]
fn a_peer_that_changes_its_card_is_found_again() {
    let namespace = Namespace::new().unwrap();
    let run = echo(&namespace);
    let stream = peer::connect(&namespace, peer::guest(7));
    peer::exchange(&stream, b"before");
    namespace
        .ip(&format!("link set {} address 02:00:00:00:77:01", Namespace::TAP))
        .unwrap();
    peer::exchange(&stream, b"after");
    drop(stream);
    run.stop().assert_code(0);
}

#[test]
fn datagrams_of_every_size_come_back() {
    let namespace = Namespace::new().unwrap();
    let run = echo(&namespace);
    let socket = peer::udp(&namespace, peer::guest(7));
    let mut room = [0; 2048];
    for size in 0..=LARGEST {
        let bytes = peer::pattern(size as u64, size);
        socket.send(&bytes).unwrap();
        let count = socket
            .recv(&mut room)
            .unwrap_or_else(|error| panic!("{size} bytes: {error}"));
        peer::assert_same(&room[..count], &bytes);
    }
    burst(&socket);
    run.stop().assert_code(0);
}

/// Many at once: those that come back are whole, and most do.
fn burst(socket: &UdpSocket) {
    for number in 0..100u64 {
        socket.send(&peer::pattern(number, 200)).unwrap();
    }
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut room = [0; 2048];
    let mut seen = 0;
    while let Ok(count) = socket.recv(&mut room) {
        assert!((0..100).any(|number| room[..count] == peer::pattern(number, 200)));
        seen += 1;
    }
    assert!(seen > 50, "{seen} of 100 came back");
}

#[test]
fn closed_ports_are_answered_at_once() {
    let namespace = Namespace::new().unwrap();
    let run = echo(&namespace);
    let start = Instant::now();
    let refused = namespace
        .enter(|| TcpStream::connect_timeout(&peer::guest(8), Duration::from_secs(5)))
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{refused}");

    let socket = peer::udp(&namespace, peer::guest(8));
    socket.send(b"anybody?").unwrap();
    let unreachable = socket.recv(&mut [0; 16]).unwrap_err();
    assert_eq!(unreachable.kind(), ErrorKind::ConnectionRefused, "{unreachable}");
    assert!(start.elapsed() < Duration::from_secs(2));
    run.stop().assert_code(0);
}

#[test]
fn rubbish_is_counted_and_hurts_nobody() {
    let namespace = Namespace::new().unwrap();
    let run = echo(&namespace);
    let stream = peer::connect(&namespace, peer::guest(7));
    for protocol in [
        Protocol::TCP,
        Protocol::UDP,
        Protocol::ICMPV4,
        Protocol::from(47),
        Protocol::from(255),
    ] {
        let socket = namespace.enter(|| Socket::new(Domain::IPV4, Type::RAW, Some(protocol)).unwrap());
        for size in 0..400 {
            // 255 is for whole packets of the sender's own making, whose headers Linux does not touch but in part.
            let mut bytes = peer::pattern(size as u64, 20 + size);
            if protocol == Protocol::from(255) {
                bytes[0] = 0x45;
                bytes[16..20].copy_from_slice(&GUEST.octets());
            }
            let sent = socket.send_to(&bytes, &peer::guest(0).into());
            assert!(
                sent.is_ok() || protocol == Protocol::from(255),
                "{protocol:?}: {sent:?}"
            );
        }
    }
    peer::exchange(&stream, b"none of our business");
    peer::ping(&peer::icmp(&namespace), GUEST, 1, b"still there");
    drop(stream);
    run.stop().assert_code(0);
}
