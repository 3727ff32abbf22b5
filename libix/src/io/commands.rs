//! Calls that become one command each.

use super::Io;
use crate::flow::{FlowState, Output};
use crate::slab::Key;
use crate::{Datagram, Flow, Listener, SendBuf, Timer, UdpPort};
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use ix_abi::app::{Command, CongestionControl, Endpoint, FlowOption, Handle, Opcode, PACE_BY_WINDOW, Status};

impl Io {
    /// Listens on `port` of every address.
    ///
    /// # Errors
    /// `AddressInUse`, or `NoMemory` if the kernel's table is full.
    pub fn listen(&mut self, port: u16) -> Result<Listener, Status> {
        self.listen_at(None, port, 0)
    }

    /// Listens on `port` of `address`; at most `backlog` connections wait to be accepted (0: a default).
    ///
    /// # Errors
    /// As [`Io::listen`], and `AddressNotAvailable`.
    pub fn listen_at(
        &mut self,
        address: Option<IpAddr>,
        port: u16,
        backlog: u32,
    ) -> Result<Listener, Status> {
        let key = self.listeners.insert(Handle::NONE);
        let endpoint = local_endpoint(address, port);
        let answer = self.ask(|command| {
            command.opcode = Opcode::TcpListen as u16;
            command.cookie = key.cookie();
            command.len = u64::from(backlog);
            command.endpoint = endpoint;
        });
        match answer {
            Ok(handle) => {
                if let Some(slot) = self.listeners.get_mut(key) {
                    *slot = handle;
                }
                Ok(Listener(key))
            }
            Err(status) => {
                self.listeners.remove(key);
                Err(status)
            }
        }
    }

    /// Stops listening; connections not yet accepted are reset.
    pub fn unlisten(&mut self, listener: Listener) {
        if let Some(handle) = self.listeners.remove(listener.0) {
            self.handle_command(Opcode::TcpUnlisten, handle);
        }
    }

    /// Opens a connection; [`crate::Handler::on_connected`] tells the outcome. What is sent before waits.
    ///
    /// # Errors
    /// `Unreachable`, or `NoMemory` if the kernel's table is full.
    pub fn connect(&mut self, remote: SocketAddr) -> Result<Flow, Status> {
        self.connect_command(remote, 0)
    }

    /// The same from a local address and port; unspecified parts (`0.0.0.0`, port 0) are chosen.
    ///
    /// # Errors
    /// As [`Io::connect`], and `AddressNotAvailable` or `AddressInUse`.
    pub fn connect_from(&mut self, local: SocketAddr, remote: SocketAddr) -> Result<Flow, Status> {
        // Boxed so that it lies in memory the kernel can translate whatever this thread's stack is.
        let local = Box::new(Endpoint::from(local));
        self.connect_command(remote, &raw const *local as u64)
    }

    fn connect_command(&mut self, remote: SocketAddr, local: u64) -> Result<Flow, Status> {
        let key = self
            .flows
            .insert(FlowState::new(Handle::NONE, Output::Connecting));
        let answer = self.ask(|command| {
            command.opcode = Opcode::TcpConnect as u16;
            command.cookie = key.cookie();
            command.address = local;
            command.endpoint = Endpoint::from(remote);
        });
        match answer {
            Ok(handle) => {
                if let Some(state) = self.flows.get_mut(key) {
                    state.handle = handle;
                }
                Ok(Flow(key))
            }
            Err(status) => {
                self.flows.remove(key);
                Err(status)
            }
        }
    }

    /// Switches keepalive probes of `flow` on, after `idle` without traffic, or off.
    ///
    /// # Errors
    /// `BadHandle` if the flow is dead.
    pub fn keepalive(&mut self, flow: Flow, idle: Option<Duration>) -> Result<(), Status> {
        let handle = self.flows.get(flow.0).ok_or(Status::BadHandle)?.handle;
        let command = self.command();
        command.opcode = Opcode::TcpKeepalive as u16;
        command.flags = 0;
        command.handle = handle;
        command.len = idle.map_or(0, nanoseconds);
        Ok(())
    }

    /// Lets another algorithm govern the congestion window of `flow`.
    ///
    /// # Errors
    /// `BadHandle` if the flow is dead.
    pub fn congestion_control(&mut self, flow: Flow, algorithm: CongestionControl) -> Result<(), Status> {
        self.set_option(flow, FlowOption::CongestionControl, algorithm as u64)
    }

    /// Lets data of `flow` leave spread over time: at `bytes_per_second` at most, or, for `None`, so that a congestion window
    /// takes four fifths of a round trip. 0 ends that.
    ///
    /// # Errors
    /// `BadHandle` if the flow is dead.
    pub fn pace(&mut self, flow: Flow, bytes_per_second: Option<u64>) -> Result<(), Status> {
        let value = bytes_per_second.map_or(PACE_BY_WINDOW, |rate| rate.min(PACE_BY_WINDOW - 1));
        self.set_option(flow, FlowOption::Pacing, value)
    }

    /// Asks the peer of `flow`, which was connected just now, for explicit congestion notification (RFC 3168): routers on
    /// the way may then mark packets instead of dropping them. (A peer that asks for it gets it in any case.) Once
    /// [`Io::connect`]'s batch is over it is too late.
    ///
    /// # Errors
    /// `BadHandle` if the flow is dead.
    pub fn ask_for_ecn(&mut self, flow: Flow) -> Result<(), Status> {
        self.set_option(flow, FlowOption::AskForEcn, 1)
    }

    /// Gives `flow` up (`Dead` by `TimedOut`) when data stays unacknowledged for `timeout`, or, for `None`, as the kernel
    /// does by itself.
    ///
    /// # Errors
    /// `BadHandle` if the flow is dead.
    pub fn user_timeout(&mut self, flow: Flow, timeout: Option<Duration>) -> Result<(), Status> {
        self.set_option(flow, FlowOption::UserTimeout, timeout.map_or(0, nanoseconds))
    }

