//! The stack's events in the ABI's form.

use crate::{handle, status};
use ix_abi::app::{Endpoint, Event as AbiEvent, EventKind, HandleKind};
use netstack::{BufId, Error, Event};

/// Writes an event into an entry of the event array; `address` says where the app finds the byte at an offset of a buffer.
/// Only the fields that count are written: the entry may hold an older event, which was the app's to read too.
#[inline]
pub fn write(event: Event, to: &mut AbiEvent, address: impl Fn(BufId, u16) -> u64) {
    let mut head = |kind: EventKind, handle_kind, id, cookie| {
        (to.kind, to.handle, to.cookie) = (kind as u16, handle(handle_kind, id), cookie);
    };
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
            (to.kind, to.len) = (EventKind::Address as u16, 0);
            to.endpoint = ip.map_or(Endpoint::UNSPECIFIED, |ip| Endpoint::v4(ip, 0));
        }
        Event::Timer { timer, cookie } => head(EventKind::Timer, HandleKind::Timer, timer, cookie),
    }
}

/// Says of an event just written that it is of this link's, as far as that is to be seen.
pub fn mark(event: &mut AbiEvent, link: usize) {
    if event.kind == EventKind::Address as u16 {
        event.len = u32::try_from(link).unwrap_or(u32::MAX);
    } else if event.handle.is(HandleKind::Flow) {
        event.handle = event.handle.on_link(link);
    }
}

fn code(result: Result<(), Error>) -> i32 {
    result.map_or_else(|error| status(error).negated(), |()| 0)
}
