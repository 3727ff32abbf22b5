//! Command array to stack. Each command is copied once, then checked, then carried out; a bad one gets its error and the
//! rest of the batch runs.

use super::Core;
use super::events::{handle, status};
use super::transmit::Wire;
use crate::mem::io_area::Request;
use crate::mem::mbuf::Pool;
use crate::mem::{GuestPhys, UserVirt};
use crate::nic::Nic;
use crate::user::View;
use core::time::Duration;
use ix_abi::app::{
    Command, CongestionControl, Endpoint, FlowOption, Handle, HandleKind, MAX_SG_ENTRIES, Opcode,
    PACE_BY_WINDOW, SgEntry, Status, layout,
};
use netstack::{Id, Instant, Span, Stack};

const _: () = assert!(
    MAX_SG_ENTRIES <= netstack::MAX_TX_SPANS,
    "a datagram of as many pieces fits a frame"
);

/// What a command leaves behind.
enum Done {
    Value(u32),
    Made(Handle),
}

impl<N: Nic> Core<N> {
    /// Carries out the first `count` commands of the array.
    pub(super) fn submit(&mut self, count: u32, view: &View, time: Instant) {
        self.tally.commands += u64::from(count);
        for index in 0..count {
            let command = self.io.request(index);
            match self.execute(&command, view, time) {
                Ok(Done::Value(value)) => self.io.answer(index, i32::try_from(value).unwrap_or(i32::MAX)),
                Ok(Done::Made(made)) => self.io.answer_with_handle(index, made),
                Err(error) => {
                    self.tally.commands_refused += 1;
                    self.io.answer(index, error.negated());
                }
            }
        }
    }

    fn execute(&mut self, command: &Request, view: &View, time: Instant) -> Result<Done, Status> {
        let opcode = Opcode::from_u16(command.opcode).ok_or(Status::NoSuchCall)?;
        let legal_flags = if opcode == Opcode::TcpClose {
            Command::ABORT
        } else {
            0
        };
        if command.flags & !legal_flags != 0 {
            return Err(Status::Invalid);
        }
        match opcode {
            Opcode::TcpRecvDone | Opcode::UdpRecvDone => self.recv_done(command, time),
            Opcode::TcpSend => self.tcp_send(
                command,
                &[span(view, &self.pool, command.address, command.len)?],
                time,
            ),
            Opcode::TcpSendv => {
                let (spans, count) = self.gather(command, view)?;
                self.tcp_send(command, &spans[..count], time)
            }
            // Of nothing, there is no address to check.
            Opcode::UdpSend if command.len == 0 => self.udp_send(command, &[], time),
            Opcode::UdpSend => self.udp_send(
                command,
                &[span(view, &self.pool, command.address, command.len)?],
                time,
            ),
            Opcode::UdpSendv => {
                let (spans, count) = self.gather(command, view)?;
                self.udp_send(command, &spans[..count], time)
            }
            Opcode::Nop => Ok(Done::Value(0)),
            _ => self.execute_rare(opcode, command, view, time),
        }
    }

    /// What is not done once per message.
    fn execute_rare(
        &mut self,
        opcode: Opcode,
        command: &Request,
        view: &View,
        time: Instant,
    ) -> Result<Done, Status> {
        if let (Some(home), true) = (&self.home, opens_socket(opcode)) {
            home.steering.settle();
        }
        let Core {
            nic, pool, stack, io, ..
        } = self;
        let wire = &mut Wire::new(nic, pool);
        let cookie = command.cookie;
        let endpoint = io.endpoint(command);
        let flow = || id(command, HandleKind::Flow);
        let made = |kind, made: Result<Id, netstack::Error>| made.map(|id| Done::Made(handle(kind, id)));
        let nothing = |()| Done::Value(0);
        let done = match opcode {
            Opcode::TcpAccept => stack.tcp_accept(flow()?, cookie).map(nothing),
            Opcode::TcpReject => stack.tcp_reject(wire, time, flow()?).map(nothing),
            Opcode::TcpClose if command.flags & Command::ABORT != 0 => {
                stack.tcp_abort(wire, time, flow()?).map(nothing)
            }
            Opcode::TcpClose => stack.tcp_close(wire, time, flow()?).map(nothing),
            Opcode::TcpShutdown => stack.tcp_shutdown(wire, time, flow()?).map(nothing),
            Opcode::TcpKeepalive => stack
                .tcp_keepalive(time, flow()?, duration(command.len))
                .map(nothing),
            Opcode::TcpSetOption => set_option(stack, flow()?, command)?.map(nothing),
            Opcode::TcpConnect => {
                let local: Endpoint = match command.address {
                    0 => Endpoint::UNSPECIFIED,
                    address => view.read(UserVirt(address)).ok_or(Status::Fault)?,
                };
                let port = (local.port != 0).then_some(local.port);
                let remote = endpoint.socket_address().ok_or(Status::Invalid)?;
                made(
                    HandleKind::Flow,
                    stack.tcp_connect(wire, time, remote, local.ip(), port, cookie),
                )
            }
            Opcode::TcpListen => {
                let backlog = u32::try_from(command.len).unwrap_or(u32::MAX);
                made(
                    HandleKind::Listener,
                    stack.tcp_listen(endpoint.ip(), endpoint.port, backlog, cookie),
                )
            }
            Opcode::TcpUnlisten => stack
                .tcp_unlisten(wire, time, id(command, HandleKind::Listener)?)
                .map(nothing),
            Opcode::UdpBind => made(
                HandleKind::Udp,
                stack.udp_bind(endpoint.ip(), endpoint.port, cookie),
            ),
            Opcode::UdpUnbind => stack
                .udp_unbind(wire, time, id(command, HandleKind::Udp)?)
                .map(nothing),
            Opcode::UdpJoin | Opcode::UdpLeave => {
                let socket = id(command, HandleKind::Udp)?;
                let group = endpoint.ip().ok_or(Status::Invalid)?;
                let changed = if opcode == Opcode::UdpJoin {
                    stack.udp_join(time, socket, group)
                } else {
                    stack.udp_leave(time, socket, group)
                };
                changed.map(nothing)
            }
            Opcode::TimerStart => made(
                HandleKind::Timer,
                stack.timer_start(time, Duration::from_nanos(command.len), cookie),
            ),
            Opcode::TimerCancel => stack.timer_cancel(id(command, HandleKind::Timer)?).map(nothing),
            _ => return Err(Status::NoSuchCall),
        };
        done.map_err(status)
    }

