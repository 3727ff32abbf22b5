//! What a host's stack tells, in the ABI's form.

use super::card::Card;
use ix_abi::app::{Endpoint, Event as AbiEvent, EventKind, Handle, HandleKind, Status};
use netstack::{Error, Event, Id};

pub(super) fn handle(kind: HandleKind, id: Id) -> Handle {
    Handle::new(kind, id.index, id.generation)
}

fn code(result: Result<(), Error>) -> i32 {
    result.map_or_else(|error| status(error).negated(), |()| 0)
}

/// The stack's errors have the names of the ABI's statuses.
pub(super) fn status(error: Error) -> Status {
    let name = error.to_string();
    let same = |status: &Status| format!("{status:?}") == name;
    Status::ALL.into_iter().find(same).unwrap_or(Status::Invalid)
}

/// One event as the app sees it.
pub(super) fn translate(event: &Event, card: &Card) -> AbiEvent {
    let head = |kind: EventKind, handle_kind, id: &Id, cookie: &u64| AbiEvent {
        kind: kind as u16,
        handle: handle(handle_kind, *id),
        cookie: *cookie,
        ..AbiEvent::default()
    };
    match event {
        Event::Recv {
            flow,
            cookie,
            buf,
            offset,
            len,
        } => AbiEvent {
            address: card.address_of(buf, *offset),
            len: (*len).into(),
            ..head(EventKind::Recv, HandleKind::Flow, flow, cookie)
        },
        Event::Sent {
            flow,
            cookie,
            len,
            room,
        } => AbiEvent {
            len: *len,
            room: *room,
            ..head(EventKind::Sent, HandleKind::Flow, flow, cookie)
        },
        Event::UdpRecv {
            socket,
            cookie,
            peer,
            buf,
            offset,
            len,
        } => AbiEvent {
            address: card.address_of(buf, *offset),
            len: (*len).into(),
            endpoint: (*peer).into(),
            ..head(EventKind::UdpRecv, HandleKind::Udp, socket, cookie)
        },
        Event::UdpSent {
            socket,
            cookie,
            result,
        } => AbiEvent {
            result: code(*result),
            ..head(EventKind::UdpSent, HandleKind::Udp, socket, cookie)
        },
        Event::UdpRefused { socket, cookie, peer } => AbiEvent {
            endpoint: (*peer).into(),
            ..head(EventKind::UdpRefused, HandleKind::Udp, socket, cookie)
        },
        Event::Knock { flow, cookie, peer } => AbiEvent {
            endpoint: (*peer).into(),
            ..head(EventKind::Knock, HandleKind::Flow, flow, cookie)
        },
        Event::Connected { flow, cookie, result } => AbiEvent {
            result: code(*result),
            ..head(EventKind::Connected, HandleKind::Flow, flow, cookie)
        },
        Event::Eof { flow, cookie } => head(EventKind::Eof, HandleKind::Flow, flow, cookie),
        Event::Dead { flow, cookie, reason } => AbiEvent {
            result: code(*reason),
            ..head(EventKind::Dead, HandleKind::Flow, flow, cookie)
        },
        Event::Address { ip } => AbiEvent {
            kind: EventKind::Address as u16,
            endpoint: ip.map_or(Endpoint::UNSPECIFIED, |ip| Endpoint::v4(ip, 0)),
            ..AbiEvent::default()
        },
        Event::Timer { timer, cookie } => head(EventKind::Timer, HandleKind::Timer, timer, cookie),
    }
}
