//! Connects to `ADDRESS:PORT` from each core, several times, and expects to be echoed: answers must come to the core that
//! asked. A thread of no core computes meanwhile.

use libix::{Error, Flow, Handler, Io, RecvBuf, Status};
use std::net::SocketAddr;

const CONNECTIONS: usize = 8;

struct Dial {
    core: u16,
    remote: SocketAddr,
    echoed: usize,
}

impl Dial {
    fn text(&self) -> Vec<u8> {
        format!("from core {}", self.core).into_bytes()
    }
}

impl Handler for Dial {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        for _ in 0..CONNECTIONS {
            let flow = io.connect(self.remote)?;
            io.send(flow, self.text())?;
        }
        Ok(())
    }

    fn on_connected(&mut self, _: &mut Io, _: Flow, result: Result<(), Status>) {
        result.expect("somebody answers");
    }

    fn on_recv(&mut self, io: &mut Io, flow: Flow, data: RecvBuf) {
        assert_eq!(*data, *self.text());
        io.close(flow).expect("it is open");
        self.echoed += 1;
        if self.echoed == CONNECTIONS {
            println!("core {} was answered", self.core);
            io.stop();
        }
    }
}

fn main() {
    let remote: SocketAddr = std::env::args().nth(1).unwrap().parse().unwrap();
    std::thread::spawn(|| {
        loop {
            std::hint::spin_loop();
        }
    });
    let dial = |core| Dial {
        core,
        remote,
        echoed: 0,
    };
    libix::run_on(libix::cores(), dial).expect("a dataplane");
    println!("all were answered");
}
