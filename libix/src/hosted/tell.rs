//! Events of what is ready, a few of each at a time, so that nobody keeps the others waiting.

use super::cycle::Out;
use super::deadlines::Due;
use super::flow::{Flow, Stage, Tell};
use super::sockets::from_linux;
use super::{Hosted, Object, handle};
use crate::slab::Key;
use ix_abi::app::{Endpoint, Event, EventKind, HandleKind};
use std::io::ErrorKind;

/// Most events of one flow, listener or port before it is another's turn.
const EVENTS_IN_TURN: usize = 8;

/// How long a listener waits when the process has no file descriptor left.
const ACCEPT_AGAIN_NS: u64 = 10_000_000;

impl Hosted {
    pub(super) fn tell_flow(&mut self, key: Key, out: &mut Out) {
        for _ in 0..EVENTS_IN_TURN {
            let Some(flow) = self.flows.get_mut(key) else {
                return;
            };
            if out.is_full() {
                break;
            }
            match flow.next_event(key, &mut self.pool) {
                Tell::Event(event) => out.events.push(event),
                Tell::Last(event) => {
                    self.remove_flow(key);
                    out.events.push(event);
                    return;
                }
                Tell::Nothing => {
                    flow.queued = false;
                    self.arrange_look(key);
                    return;
                }
                Tell::Starved => {
                    flow.queued = false;
                    self.starved.push(Object::Flow(key));
                    return;
                }
            }
        }
        self.ready.push_back(Object::Flow(key));
    }

    /// Has acknowledgements looked for, if any are awaited.
    pub(super) fn arrange_look(&mut self, key: Key) {
        if let Some(flow) = self.flows.get_mut(key)
            && let Some(after_ns) = flow.next_look_ns()
        {
            let at = Self::now_ns().saturating_add(after_ns);
            flow.look_due = Some(at);
            self.deadlines.add(at, Due::Acknowledgements(key));
        }
    }

    pub(super) fn tell_port(&mut self, key: Key, out: &mut Out) {
        for _ in 0..EVENTS_IN_TURN {
            let Some(port) = self.ports.get_mut(key) else {
                return;
            };
            if out.is_full() {
                break;
            }
            match port.next_event(key, &mut self.pool) {
                Tell::Event(event) | Tell::Last(event) => out.events.push(event),
                Tell::Nothing => {
                    port.queued = false;
                    return;
                }
                Tell::Starved => {
                    port.queued = false;
                    self.starved.push(Object::Port(key));
                    return;
                }
            }
        }
        self.ready.push_back(Object::Port(key));
    }

    pub(super) fn tell_listener(&mut self, key: Key, out: &mut Out) {
        for _ in 0..EVENTS_IN_TURN {
            let Some(listener) = self.listeners.get_mut(key) else {
                return;
            };
            if out.is_full() {
                break;
            }
            let (socket, peer) = match listener.socket.accept() {
                Ok(accepted) => accepted,
                // The peer did not wait.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::ConnectionAborted | ErrorKind::Interrupted
                    ) =>
                {
                    continue;
                }
                Err(error) => {
                    listener.queued = false;
                    if error.kind() != ErrorKind::WouldBlock {
                        self.deadlines
                            .add(Self::now_ns() + ACCEPT_AGAIN_NS, Due::Accept(key));
                    }
                    return;
                }
            };
            if socket.set_nonblocking(true).is_err() || socket.set_tcp_nodelay(true).is_err() {
                continue;
            }
            let cookie = listener.cookie;
            let mut flow = Flow::new(socket, Stage::Offered, cookie);
            flow.listener = Some(key);
            let flow = self.flows.insert(flow);
            out.events.push(Event {
                kind: EventKind::Knock as u16,
                handle: handle(HandleKind::Flow, flow),
                cookie,
                endpoint: peer
                    .as_socket()
                    .map_or(Endpoint::UNSPECIFIED, |peer| from_linux(peer).into()),
                ..Event::default()
            });
        }
        self.ready.push_back(Object::Listener(key));
    }
}
