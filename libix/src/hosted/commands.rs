//! Command array to sockets. Each command is copied once and checked as the kernel checks it; a bad one gets its error, and
//! the rest of the batch runs.

use super::deadlines::Due;
use super::flow::{Flow, Stage};
use super::pool::Owner;
use super::port::Port;
use super::{AppTimer, Hosted, Listener, Object, errors, handle, key, sockets, sys};
use crate::slab::Key;
use crate::stand_in::sg_entries;
use core::time::Duration;
use ix_abi::app::{
    Command, CongestionControl, Endpoint, Event, EventKind, FlowOption, Handle, HandleKind, MAX_SG_ENTRIES,
    Opcode, SgEntry, Status,
};
use mio::Interest;
use mio::unix::SourceFd;
use socket2::{SockRef, Socket, TcpKeepalive};
use std::os::fd::AsRawFd;

/// Backlog of a listener that names none.
const DEFAULT_BACKLOG: u32 = 1024;

/// How long a closed flow waits for its peer's FIN.
const LINGER_NS: u64 = 60_000_000_000;

/// Keepalive probes: the time between them, and how many may go unanswered.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(75);
const KEEPALIVE_PROBES: u32 = 9;

/// What a command leaves behind.
enum Done {
    Value(usize),
    Made(Handle),
}

impl Hosted {
    /// Carries out the first `count` commands of the array.
    ///
    /// # Safety
    /// Libix is inside `run_io`, and what the commands name is readable.
    #[allow(unsafe_code, reason = "the arrays are shared by address")]
    pub(super) unsafe fn submit(&mut self, count: usize) {
        for place in 0..count {
            // SAFETY: the caller's promise.
            let command = unsafe { self.memory.command(place) };
            // SAFETY: as above.
            let (result, made) = match unsafe { self.execute(&command) } {
                Ok(Done::Value(value)) => (i32::try_from(value).unwrap_or(i32::MAX), None),
                Ok(Done::Made(made)) => (0, Some(made)),
                Err(status) => (status.negated(), None),
            };
            // SAFETY: as above.
            unsafe { self.memory.answer(place, result, made) };
        }
    }

    /// # Safety
    /// What the command names is readable.
    #[allow(unsafe_code, reason = "app memory is named by address")]
    unsafe fn execute(&mut self, command: &Command) -> Result<Done, Status> {
        let opcode = Opcode::from_u16(command.opcode).ok_or(Status::NoSuchCall)?;
        let legal_flags = if opcode == Opcode::TcpClose {
            Command::ABORT
        } else {
            0
        };
        if command.flags & !legal_flags != 0 {
            return Err(Status::Invalid);
        }
        let one = [SgEntry {
            address: command.address,
            len: command.len,
        }];
        match opcode {
            Opcode::TcpSend => self.tcp_send(command, &one),
            Opcode::UdpSend => self.udp_send(command, &one),
            Opcode::TcpSendv | Opcode::UdpSendv => {
                if command.len > MAX_SG_ENTRIES as u64 {
                    return Err(Status::Invalid);
                }
                // SAFETY: the caller's promise, and no more than there may be.
                let spans = unsafe { sg_entries(command) };
                if opcode == Opcode::TcpSendv {
                    self.tcp_send(command, spans)
                } else {
                    self.udp_send(command, spans)
                }
            }
            Opcode::TcpConnect => {
                let from = match command.address {
                    0 => Endpoint::UNSPECIFIED,
                    // SAFETY: the caller's promise.
                    address => unsafe { (address as *const Endpoint).read() },
                };
                self.tcp_connect(command, from)
            }
            _ => self.execute_safe(opcode, command),
        }
    }