    fn tcp_send(&mut self, command: &Request, spans: &[Span], time: Instant) -> Result<Done, Status> {
        let flow = id(command, HandleKind::Flow)?;
        let wire = &mut Wire::new(&mut self.nic, &mut self.pool);
        self.stack
            .tcp_send(wire, time, flow, spans)
            .map(Done::Value)
            .map_err(status)
    }

    fn udp_send(&mut self, command: &Request, spans: &[Span], time: Instant) -> Result<Done, Status> {
        let socket = id(command, HandleKind::Udp)?;
        let remote = self
            .io
            .endpoint(command)
            .socket_address()
            .ok_or(Status::Invalid)?;
        let wire = &mut Wire::new(&mut self.nic, &mut self.pool);
        let sent = self
            .stack
            .udp_send(wire, time, socket, remote, spans, command.cookie);
        sent.map(|()| Done::Value(0)).map_err(status)
    }

    fn recv_done(&mut self, command: &Request, time: Instant) -> Result<Done, Status> {
        let offset = command
            .address
            .checked_sub(layout::RX_WINDOW)
            .ok_or(Status::Fault)?;
        let buf = self.pool.region().index_of(offset).ok_or(Status::Fault)?;
        let wire = &mut Wire::new(&mut self.nic, &mut self.pool);
        self.stack
            .rx_done(wire, time, buf)
            .map(|()| Done::Value(0))
            .map_err(status)
    }

    /// Copies the scatter-gather array of a `*Sendv` and checks each entry.
    fn gather(&self, command: &Request, view: &View) -> Result<([Span; MAX_SG_ENTRIES], usize), Status> {
        let count = usize::try_from(command.len)
            .ok()
            .filter(|&n| n <= MAX_SG_ENTRIES)
            .ok_or(Status::Invalid)?;
        let mut spans = [Span::default(); MAX_SG_ENTRIES];
        let mut address = command.address;
        for slot in &mut spans[..count] {
            let entry: SgEntry = view.read(UserVirt(address)).ok_or(Status::Fault)?;
            *slot = span(view, &self.pool, entry.address, entry.len)?;
            address = address.wrapping_add(size_of::<SgEntry>() as u64);
        }
        Ok((spans, count))
    }
}

/// App memory, or received bytes that are sent on, as the NIC will address it.
fn span(view: &View, pool: &Pool, address: u64, len: u64) -> Result<Span, Status> {
    let short = u32::try_from(len).map_err(|_| Status::Invalid)?;
    let GuestPhys(address) = view
        .translate(UserVirt(address), len)
        .or_else(|| {
            pool.region()
                .translate(address.wrapping_sub(layout::RX_WINDOW), len)
        })
        .ok_or(Status::Fault)?;
    Ok(Span { address, len: short })
}

fn id(command: &Request, kind: HandleKind) -> Result<Id, Status> {
    let handle = command.handle;
    if !handle.is(kind) {
        return Err(Status::BadHandle);
    }
    Ok(Id {
        index: handle.index(),
        generation: handle.generation(),
    })
}

/// From the first of these on, flows have their cores.
fn opens_socket(opcode: Opcode) -> bool {
    matches!(opcode, Opcode::TcpListen | Opcode::TcpConnect | Opcode::UdpBind)
}

/// An option of a flow; the number of it and its value are checked here, the handle by the stack.
fn set_option(stack: &mut Stack, flow: Id, command: &Request) -> Result<Result<(), netstack::Error>, Status> {
    let option = FlowOption::from_u64(command.address).ok_or(Status::Invalid)?;
    Ok(match option {
        FlowOption::CongestionControl => {
            let algorithm = match CongestionControl::from_u64(command.len).ok_or(Status::Invalid)? {
                CongestionControl::NewReno => netstack::CongestionControl::NewReno,
                CongestionControl::Cubic => netstack::CongestionControl::Cubic,
                CongestionControl::Dctcp => netstack::CongestionControl::Dctcp,
            };
            stack.tcp_congestion_control(flow, algorithm)
        }
        FlowOption::AskForEcn if command.len == 1 => stack.tcp_ask_for_ecn(flow),
        FlowOption::AskForEcn => return Err(Status::Invalid),
        FlowOption::Pacing => {
            let pacing = match command.len {
                0 => netstack::Pacing::Off,
                PACE_BY_WINDOW => netstack::Pacing::ByWindow,
                rate => netstack::Pacing::BytesPerSecond(rate),
            };
            stack.tcp_pacing(flow, pacing)
        }
        FlowOption::UserTimeout => stack.tcp_user_timeout(flow, duration(command.len)),
    })
}

fn duration(nanoseconds: u64) -> Option<Duration> {
    (nanoseconds != 0).then(|| Duration::from_nanos(nanoseconds))
}