    fn set_option(&mut self, flow: Flow, option: FlowOption, value: u64) -> Result<(), Status> {
        let handle = self.flows.get(flow.0).ok_or(Status::BadHandle)?.handle;
        let command = self.command();
        command.opcode = Opcode::TcpSetOption as u16;
        command.flags = 0;
        command.handle = handle;
        command.address = option as u64;
        command.len = value;
        Ok(())
    }

    /// Binds a UDP port (0: any free one) of every address.
    ///
    /// # Errors
    /// `AddressInUse`, or `NoMemory` if the kernel's table is full.
    pub fn udp_bind(&mut self, port: u16) -> Result<UdpPort, Status> {
        self.udp_bind_at(None, port)
    }

    /// Binds a UDP port of `address`.
    ///
    /// # Errors
    /// As [`Io::udp_bind`], and `AddressNotAvailable`.
    pub fn udp_bind_at(&mut self, address: Option<IpAddr>, port: u16) -> Result<UdpPort, Status> {
        let endpoint = local_endpoint(address, port);
        self.ask(|command| {
            command.opcode = Opcode::UdpBind as u16;
            command.cookie = 0;
            command.endpoint = endpoint;
        })
        .map(UdpPort)
    }

    /// Takes datagrams to `group` in at this port, too; routers and switches are told.
    ///
    /// # Errors
    /// `BadHandle`, `Invalid` if it is no group, `NotSupported` for IPv6 where there is none, `NoMemory` if the kernel's
    /// table is full.
    pub fn udp_join(&mut self, port: UdpPort, group: IpAddr) -> Result<(), Status> {
        self.ask_about_group(Opcode::UdpJoin, port, group)
    }

    /// Takes them in no more.
    ///
    /// # Errors
    /// `BadHandle`, or `Invalid` if it has not joined.
    pub fn udp_leave(&mut self, port: UdpPort, group: IpAddr) -> Result<(), Status> {
        self.ask_about_group(Opcode::UdpLeave, port, group)
    }

    fn ask_about_group(&mut self, opcode: Opcode, port: UdpPort, group: IpAddr) -> Result<(), Status> {
        self.ask(|command| {
            command.opcode = opcode as u16;
            command.handle = port.0;
            command.endpoint = local_endpoint(Some(group), 0);
        })
        .map(drop)
    }

    /// Gives the port back. A stale handle is ignored.
    pub fn udp_unbind(&mut self, port: UdpPort) {
        self.handle_command(Opcode::UdpUnbind, port.0);
    }

    /// Sends one datagram, without copying it: it is held until it has left ([`crate::Handler::on_udp_sent`], which also
    /// tells if it could not be sent).
    #[inline]
    #[allow(clippy::must_use_candidate, reason = "few want to know which datagram it was")]
    pub fn udp_send(&mut self, port: UdpPort, peer: SocketAddr, data: impl Into<SendBuf>) -> Datagram {
        let data = data.into();
        let (address, len) = data.span();
        let key = self.datagrams.insert((port, data));
        let command = self.command();
        command.opcode = Opcode::UdpSend as u16;
        command.flags = 0;
        command.handle = port.0;
        command.cookie = key.cookie();
        command.address = address;
        command.len = len as u64;
        command.endpoint = Endpoint::from(peer);
        Datagram(key)
    }

    /// Starts a one-shot timer; [`crate::Handler::on_timer`] follows after `delay`.
    ///
    /// # Errors
    /// `NoMemory` if the kernel's table is full.
    pub fn start_timer(&mut self, delay: Duration) -> Result<Timer, Status> {
        self.ask(|command| {
            command.opcode = Opcode::TimerStart as u16;
            command.cookie = 0;
            command.len = nanoseconds(delay);
        })
        .map(Timer)
    }

    /// Stops a timer. One that has gone off already is ignored; if that happened in this very turn, `on_timer` is
    /// called all the same.
    pub fn cancel_timer(&mut self, timer: Timer) {
        self.handle_command(Opcode::TimerCancel, timer.0);
    }

    pub(crate) fn accept(&mut self, flow: Key, handle: Handle) {
        let command = self.command();
        command.opcode = Opcode::TcpAccept as u16;
        command.flags = 0;
        command.handle = handle;
        command.cookie = flow.cookie();
    }

    /// Adds a command that needs no more than a handle.
    pub(super) fn handle_command(&mut self, opcode: Opcode, handle: Handle) {
        let command = self.command();
        command.opcode = opcode as u16;
        command.flags = 0;
        command.handle = handle;
    }

    pub(crate) fn reject(&mut self, handle: Handle) {
        self.handle_command(Opcode::TcpReject, handle);
    }

    /// The next command of the batch; makes room first if there is none.
    #[inline]
    pub(super) fn command(&mut self) -> &mut Command {
        if self.batch.is_full() {
            self.flush();
        }
        self.batch.add()
    }

    /// Carries out the batch with one command more, and returns the handle that command made.
    pub(super) fn ask(&mut self, fill: impl FnOnce(&mut Command)) -> Result<Handle, Status> {
        self.flush();
        let command = self.batch.add();
        *command = Command::default();
        fill(command);
        self.batch.submit()?;
        let answer = self.batch.answered(0);
        Status::check(answer.result)?;
        Ok(answer.handle)
    }
}

fn local_endpoint(address: Option<IpAddr>, port: u16) -> Endpoint {
    address.map_or(Endpoint::any(port), |ip| {
        Endpoint::from(SocketAddr::new(ip, port))
    })
}

/// Zero would mean "none", so the shortest is one nanosecond.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).max(1)
}