    fn execute_safe(&mut self, opcode: Opcode, command: &Command) -> Result<Done, Status> {
        match opcode {
            Opcode::TcpRecvDone | Opcode::UdpRecvDone => self.recv_done(command)?,
            Opcode::TcpAccept => self.tcp_accept(command)?,
            Opcode::TcpReject => self.tcp_reject(command)?,
            Opcode::TcpClose => self.tcp_close(command)?,
            Opcode::TcpShutdown => {
                let (flow, key) = self.open_flow(command)?;
                flow.shutdown()?;
                self.arrange_look(key);
            }
            Opcode::TcpKeepalive => {
                let (flow, _) = self.open_flow(command)?;
                set_keepalive(&flow.socket, command.len)?;
            }
            Opcode::TcpSetOption => {
                let (flow, _) = self.open_flow(command)?;
                set_option(&flow.socket, command)?;
            }
            Opcode::TcpListen => return self.tcp_listen(command),
            Opcode::TcpUnlisten => self.tcp_unlisten(command)?,
            Opcode::UdpBind => return self.udp_bind(command),
            Opcode::UdpUnbind => {
                let key = id(command, HandleKind::Udp)?;
                let port = self.ports.remove(key).ok_or(Status::BadHandle)?;
                self.deregister(&port.socket);
            }
            Opcode::UdpJoin | Opcode::UdpLeave => self.set_membership(opcode, command)?,
            Opcode::TimerStart => {
                let due_ns = Self::now_ns().saturating_add(command.len);
                let cookie = command.cookie;
                let key = self.timers.insert(AppTimer { cookie, due_ns });
                self.deadlines.add(due_ns, Due::Timer(key));
                return Ok(Done::Made(handle(HandleKind::Timer, key)));
            }
            Opcode::TimerCancel => {
                let key = id(command, HandleKind::Timer)?;
                let timer = self.timers.remove(key).ok_or(Status::BadHandle)?;
                self.deadlines.cancel(timer.due_ns, Due::Timer(key));
            }
            // Linux forwards, or somebody with a packet socket does.
            Opcode::FrameBind | Opcode::FrameUnbind | Opcode::FrameForward | Opcode::FrameDone => {
                return Err(Status::NotSupported);
            }
            _ => {}
        }
        Ok(Done::Value(0))
    }

    /// Has epoll watch `socket`.
    fn register(&self, socket: &Socket, object: Object, interest: Interest) -> Result<(), Status> {
        self.poll
            .registry()
            .register(&mut SourceFd(&socket.as_raw_fd()), object.token(), interest)
            .map_err(|error| errors::status(&error))
    }

    fn deregister(&self, socket: &Socket) {
        // Closing it does as much; it fails only of one that is not watched.
        let _ = self
            .poll
            .registry()
            .deregister(&mut SourceFd(&socket.as_raw_fd()));
    }

    fn flow(&mut self, command: &Command) -> Result<(&mut Flow, Key), Status> {
        let key = id(command, HandleKind::Flow)?;
        let flow = self.flows.get_mut(key).ok_or(Status::BadHandle)?;
        Ok((flow, key))
    }

    /// One that the app has opened or accepted.
    fn open_flow(&mut self, command: &Command) -> Result<(&mut Flow, Key), Status> {
        let (flow, key) = self.flow(command)?;
        if flow.stage == Stage::Offered {
            return Err(Status::BadHandle);
        }
        Ok((flow, key))
    }

    fn tcp_send(&mut self, command: &Command, spans: &[SgEntry]) -> Result<Done, Status> {
        let (flow, key) = self.open_flow(command)?;
        let sent = flow.send(spans);
        match sent {
            Ok(_) => self.arrange_look(key),
            Err(_) => self.make_ready(Object::Flow(key)),
        }
        sent.map(Done::Value)
    }

    fn tcp_connect(&mut self, command: &Command, from: Endpoint) -> Result<Done, Status> {
        let remote = command.endpoint.socket_address().ok_or(Status::Invalid)?;
        let (socket, failure) = sockets::connect(remote, from)?;
        let mut flow = Flow::new(socket, Stage::Connecting, command.cookie);
        if let Some(status) = failure {
            flow.give_up(status);
        }
        let key = self.flows.insert(flow);
        self.watch_flow(key)?;
        if failure.is_some() {
            self.make_ready(Object::Flow(key));
        }
        Ok(Done::Made(handle(HandleKind::Flow, key)))
    }

    fn watch_flow(&mut self, key: Key) -> Result<(), Status> {
        let flow = self.flows.get(key).ok_or(Status::BadHandle)?;
        let watched = self.register(
            &flow.socket,
            Object::Flow(key),
            Interest::READABLE | Interest::WRITABLE,
        );
        if watched.is_err() {
            self.remove_flow(key);
        }
        watched
    }

