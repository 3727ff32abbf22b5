//! An address from a DHCP server: dnsmasq's over a tap, and QEMU's own.

use ixion_tests::{Dnsmasq, Namespace, Run, Runner, artifacts, peer};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A range of one address.
const ONE: &str = "--dhcp-range=10.77.0.50,10.77.0.50,255.255.255.0,1h";
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 50);
/// Another, whose server refuses to renew the first.
const OTHER: &str = "--dhcp-range=10.77.0.60,10.77.0.60,255.255.255.0,1h";
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 60);
/// To be renewed every three seconds.
const SHORT: &str = "--dhcp-option=option:T1,3s";

fn start(namespace: &Namespace) -> Run {
    start_on("1", namespace)
}

fn start_on(cores: &str, namespace: &Namespace) -> Run {
    Runner::new(artifacts::echo())
        .on_link(namespace)
        .options(&["--ip", "dhcp", "--cores", cores])
        .start()
}

fn at(ip: Ipv4Addr) -> SocketAddr {
    (ip, 7).into()
}

#[test]
fn the_app_starts_with_the_address_a_server_gives() {
    let namespace = Namespace::new().unwrap();
    let _server = Dnsmasq::start(&namespace, &[ONE, "--dhcp-option=option:mtu,1400"]);
    let run = start(&namespace);
    run.wait_for("echo: tcp and udp port 7 on 10.77.0.50");
    let stream = peer::connect(&namespace, at(FIRST));
    peer::exchange_and_finish(stream, &peer::pattern(1, 100_000));
    let segment = namespace.enter(|| largest_segment(at(FIRST)));
    // Less the timestamps.
    assert_eq!(segment, 1400 - 40 - 12);
    assert_eq!((run.stat("rx_dhcp"), run.stat("rx_dhcp_ignored")), (2, 0));
    run.stop().assert_code(0);
}

/// What the other end says it takes, as Linux has understood it.
fn largest_segment(address: SocketAddr) -> u32 {
    use nix::sys::socket::{getsockopt, sockopt::TcpMaxSeg};
    let stream = TcpStream::connect(address).unwrap();
    getsockopt(&stream, TcpMaxSeg).unwrap()
}

#[test]
fn it_is_renewed_while_connections_go_on() {
    let namespace = Namespace::new().unwrap();
    let _server = Dnsmasq::start(&namespace, &[ONE, SHORT]);
    let run = start(&namespace);
    run.wait_for("on 10.77.0.50");
    let stream = peer::connect(&namespace, at(FIRST));
    peer::exchange(&stream, &peer::pattern(1, 3000));
    run.wait_for_stats("two renewals", |stats| stats["rx_dhcp"] >= 4);
    peer::exchange(&stream, &peer::pattern(2, 3000));
    assert_eq!(run.stat("tcp_address_lost"), 0);
    drop(stream);
    run.stop().assert_code(0);
}

#[test]
fn connections_end_with_an_address_that_is_taken_away() {
    let namespace = Namespace::new().unwrap();
    let server = Dnsmasq::start(&namespace, &[ONE, SHORT]);
    let run = start(&namespace);
    run.wait_for("on 10.77.0.50");
    let stream = peer::connect(&namespace, at(FIRST));
    peer::exchange(&stream, &peer::pattern(1, 3000));
    drop(server);
    let _server = Dnsmasq::start(&namespace, &[OTHER]);
    run.wait_for_stats("the connection should be gone", |stats| {
        stats["tcp_address_lost"] == 1
    });
    let stream = await_echo(&namespace);
    peer::exchange_and_finish(stream, &peer::pattern(2, 3000));
    run.stop().assert_code(0);
}

/// What listened goes on at the new address.
fn await_echo(namespace: &Namespace) -> TcpStream {
    let until = Instant::now() + Duration::from_secs(30);
    let connect = || TcpStream::connect_timeout(&at(SECOND), Duration::from_secs(1));
    loop {
        match namespace.enter(connect) {
            Ok(stream) => return stream,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
    }
}

#[test]
fn several_cores_have_one_address_and_lose_it_together() {
    let namespace = Namespace::of_queues().unwrap();
    let server = Dnsmasq::start(&namespace, &[ONE, SHORT]);
    let run = start_on("4", &namespace);
    run.wait_for("on 10.77.0.50");
    let connect = |ip| {
        (0..32)
            .map(|_| peer::connect(&namespace, at(ip)))
            .collect::<Vec<_>>()
    };
    let streams = connect(FIRST);
    for (number, stream) in (0..).zip(&streams) {
        peer::exchange(stream, &peer::pattern(number, 3000));
    }
    expect_flows_on_all(&run);
    drop(server);
    let _server = Dnsmasq::start(&namespace, &[OTHER]);
    run.wait_for_stats("all connections should be gone", |stats| {
        stats["tcp_address_lost"] == 32
    });
    drop(streams);
    await_echo(&namespace);
    let streams = connect(SECOND);
    for (number, stream) in (0..).zip(&streams) {
        peer::exchange(stream, &peer::pattern(number, 3000));
    }
    expect_flows_on_all(&run);
    run.stop().assert_code(0);
}

fn expect_flows_on_all(run: &Run) {
    let stats = run.stats();
    let flows = [0, 1, 2, 3].map(|core| stats[&format!("core{core}.flows")]);
    assert!(flows.iter().all(|&flows| flows > 0), "{flows:?}: {stats:#?}");
}

#[test]
fn without_a_server_it_says_so_and_ends() {
    let namespace = Namespace::new().unwrap();
    let ended = Runner::new(artifacts::echo())
        .on_link(&namespace)
        .options(&["--ip", "dhcp", "--kernel-arg", "dhcp-wait=1"])
        .finish();
    assert_ne!(ended.code, 0);
    ended.assert_logged("no DHCP server has given an address in 1s");
}

#[test]
fn it_can_be_stopped_while_it_waits() {
    let namespace = Namespace::new().unwrap();
    let run = start(&namespace);
    std::thread::sleep(Duration::from_secs(2));
    run.stop().assert_code(0);
}

#[test]
fn qemus_own_server_gives_the_address_that_forwards_lead_to() {
    let run = Runner::new(artifacts::echo())
        .options(&["--ip", "dhcp", "--forward", "127.0.0.1:38407:7"])
        .start();
    run.wait_for("on 10.0.2.15");
    let stream = peer::open(([127, 0, 0, 1], 38407).into());
    peer::exchange_and_finish(stream, &peer::pattern(3, 10_000));
    run.stop().assert_code(0);
}
