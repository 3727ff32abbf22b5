use crate::{Namespace, peer};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

/// The largest payload of one frame: 1500 bytes less the IPv4 and the ICMP or UDP header.
const LARGEST: usize = 1472;

/// Every kind of traffic with an echo server; each byte that comes back is compared.
#[derive(Clone, Copy, Debug)]
pub struct Traffic<'a> {
    namespace: &'a Namespace,
    server: SocketAddr,
}

impl<'a> Traffic<'a> {
    /// How many datagrams [`Traffic::datagrams`] sends: one of each size that fits into a frame.
    pub const DATAGRAMS: usize = LARGEST + 1;

    /// From `namespace` to `server`.
    #[must_use]
    pub fn new(namespace: &'a Namespace, server: SocketAddr) -> Self {
        Traffic { namespace, server }
    }

    /// All of it.
    ///
    /// # Panics
    /// If an answer is missing, or wrong.
    pub fn all(self) {
        self.pings();
        self.datagrams();
        self.streams();
        self.connections(200);
    }

    /// Echo requests of many sizes.
    ///
    /// # Panics
    /// If an answer is missing, or wrong.
    pub fn pings(self) {
        let socket = peer::icmp(self.namespace);
        for size in (0..64).chain((64..LARGEST).step_by(61)).chain([LARGEST]) {
            let sequence = u16::try_from(size).expect("below 1500");
            let payload = peer::pattern(size as u64, size);
            peer::ping(&socket, self.address(), sequence, &payload);
        }
    }

    fn address(self) -> Ipv4Addr {
        match self.server.ip() {
            IpAddr::V4(address) => address,
            IpAddr::V6(address) => panic!("{address} is no IPv4 address"),
        }
    }

    /// Datagrams of every size that fits into a frame.
    ///
    /// # Panics
    /// If an answer is missing, or wrong.
    pub fn datagrams(self) {
        let socket = peer::udp(self.namespace, self.server);
        let mut room = [0; 2048];
        for size in 0..Self::DATAGRAMS {
            let bytes = peer::pattern(size as u64, size);
            socket.send(&bytes).expect("it can be sent");
            let count = socket
                .recv(&mut room)
                .unwrap_or_else(|error| panic!("{size} bytes: {error}"));
            peer::assert_same(&room[..count], &bytes);
        }
    }

    /// Connections one after another, each for one stream.
    ///
    /// # Panics
    /// If one breaks, or what comes back differs.
    pub fn streams(self) {
        for size in [1, 64, 1_447, 1_448, 1_449, 4_096, 65_536, 1 << 20] {
            let stream = peer::connect(self.namespace, self.server);
            peer::exchange_and_finish(stream, &peer::pattern(size as u64, size));
        }
    }

    /// So many connections at once, each for three requests.
    ///
    /// # Panics
    /// If one breaks, or what comes back differs.
    pub fn connections(self, count: u64) {
        let connect = |_| peer::connect(self.namespace, self.server);
        let streams: Vec<TcpStream> = (0..count).map(connect).collect();
        for round in 0..3_u64 {
            let request = |number: u64| peer::pattern(round << 32 | number, 700);
            for (number, stream) in (0..).zip(&streams) {
                (&*stream).write_all(&request(number)).expect("the peer takes it");
            }
            for (number, stream) in (0..).zip(&streams) {
                let mut echoed = [0; 700];
                (&*stream).read_exact(&mut echoed).expect("all of it comes back");
                peer::assert_same(&echoed, &request(number));
            }
        }
    }
}
