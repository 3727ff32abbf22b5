//! The Linux side: clients that check what they get.

use crate::{GUEST, Namespace};
use socket2::{Domain, Protocol, Socket, Type};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The machine's address with a port.
#[must_use]
pub fn guest(port: u16) -> SocketAddr {
    SocketAddr::from((GUEST, port))
}

/// `len` bytes that repeat late and differ for each `seed`, so that misplaced ones show.
#[must_use]
pub fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Connects from `namespace`.
///
/// # Panics
/// If that fails.
#[must_use]
pub fn connect(namespace: &Namespace, address: SocketAddr) -> TcpStream {
    namespace.enter(|| open(address))
}

/// Connects from here.
///
/// # Panics
/// If that fails.
#[must_use]
pub fn open(address: SocketAddr) -> TcpStream {
    let socket = from_random_port(address);
    socket
        .connect_timeout(&address.into(), PATIENCE)
        .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a valid timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a valid timeout");
    stream.set_nodelay(true).expect("a TCP socket");
    stream
}

/// Bound to a port drawn at random. Those that Linux chooses follow each other, and some cores would often get none of flows
/// whose ports differ in so few bits.
fn from_random_port(peer: SocketAddr) -> Socket {
    let any: IpAddr = match peer {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    loop {
        let socket = Socket::new(Domain::for_address(peer), Type::STREAM, Some(Protocol::TCP));
        let socket = socket.expect("a TCP socket");
        let random = RandomState::new().build_hasher().finish();
        let port = u16::try_from(1024 + random % 64_000).expect("a port");
        match socket.bind(&SocketAddr::new(any, port).into()) {
            Ok(()) => return socket,
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            Err(error) => panic!("cannot bind port {port}: {error}"),
        }
    }
}

/// Sends `bytes` and reads as many back at the same time; fails unless they are the same.
///
/// # Panics
/// If they are not, or the connection breaks.
pub fn exchange(stream: &TcpStream, bytes: &[u8]) {
    let mut echoed = vec![0; bytes.len()];
    std::thread::scope(|scope| {
        scope.spawn(|| (&*stream).write_all(bytes).expect("the peer takes it"));
        (&*stream).read_exact(&mut echoed).expect("all of it comes back");
    });
    assert_same(&echoed, bytes);
}

/// Sends `bytes`, then FIN, and reads to the end; fails unless it gets the same.
///
/// # Panics
/// If it does not, or the connection breaks.
pub fn exchange_and_finish(mut stream: TcpStream, bytes: &[u8]) {
    let mut echoed = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (&stream).write_all(bytes).expect("the peer takes it");
            stream.shutdown(Shutdown::Write).expect("a connected socket");
        });
        (&stream).read_to_end(&mut echoed).expect("all of it comes back");
    });
    assert_same(&echoed, bytes);
    assert_eq!(stream.read(&mut [0]).expect("still at its end"), 0);
}

/// # Panics
/// If they differ; says where.
pub fn assert_same(got: &[u8], wanted: &[u8]) {
    if let Some(place) = got.iter().zip(wanted).position(|(a, b)| a != b) {
        panic!("byte {place} of {} differs", wanted.len());
    }
    assert_eq!(got.len(), wanted.len(), "bytes received");
}

/// A UDP socket in `namespace`, connected to `address`.
///
/// # Panics
/// If it cannot be made.
#[must_use]
pub fn udp(namespace: &Namespace, address: SocketAddr) -> UdpSocket {
    let socket = namespace.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port"));
    socket.connect(address).expect("an address");
    socket
        .set_read_timeout(Some(Duration::from_secs(2)))
        .expect("a valid timeout");
    socket
}

/// An ICMP socket in `namespace`, for [`ping`].
///
/// # Panics
/// If it cannot be made.
#[must_use]
pub fn icmp(namespace: &Namespace) -> Socket {
    let socket = namespace
        .enter(|| Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)).expect("root may have one"));
    socket
        .set_read_timeout(Some(Duration::from_secs(2)))
        .expect("a valid timeout");
    socket
}

/// A socket in `namespace` that sees every frame of this Ethernet protocol that comes out of a machine.
///
/// # Panics
/// If it cannot be made.
#[must_use]
pub fn frames(namespace: &Namespace, protocol: u16) -> Socket {
    let protocol = Protocol::from(i32::from(protocol.to_be()));
    let socket = namespace
        .enter(|| Socket::new(Domain::PACKET, Type::RAW, Some(protocol)).expect("root may have one"));
    socket
        .set_read_timeout(Some(Duration::from_millis(100)))
        .expect("a valid timeout");
    socket
}

/// One echo request to `address` with `payload`; fails unless the reply carries the same (RFC 792).
///
/// # Panics
/// If there is no reply within two seconds, or another payload.
pub fn ping(socket: &Socket, address: Ipv4Addr, sequence: u16, payload: &[u8]) {
    let request = echo_request(sequence, payload);
    socket
        .send_to(&request, &SocketAddr::from((address, 0)).into())
        .expect("it can be sent");
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        let mut room = [0; 10_000];
        let count = (&mut &*socket).read(&mut room).expect("a reply");
        let icmp = &room[usize::from(room[0] & 15) * 4..count];
        if icmp[0] == 0 && icmp[4..8] == request[4..8] {
            assert_same(&icmp[8..], payload);
            assert_eq!(checksum(icmp), 0, "checksum of the reply");
            return;
        }
    }
    panic!("no reply to {} bytes", payload.len());
}

/// Type 8, identifier 0x1c1d.
fn echo_request(sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![8, 0, 0, 0, 0x1c, 0x1d];
    packet.extend(sequence.to_be_bytes());
    packet.extend(payload);
    let sum = checksum(&packet);
    packet[2..4].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded).expect("folded twice")
}
