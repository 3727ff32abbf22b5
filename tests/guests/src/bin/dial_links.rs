//! Goes through its arguments: to `tcp=ADDRESS:PORT` it connects, to `udp=ADDRESS:PORT` it sends a datagram, and expects to be
//! echoed; to `none=ADDRESS:PORT` no way leads. It says what links there are.

use libix::{Error, Flow, Handler, Io, RecvBuf, Status, UdpPort};
use std::net::SocketAddr;

const TEXT: &[u8] = b"over whichever link leads there";

#[derive(Default)]
struct Dial {
    tcp: Vec<SocketAddr>,
    udp: Vec<SocketAddr>,
    none: Vec<SocketAddr>,
    open: usize,
}

impl Dial {
    fn one_less(&mut self, io: &mut Io) {
        self.open -= 1;
        if self.open == 0 {
            println!("all were answered");
            io.stop();
        }
    }
}

impl Handler for Dial {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        for (number, link) in io.links().enumerate() {
            println!("link {number}: {:?}", link.v4);
        }
        let port = io.udp_bind(0)?;
        for peer in &self.tcp {
            let flow = io.connect(*peer)?;
            io.send(flow, TEXT)?;
        }
        for peer in self.udp.iter().chain(&self.none) {
            io.udp_send(port, *peer, TEXT);
        }
        for nobody in &self.none {
            let refused = io.connect(*nobody).map(drop);
            assert_eq!(refused, Err(Status::Unreachable), "{nobody}");
        }
        self.open = self.tcp.len() + self.udp.len() + self.none.len();
        Ok(())
    }

    fn on_connected(&mut self, _: &mut Io, _: Flow, result: Result<(), Status>) {
        result.expect("somebody answers");
    }

    fn on_recv(&mut self, io: &mut Io, flow: Flow, data: RecvBuf) {
        assert_eq!(&*data, TEXT);
        io.close(flow).expect("it is open");
    }

    fn on_dead(&mut self, io: &mut Io, _: Flow, reason: Result<(), Status>) {
        reason.expect("it ends in order");
        self.one_less(io);
    }

    fn on_udp(&mut self, io: &mut Io, _: UdpPort, peer: SocketAddr, data: RecvBuf) {
        assert_eq!(&*data, TEXT);
        assert!(self.udp.contains(&peer), "{peer} was not asked");
        self.one_less(io);
    }

    fn on_udp_sent(&mut self, io: &mut Io, _: UdpPort, result: Result<(), Status>) {
        if let Err(error) = result {
            assert_eq!(error, Status::Unreachable);
            self.one_less(io);
        }
    }
}

fn main() -> Result<(), Error> {
    let mut dial = Dial::default();
    for word in std::env::args().skip(1) {
        let (kind, address) = word.split_once('=').expect("KIND=ADDRESS:PORT");
        let address = address.parse().expect("an address");
        match kind {
            "tcp" => dial.tcp.push(address),
            "udp" => dial.udp.push(address),
            "none" => dial.none.push(address),
            _ => panic!("{word} is neither tcp, udp nor none"),
        }
    }
    libix::run(&mut dial)
}
