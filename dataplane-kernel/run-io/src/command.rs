//! Commands. Each is checked, then carried out; a bad one changes nothing.

use crate::options::set_option;
use crate::{handle, status};
use core::time::Duration;
use ix_abi::app::{Command, Endpoint, Handle, HandleKind, MAX_SG_ENTRIES, Opcode, SgEntry, Status};
use netstack::{Env, Error, Id, Instant, Span, Stack};

const _: () = assert!(
    MAX_SG_ENTRIES <= netstack::MAX_TX_SPANS,
    "a datagram of as many pieces fits a frame"
);

/// A [`Command`] as it was read, without its endpoint. Fields as there.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "as in Command")]
pub struct Request {
    /// Where in the array it stands.
    pub index: u32,
    pub opcode: u16,
    pub flags: u16,
    pub handle: Handle,
    pub cookie: u64,
    pub address: u64,
    pub len: u64,
}

/// What a command leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// How much of it was done, or 0.
    Value(u32),
    /// The handle of what it made.
    Made(Handle),
}

/// The app whose commands they are: its memory.
pub trait App {
    /// The endpoint of the command itself; asked for once at most.
    fn endpoint(&self, command: &Request) -> Endpoint;

    /// An endpoint anywhere in its memory.
    ///
    /// # Errors
    /// [`Status::Fault`] if that is not the app's.
    fn endpoint_at(&self, address: u64) -> Result<Endpoint, Status>;

    /// An entry of a scatter-gather array.
    ///
    /// # Errors
    /// [`Status::Fault`] if that is not the app's.
    fn sg_entry_at(&self, address: u64) -> Result<SgEntry, Status>;

    /// Bytes to be sent, as the NIC will address them.
    ///
    /// # Errors
    /// [`Status::Fault`] if they are not the app's, [`Status::Invalid`] if there are 4 GiB or more of them.
    fn span(&self, address: u64, len: u64) -> Result<Span, Status>;

    /// The received buffer that this address lies in.
    ///
    /// # Errors
    /// [`Status::Fault`] if it lies in none.
    fn received_at(&self, address: u64) -> Result<u32, Status>;

    /// It is about to listen, connect or bind.
    fn opens_socket(&self) {}
}

/// Carries out a command.
///
/// # Errors
/// Why it was refused.
#[inline]
pub fn execute<E: Env>(
    stack: &mut Stack,
    env: &mut E,
    now: Instant,
    app: &impl App,
    command: &Request,
) -> Result<Done, Status> {
    let opcode = opcode_of(command)?;
    match opcode {
        Opcode::TcpRecvDone | Opcode::UdpRecvDone => {
            let buf = app.received_at(command.address)?;
            stack
                .rx_done(env, now, buf)
                .map(|()| Done::Value(0))
                .map_err(status)
        }
        Opcode::TcpSend => {
            let spans = [app.span(command.address, command.len)?];
            tcp_send(stack, env, now, command, &spans)
        }
        Opcode::TcpSendv => {
            let (spans, count) = gather(app, command)?;
            tcp_send(stack, env, now, command, &spans[..count])
        }
        // Of nothing, there is no address to check.
        Opcode::UdpSend if command.len == 0 => udp_send(stack, env, now, app, command, &[]),
        Opcode::UdpSend => {
            let spans = [app.span(command.address, command.len)?];
            udp_send(stack, env, now, app, command, &spans)
        }
        Opcode::UdpSendv => {
            let (spans, count) = gather(app, command)?;
            udp_send(stack, env, now, app, command, &spans[..count])
        }
        Opcode::Nop => Ok(Done::Value(0)),
        _ => execute_rare(stack, env, now, app, opcode, command),
    }
}

/// What it asks for, if it asks for it rightly.
#[inline]
pub(crate) fn opcode_of(command: &Request) -> Result<Opcode, Status> {
    let opcode = Opcode::from_u16(command.opcode).ok_or(Status::NoSuchCall)?;
    let legal_flags = match opcode {
        Opcode::TcpClose => Command::ABORT,
        Opcode::FrameForward => Command::KEEP,
        _ => 0,
    };
    if command.flags & !legal_flags != 0 {
        return Err(Status::Invalid);
    }
    Ok(opcode)
}

