//! Stack to event array. Events are pulled, so what finds no room stays in the stack and holds its peer's window.

use super::Core;
use super::transmit::Wire;
use crate::host;
use crate::nic::Nic;
use core::net::SocketAddr;
use core::sync::atomic::Ordering;
use ix_abi::app::{Event as AbiEvent, EventKind, Handle, HandleKind, Status, layout};
use netstack::{BufId, Error, Event, Id, Instant};

impl<N: Nic> Core<N> {
    /// Fills the event array from its start; returns how many entries, at most `room`.
    pub(super) fn deliver(&mut self, room: u32, time: Instant) -> u32 {
        let mut count = 0;
        if !self.stop_told && host::area().is_some_and(|area| area.stop.load(Ordering::Relaxed) != 0) {
            self.stop_told = true;
            self.io.set_event(
                count,
                &AbiEvent {
                    kind: EventKind::Stop as u16,
                    ..AbiEvent::default()
                },
            );
            count += 1;
        }
        let mut wire = Wire::new(&mut self.nic, &mut self.pool);
        while count < room {
            let Some(event) = self.stack.poll_event(&mut wire, time) else {
                break;
            };
            self.io.set_event(count, &translate(&event, &wire));
            count += 1;
        }
        self.tally.events += u64::from(count);
        count
    }
}

/// One event as ring 3 sees it. Buffers become addresses in the receive window.
fn translate<N: Nic>(event: &Event, wire: &Wire<'_, N>) -> AbiEvent {
    let address =
        |buf: &BufId, offset: u16| layout::RX_WINDOW + wire.window_offset(buf.0) + u64::from(offset);
    let mut out = AbiEvent::default();
    let (kind, handle_kind, id, cookie) = match *event {
        Event::Knock { flow, cookie, peer } => {
            out.endpoint = peer.into();
            (EventKind::Knock, HandleKind::Flow, flow, cookie)
        }
        Event::Connected { flow, cookie, result } => {
            out.result = code(result);
            (EventKind::Connected, HandleKind::Flow, flow, cookie)
        }
        Event::Recv {
            flow,
            cookie,
            ref buf,
            offset,
            len,
        } => {
            (out.address, out.len) = (address(buf, offset), len.into());
            (EventKind::Recv, HandleKind::Flow, flow, cookie)
        }
        Event::Sent {
            flow,
            cookie,
            len,
            room,
        } => {
            (out.len, out.room) = (len, room);
            (EventKind::Sent, HandleKind::Flow, flow, cookie)
        }
        Event::Eof { flow, cookie } => (EventKind::Eof, HandleKind::Flow, flow, cookie),
        Event::Dead { flow, cookie, reason } => {
            out.result = code(reason);
            (EventKind::Dead, HandleKind::Flow, flow, cookie)
        }
        Event::UdpRecv {
            socket,
            cookie,
            peer,
            ref buf,
            offset,
            len,
        } => {
            (out.address, out.len, out.endpoint) = (address(buf, offset), len.into(), SocketAddr::into(peer));
            (EventKind::UdpRecv, HandleKind::Udp, socket, cookie)
        }
        Event::UdpSent {
            socket,
            cookie,
            result,
        } => {
            out.result = code(result);
            (EventKind::UdpSent, HandleKind::Udp, socket, cookie)
        }
        Event::Timer { timer, cookie } => (EventKind::Timer, HandleKind::Timer, timer, cookie),
    };
    (out.kind, out.handle, out.cookie) = (kind as u16, handle(handle_kind, id), cookie);
    out
}

pub(super) fn handle(kind: HandleKind, id: Id) -> Handle {
    Handle::new(kind, id.index, id.generation)
}

fn code(result: Result<(), Error>) -> i32 {
    result.map_or_else(|error| status(error).negated(), |()| 0)
}

/// The stack's errors in the ABI's numbers.
pub(super) fn status(error: Error) -> Status {
    match error {
        Error::NoMemory => Status::NoMemory,
        Error::Invalid => Status::Invalid,
        Error::Again => Status::Again,
        Error::BadHandle => Status::BadHandle,
        Error::Closed => Status::Closed,
        Error::ConnectionRefused => Status::ConnectionRefused,
        Error::ConnectionReset => Status::ConnectionReset,
        Error::TimedOut => Status::TimedOut,
        Error::AddressInUse => Status::AddressInUse,
        Error::AddressNotAvailable => Status::AddressNotAvailable,
        Error::Unreachable => Status::Unreachable,
        Error::MessageTooLong => Status::MessageTooLong,
        Error::NotSupported => Status::NotSupported,
        Error::Aborted => Status::Aborted,
    }
}
