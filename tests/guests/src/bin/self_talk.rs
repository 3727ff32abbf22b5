//! Talks to itself: every core echoes at port 7, and is a client of that at each of the machine's own addresses, over TCP and UDP.
//!
//! Arguments: how many cores, and the addresses.

use libix::{Datagram, Error, Flow, Handler, Io, RecvBuf, Status, UdpPort, Waker};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

const ECHO: u16 = 7;
const CLIENT: u16 = 9;
const BYTES: usize = 300_000;

/// What all cores have in common.
struct Together {
    addresses: Vec<IpAddr>,
    /// Streams and datagrams that have not come back yet.
    left: AtomicUsize,
    wakers: Vec<OnceLock<Waker>>,
}

struct Talk<'a> {
    core: u16,
    together: &'a Together,
    /// What has come back over the connections of this core's client.
    echoed: HashMap<Flow, Vec<u8>>,
    ports: Vec<UdpPort>,
}

fn pattern(core: u16) -> Vec<u8> {
    (0..BYTES)
        .map(|i| (i * 31 + i / 251 + usize::from(core)).to_le_bytes()[0])
        .collect()
}

impl Talk<'_> {
    /// One more is back.
    fn done(&self) {
        if self.together.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            let wakers = self.together.wakers.iter().filter_map(OnceLock::get);
            wakers.for_each(Waker::wake);
        }
    }
}

impl Handler for Talk<'_> {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        let place = &self.together.wakers[usize::from(self.core)];
        assert!(place.set(io.waker()).is_ok(), "one loop a core");
        io.listen(ECHO)?;
        self.ports = vec![io.udp_bind(ECHO)?, io.udp_bind(CLIENT)?];
        Ok(())
    }

    fn on_ready(&mut self, io: &mut Io) {
        for address in &self.together.addresses {
            let peer = SocketAddr::new(*address, ECHO);
            let flow = io.connect(peer).expect("a way to ourselves");
            io.send(flow, pattern(self.core)).expect("an open flow");
            self.echoed.insert(flow, Vec::new());
            io.udp_send(self.ports[1], peer, vec![7; 1000]);
        }
    }

    fn on_recv(&mut self, io: &mut Io, flow: Flow, data: RecvBuf) {
        let Some(echoed) = self.echoed.get_mut(&flow) else {
            io.send(flow, data.to_vec()).expect("an open flow");
            return;
        };
        echoed.extend_from_slice(&data);
        if echoed.len() == BYTES {
            assert!(*echoed == pattern(self.core), "the same bytes");
            io.close(flow).expect("an open flow");
        }
    }

    fn on_dead(&mut self, _: &mut Io, flow: Flow, reason: Result<(), Status>) {
        assert_eq!(reason, Ok(()));
        if let Some(echoed) = self.echoed.remove(&flow) {
            assert_eq!(echoed.len(), BYTES);
            self.done();
        }
    }

    fn on_udp(&mut self, io: &mut Io, port: UdpPort, peer: SocketAddr, data: RecvBuf) {
        assert_eq!(*data, [7; 1000]);
        if port == self.ports[0] {
            io.udp_send(port, peer, data.to_vec());
        } else {
            self.done();
        }
    }

    fn on_datagram_sent(&mut self, _: &mut Io, _: UdpPort, _: Datagram, result: Result<(), Status>) {
        assert_eq!(result, Ok(()));
    }

    fn on_turn(&mut self, io: &mut Io) {
        if self.together.left.load(Ordering::SeqCst) == 0 {
            io.stop();
        }
    }
}

fn main() {
    let mut words = std::env::args().skip(1);
    let cores = words.next().and_then(|word| word.parse().ok()).expect("a number");
    let addresses: Vec<IpAddr> = words.map(|word| word.parse().expect("an address")).collect();
    let together = Together {
        left: AtomicUsize::new(2 * addresses.len() * usize::from(cores)),
        addresses,
        wakers: (0..cores).map(|_| OnceLock::new()).collect(),
    };
    let talk = |core| Talk {
        core,
        together: &together,
        echoed: HashMap::new(),
        ports: Vec::new(),
    };
    libix::run_on(cores, talk).expect("it runs");
    println!("all of it came back");
}