    fn tcp_accept(&mut self, command: &Command) -> Result<(), Status> {
        let (flow, key) = self.flow(command)?;
        if flow.stage != Stage::Offered {
            return Err(Status::BadHandle);
        }
        flow.stage = Stage::Open;
        flow.cookie = command.cookie;
        self.watch_flow(key)
    }

    fn tcp_reject(&mut self, command: &Command) -> Result<(), Status> {
        let (flow, key) = self.flow(command)?;
        if flow.stage != Stage::Offered {
            return Err(Status::BadHandle);
        }
        flow.reset_at_close();
        self.remove_flow(key);
        Ok(())
    }

    fn tcp_close(&mut self, command: &Command) -> Result<(), Status> {
        let (flow, key) = self.flow(command)?;
        if flow.stage == Stage::Offered {
            return self.tcp_reject(command);
        }
        if command.flags & Command::ABORT != 0 || flow.stage == Stage::Connecting {
            flow.reset_at_close();
            let kind = if flow.stage == Stage::Connecting {
                EventKind::Connected
            } else {
                EventKind::Dead
            };
            let event = Event {
                kind: kind as u16,
                result: Status::Aborted.negated(),
                handle: command.handle,
                cookie: flow.cookie,
                ..Event::default()
            };
            self.remove_flow(key);
            self.told.push_back(event);
            return Ok(());
        }
        flow.close()?;
        self.arrange_linger(key);
        self.make_ready(Object::Flow(key));
        Ok(())
    }

    /// Bounds how long a closed flow waits for its peer.
    pub(super) fn arrange_linger(&mut self, key: Key) {
        if let Some(flow) = self.flows.get_mut(key) {
            let at = Self::now_ns().saturating_add(LINGER_NS);
            flow.linger_due = Some(at);
            self.deadlines.add(at, Due::Linger(key));
        }
    }

    fn recv_done(&mut self, command: &Command) -> Result<(), Status> {
        let (owner, bytes) = self.pool.take_back(command.address).ok_or(Status::Invalid)?;
        let object = match owner {
            Owner::Flow(key) => {
                if let Some(flow) = self.flows.get_mut(key) {
                    flow.give_back(bytes as usize);
                }
                Object::Flow(key)
            }
            Owner::Port(key) => {
                if let Some(port) = self.ports.get_mut(key) {
                    port.give_back(bytes as usize);
                }
                Object::Port(key)
            }
        };
        self.make_ready(object);
        self.feed();
        Ok(())
    }

    fn tcp_listen(&mut self, command: &Command) -> Result<Done, Status> {
        let backlog = match u32::try_from(command.len) {
            Ok(0) => DEFAULT_BACKLOG,
            Ok(backlog) => backlog,
            Err(_) => u32::MAX,
        };
        let (socket, claim) = sockets::listen(command.endpoint, backlog, self.core)?;
        let key = self.listeners.insert(Listener {
            socket,
            _claim: claim,
            cookie: command.cookie,
            queued: false,
        });
        let watched = match self.listeners.get(key) {
            Some(listener) => self.register(&listener.socket, Object::Listener(key), Interest::READABLE),
            None => Err(Status::BadHandle),
        };
        if let Err(status) = watched {
            self.listeners.remove(key);
            return Err(status);
        }
        Ok(Done::Made(handle(HandleKind::Listener, key)))
    }

    fn tcp_unlisten(&mut self, command: &Command) -> Result<(), Status> {
        let key = id(command, HandleKind::Listener)?;
        let listener = self.listeners.remove(key).ok_or(Status::BadHandle)?;
        self.deregister(&listener.socket);
        for offered in self.flows.keys() {
            if let Some(flow) = self.flows.get(offered)
                && flow.stage == Stage::Offered
                && flow.listener == Some(key)
            {
                flow.reset_at_close();
                self.remove_flow(offered);
            }
        }
        Ok(())
    }

