//! Commands where there are several links, each with a stack of its own. Those of a flow go to its link, which its handle
//! names. Listeners and UDP ports are on all links and have the same handle there, since all stacks open and close them in the
//! same order. Who connects or sends a datagram does it on the link that reaches the peer by the longest prefix: of the link's
//! own network, of a static route, or of a default gateway; where there are several such, on the first of them.

use crate::command::{App, Done, Request, execute, id, opcode_of};
use crate::{handle, status};
use core::net::IpAddr;
use ix_abi::app::{Endpoint, HandleKind, Opcode, SgEntry, Status};
use netstack::{Env, Error, Id, Instant, Span, Stack};

#[cfg(test)]
mod tests;

/// The links of a core, by their numbers.
pub trait Links {
    /// What a stack sends by.
    type Env<'a>: Env
    where
        Self: 'a;

    /// How many there are.
    fn count(&self) -> usize;

    /// The stack of one.
    fn stack(&self, link: usize) -> Option<&Stack>;

    /// The same, with what it sends by.
    fn at(&mut self, link: usize) -> Option<(&mut Stack, Self::Env<'_>)>;
}

/// Carries out a command as [`execute`] does, on the link or the links that it concerns.
///
/// # Errors
/// Why it was refused.
pub fn execute_among<L: Links>(
    links: &mut L,
    now: Instant,
    app: &impl App,
    command: &Request,
) -> Result<Done, Status> {
    match opcode_of(command)? {
        Opcode::TcpAccept
        | Opcode::TcpReject
        | Opcode::TcpSend
        | Opcode::TcpSendv
        | Opcode::TcpClose
        | Opcode::TcpShutdown
        | Opcode::TcpKeepalive
        | Opcode::TcpSetOption => {
            let link = command.handle.link();
            let handle = command.handle.on_link(0);
            execute_at(links, link, now, app, &Request { handle, ..*command })
        }
        Opcode::TcpRecvDone | Opcode::UdpRecvDone => give_back(links, now, app.received_at(command.address)?),
        Opcode::TcpConnect => connect(links, now, app, command),
        Opcode::UdpSend | Opcode::UdpSendv => {
            let app = Fixed::new(app, command);
            let socket = id(command, HandleKind::Udp)?;
            let first = links.stack(0).ok_or(Status::NoSuchCall)?;
            let local = first.udp_local_address(socket).map_err(status)?;
            let link = app
                .endpoint
                .ip()
                .map_or(0, |peer| link_to(links, peer, local, now));
            execute_at(links, link, now, &app, command)
        }
        Opcode::TcpListen => listen(links, app, command),
        Opcode::TcpUnlisten => on_all(links, |stack, env| {
            stack
                .tcp_unlisten(env, now, id(command, HandleKind::Listener)?)
                .map_err(status)
        }),
        Opcode::UdpBind => bind(links, app, command),
        Opcode::UdpUnbind => on_all(links, |stack, env| {
            stack
                .udp_unbind(env, now, id(command, HandleKind::Udp)?)
                .map_err(status)
        }),
        Opcode::UdpJoin => {
            let app = Fixed::new(app, command);
            let link = app
                .endpoint
                .ip()
                .map_or(0, |group| link_to(links, group, None, now));
            execute_at(links, link, now, &app, command)
        }
        Opcode::UdpLeave => leave(links, now, app, command),
        Opcode::Nop | Opcode::TimerStart | Opcode::TimerCancel => execute_at(links, 0, now, app, command),
        // Whoever has frames to forward has looked for these before.
        Opcode::FrameBind | Opcode::FrameUnbind | Opcode::FrameForward | Opcode::FrameDone => {
            Err(Status::NotSupported)
        }
    }
}

/// Carries it out on one link; a handle that names a link that is not there is a bad one.
fn execute_at<L: Links>(
    links: &mut L,
    link: usize,
    now: Instant,
    app: &impl App,
    command: &Request,
) -> Result<Done, Status> {
    let (stack, mut env) = links.at(link).ok_or(Status::BadHandle)?;
    execute(stack, &mut env, now, app, command)
}

/// The first link for which this is true.
fn first(links: &impl Links, is_it: impl Fn(&Stack) -> bool) -> Option<usize> {
    (0..links.count()).find(|&link| links.stack(link).is_some_and(&is_it))
}

/// The link by which `peer` is reached, from this address of ours if it is to be one: then it is that address's link. Where
/// nobody reaches it, the first that could if there were a way; its stack says what is wrong.
fn link_to(links: &impl Links, peer: IpAddr, local: Option<IpAddr>, now: Instant) -> usize {
    if let Some(local) = local.filter(|ip| !ip.is_unspecified()) {
        return first(links, |stack| stack.owns(local)).unwrap_or(0);
    }
    let stacks = (0..links.count()).filter_map(|link| links.stack(link));
    let spoken = || first(links, |stack| stack.speaks(peer));
    Stack::best_for(stacks, peer, now).or_else(spoken).unwrap_or(0)
}

fn connect<L: Links>(links: &mut L, now: Instant, app: &impl App, command: &Request) -> Result<Done, Status> {
    let mut app = Fixed::new(app, command);
    if command.address != 0 {
        app.local = app.app.endpoint_at(command.address)?;
    }
    let peer = app.endpoint.ip().ok_or(Status::Invalid)?;
    let link = link_to(links, peer, app.local.ip(), now);
    Ok(match execute_at(links, link, now, &app, command)? {
        Done::Made(handle) => Done::Made(handle.on_link(link)),
        done @ Done::Value(_) => done,
    })
}

/// The stack that lent a buffer knows it; the others do not.
fn give_back<L: Links>(links: &mut L, now: Instant, buf: u32) -> Result<Done, Status> {
    for link in 0..links.count() {
        if let Some((stack, mut env)) = links.at(link)
            && stack.rx_done(&mut env, now, buf).is_ok()
        {
            return Ok(Done::Value(0));
        }
    }
    Err(Status::Invalid)
}

/// An address to be bound must be a link's own, or none; of a family that is spoken on one.
fn check_local(links: &impl Links, address: Option<IpAddr>) -> Result<(), Status> {
    let Some(ip) = address else { return Ok(()) };
    if first(links, |stack| stack.speaks(ip)).is_none() {
        return Err(Status::NotSupported);
    }
    if ip.is_unspecified() || first(links, |stack| stack.owns(ip)).is_some() {
        Ok(())
    } else {
        Err(Status::AddressNotAvailable)
    }
}

fn listen<L: Links>(links: &mut L, app: &impl App, command: &Request) -> Result<Done, Status> {
    app.opens_socket();
    let endpoint = app.endpoint(command);
    let backlog = u32::try_from(command.len).unwrap_or(u32::MAX);
    check_local(links, endpoint.ip())?;
    let opened = open(links, |stack| {
        stack.tcp_listen_too(endpoint.ip(), endpoint.port, backlog, command.cookie)
    })?;
    Ok(Done::Made(handle(HandleKind::Listener, opened)))
}

fn bind<L: Links>(links: &mut L, app: &impl App, command: &Request) -> Result<Done, Status> {
    app.opens_socket();
    let endpoint = app.endpoint(command);
    check_local(links, endpoint.ip())?;
    if first(links, |stack| stack.needs_udp_port(endpoint.port)).is_some() {
        return Err(Status::AddressInUse);
    }
    // What one chooses where any port will do is free on the others, too.
    let mut port = endpoint.port;
    let opened = open(links, |stack| {
        let opened = stack.udp_bind_too(endpoint.ip(), port, command.cookie)?;
        port = stack.udp_local_port(opened)?;
        Ok(opened)
    })?;
    Ok(Done::Made(handle(HandleKind::Udp, opened)))
}

/// Opens a socket on every link. Their tables are the same, so if the first has room all have.
fn open<L: Links>(
    links: &mut L,
    mut open: impl FnMut(&mut Stack) -> Result<Id, Error>,
) -> Result<Id, Status> {
    let (stack, _) = links.at(0).ok_or(Status::NoSuchCall)?;
    let opened = open(stack).map_err(status)?;
    for link in 1..links.count() {
        if let Some((stack, _)) = links.at(link) {
            let same = open(stack);
            debug_assert_eq!(same, Ok(opened), "link {link} has another table of sockets");
        }
    }
    Ok(opened)
}

/// Does it on every link; what comes of it is the same on all.
fn on_all<L: Links>(
    links: &mut L,
    mut each: impl FnMut(&mut Stack, &mut L::Env<'_>) -> Result<(), Status>,
) -> Result<Done, Status> {
    for link in 0..links.count() {
        if let Some((stack, mut env)) = links.at(link) {
            each(stack, &mut env)?;
        }
    }
    Ok(Done::Value(0))
}

/// A group is left on the link where it was joined, wherever the way to it leads by now.
fn leave<L: Links>(links: &mut L, now: Instant, app: &impl App, command: &Request) -> Result<Done, Status> {
    let app = Fixed::new(app, command);
    let mut refused = Status::BadHandle;
    for link in 0..links.count() {
        match execute_at(links, link, now, &app, command) {
            Err(error) => refused = error,
            left => return left,
        }
    }
    Err(refused)
}

/// An app whose command's endpoints are as they were when they were looked at to choose the link, whatever it writes over them
/// meanwhile.
struct Fixed<'a, A> {
    app: &'a A,
    endpoint: Endpoint,
    local: Endpoint,
}

impl<'a, A: App> Fixed<'a, A> {
    fn new(app: &'a A, command: &Request) -> Self {
        Fixed {
            app,
            endpoint: app.endpoint(command),
            local: Endpoint::UNSPECIFIED,
        }
    }
}

impl<A: App> App for Fixed<'_, A> {
    fn endpoint(&self, _: &Request) -> Endpoint {
        self.endpoint
    }

    fn endpoint_at(&self, _: u64) -> Result<Endpoint, Status> {
        Ok(self.local)
    }

    fn sg_entry_at(&self, address: u64) -> Result<SgEntry, Status> {
        self.app.sg_entry_at(address)
    }

    fn span(&self, address: u64, len: u64) -> Result<Span, Status> {
        self.app.span(address, len)
    }

    fn received_at(&self, address: u64) -> Result<u32, Status> {
        self.app.received_at(address)
    }

    fn opens_socket(&self) {
        self.app.opens_socket();
    }
}
