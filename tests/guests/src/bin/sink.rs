//! Takes every connection to port 7 and all that comes over it, says nothing, and never closes: what is heard of it is TCP's.

use libix::{Error, Flow, Handler, Io, RecvBuf};
use std::process::ExitCode;

struct Sink;

impl Handler for Sink {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        io.listen(7)?;
        println!("sink");
        Ok(())
    }

    fn on_recv(&mut self, _io: &mut Io, _flow: Flow, data: RecvBuf) {
        drop(data);
    }

    fn on_eof(&mut self, _io: &mut Io, _flow: Flow) {}
}

fn main() -> ExitCode {
    match libix::run(&mut Sink) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sink: {error}");
            ExitCode::FAILURE
        }
    }
}
