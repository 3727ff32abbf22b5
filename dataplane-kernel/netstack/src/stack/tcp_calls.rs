//! What the app asks of TCP.

use super::Stack;
use crate::ends::Ends;
use crate::route::NextHop;
use crate::tcp::close::Wants;
use crate::tcp::flow::{Flow, Marks, State};
use crate::tcp::tuple::Ports;
use crate::{CongestionControl, Env, Error, Id, Instant, Pacing, Span};
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

/// Ports for connections of the app's that names none (RFC 6335 section 6, and Linux' lower half).
const FIRST_EPHEMERAL: u16 = 32768;
/// Random ports that are tried before all are, one by one.
const RANDOM_TRIES: u32 = 16;

impl Stack {
    /// Listens on `port`. `address`: ours, or any ([`crate::interface::Local::of`]). At most `backlog` connections (0: a default) wait to be accepted.
    ///
    /// # Errors
    /// `Invalid` (port 0), `NotSupported` (IPv6, where there is none), `AddressNotAvailable`, `AddressInUse`, `NoMemory`.
    pub fn tcp_listen(
        &mut self,
        address: Option<IpAddr>,
        port: u16,
        backlog: u32,
        cookie: u64,
    ) -> Result<Id, Error> {
        self.check_local(address)?;
        self.tcp_listen_too(address, port, backlog, cookie)
    }