    fn udp_bind(&mut self, command: &Command) -> Result<Done, Status> {
        let (socket, version, claim) = sockets::bind_udp(command.endpoint, self.core)?;
        let port = Port::new(socket, version, claim, command.cookie);
        let key = self.ports.insert(port);
        let watched = match self.ports.get(key) {
            Some(port) => self.register(&port.socket, Object::Port(key), Interest::READABLE),
            None => Err(Status::BadHandle),
        };
        if let Err(status) = watched {
            self.ports.remove(key);
            return Err(status);
        }
        Ok(Done::Made(handle(HandleKind::Udp, key)))
    }

    fn udp_send(&mut self, command: &Command, spans: &[SgEntry]) -> Result<Done, Status> {
        let port_key = id(command, HandleKind::Udp)?;
        let port = self.ports.get(port_key).ok_or(Status::BadHandle)?;
        let remote = command.endpoint.socket_address().ok_or(Status::Invalid)?;
        let to = port.version.to_linux(remote).into();
        // The error of an earlier datagram is told once, in place of sending; it stands in the queue of errors, too.
        let sent = sys::send_to(&port.socket, spans, &to)
            .or_else(|error| match error.raw_os_error() {
                Some(libc::ECONNREFUSED | libc::EHOSTUNREACH) => sys::send_to(&port.socket, spans, &to),
                _ => Err(error),
            })
            .map_err(|error| errors::status(&error));
        sent?;
        self.told.push_back(Event {
            kind: EventKind::UdpSent as u16,
            handle: command.handle,
            cookie: command.cookie,
            ..Event::default()
        });
        Ok(Done::Value(0))
    }

    fn set_membership(&mut self, opcode: Opcode, command: &Command) -> Result<(), Status> {
        let key = id(command, HandleKind::Udp)?;
        let port = self.ports.get_mut(key).ok_or(Status::BadHandle)?;
        let group = command.endpoint.ip().ok_or(Status::Invalid)?;
        if !group.is_multicast() {
            return Err(Status::Invalid);
        }
        let joins = opcode == Opcode::UdpJoin;
        if port.groups.contains(&group) == joins {
            return if joins { Ok(()) } else { Err(Status::Invalid) };
        }
        sockets::set_membership(&port.socket, group, joins).map_err(|error| errors::status(&error))?;
        if joins {
            port.groups.insert(group);
        } else {
            port.groups.remove(&group);
        }
        Ok(())
    }
}

fn id(command: &Command, kind: HandleKind) -> Result<Key, Status> {
    if command.handle.is(kind) {
        Ok(key(command.handle))
    } else {
        Err(Status::BadHandle)
    }
}

fn set_keepalive(socket: &Socket, idle_ns: u64) -> Result<(), Status> {
    let socket = SockRef::from(socket);
    let set = if idle_ns == 0 {
        socket.set_keepalive(false)
    } else {
        // Linux counts in seconds.
        let idle = Duration::from_secs(idle_ns.div_ceil(1_000_000_000));
        let probes = TcpKeepalive::new()
            .with_time(idle)
            .with_interval(KEEPALIVE_INTERVAL.min(idle))
            .with_retries(KEEPALIVE_PROBES);
        socket.set_tcp_keepalive(&probes)
    };
    set.map_err(|error| errors::status(&error))
}

fn set_option(socket: &Socket, command: &Command) -> Result<(), Status> {
    let socket = SockRef::from(socket);
    let set = match FlowOption::from_u64(command.address).ok_or(Status::Invalid)? {
        FlowOption::CongestionControl => {
            let algorithm = CongestionControl::from_u64(command.len).ok_or(Status::Invalid)?;
            socket.set_tcp_congestion(match algorithm {
                CongestionControl::NewReno => b"reno",
                CongestionControl::Cubic => b"cubic",
                CongestionControl::Dctcp => b"dctcp",
            })
        }
        // To Linux the first is a matter of the whole host (`net.ipv4.tcp_ecn`), or of a route; the other needs a queueing
        // discipline (`fq`) to be kept.
        FlowOption::AskForEcn | FlowOption::Pacing => return Err(Status::NotSupported),
        FlowOption::UserTimeout => {
            let timeout = Duration::from_nanos(command.len);
            socket.set_tcp_user_timeout((command.len != 0).then(|| timeout.max(Duration::from_millis(1))))
        }
    };
    set.map_err(|error| errors::status(&error))
}
