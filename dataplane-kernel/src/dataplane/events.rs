//! Stack to event array. Events are pulled, so what finds no room stays in the stack and holds its peer's window.

use super::Core;
use super::lease::servers_of;
use super::transmit::Wire;
use crate::host;
use crate::mem::mbuf::Region;
use crate::nic::Nic;
use core::sync::atomic::Ordering;
use ix_abi::app::{Endpoint, Event as AbiEvent, EventKind, Handle, HandleKind, Status, layout};
use netstack::{BufId, Error, Event, Id, Instant};

impl<N: Nic> Core<N> {
    /// Fills the event array from its start; returns how many entries, at most `room`.
    #[inline]
    pub(super) fn deliver(&mut self, room: u32, time: Instant) -> u32 {
        let mut count = u32::from(self.tell_stop());
        let Core {
            nic, pool, stack, io, ..
        } = self;
        let region = pool.region();
        let mut wire = Wire::new(nic, pool);
        while count < room {
            let Some(event) = stack.poll_event(&mut wire, time) else {
                break;
            };
            if let Event::Address { .. } = event {
                io.lease_name_servers(servers_of(stack.lease()));
            }
            write(event, io.event(count), region);
            count += 1;
        }
        self.tally.events += u64::from(count);
        count
    }

    /// Puts the launcher's wish that the app finish in front of the events, once.
    #[inline]
    fn tell_stop(&mut self) -> bool {
        let told = !self.stop_told && host::area().is_some_and(|area| area.stop.load(Ordering::Relaxed) != 0);
        if told {
            self.stop_told = true;
            *self.io.event(0) = AbiEvent {
                kind: EventKind::Stop as u16,
                ..AbiEvent::default()
            };
        }
        told
    }
}

/// One event as ring 3 sees it. Buffers become addresses in the receive window. Only the fields that count are written:
/// the entry may hold an older event, which was ring 3's to read too.
#[inline]
fn write(event: Event, to: &mut AbiEvent, region: Region) {
    let mut head = |kind: EventKind, handle_kind, id, cookie| {
        (to.kind, to.handle, to.cookie) = (kind as u16, handle(handle_kind, id), cookie);
    };
    let address =
        |buf: BufId, offset: u16| layout::RX_WINDOW + region.window_offset(buf.0) + u64::from(offset);
    match event {
        Event::Recv {
            flow,
            cookie,
            buf,
            offset,
            len,
        } => {
            head(EventKind::Recv, HandleKind::Flow, flow, cookie);
            (to.address, to.len) = (address(buf, offset), len.into());
        }
        Event::Sent {
            flow,
            cookie,
            len,
            room,
        } => {
            head(EventKind::Sent, HandleKind::Flow, flow, cookie);
            (to.len, to.room) = (len, room);
        }
        Event::UdpRecv {
            socket,
            cookie,
            peer,
            buf,
            offset,
            len,
        } => {
            head(EventKind::UdpRecv, HandleKind::Udp, socket, cookie);
            (to.address, to.len, to.endpoint) = (address(buf, offset), len.into(), peer.into());
        }
        Event::UdpSent {
            socket,
            cookie,
            result,
        } => {
            head(EventKind::UdpSent, HandleKind::Udp, socket, cookie);
            to.result = code(result);
        }
        Event::UdpRefused { socket, cookie, peer } => {
            head(EventKind::UdpRefused, HandleKind::Udp, socket, cookie);
            to.endpoint = peer.into();
        }
        Event::Knock { flow, cookie, peer } => {
            head(EventKind::Knock, HandleKind::Flow, flow, cookie);
            to.endpoint = peer.into();
        }
        Event::Connected { flow, cookie, result } => {
            head(EventKind::Connected, HandleKind::Flow, flow, cookie);
            to.result = code(result);
        }
        Event::Eof { flow, cookie } => head(EventKind::Eof, HandleKind::Flow, flow, cookie),
        Event::Dead { flow, cookie, reason } => {
            head(EventKind::Dead, HandleKind::Flow, flow, cookie);
            to.result = code(reason);
        }
        Event::Address { ip } => {
            log::warn!("our IPv4 address is {ip:?} now");
            to.kind = EventKind::Address as u16;
            to.endpoint = ip.map_or(Endpoint::UNSPECIFIED, |ip| Endpoint::v4(ip, 0));
        }
        Event::Timer { timer, cookie } => head(EventKind::Timer, HandleKind::Timer, timer, cookie),
    }
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
