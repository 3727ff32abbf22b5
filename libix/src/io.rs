//! What a handler can ask for. The calls of the data path only take note; [`Io::gather`] turns the notes into commands
//! once per turn, so that several sends of one flow become one command.

mod commands;

mod frames;

mod gather;

mod results;

use crate::arrays::{Arrays, Interrupt};
use crate::batch::Batch;
use crate::flow::{FlowState, Output};
use crate::recv_buf::{Returned, Returns};
use crate::slab::Slab;
use crate::{Datagram, Flow, Link, SendBuf, UdpPort, Waker};
use core::net::{IpAddr, SocketAddr};
use ix_abi::app::{Handle, Status};
use std::rc::Rc;
use std::time::Duration;

/// How long connections get to close once the app has been asked to stop.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// How often a loop that has a [`Waker`] looks, where nothing can interrupt it.
const LOOK_EVERY_NS: u64 = 20_000;

/// The app's side of the dataplane: given to every method of [`crate::Handler`].
///
/// Sends, closes, accepts and returned buffers are batched until the end of the turn. What must know its outcome at once
/// (listen, bind, connect, starting a timer) takes a trap of its own, with everything batched before it.
pub struct Io {
    pub(crate) batch: Batch,
    pub(crate) returns: Rc<Returns>,
    /// Storage for the returned buffers of the next turn.
    returned_before: Vec<Returned>,
    pub(crate) flows: Slab<FlowState>,
    /// The kernel's handle of each listener.
    pub(crate) listeners: Slab<Handle>,
    /// Datagrams that have not left yet.
    pub(crate) datagrams: Slab<(UdpPort, SendBuf)>,
    /// Flows to make commands for.
    listed: Vec<Flow>,
    /// Its storage while the other is worked through.
    listed_before: Vec<Flow>,
    /// What came out of commands and is still to be told to the handler.
    pub(crate) notices: Vec<Notice>,
    /// A flow has more for the kernel as soon as it has taken what is in the batch.
    more_follows: bool,
    /// Flows that must try again next turn, because no event may come that tells them to.
    pub(crate) retry: Vec<Flow>,
    /// Longest wait, of a loop that has to look for what cannot interrupt it.
    longest_wait_ns: u64,
    /// See [`Io::frames_dropped`].
    frames_dropped: u64,
    /// Set by [`Io::stop`]: when patience ends.
    pub(crate) stop_at: Option<Duration>,
}

/// An event that is not the kernel's: libix found it in a command's result, or in what the app asked for.
pub(crate) enum Notice {
    Dead(Flow, Status),
    Writable(Flow),
    UdpSent(UdpPort, Datagram, Status),
}

impl Io {
    pub(crate) fn new(arrays: Arrays) -> Self {
        Io {
            returns: Rc::new(Returns::new(arrays.memory())),
            batch: Batch::new(arrays),
            returned_before: Vec::new(),
            flows: Slab::new(),
            listeners: Slab::new(),
            datagrams: Slab::new(),
            listed: Vec::new(),
            listed_before: Vec::new(),
            notices: Vec::new(),
            more_follows: false,
            retry: Vec::new(),
            longest_wait_ns: u64::MAX,
            frames_dropped: 0,
            stop_at: None,
        }
    }

