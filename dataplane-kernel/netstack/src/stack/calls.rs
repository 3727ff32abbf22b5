//! What the app asks of the rest: buffers back, UDP, timers.

use super::Stack;
use crate::rx_buffers::NO_FLOW;
use crate::timer_wheel::TimerWheel;
use crate::udp::Link;
use crate::{BufId, Env, Error, Event, Id, Instant, Span};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

impl Stack {
    /// The app is done with a buffer of a `Recv` or a `UdpRecv`: it is freed, and its flow's window opens.
    ///
    /// # Errors
    /// `Invalid` if it was not lent.
    #[inline(always)]
    pub fn rx_done<E: Env>(&mut self, env: &mut E, now: Instant, buf: u32) -> Result<(), Error> {
        let meta = self.shared.rx.returned(buf)?;
        env.free_rx(BufId(buf));
        if meta.owner == NO_FLOW {
            self.udp.on_returned();
            return Ok(());
        }
        if let Some(flow) = self.flows.same(meta.owner, meta.generation) {
            if flow.rcv_nxt.after(flow.measured_to) {
                flow.right_size(&mut self.shared, now);
            }
            if flow.give_room(&self.shared, meta.len.into()) {
                flow.ack_now(&mut self.shared);
            }
        }
        Ok(())
    }

    /// Binds a UDP port, or any free one for 0.
    ///
    /// # Errors
    /// `NotSupported` (a family that is not spoken), `AddressNotAvailable`, `AddressInUse`, `NoMemory`.
    pub fn udp_bind(&mut self, address: Option<IpAddr>, port: u16, cookie: u64) -> Result<Id, Error> {
        self.check_local(address)?;
        if self.needs_udp_port(port) {
            return Err(Error::AddressInUse);
        }
        self.udp_bind_too(address, port, cookie)
    }

    /// The port of a UDP socket.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn udp_local_port(&self, id: Id) -> Result<u16, Error> {
        self.udp.local_port(id)
    }

    /// Unbinds a UDP port. Datagrams not yet fetched are dropped.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn udp_unbind<E: Env>(&mut self, _env: &mut E, now: Instant, id: Id) -> Result<(), Error> {
        self.udp.unbind(id, now)
    }

    /// Sends a datagram of `spans`; `UdpSent` with `cookie` follows.
    ///
    /// # Errors
    /// `BadHandle`, `Invalid`, `NotSupported`, `Unreachable`, `MessageTooLong`, `Again`.
    pub fn udp_send<E: Env>(
        &mut self,
        _env: &mut E,
        now: Instant,
        id: Id,
        remote: SocketAddr,
        spans: &[Span],
        cookie: u64,
    ) -> Result<(), Error> {
        let link = Link {
            interface: &self.shared.interface,
            static_routes: &self.shared.static_routes,
            neighbors: &mut self.shared.neighbors,
            ipv6: self.shared.ipv6.as_mut(),
            path_mtus: &self.shared.path_mtus,
        };
        self.udp.send(id, remote, spans, cookie, &link, now)
    }

    /// Starts a one-shot timer; `Timer` follows after `duration`.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn timer_start(&mut self, now: Instant, duration: Duration, cookie: u64) -> Result<Id, Error> {
        self.timers.start(now + duration, cookie).ok_or(Error::NoMemory)
    }

    /// Stops a timer.
    ///
    /// # Errors
    /// `BadHandle` if it has gone off.
    pub fn timer_cancel(&mut self, id: Id) -> Result<(), Error> {
        if self.timers.cancel(id) {
            Ok(())
        } else {
            Err(Error::BadHandle)
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct AppTimer {
    cookie: u64,
    generation: u32,
    in_use: bool,
}

/// The app's timers, on a wheel of their own.
pub(super) struct AppTimers {
    timers: Box<[AppTimer]>,
    free: Vec<u32>,
    wheel: TimerWheel,
}

impl AppTimers {
    pub(super) fn new(capacity: u32, now: Instant) -> Self {
        AppTimers {
            timers: (0..capacity).map(|_| AppTimer::default()).collect(),
            free: (0..capacity).rev().collect(),
            wheel: TimerWheel::new(capacity, now),
        }
    }

    fn start(&mut self, at: Instant, cookie: u64) -> Option<Id> {
        let index = self.free.pop()?;
        let timer = &mut self.timers[index as usize];
        timer.cookie = cookie;
        timer.in_use = true;
        self.wheel.arm(index, at);
        Some(Id {
            index,
            generation: timer.generation,
        })
    }

    fn cancel(&mut self, id: Id) -> bool {
        let known = self.timers.get(id.index as usize);
        if !known.is_some_and(|timer| timer.in_use && timer.generation == id.generation) {
            return false;
        }
        self.wheel.cancel(id.index);
        self.release(id.index);
        true
    }

    fn release(&mut self, index: u32) {
        let timer = &mut self.timers[index as usize];
        timer.in_use = false;
        timer.generation = (timer.generation + 1) & 0x0fff_ffff;
        self.free.push(index);
    }

    #[inline]
    pub(super) fn advance(&mut self, now: Instant) {
        self.wheel.advance(now);
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.wheel.next_deadline()
    }

    #[inline]
    pub(super) fn poll_event(&mut self) -> Option<Event> {
        let index = self.wheel.pop_due()?;
        let AppTimer {
            cookie, generation, ..
        } = self.timers[index as usize];
        self.release(index);
        Some(Event::Timer {
            timer: Id { index, generation },
            cookie,
        })
    }
}
