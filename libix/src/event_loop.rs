//! The loop: submit, wait, tell the handler.

use crate::arrays::{Arrays, Events};
use crate::flow::{FlowState, Output};
use crate::handler::{Answer, Knock};
use crate::io::Notice;
use crate::slab::Key;
use crate::{Datagram, Error, Flow, Frame, FramePort, Handler, Io, Listener, RecvBuf, Timer, UdpPort};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use ix_abi::app::{Endpoint, Event, EventKind, Opcode, Status};

/// Runs `handler` until it (or `ix`) stops the loop and every connection is closed.
///
/// # Errors
/// As [`EventLoop::new`]; whatever [`Handler::on_start`] returns.
pub fn run<H: Handler>(handler: &mut H) -> Result<(), Error> {
    let mut event_loop = EventLoop::new()?;
    handler.on_start(event_loop.io())?;
    handler.on_ready(event_loop.io());
    event_loop.run(handler)
}

/// The loop in parts, for an app with work of its own between turns.
pub struct EventLoop {
    io: Io,
    events: Events,
}

impl EventLoop {
    /// Makes the calling thread the dataplane thread of its core, and this the core's loop for as long as the program
    /// runs. On plain Linux the loop serves over sockets, and every thread may have as many as it likes; a port can be
    /// had once by each core, as on Ixion.
    ///
    /// # Errors
    /// `Busy` if another thread has the core, or a loop was made for it before; [`Error::Linux`].
    pub fn new() -> Result<Self, Error> {
        Self::on_core(0)
    }

    /// The same on another core of the dataplane's than the first: binds the calling thread to it. Flows keep to the core on
    /// which they began, and are spread over the cores that have a loop when the first socket is opened
    /// ([`crate::run_on`] waits for that).
    ///
    /// # Errors
    /// As [`EventLoop::new`]; `Invalid` if there is no such core.
    pub fn on_core(core: u16) -> Result<Self, Error> {
        Ok(Self::with(Arrays::set_up(core)?))
    }

    /// A loop on whatever plays the kernel's part.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn on(stand_in: Box<dyn crate::stand_in::StandIn>) -> Result<Self, Error> {
        Ok(Self::with(Arrays::on(stand_in)?))
    }

    fn with((arrays, events): (Arrays, Events)) -> Self {
        let io = Io::new(arrays);
        EventLoop { io, events }
    }

    /// What can be asked for outside the handler's methods as well.
    pub fn io(&mut self) -> &mut Io {
        &mut self.io
    }

    /// Turns until [`Io::stop`] has been called and every connection is closed.
    ///
    /// # Errors
    /// If the kernel refuses to go on.
    pub fn run<H: Handler>(&mut self, handler: &mut H) -> Result<(), Error> {
        while !self.is_finished() {
            let wait = handler.max_wait(&self.io);
            self.turn(handler, wait)?;
        }
        for key in self.io.flows.keys() {
            // Too late for anything else; a flow that died meanwhile needs none of it.
            let _ = self.io.abort(Flow(key));
        }
        self.io.submit(&mut self.events, Some(Duration::ZERO))?;
        Ok(())
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.io
            .stop_at
            .is_some_and(|at| self.io.flows.is_empty() || self.io.now() >= at)
    }

    /// When the time that connections have to close is over.
    #[cfg(feature = "testing")]
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.io.stop_at
    }

    /// One turn: submits what has been asked for, waits for something to happen (at most `wait`, or without limit), and
    /// calls `handler` for each event.
    ///
    /// # Errors
    /// If the kernel refuses to go on.
    pub fn turn<H: Handler>(&mut self, handler: &mut H, wait: Option<Duration>) -> Result<(), Error> {
        let count = self.io.submit(&mut self.events, wait)?;
        if !self.io.notices.is_empty() {
            tell_notices(&mut self.io, handler);
        }
        for place in 0..count {
            dispatch(&mut self.io, handler, self.events.get(place));
        }
        handler.on_turn(&mut self.io);
        Ok(())
    }
}

#[inline]
fn dispatch<H: Handler>(io: &mut Io, handler: &mut H, event: &Event) {
    match EventKind::from_u16(event.kind) {
        Some(EventKind::Recv) => on_recv(io, handler, event),
        Some(EventKind::Sent) => on_sent(io, handler, event),
        Some(EventKind::FrameRecv) => on_frame(io, handler, event),
        Some(EventKind::UdpRecv) => on_udp(io, handler, event),
        Some(EventKind::UdpSent) => on_udp_sent(io, handler, event),
        Some(EventKind::Knock) => on_knock(io, handler, event),
        Some(EventKind::Connected) => on_connected(io, handler, event),
        Some(EventKind::Eof) => on_eof(io, handler, event),
        Some(EventKind::Dead) => on_dead(io, handler, event),
        Some(EventKind::Timer) => handler.on_timer(io, Timer(event.handle)),
        Some(EventKind::UdpRefused) => {
            handler.on_udp_refused(io, UdpPort(event.handle), socket_address(event.endpoint));
        }
        Some(EventKind::Address) => {
            io.batch.set_local(event.endpoint);
            handler.on_local_ip(io, event.endpoint.ip());
        }
        Some(EventKind::Stop) => handler.on_stop(io),
        // A newer kernel's event that this library does not know.
        None => {}
    }
}

