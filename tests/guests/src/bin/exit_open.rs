//! Exits as soon as somebody has sent something, with every connection open and an answer unsent.

use libix::{Error, Flow, Handler, Io, RecvBuf};

struct Rude;

impl Handler for Rude {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        io.listen(7)?;
        io.udp_bind(7)?;
        println!("listening");
        Ok(())
    }

    fn on_recv(&mut self, io: &mut Io, flow: Flow, data: RecvBuf) {
        // Never submitted.
        let _ = io.send(flow, data);
        std::process::exit(3);
    }
}

fn main() -> Result<(), Error> {
    libix::run(&mut Rude)
}
