//! Commands to a host's stack, as the kernel carries them out (its `dataplane/commands.rs`), but for the checks of
//! addresses: the app is this very program.

use super::events::{handle, status};
use super::host::SimulatedHost;
use crate::stand_in::sg_entries;
use core::time::Duration;
use ix_abi::app::{
    Command, CongestionControl, Endpoint, FlowOption, Handle, HandleKind, MAX_SG_ENTRIES, Opcode,
    PACE_BY_WINDOW, SgEntry, Status,
};
use netstack::{Error, Id, Span, Stack};

/// What a command leaves behind.
enum Done {
    Value(u32),
    Made(HandleKind, Id),
}

impl SimulatedHost {
    /// Carries out the first `count` commands of the array.
    ///
    /// # Safety
    /// Libix is inside `run_io`, and what the commands name is readable.
    pub(super) unsafe fn submit(&mut self, count: usize) {
        for place in 0..count {
            // SAFETY: the caller's promise.
            let command = unsafe { self.memory.command(place) };
            // SAFETY: as above.
            let (result, made): (i32, Option<Handle>) = match unsafe { self.execute(&command) } {
                Ok(Done::Value(value)) => (i32::try_from(value).unwrap_or(i32::MAX), None),
                Ok(Done::Made(kind, id)) => (0, Some(handle(kind, id))),
                Err(status) => (status.negated(), None),
            };
            // SAFETY: as above.
            unsafe { self.memory.answer(place, result, made) };
        }
    }

    /// # Safety
    /// What the command names is readable.
    unsafe fn execute(&mut self, command: &Command) -> Result<Done, Status> {
        let opcode = Opcode::from_u16(command.opcode).ok_or(Status::NoSuchCall)?;
        let one = [SgEntry {
            address: command.address,
            len: command.len,
        }];
        match opcode {
            Opcode::TcpSend | Opcode::UdpSend => self.send(opcode, command, &one),
            Opcode::TcpSendv | Opcode::UdpSendv if command.len > MAX_SG_ENTRIES as u64 => {
                Err(Status::Invalid)
            }
            // SAFETY: the caller's promise, and no more than there may be.
            Opcode::TcpSendv | Opcode::UdpSendv => self.send(opcode, command, unsafe { sg_entries(command) }),
            Opcode::TcpConnect => {
                let from = match command.address {
                    0 => Endpoint::UNSPECIFIED,
                    // SAFETY: the caller's promise.
                    address => unsafe { (address as *const Endpoint).read() },
                };
                self.connect(command, from)
            }
            _ => self.execute_safe(opcode, command),
        }
    }

    fn send(&mut self, opcode: Opcode, command: &Command, entries: &[SgEntry]) -> Result<Done, Status> {
        let now = self.now_instant();
        let mut spans = Vec::with_capacity(entries.len());
        for entry in entries.iter().filter(|entry| entry.len > 0) {
            let len = u32::try_from(entry.len).map_err(|_| Status::Invalid)?;
            spans.push(Span {
                address: entry.address,
                len,
            });
        }
        let (stack, card) = (&mut self.stack, &mut self.card);
        if matches!(opcode, Opcode::TcpSend | Opcode::TcpSendv) {
            let flow = id(command, HandleKind::Flow)?;
            return stack
                .tcp_send(card, now, flow, &spans)
                .map(Done::Value)
                .map_err(status);
        }
        let socket = id(command, HandleKind::Udp)?;
        let remote = command.endpoint.socket_address().ok_or(Status::Invalid)?;
        stack
            .udp_send(card, now, socket, remote, &spans, command.cookie)
            .map(|()| Done::Value(0))
            .map_err(status)
    }

    fn connect(&mut self, command: &Command, from: Endpoint) -> Result<Done, Status> {
        let now = self.now_instant();
        let remote = command.endpoint.socket_address().ok_or(Status::Invalid)?;
        let port = (from.port != 0).then_some(from.port);
        let (stack, card) = (&mut self.stack, &mut self.card);
        stack
            .tcp_connect(card, now, remote, from.ip(), port, command.cookie)
            .map(|id| Done::Made(HandleKind::Flow, id))
            .map_err(status)
    }