#[inline]
fn on_recv<H: Handler>(io: &mut Io, handler: &mut H, event: &Event) {
    let flow = Flow(Key::from_cookie(event.cookie));
    if io.flows.get(flow.0).is_none_or(FlowState::is_closed) {
        // Nobody wants it any more.
        drop(received(io, event, Opcode::TcpRecvDone));
    } else if let Some(data) = received(io, event, Opcode::TcpRecvDone) {
        handler.on_recv(io, flow, data);
    }
}

#[inline]
fn on_sent<H: Handler>(io: &mut Io, handler: &mut H, event: &Event) {
    let key = Key::from_cookie(event.cookie);
    let Some(state) = io.flows.get_mut(key) else {
        return;
    };
    let count = event.len as usize;
    let is_writable_again = state.acknowledge(count);
    if state.queue.waiting() > 0 {
        io.list(Flow(key));
    }
    handler.on_sent(io, Flow(key), count);
    if is_writable_again {
        tell_writable(io, handler, Flow(key));
    }
}

/// Unless the app has sent so much meanwhile, or closed it, that it is not.
fn tell_writable<H: Handler>(io: &mut Io, handler: &mut H, flow: Flow) {
    if io.is_writable(flow) {
        handler.on_writable(io, flow);
    }
}

#[inline]
fn on_frame<H: Handler>(io: &mut Io, handler: &mut H, event: &Event) {
    if let Some(received) = io.batch.received(event.address, event.len) {
        let frame = Frame::new(FramePort(event.handle), received, &io.returns);
        handler.on_frame(io, frame);
    }
}

#[inline]
fn on_udp<H: Handler>(io: &mut Io, handler: &mut H, event: &Event) {
    let Some(data) = received(io, event, Opcode::UdpRecvDone) else {
        return;
    };
    let peer = socket_address(event.endpoint);
    handler.on_udp(io, UdpPort(event.handle), peer, data);
}

#[inline]
fn on_udp_sent<H: Handler>(io: &mut Io, handler: &mut H, event: &Event) {
    let key = Key::from_cookie(event.cookie);
    if let Some((port, _)) = io.datagrams.remove(key) {
        let result = Status::check(event.result).map(drop);
        handler.on_datagram_sent(io, port, Datagram(key), result);
    }
}

fn on_knock<H: Handler>(io: &mut Io, handler: &mut H, event: &Event) {
    let listener = Listener(Key::from_cookie(event.cookie));
    if io.listeners.get(listener.0).is_none() {
        // It came in before the app stopped listening.
        io.reject(event.handle);
        return;
    }
    let flow = Flow(io.flows.insert(FlowState::new(event.handle, Output::Open)));
    let knock = Knock {
        listener,
        peer: socket_address(event.endpoint),
    };
    match handler.on_knock(io, flow, knock) {
        Answer::Accept => io.accept(flow.0, event.handle),
        Answer::Reject => {
            io.flows.remove(flow.0);
            io.reject(event.handle);
        }
    }
}

fn on_connected<H: Handler>(io: &mut Io, handler: &mut H, event: &Event) {
    let flow = Flow(Key::from_cookie(event.cookie));
    let Some(state) = io.flows.get_mut(flow.0) else {
        return;
    };
    let result = Status::check(event.result).map(drop);
    if result.is_err() {
        io.flows.remove(flow.0);
    } else if state.output == Output::Connecting {
        state.output = Output::Open;
        io.list(flow);
    }
    handler.on_connected(io, flow, result);
}

fn on_eof<H: Handler>(io: &mut Io, handler: &mut H, event: &Event) {
    let flow = Flow(Key::from_cookie(event.cookie));
    if let Some(state) = io.flows.get(flow.0)
        && !state.is_closed()
    {
        handler.on_eof(io, flow);
    }
}

fn on_dead<H: Handler>(io: &mut Io, handler: &mut H, event: &Event) {
    let flow = Flow(Key::from_cookie(event.cookie));
    if io.flows.remove(flow.0).is_some() {
        handler.on_dead(io, flow, Status::check(event.result).map(drop));
    }
}

#[cold]
fn tell_notices<H: Handler>(io: &mut Io, handler: &mut H) {
    for notice in core::mem::take(&mut io.notices) {
        match notice {
            Notice::Dead(flow, status) => handler.on_dead(io, flow, Err(status)),
            Notice::Writable(flow) => tell_writable(io, handler, flow),
            Notice::UdpSent(port, datagram, status) => {
                handler.on_datagram_sent(io, port, datagram, Err(status));
            }
        }
    }
}

/// The buffer an event lends. One outside the receive window, which no kernel of ours sends, is not looked at.
#[inline]
fn received(io: &Io, event: &Event, give_back: Opcode) -> Option<RecvBuf> {
    let received = io.batch.received(event.address, event.len)?;
    Some(RecvBuf::new(received, give_back, &io.returns))
}
#[inline]
fn socket_address(endpoint: Endpoint) -> SocketAddr {
    let ip = endpoint.ip().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    SocketAddr::new(ip, endpoint.port)
}
