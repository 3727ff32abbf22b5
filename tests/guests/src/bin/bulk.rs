//! One end of a bulk transfer on TCP port 5201, or that of its argument: takes all that comes, and to a peer that has said
//! nothing but `s` it sends without end.

use libix::{Error, Flow, Handler, Io, RecvBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Bytes of one send.
const PIECE: usize = 128 << 10;
/// Bytes that are kept queued.
const BACKLOG: usize = 8 * PIECE;

struct Bulk {
    port: u16,
    piece: Arc<[u8]>,
}

impl Bulk {
    fn fill(&self, io: &mut Io, flow: Flow) {
        while io.backlog(flow) < BACKLOG && io.send(flow, Arc::clone(&self.piece)).is_ok() {}
    }
}

impl Handler for Bulk {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        io.listen(self.port)?;
        println!("bulk: tcp port {}", self.port);
        Ok(())
    }

    fn on_recv(&mut self, io: &mut Io, flow: Flow, data: RecvBuf) {
        if *data == *b"s" {
            self.fill(io, flow);
        }
    }

    fn on_sent(&mut self, io: &mut Io, flow: Flow, _: usize) {
        self.fill(io, flow);
    }
}

fn main() -> ExitCode {
    let port = std::env::args().nth(1).map_or(Ok(5201), |word| word.parse());
    let Ok(port) = port else {
        eprintln!("bulk: its argument is a TCP port");
        return ExitCode::FAILURE;
    };
    let piece = vec![0; PIECE].into();
    match libix::run(&mut Bulk { port, piece }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bulk: {error}");
            ExitCode::FAILURE
        }
    }
}