    fn execute_safe(&mut self, opcode: Opcode, command: &Command) -> Result<Done, Status> {
        let now = self.now_instant();
        let (stack, card) = (&mut self.stack, &mut self.card);
        let cookie = command.cookie;
        let endpoint = command.endpoint;
        let flow = || id(command, HandleKind::Flow);
        let made = |kind, made: Result<Id, Error>| made.map(|id| Done::Made(kind, id)).map_err(status);
        let done: Result<(), Error> = match opcode {
            Opcode::Nop => Ok(()),
            Opcode::TcpRecvDone | Opcode::UdpRecvDone => {
                let buf = card.buffer_at(command.address).ok_or(Status::Fault)?;
                stack.rx_done(card, now, buf)
            }
            Opcode::TcpAccept => stack.tcp_accept(flow()?, cookie),
            Opcode::TcpReject => stack.tcp_reject(card, now, flow()?),
            Opcode::TcpClose if command.flags & Command::ABORT != 0 => stack.tcp_abort(card, now, flow()?),
            Opcode::TcpClose => stack.tcp_close(card, now, flow()?),
            Opcode::TcpShutdown => stack.tcp_shutdown(card, now, flow()?),
            Opcode::TcpKeepalive => stack.tcp_keepalive(now, flow()?, duration(command.len)),
            Opcode::TcpSetOption => set_option(stack, flow()?, command)?,
            Opcode::TcpUnlisten => stack.tcp_unlisten(card, now, id(command, HandleKind::Listener)?),
            Opcode::UdpUnbind => stack.udp_unbind(card, now, id(command, HandleKind::Udp)?),
            Opcode::UdpJoin => {
                let group = endpoint.ip().ok_or(Status::Invalid)?;
                stack.udp_join(now, id(command, HandleKind::Udp)?, group)
            }
            Opcode::UdpLeave => {
                let group = endpoint.ip().ok_or(Status::Invalid)?;
                stack.udp_leave(now, id(command, HandleKind::Udp)?, group)
            }
            Opcode::TimerCancel => stack.timer_cancel(id(command, HandleKind::Timer)?),
            Opcode::TcpListen => {
                let backlog = u32::try_from(command.len).unwrap_or(u32::MAX);
                let listener = stack.tcp_listen(endpoint.ip(), endpoint.port, backlog, cookie);
                return made(HandleKind::Listener, listener);
            }
            Opcode::UdpBind => {
                return made(
                    HandleKind::Udp,
                    stack.udp_bind(endpoint.ip(), endpoint.port, cookie),
                );
            }
            Opcode::TimerStart => {
                let timer = stack.timer_start(now, Duration::from_nanos(command.len), cookie);
                return made(HandleKind::Timer, timer);
            }
            _ => return Err(Status::NoSuchCall),
        };
        done.map(|()| Done::Value(0)).map_err(status)
    }
}

fn id(command: &Command, kind: HandleKind) -> Result<Id, Status> {
    let handle = command.handle;
    if !handle.is(kind) {
        return Err(Status::BadHandle);
    }
    Ok(Id {
        index: handle.index(),
        generation: handle.generation(),
    })
}

fn set_option(stack: &mut Stack, flow: Id, command: &Command) -> Result<Result<(), Error>, Status> {
    Ok(
        match FlowOption::from_u64(command.address).ok_or(Status::Invalid)? {
            FlowOption::CongestionControl => {
                let algorithm = match CongestionControl::from_u64(command.len).ok_or(Status::Invalid)? {
                    CongestionControl::NewReno => netstack::CongestionControl::NewReno,
                    CongestionControl::Cubic => netstack::CongestionControl::Cubic,
                    CongestionControl::Dctcp => netstack::CongestionControl::Dctcp,
                };
                stack.tcp_congestion_control(flow, algorithm)
            }
            FlowOption::UserTimeout => stack.tcp_user_timeout(flow, duration(command.len)),
            FlowOption::AskForEcn => stack.tcp_ask_for_ecn(flow),
            FlowOption::Pacing => {
                let pacing = match command.len {
                    0 => netstack::Pacing::Off,
                    PACE_BY_WINDOW => netstack::Pacing::ByWindow,
                    rate => netstack::Pacing::BytesPerSecond(rate),
                };
                stack.tcp_pacing(flow, pacing)
            }
        },
    )
}

fn duration(nanoseconds: u64) -> Option<Duration> {
    (nanoseconds != 0).then(|| Duration::from_nanos(nanoseconds))
}