/// What is not done once per message.
fn execute_rare<E: Env>(
    stack: &mut Stack,
    env: &mut E,
    now: Instant,
    app: &impl App,
    opcode: Opcode,
    command: &Request,
) -> Result<Done, Status> {
    let cookie = command.cookie;
    let endpoint = app.endpoint(command);
    let flow = || id(command, HandleKind::Flow);
    let made = |kind, made: Result<Id, Error>| made.map(|id| Done::Made(handle(kind, id)));
    let nothing = |()| Done::Value(0);
    if matches!(opcode, Opcode::TcpListen | Opcode::TcpConnect | Opcode::UdpBind) {
        app.opens_socket();
    }
    let done = match opcode {
        Opcode::TcpAccept => stack.tcp_accept(flow()?, cookie).map(nothing),
        Opcode::TcpReject => stack.tcp_reject(env, now, flow()?).map(nothing),
        Opcode::TcpClose if command.flags & Command::ABORT != 0 => {
            stack.tcp_abort(env, now, flow()?).map(nothing)
        }
        Opcode::TcpClose => stack.tcp_close(env, now, flow()?).map(nothing),
        Opcode::TcpShutdown => stack.tcp_shutdown(env, now, flow()?).map(nothing),
        Opcode::TcpKeepalive => stack
            .tcp_keepalive(now, flow()?, duration(command.len))
            .map(nothing),
        Opcode::TcpSetOption => set_option(stack, flow()?, command)?.map(nothing),
        Opcode::TcpConnect => {
            let local = match command.address {
                0 => Endpoint::UNSPECIFIED,
                address => app.endpoint_at(address)?,
            };
            let port = (local.port != 0).then_some(local.port);
            let remote = endpoint.socket_address().ok_or(Status::Invalid)?;
            let flow = stack.tcp_connect(env, now, remote, local.ip(), port, cookie);
            made(HandleKind::Flow, flow)
        }
        Opcode::TcpListen => {
            let backlog = u32::try_from(command.len).unwrap_or(u32::MAX);
            let listener = stack.tcp_listen(endpoint.ip(), endpoint.port, backlog, cookie);
            made(HandleKind::Listener, listener)
        }
        Opcode::TcpUnlisten => stack
            .tcp_unlisten(env, now, id(command, HandleKind::Listener)?)
            .map(nothing),
        Opcode::UdpBind => made(
            HandleKind::Udp,
            stack.udp_bind(endpoint.ip(), endpoint.port, cookie),
        ),
        Opcode::UdpUnbind => stack
            .udp_unbind(env, now, id(command, HandleKind::Udp)?)
            .map(nothing),
        Opcode::UdpJoin | Opcode::UdpLeave => {
            let socket = id(command, HandleKind::Udp)?;
            let group = endpoint.ip().ok_or(Status::Invalid)?;
            let changed = if opcode == Opcode::UdpJoin {
                stack.udp_join(now, socket, group)
            } else {
                stack.udp_leave(now, socket, group)
            };
            changed.map(nothing)
        }
        Opcode::TimerStart => made(
            HandleKind::Timer,
            stack.timer_start(now, Duration::from_nanos(command.len), cookie),
        ),
        Opcode::TimerCancel => stack.timer_cancel(id(command, HandleKind::Timer)?).map(nothing),
        // Whoever has frames to forward has looked for these before.
        Opcode::FrameBind | Opcode::FrameUnbind | Opcode::FrameForward | Opcode::FrameDone => {
            return Err(Status::NotSupported);
        }
        _ => return Err(Status::NoSuchCall),
    };
    done.map_err(status)
}

#[inline]
fn tcp_send<E: Env>(
    stack: &mut Stack,
    env: &mut E,
    now: Instant,
    command: &Request,
    spans: &[Span],
) -> Result<Done, Status> {
    let flow = id(command, HandleKind::Flow)?;
    let sent = stack.tcp_send(env, now, flow, spans);
    sent.map(Done::Value).map_err(status)
}

#[inline]
fn udp_send<E: Env>(
    stack: &mut Stack,
    env: &mut E,
    now: Instant,
    app: &impl App,
    command: &Request,
    spans: &[Span],
) -> Result<Done, Status> {
    let socket = id(command, HandleKind::Udp)?;
    let remote = app.endpoint(command).socket_address().ok_or(Status::Invalid)?;
    let sent = stack.udp_send(env, now, socket, remote, spans, command.cookie);
    sent.map(|()| Done::Value(0)).map_err(status)
}

/// Copies the scatter-gather array of a `*Sendv` and checks each entry.
fn gather(app: &impl App, command: &Request) -> Result<([Span; MAX_SG_ENTRIES], usize), Status> {
    let count = usize::try_from(command.len)
        .ok()
        .filter(|&n| n <= MAX_SG_ENTRIES)
        .ok_or(Status::Invalid)?;
    let mut spans = [Span::default(); MAX_SG_ENTRIES];
    let mut address = command.address;
    for slot in &mut spans[..count] {
        let entry = app.sg_entry_at(address)?;
        *slot = app.span(entry.address, entry.len)?;
        address = address.wrapping_add(size_of::<SgEntry>() as u64);
    }
    Ok((spans, count))
}

pub(crate) fn id(command: &Request, kind: HandleKind) -> Result<Id, Status> {
    let handle = command.handle;
    if !handle.is(kind) {
        return Err(Status::BadHandle);
    }
    Ok(Id {
        index: handle.index(),
        generation: handle.generation(),
    })
}

pub(crate) fn duration(nanoseconds: u64) -> Option<Duration> {
    (nanoseconds != 0).then(|| Duration::from_nanos(nanoseconds))
}
