use crate::types::{Address, Handler, code};
use core::ffi::c_int;
use core::net::SocketAddr;
use libix::{Answer, Error, Flow, Io, Knock, RecvBuf, Status, Timer, UdpPort};

/// Calls the functions that C has given.
pub(crate) struct Caller {
    pub(crate) c: Handler,
}

fn boxed(data: RecvBuf) -> *mut RecvBuf {
    Box::into_raw(Box::new(data))
}

impl libix::Handler for Caller {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        let Some(call) = self.c.on_start else {
            return Ok(());
        };
        // SAFETY: of the type that the header says, as are all below; the pointers are good during the call.
        let result: c_int = unsafe { call(self.c.context, io) };
        Status::check(result).map(drop).map_err(Error::Status)
    }

    fn on_knock(&mut self, io: &mut Io, flow: Flow, knock: Knock) -> Answer {
        let peer = Address::from(knock.peer);
        let accepted = match self.c.on_knock {
            // SAFETY: as above.
            Some(call) => unsafe { call(self.c.context, io, flow.to_bits(), &raw const peer) != 0 },
            None => true,
        };
        if accepted { Answer::Accept } else { Answer::Reject }
    }

    fn on_connected(&mut self, io: &mut Io, flow: Flow, result: Result<(), Status>) {
        if let Some(call) = self.c.on_connected {
            // SAFETY: as above.
            unsafe { call(self.c.context, io, flow.to_bits(), code(result)) };
        }
    }

    fn on_recv(&mut self, io: &mut Io, flow: Flow, data: RecvBuf) {
        if let Some(call) = self.c.on_recv {
            // SAFETY: as above; the buffer is C's from now on.
            unsafe { call(self.c.context, io, flow.to_bits(), boxed(data)) };
        }
    }

    fn on_sent(&mut self, io: &mut Io, flow: Flow, count: usize) {
        if let Some(call) = self.c.on_sent {
            // SAFETY: as above.
            unsafe { call(self.c.context, io, flow.to_bits(), count) };
        }
    }

    fn on_eof(&mut self, io: &mut Io, flow: Flow) {
        match self.c.on_eof {
            // SAFETY: as above.
            Some(call) => unsafe { call(self.c.context, io, flow.to_bits()) },
            // An error says that the flow is closed already.
            None => drop(io.close(flow)),
        }
    }

    fn on_dead(&mut self, io: &mut Io, flow: Flow, reason: Result<(), Status>) {
        if let Some(call) = self.c.on_dead {
            // SAFETY: as above.
            unsafe { call(self.c.context, io, flow.to_bits(), code(reason)) };
        }
    }

    fn on_udp(&mut self, io: &mut Io, port: UdpPort, peer: SocketAddr, data: RecvBuf) {
        if let Some(call) = self.c.on_udp {
            let peer = Address::from(peer);
            // SAFETY: as above; the buffer is C's from now on.
            unsafe { call(self.c.context, io, port.to_bits(), &raw const peer, boxed(data)) };
        }
    }

    fn on_udp_sent(&mut self, io: &mut Io, port: UdpPort, result: Result<(), Status>) {
        if let Some(call) = self.c.on_udp_sent {
            // SAFETY: as above.
            unsafe { call(self.c.context, io, port.to_bits(), code(result)) };
        }
    }

    fn on_timer(&mut self, io: &mut Io, timer: Timer) {
        if let Some(call) = self.c.on_timer {
            // SAFETY: as above.
            unsafe { call(self.c.context, io, timer.to_bits()) };
        }
    }

    fn on_stop(&mut self, io: &mut Io) {
        match self.c.on_stop {
            // SAFETY: as above.
            Some(call) => unsafe { call(self.c.context, io) },
            None => io.stop(),
        }
    }
}
