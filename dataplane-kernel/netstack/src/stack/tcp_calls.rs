//! What the app asks of TCP.

use super::Stack;
use crate::route::NextHop;
use crate::tcp::close::Wants;
use crate::tcp::flow::{Flow, Marks};
use crate::tcp::tuple::Tuple;
use crate::{Env, Error, Id, Instant, Span};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

/// Ports for connections of the app's that names none (RFC 6335 section 6, and Linux' lower half).
const FIRST_EPHEMERAL: u16 = 32768;
/// Random ports that are tried before all are, one by one.
const RANDOM_TRIES: u32 = 16;

impl Stack {
    /// Listens on `port`. `address`: ours, or any. At most `backlog` connections (0: a default) wait to be accepted.
    ///
    /// # Errors
    /// `Invalid` (port 0), `NotSupported` (IPv6), `AddressNotAvailable`, `AddressInUse`, `NoMemory`.
    pub fn tcp_listen(
        &mut self,
        address: Option<IpAddr>,
        port: u16,
        backlog: u32,
        cookie: u64,
    ) -> Result<Id, Error> {
        self.local_address(address)?;
        let backlog = if backlog == 0 {
            self.shared.tuning.default_backlog
        } else {
            backlog
        };
        self.shared.listeners.open(port, backlog, cookie)
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
    /// `NotSupported` (IPv6), `Invalid` (port 0), `Unreachable`, `AddressNotAvailable` (not our address, or no port
    /// free), `AddressInUse`, `NoMemory`.
    pub fn tcp_connect<E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        remote: SocketAddr,
        local_ip: Option<IpAddr>,
        local_port: Option<u16>,
        cookie: u64,
    ) -> Result<Id, Error> {
        let SocketAddr::V4(remote) = remote else {
            return Err(Error::NotSupported);
        };
        if remote.port() == 0 {
            return Err(Error::Invalid);
        }
        let local = self.local_address(local_ip)?;
        if !matches!(
            self.shared.interface.route.next_hop(*remote.ip()),
            NextHop::Neighbor(_)
        ) {
            return Err(Error::Unreachable);
        }
        let tuple = Tuple {
            local,
            remote: *remote.ip(),
            local_port: local_port.unwrap_or(0),
            remote_port: remote.port(),
        };
        let tuple = self.with_local_port(tuple)?;
        self.create_flow(env, tuple).ok_or(Error::NoMemory)?;
        let slot = self.find_flow(&tuple).ok_or(Error::NoMemory)?;
        let flow = self.flows.at(slot);
        flow.open_active(&mut self.shared, now, cookie);
        Ok(flow.id())
    }

    pub(super) fn local_address(&self, address: Option<IpAddr>) -> Result<Ipv4Addr, Error> {
        let ours = self.shared.interface.route.address();
        match address {
            None => Ok(ours),
            Some(IpAddr::V4(v4)) if v4 == ours || v4.is_unspecified() => Ok(ours),
            Some(IpAddr::V4(_)) => Err(Error::AddressNotAvailable),
            Some(IpAddr::V6(_)) => Err(Error::NotSupported),
        }
    }

    /// The tuple with a local port that nobody uses with this remote end; random (RFC 6056 section 3.3.1).
    fn with_local_port(&mut self, tuple: Tuple) -> Result<Tuple, Error> {
        if tuple.local_port != 0 {
            return if self.find_flow(&tuple).is_none() {
                Ok(tuple)
            } else {
                Err(Error::AddressInUse)
            };
        }
        let mut port = FIRST_EPHEMERAL;
        for _ in 0..RANDOM_TRIES {
            let [low, high, ..] = self.shared.secrets.random().to_le_bytes();
            port = u16::from_le_bytes([low, high]) | FIRST_EPHEMERAL;
            if let Some(found) = self.if_free(tuple, port) {
                return Ok(found);
            }
        }
        let following = (port..=u16::MAX).chain(FIRST_EPHEMERAL..port);
        for port in following {
            if let Some(found) = self.if_free(tuple, port) {
                return Ok(found);
            }
        }
        Err(Error::AddressNotAvailable)
    }

    fn if_free(&self, tuple: Tuple, local_port: u16) -> Option<Tuple> {
        let candidate = Tuple { local_port, ..tuple };
        let is_free =
            self.find_flow(&candidate).is_none() && self.shared.listeners.on_port(local_port).is_none();
        is_free.then_some(candidate)
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
    #[inline]
    pub fn tcp_send<E: Env>(
        &mut self,
        _env: &mut E,
        _now: Instant,
        id: Id,
        spans: &[Span],
    ) -> Result<u32, Error> {
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
