//! What libix' API does on several cores, told line by line. `api.rs` has it run on Ixion and on Linux, and compares.
//!
//! Arguments: how many cores, and the address of a peer that echoes at port 9001.

use libix::{Error, Flow, Handler, Io, RecvBuf, Status, Waker};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, OnceLock};

const ECHO: u16 = 9001;
const OWN: u16 = 7800;

/// What all cores have in common.
struct Together {
    cores: u16,
    echo: SocketAddr,
    done: AtomicU16,
    wakers: Vec<OnceLock<Waker>>,
    lines: Mutex<Vec<String>>,
}

struct Tour<'a> {
    core: u16,
    together: &'a Together,
    flow: Option<Flow>,
    echoed: Vec<u8>,
}

impl Tour<'_> {
    fn say(&self, what: impl core::fmt::Debug) {
        let line = format!("core {}: {what:?}", self.core);
        self.together.lines.lock().expect("no panic").push(line);
    }
}

impl Handler for Tour<'_> {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        let place = &self.together.wakers[usize::from(self.core)];
        assert!(place.set(io.waker()).is_ok(), "one loop a core");
        let listens = [io.listen(OWN).err(), io.listen(OWN).err()];
        let binds = [io.udp_bind(OWN).err(), io.udp_bind(OWN).err()];
        self.say((io.core(), listens, binds));
        Ok(())
    }

    fn on_ready(&mut self, io: &mut Io) {
        let flow = io.connect(self.together.echo).expect("a way to the peer");
        io.send(flow, format!("this is core {}", self.core))
            .expect("an open flow");
        self.flow = Some(flow);
    }

    fn on_recv(&mut self, io: &mut Io, flow: Flow, data: RecvBuf) {
        assert_eq!(Some(flow), self.flow, "a connection of this core's");
        self.echoed.extend_from_slice(&data);
        if self.echoed.len() == 14 {
            io.close(flow).expect("an open flow");
        }
    }

    fn on_dead(&mut self, _: &mut Io, _: Flow, reason: Result<(), Status>) {
        self.say((String::from_utf8_lossy(&self.echoed), reason));
        if self.together.done.fetch_add(1, Ordering::SeqCst) + 1 == self.together.cores {
            let wakers = self.together.wakers.iter().filter_map(OnceLock::get);
            wakers.for_each(Waker::wake);
        }
    }

    fn on_turn(&mut self, io: &mut Io) {
        if self.together.done.load(Ordering::SeqCst) == self.together.cores {
            io.stop();
        }
    }
}

fn main() {
    let mut words = std::env::args().skip(1);
    let cores = words.next().and_then(|word| word.parse().ok()).expect("a number");
    let peer = words
        .next()
        .and_then(|word| word.parse().ok())
        .expect("an address");
    let together = Together {
        cores,
        echo: SocketAddr::new(peer, ECHO),
        done: AtomicU16::new(0),
        wakers: (0..cores).map(|_| OnceLock::new()).collect(),
        lines: Mutex::default(),
    };
    let tour = |core| Tour {
        core,
        together: &together,
        flow: None,
        echoed: Vec::new(),
    };
    println!("run: {:?}", libix::run_on(cores, tour));
    let mut lines = together.lines.into_inner().expect("no panic");
    lines.sort();
    println!("{}", lines.join("\n"));
}
