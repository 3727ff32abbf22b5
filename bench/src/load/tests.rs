//! The load generator against small servers on the loopback.

use super::{Kind, Load, run};
use std::io::{Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpListener, UdpSocket};
use std::time::Duration;

fn load(kind: Kind, to: SocketAddr) -> Load {
    let SocketAddr::V4(to) = to else {
        unreachable!("bound to an IPv4 address")
    };
    Load {
        kind,
        to,
        connections: 3,
        size: 64,
        depth: 2,
        window: Duration::from_millis(100),
        warm_up: Duration::from_millis(20),
    }
}

fn tcp_echo() -> SocketAddr {
    let listener = TcpListener::bind(SocketAddrV4::new([127, 0, 0, 1].into(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                // An odd size, so that answers come in pieces.
                let mut buffer = [0; 41];
                while let Ok(got @ 1..) = stream.read(&mut buffer) {
                    if stream.write_all(&buffer[..got]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn tcp_answers_are_counted() {
    let (outcome, before, after) = run(&load(Kind::Tcp, tcp_echo()), || Ok(1)).unwrap();
    assert_eq!((before, after), (1, 1));
    assert!(outcome.answered > 10, "{outcome:?}");
    assert_eq!(outcome.latency_ns.len(), outcome.answered);
    assert_eq!((outcome.errors, outcome.lost), (0, 0));
    assert!(outcome.latency_us(0.5) <= outcome.latency_us(0.99));
}

#[test]
fn connections_come_and_go() {
    let (outcome, ..) = run(&load(Kind::Connect, tcp_echo()), || Ok(())).unwrap();
    assert!(outcome.answered > 10, "{outcome:?}");
    assert_eq!(outcome.errors, 0);
}

#[test]
fn lost_datagrams_are_sent_again() {
    let server = UdpSocket::bind(SocketAddrV4::new([127, 0, 0, 1].into(), 0)).unwrap();
    let address = server.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        for number in 0u64.. {
            let (got, peer) = server.recv_from(&mut buffer).unwrap();
            if number % 50 != 49 {
                server.send_to(&buffer[..got], peer).unwrap();
            }
        }
    });
    let mut udp = load(Kind::Udp, address);
    udp.window = Duration::from_millis(900);
    let (outcome, ..) = run(&udp, || Ok(())).unwrap();
    assert!(outcome.lost > 0, "{outcome:?}");
    assert!(outcome.answered > 49, "{outcome:?}");
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    let gone = TcpListener::bind(SocketAddrV4::new([127, 0, 0, 1].into(), 0))
        .unwrap()
        .local_addr()
        .unwrap();
    let (outcome, ..) = run(&load(Kind::Connect, gone), || Ok(())).unwrap();
    assert_eq!(outcome.answered, 0);
    assert!(outcome.errors > 0);
}
