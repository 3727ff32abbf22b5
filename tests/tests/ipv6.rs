//! IPv6 against Linux: addresses given and made, ping, TCP and UDP of every size, closed ports.

use ixion_tests::{Namespace, Run, Runner, artifacts, peer};
use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// The machine's address, and the Linux side's.
const GUEST6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2);
const HOST6: &str = "fd77::1/64";
/// The link-local address that the machine makes itself of its station's, 02:49:0a:4d:00:02.
const GUEST_LOCAL: &str = "fe80::49:aff:fe4d:2";
/// The largest payload of one frame: 1500 bytes less the IPv6 and the ICMP or UDP header.
const LARGEST: usize = 1452;

fn echo(namespace: &Namespace, ip6: &str) -> Run {
    namespace
        .ip(&format!("-6 address add {HOST6} dev {} nodad", Namespace::TAP))
        .unwrap();
    let run = Runner::new(artifacts::echo())
        .on(namespace)
        .options(&["--ip6", ip6])
        .start();
    run.wait_for("echo: tcp and udp port 7");
    run
}

/// Pings until it is answered: an address is its owner's only a second after it was asked for.
fn wait_for_ping(namespace: &Namespace, address: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !pinged(namespace, &["-c", "1", "-W", "1", address]).contains("1 received") {
        assert!(Instant::now() < deadline, "{address} does not answer");
    }
}

fn pinged(namespace: &Namespace, words: &[&str]) -> String {
    let output = namespace.command("ping").arg("-6").args(words).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn guest(port: u16) -> SocketAddr {
    (GUEST6, port).into()
}

#[test]
fn both_its_addresses_are_pinged() {
    let namespace = Namespace::new().unwrap();
    let run = echo(&namespace, "fd77::2/64");
    wait_for_ping(&namespace, "fd77::2");
    let said = pinged(
        &namespace,
        &["-c", "20", "-i", "0.02", "-W", "2", "-s", "1452", "fd77::2"],
    );
    assert!(said.contains("20 received"), "{said}");
    wait_for_ping(&namespace, &format!("{GUEST_LOCAL}%{}", Namespace::TAP));
    let neighbour = namespace.ip("-6 neighbour show fd77::2").unwrap();
    assert!(neighbour.contains("02:49:0a:4d:00:02"), "{neighbour}");
    run.stop().assert_code(0);
}

#[test]
fn streams_come_back_equal_and_leave_nothing() {
    let namespace = Namespace::new().unwrap();
    let run = echo(&namespace, "fd77::2/64");
    wait_for_ping(&namespace, "fd77::2");
    for size in [1, 64, 1_427, 1_428, 1_429, 1_440, 65_536, 1 << 20] {
        let stream = peer::connect(&namespace, guest(7));
        peer::exchange_and_finish(stream, &peer::pattern(size as u64, size));
    }
    // By the link-local address, whose interface has to be named.
    let scope = namespace.enter(|| nix::net::if_::if_nametoindex(Namespace::TAP).unwrap());
    let local = SocketAddrV6::new(GUEST_LOCAL.parse().unwrap(), 7, 0, scope);
    peer::exchange_and_finish(peer::connect(&namespace, local.into()), &peer::pattern(1, 10_000));
    // Both families at once.
    let old = peer::connect(&namespace, peer::guest(7));
    let new = peer::connect(&namespace, guest(7));
    peer::exchange(&old, &peer::pattern(4, 3000));
    peer::exchange(&new, &peer::pattern(6, 3000));
    drop((old, new));
    run.wait_for_stats("every pair of addresses should be forgotten", |stats| {
        stats.get("ipv6_pairs") == Some(&0)
    });
    run.stop().assert_code(0);
}

#[test]
fn datagrams_of_every_size_come_back() {
    let namespace = Namespace::new().unwrap();
    let run = echo(&namespace, "fd77::2/64");
    wait_for_ping(&namespace, "fd77::2");
    let socket = udp(&namespace, guest(7));
    let mut room = [0; 2048];
    for size in 0..=LARGEST {
        let bytes = peer::pattern(size as u64, size);
        socket.send(&bytes).unwrap();
        let count = socket
            .recv(&mut room)
            .unwrap_or_else(|error| panic!("{size} bytes: {error}"));
        peer::assert_same(&room[..count], &bytes);
    }
    run.stop().assert_code(0);
}

fn udp(namespace: &Namespace, to: SocketAddr) -> UdpSocket {
    namespace.enter(|| {
        let socket = UdpSocket::bind("[::]:0").unwrap();
        socket.connect(to).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket
    })
}

#[test]
fn closed_ports_are_answered_at_once() {
    let namespace = Namespace::new().unwrap();
    let run = echo(&namespace, "fd77::2/64");
    wait_for_ping(&namespace, "fd77::2");
    let refused = namespace
        .enter(|| TcpStream::connect_timeout(&guest(8), Duration::from_secs(5)))
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{refused}");
    let socket = udp(&namespace, guest(8));
    socket.send(b"anybody?").unwrap();
    let unreachable = socket.recv(&mut [0; 16]).unwrap_err();
    assert_eq!(unreachable.kind(), ErrorKind::ConnectionRefused, "{unreachable}");
    run.stop().assert_code(0);
}

/// Without `--ip`: nothing of IPv4 is answered, and the app is told the other address.
#[test]
fn it_may_be_all_that_is_spoken() {
    let namespace = Namespace::new().unwrap();
    namespace
        .ip(&format!("-6 address add {HOST6} dev {} nodad", Namespace::TAP))
        .unwrap();
    let run = Runner::new(artifacts::echo())
        .on_link(&namespace)
        .options(&["--ip6", "fd77::2/64"])
        .start();
    run.wait_for("echo: tcp and udp port 7 on fd77::2");
    wait_for_ping(&namespace, "fd77::2");
    let stream = peer::connect(&namespace, guest(7));
    peer::exchange_and_finish(stream, &peer::pattern(6, 10_000));
    let refused = namespace.enter(|| TcpStream::connect_timeout(&peer::guest(7), Duration::from_secs(1)));
    assert!(refused.is_err(), "nobody has an address of IPv4");
    run.stop().assert_code(0);
}

/// Over each card: what comes to a group has to be let in.
#[test]
fn it_is_found_over_every_card() {
    for card in ["e1000e", "e1000", "vmxnet3"] {
        let namespace = Namespace::new().unwrap();
        namespace
            .ip(&format!("-6 address add {HOST6} dev {} nodad", Namespace::TAP))
            .unwrap();
        let run = Runner::new(artifacts::echo())
            .on(&namespace)
            .options(&["--nic", card, "--ip6", "fd77::2/64"])
            .start();
        run.wait_for("echo: tcp and udp port 7");
        wait_for_ping(&namespace, "fd77::2");
        let stream = peer::connect(&namespace, guest(7));
        peer::exchange_and_finish(stream, &peer::pattern(7, 100_000));
        run.stop().assert_code(0);
    }
}