    /// Time since some point in the past, by the clock that timers go by: the system's, or under `libix::testing` the
    /// network's.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.batch.arrays().now()
    }

    /// What ends the waits of this loop from another thread.
    pub fn waker(&mut self) -> Waker {
        let interrupt = self.interrupt();
        if matches!(interrupt, Interrupt::LookOften) {
            self.longest_wait_ns = LOOK_EVERY_NS;
        }
        Waker::new(interrupt)
    }

    pub(crate) fn interrupt(&self) -> Interrupt {
        self.batch.arrays().interrupt()
    }

    /// The dataplane's own address, its IPv4 address if it has one; [`crate::Handler::on_local_ip`] tells of changes.
    /// `None` in hosted mode, where all of Linux's are.
    #[must_use]
    pub fn local_ip(&self) -> Option<IpAddr> {
        self.batch.info().local.ip()
    }

    /// The networks that the dataplane is on, by number: [`Io::connect`] and [`Io::udp_send`] go by the one that leads to the
    /// peer. None in hosted mode, where Linux has its own.
    pub fn links(&self) -> impl Iterator<Item = Link> + '_ {
        self.batch.info().links().iter().map(Link::from)
    }

    /// Where names are resolved, in the order to ask: those of `ix run --dns`, or of the DHCP lease that the address comes
    /// from; in hosted mode, those of `/etc/resolv.conf` when the loop was made. [`crate::dns`] asks them.
    pub fn name_servers(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.batch.info().name_servers()
    }

    /// Index of the core this loop runs on, from 0.
    #[must_use]
    pub fn core(&self) -> u16 {
        self.batch.info().core
    }

    /// Sends `data` on `flow`, without copying it: it is held until the peer has acknowledged it. Never blocks and never
    /// refuses for want of room: what the kernel cannot take yet waits here, in order. Returns the bytes not yet
    /// acknowledged, these included; an app that produces faster than its peer reads should stop when the flow is not
    /// [writable](Io::is_writable), and go on at [`crate::Handler::on_writable`].
    ///
    /// # Errors
    /// `BadHandle` if the flow is dead, `Closed` after a close or shutdown.
    #[inline]
    pub fn send(&mut self, flow: Flow, data: impl Into<SendBuf>) -> Result<usize, Status> {
        let state = self.flows.get_mut(flow.0).ok_or(Status::BadHandle)?;
        if state.output > Output::Open {
            return Err(Status::Closed);
        }
        let backlog = state.push(data.into());
        if !state.listed {
            state.listed = true;
            self.listed.push(flow);
        }
        Ok(backlog)
    }

    /// Whether fewer bytes are on their way than the flow's high-water mark. From that mark on it is `false` until half of
    /// it or less is left, when [`crate::Handler::on_writable`] is called. Nothing depends on it but the app that asks:
    /// [`Io::send`] takes more all the same. `false` if the flow is dead or closed.
    #[inline]
    #[must_use]
    pub fn is_writable(&self, flow: Flow) -> bool {
        self.flows
            .get(flow.0)
            .is_some_and(|state| state.output <= Output::Open && !state.is_full)
    }

    /// Sets the flow's high-water mark, in bytes on their way: 256 KiB at first, at least 1.
    ///
    /// # Errors
    /// `BadHandle` if the flow is dead.
    pub fn set_high_water(&mut self, flow: Flow, bytes: usize) -> Result<(), Status> {
        let state = self.flows.get_mut(flow.0).ok_or(Status::BadHandle)?;
        if state.set_high_water(bytes) {
            self.notices.push(Notice::Writable(flow));
        }
        Ok(())
    }

    /// Bytes given to [`Io::send`] on `flow` that the peer has not acknowledged; 0 if it is dead.
    #[inline]
    #[must_use]
    pub fn backlog(&self, flow: Flow) -> usize {
        self.flows.get(flow.0).map_or(0, FlowState::backlog)
    }

    /// How many connections there are, half-closed ones included.
    #[must_use]
    pub fn flow_count(&self) -> usize {
        self.flows.len()
    }

    /// Closes `flow` in order: what was sent is still delivered, then FIN. Of its events only `on_sent` and, when the peer
    /// has closed as well, `on_dead` follow.
    ///
    /// # Errors
    /// `BadHandle` if the flow is dead, `Closed` if it has been closed already.
    pub fn close(&mut self, flow: Flow) -> Result<(), Status> {
        self.end_output(flow, Output::CloseWanted)
    }

    /// Half close: sends FIN after what was sent, and goes on receiving.
    ///
    /// # Errors
    /// `BadHandle` if the flow is dead, `Closed` after an earlier close or shutdown.
    pub fn shutdown(&mut self, flow: Flow) -> Result<(), Status> {
        self.end_output(flow, Output::ShutdownWanted)
    }

    fn end_output(&mut self, flow: Flow, wanted: Output) -> Result<(), Status> {
        let state = self.flows.get_mut(flow.0).ok_or(Status::BadHandle)?;
        if state.output >= wanted {
            return Err(Status::Closed);
        }
        if state.output == Output::Connecting {
            return self.abort(flow);
        }
        state.output = wanted;
        self.list(flow);
        Ok(())
    }

    /// Resets `flow`. What was sent may not arrive; only `on_dead` follows.
    ///
    /// # Errors
    /// `BadHandle` if the flow is dead.
    pub fn abort(&mut self, flow: Flow) -> Result<(), Status> {
        let state = self.flows.get_mut(flow.0).ok_or(Status::BadHandle)?;
        if state.output < Output::AbortWanted {
            state.output = Output::AbortWanted;
            state.queue.forget_waiting();
            self.list(flow);
        }
        Ok(())
    }

    /// Stops listening, closes every flow, and ends the loop when the last is gone, or after a second, when those that
    /// are left are reset.
    pub fn stop(&mut self) {
        if self.stop_at.is_some() {
            return;
        }
        self.stop_at = Some(self.now() + STOP_GRACE);
        for key in self.listeners.keys() {
            self.unlisten(crate::Listener(key));
        }
        for key in self.flows.keys() {
            // Those that are closed already are on their way.
            let _ = self.close(Flow(key));
        }
    }

    /// Puts `flow` on the list of those to make commands for.
    pub(crate) fn list(&mut self, flow: Flow) {
        if let Some(state) = self.flows.get_mut(flow.0)
            && !state.listed
        {
            state.listed = true;
            self.listed.push(flow);
        }
    }
}

impl Drop for Io {
    /// What is lent to the kernel must outlive this: no event will tell when it is free.
    fn drop(&mut self) {
        if !self.batch.arrays().lends_for_ever() {
            return;
        }
        for key in self.flows.keys() {
            if let Some(state) = self.flows.remove(key) {
                state.queue.leak();
            }
        }
        for key in self.datagrams.keys() {
            core::mem::forget(self.datagrams.remove(key));
        }
    }
}
