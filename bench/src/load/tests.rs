//! The load generator against small servers on the loopback.

use super::open::{self, Offer, Offered};
use super::{Kind, Load, run};
use ::load::workload::Workload;
use std::io::{Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

fn load(kind: Kind, to: SocketAddr) -> Load {
    let SocketAddr::V4(to) = to else {
        unreachable!("bound to an IPv4 address")
    };
    Load {
        kind,
        to,
        connections: 3,
        busy: None,
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

/// One answer after another, each this long after the one before.
fn slow_echo(pause: Duration) -> SocketAddr {
    let listener = TcpListener::bind(SocketAddrV4::new([127, 0, 0, 1].into(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 64];
        while stream.read_exact(&mut buffer).is_ok() {
            std::thread::sleep(pause);
            if stream.write_all(&buffer).is_err() {
                return;
            }
        }
    });
    address
}

fn offered(to: SocketAddr, connections: usize, rate: f64) -> Offered {
    let SocketAddr::V4(to) = to else {
        unreachable!("bound to an IPv4 address")
    };
    let load = Offer {
        to,
        workload: &Workload::echo(64),
        connections,
        rate,
        warm_up: Duration::from_millis(50),
        window: Duration::from_millis(400),
        drain: Duration::from_millis(100),
        seed: 1,
    };
    open::offer(&load, || Ok(())).unwrap().0
}

#[test]
fn an_offered_load_is_sent_when_it_is_due_and_answered() {
    let Offered { row, carried_per_s } = offered(tcp_echo(), 3, 2_000.0);
    assert!((1_600.0..2_400.0).contains(&row.sent_per_s), "{row:?}");
    assert!(carried_per_s > 0.9 * row.sent_per_s, "{carried_per_s} of {row:?}");
    assert_eq!((row.unanswered, row.errors, row.misses), (0, 0, 0));
}

#[test]
fn a_server_that_cannot_keep_up_shows_in_what_it_carries_and_in_the_latencies() {
    // 500 a second at most, of 2000.
    let Offered { row, carried_per_s } = offered(slow_echo(Duration::from_millis(2)), 1, 2_000.0);
    assert!(
        row.sent_per_s > 1_600.0,
        "it does not wait for the server: {row:?}"
    );
    assert!(carried_per_s < 600.0, "{carried_per_s}");
    assert!(row.unanswered > 0 && row.p50_us > 100_000.0, "{row:?}");
}

#[test]
fn of_many_connections_the_busy_ones_change() {
    static REQUESTS: [AtomicU32; 3] = [const { AtomicU32::new(0) }; 3];
    let listener = TcpListener::bind(SocketAddrV4::new([127, 0, 0, 1].into(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for requests in &REQUESTS {
            let (mut stream, _) = listener.accept().unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0; 64];
                while stream.read_exact(&mut buffer).is_ok() && stream.write_all(&buffer).is_ok() {
                    requests.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let mut one_busy = load(Kind::Tcp, address);
    (one_busy.busy, one_busy.depth) = (Some(1), 1);
    let (outcome, ..) = run(&one_busy, || Ok(())).unwrap();
    assert_eq!((outcome.errors, outcome.lost), (0, 0));
    let requests = REQUESTS.each_ref().map(|count| count.load(Ordering::Relaxed));
    assert!(requests.iter().all(|&count| count > 0), "{requests:?}");
}