    /// Stops listening; connections not yet accepted are reset, and no more is heard of them.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn tcp_unlisten<E: Env>(&mut self, env: &mut E, now: Instant, id: Id) -> Result<(), Error> {
        self.shared.listeners.close(id)?;
        for slot in 0..self.flows.capacity() {
            let flow = self.flows.at(slot);
            let waits = flow.marks.has(Marks::LIVE.or(Marks::PASSIVE))
                && !flow.marks.has_any(Marks::ATTACHED.or(Marks::DETACHED))
                && (flow.listener, flow.listener_generation) == (id.index, id.generation);
            if waits {
                flow.abort_unaccepted(&mut self.shared, env, now);
                self.settle(env, slot);
            }
        }
        Ok(())
    }

    /// Opens a connection; `Connected` follows.
    ///
    /// # Errors
    /// `NotSupported` (a family that is not spoken), `Invalid` (port 0), `Unreachable`, `AddressNotAvailable` (not our
    /// address, no port free, or a port whose answers go to another core), `AddressInUse`, `NoMemory`.
    pub fn tcp_connect<E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        remote: SocketAddr,
        local_ip: Option<IpAddr>,
        local_port: Option<u16>,
        cookie: u64,
    ) -> Result<Id, Error> {
        if remote.port() == 0 {
            return Err(Error::Invalid);
        }
        let ends = self.ends_to(remote.ip(), local_ip, now)?;
        let ports = self.free_ports(&ends, local_port.unwrap_or(0), remote.port())?;
        let slot = self.create_flow(env, &ends, ports).ok_or(Error::NoMemory)?;
        let flow = self.flows.at(slot);
        flow.open_active(&mut self.shared, now, cookie);
        Ok(flow.id())
    }

    /// Both ends of a connection that is to be opened.
    fn ends_to(&self, remote: IpAddr, local: Option<IpAddr>, now: Instant) -> Result<Ends, Error> {
        self.check_local(local)?;
        let local = local.filter(|ip| !ip.is_unspecified());
        match (remote, local) {
            (IpAddr::V4(_), _) if !self.speaks_v4() => Err(Error::NotSupported),
            (IpAddr::V4(remote), None | Some(IpAddr::V4(_))) => match self.shared.next_hop_v4(remote) {
                NextHop::Neighbor(_) => Ok(Ends::V4 {
                    local: self.shared.interface.route.address(),
                    remote,
                }),
                NextHop::Broadcast | NextHop::Unreachable => Err(Error::Unreachable),
            },
            (IpAddr::V6(remote), None | Some(IpAddr::V6(_))) => {
                let ipv6 = self.shared.ipv6.as_ref().ok_or(Error::NotSupported)?;
                ipv6.next_hop(remote, now).ok_or(Error::Unreachable)?;
                let local = match local {
                    Some(IpAddr::V6(ours)) => ours,
                    _ => ipv6.addresses.source_for(remote, now).ok_or(Error::Unreachable)?,
                };
                Ok(Ends::V6 { local, remote })
            }
            _ => Err(Error::AddressNotAvailable),
        }
    }

    /// An address to be bound must be ours, or none.
    pub(super) fn check_local(&self, address: Option<IpAddr>) -> Result<(), Error> {
        let is_ours = match (address, &self.shared.ipv6) {
            (Some(IpAddr::V6(_)), None) => return Err(Error::NotSupported),
            (Some(IpAddr::V4(_)), _) if !self.speaks_v4() => return Err(Error::NotSupported),
            (Some(IpAddr::V6(ip)), Some(ipv6)) => ip.is_unspecified() || ipv6.addresses.is_ours(ip),
            (Some(IpAddr::V4(ip)), _) => ip.is_unspecified() || ip == self.shared.interface.route.address(),
            (None, _) => true,
        };
        if is_ours {
            Ok(())
        } else {
            Err(Error::AddressNotAvailable)
        }
    }

    /// The ports of a connection from `local`, or, for 0, from one that nobody uses with this remote end; random (RFC 6056
    /// section 3.3.1).
    fn free_ports(&mut self, ends: &Ends, local: u16, remote: u16) -> Result<Ports, Error> {
        let with = |local| Ports { local, remote };
        if local != 0 {
            return if self.is_connected(ends, with(local)) {
                Err(Error::AddressInUse)
            } else if !self.comes_home(ends, with(local)) {
                Err(Error::AddressNotAvailable)
            } else {
                Ok(with(local))
            };
        }
        let mut port = FIRST_EPHEMERAL;
        for _ in 0..RANDOM_TRIES {
            let [low, high, ..] = self.shared.secrets.random().to_le_bytes();
            port = u16::from_le_bytes([low, high]) | FIRST_EPHEMERAL;
            if self.is_free(ends, with(port)) {
                return Ok(with(port));
            }
        }
        let mut following = (port..=u16::MAX).chain(FIRST_EPHEMERAL..port);
        following
            .find(|port| self.is_free(ends, with(*port)))
            .map(with)
            .ok_or(Error::AddressNotAvailable)
    }

    fn is_connected(&self, ends: &Ends, ports: Ports) -> bool {
        self.shared
            .tuple(ends, ports)
            .is_some_and(|tuple| self.find_flow(&tuple).is_some())
    }

    fn is_free(&self, ends: &Ends, ports: Ports) -> bool {
        self.comes_home(ends, ports)
            && !self.is_connected(ends, ports)
            && self.shared.listeners.on_port(ports.local).is_none()
    }

    /// What the peer sends comes to this stack's core.
    fn comes_home(&self, ends: &Ends, ports: Ports) -> bool {
        self.home.as_ref().is_none_or(|home| home.is_of(ends, ports))
    }

    /// Takes the connection a `Knock` offered.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn tcp_accept(&mut self, id: Id, cookie: u64) -> Result<(), Error> {
        let flow = self.flows.get(id)?;
        if !flow.marks.has(Marks::OFFERED) {
            return Err(Error::BadHandle);
        }
        flow.cookie = cookie;
        flow.attach(&mut self.shared);
        Ok(())
    }

    /// Refuses it by a reset; no more is heard of it.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn tcp_reject<E: Env>(&mut self, env: &mut E, now: Instant, id: Id) -> Result<(), Error> {
        let flow = self.flows.get(id)?;
        if !flow.marks.has(Marks::OFFERED) {
            return Err(Error::BadHandle);
        }
        flow.abort_unaccepted(&mut self.shared, env, now);
        self.settle(env, id.index);
        Ok(())
    }

    /// Queues `spans` to be sent, as far as there is room, from the front; tells how many bytes that was. They are
    /// referred to until `Sent` or `Dead` has covered them.
    ///
    /// # Errors
    /// `BadHandle`, `Closed`, `NoMemory`.
    #[inline(always)]
    pub fn tcp_send<E: Env>(
        &mut self,
        env: &mut E,
        _now: Instant,
        id: Id,
        spans: &[Span],
    ) -> Result<u32, Error> {
        self.look_at(env, id.index);
        let flow = self.flows.get(id).and_then(owned)?;
        flow.queue(&mut self.shared, spans)
    }

    /// Sends what was accepted, then FIN, and takes no more in. (One that is merely offered is rejected.) `Sent` goes on; `Dead` follows when both sides are done.
    ///
    /// # Errors
    /// `BadHandle`, `Closed`.
    pub fn tcp_close<E: Env>(&mut self, env: &mut E, now: Instant, id: Id) -> Result<(), Error> {
        self.close(env, now, id, Wants::Nothing)
    }

    /// Sends what was accepted, then FIN, and goes on receiving.
    ///
    /// # Errors
    /// `BadHandle`, `Closed`.
    pub fn tcp_shutdown<E: Env>(&mut self, env: &mut E, now: Instant, id: Id) -> Result<(), Error> {
        self.close(env, now, id, Wants::ToReceive)
    }

    fn close<E: Env>(&mut self, env: &mut E, now: Instant, id: Id, wants: Wants) -> Result<(), Error> {
        if self.flows.get(id)?.marks.has(Marks::OFFERED) {
            return self.tcp_reject(env, now, id);
        }
        let flow = self.flows.get(id).and_then(owned)?;
        let closed = flow.close(&mut self.shared, env, now, wants);
        self.settle(env, id.index);
        closed
    }

    /// Resets the connection; `Dead` follows (of a connection not yet open: `Connected`; one
    /// that is merely offered is rejected).
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn tcp_abort<E: Env>(&mut self, env: &mut E, now: Instant, id: Id) -> Result<(), Error> {
        if self.flows.get(id)?.marks.has(Marks::OFFERED) {
            return self.tcp_reject(env, now, id);
        }
        let flow = self.flows.get(id).and_then(owned)?;
        flow.abort(&mut self.shared, env, now);
        self.settle(env, id.index);
        Ok(())
    }

    /// Governs the congestion window by another algorithm from here on.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn tcp_congestion_control(&mut self, id: Id, algorithm: CongestionControl) -> Result<(), Error> {
        let flow = self.flows.get(id).and_then(owned)?;
        flow.congestion.choose(algorithm);
        Ok(())
    }

    /// Asks the peer for ECN (RFC 3168) in the SYN of a connection that was opened just now.
    ///
    /// # Errors
    /// `BadHandle`; `Invalid` once the SYN has left.
    pub fn tcp_ask_for_ecn(&mut self, id: Id) -> Result<(), Error> {
        let flow = self.flows.get(id).and_then(owned)?;
        if flow.ask_for_ecn() {
            Ok(())
        } else {
            Err(Error::Invalid)
        }
    }

    /// Spreads data over time, or no more.
    ///
    /// # Errors
    /// `BadHandle`; `Closed` when the connection is over; `Invalid` for a rate of 0; `NoMemory` while
    /// [`crate::Config::max_paced_flows`] others are paced.
    pub fn tcp_pacing(&mut self, id: Id, pacing: Pacing) -> Result<(), Error> {
        let flow = self.flows.get(id).and_then(owned)?;
        if matches!(flow.state, State::Closed | State::TimeWait) {
            return Err(Error::Closed);
        }
        flow.set_pacing(&mut self.shared, pacing)
    }

    /// Gives a connection up when data stays unacknowledged for `timeout` (1 ms to 34 minutes), or as configured.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn tcp_user_timeout(&mut self, id: Id, timeout: Option<Duration>) -> Result<(), Error> {
        let flow = self.flows.get(id).and_then(owned)?;
        flow.set_user_timeout(timeout);
        Ok(())
    }

    /// Probes a silent peer after `idle`, or never.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn tcp_keepalive(&mut self, now: Instant, id: Id, idle: Option<Duration>) -> Result<(), Error> {
        let flow = self.flows.get(id).and_then(owned)?;
        flow.set_keepalive(&mut self.shared, now, idle);
        Ok(())
    }
}

/// Only a connection that was opened or accepted by the app is its own; one that is merely offered is not yet.
#[inline]
fn owned(flow: &mut Flow) -> Result<&mut Flow, Error> {
    if flow.marks.has(Marks::PASSIVE) && !flow.marks.has(Marks::ATTACHED) {
        return Err(Error::BadHandle);
    }
    Ok(flow)
}
