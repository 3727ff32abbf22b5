//! Calls from tasks.

use super::clock::random_key;
use super::{CallError, Config, Event, Message, Refused, Response};
use crate::slab::{Key, Slab};
use crate::task::{Sleep, UdpSocket, scope, sleep, spawn};
use crate::{RecvBuf, SendBuf, Status};
use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::{Future, poll_fn};
use core::net::SocketAddr;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::rc::Rc;

/// A client on a UDP port of its own, with a task that receives for it. It ends when this and all its sessions are dropped.
pub struct Client {
    owner: Rc<Owner>,
}

/// A session with a server. Dropping it ends it.
pub struct Session {
    session: ix_rpc::Session,
    owner: Rc<Owner>,
}

/// Why a call has no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It was not made.
    Refused(Refused),
    /// The request is longer than [`super::wire::MAX_MESSAGE_BYTES`]; it was not made.
    TooLong,
    /// It has failed.
    Failed(CallError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused(Refused::Busy) => f.write_str("too many calls wait already"),
            Failure::Refused(_) => f.write_str("there is no session"),
            Failure::TooLong => f.write_str("the request is too long"),
            Failure::Failed(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl core::error::Error for Failure {}

/// Where a call is.
enum Call {
    Waits(Option<Waker>),
    Over(Result<Response, CallError>),
}

/// What the client's task and its users share.
struct Shared {
    socket: UdpSocket,
    protocol: RefCell<ix_rpc::Client<RecvBuf>>,
    calls: RefCell<Slab<Call>>,
    /// The task, and until when it sleeps.
    receiver: RefCell<Option<Waker>>,
    sleeps_until_ns: Cell<u64>,
    is_over: Cell<bool>,
}

/// Ends the client's task when it is dropped.
struct Owner(Rc<Shared>);

impl Client {
    /// Binds a free UDP port, and starts a task that receives.
    ///
    /// # Errors
    /// As [`UdpSocket::bind`].
    ///
    /// # Panics
    /// Outside of a task.
    pub fn bind(config: &Config) -> Result<Self, Status> {
        let shared = Rc::new(Shared {
            socket: UdpSocket::bind(0)?,
            protocol: RefCell::new(ix_rpc::Client::new(config, random_key())),
            calls: RefCell::new(Slab::new()),
            receiver: RefCell::default(),
            sleeps_until_ns: Cell::new(0),
            is_over: Cell::new(false),
        });
        spawn(receive(Rc::clone(&shared)));
        Ok(Client {
            owner: Rc::new(Owner(shared)),
        })
    }

    /// A session with `server`; calls wait until it is there.
    ///
    /// # Errors
    /// [`Refused::TooManySessions`].
    ///
    /// # Panics
    /// Outside of a task.
    pub fn connect(&self, server: SocketAddr) -> Result<Session, Refused> {
        let shared = &self.owner.0;
        let session = shared.protocol.borrow_mut().connect(now_ns(), server)?;
        shared.send();
        Ok(Session {
            session,
            owner: Rc::clone(&self.owner),
        })
    }

    /// What has been counted.
    #[must_use]
    pub fn counters(&self) -> super::Counters {
        self.owner.0.protocol.borrow().counters()
    }
}

impl Session {
    /// Calls `method` with these bytes, which are copied once.
    ///
    /// # Errors
    /// As [`Failure`] says.
    ///
    /// # Panics
    /// Outside of a task.
    pub async fn call(&self, method: u16, request: &[u8]) -> Result<Response, Failure> {
        let message = self.owner.0.protocol.borrow_mut().message_of(request);
        self.call_with(method, message.map_err(|_| Failure::TooLong)?)
            .await
    }

    /// A message of `len` bytes to fill, for [`Session::call_with`].
    ///
    /// # Errors
    /// `TooLong`.
    pub fn message(&self, len: usize) -> Result<Message, Failure> {
        let message = self.owner.0.protocol.borrow_mut().message(len);
        message.map_err(|_| Failure::TooLong)
    }

    /// Calls `method` with this message. A call that is given up before its end is carried out all the same.
    ///
    /// # Errors
    /// As [`Failure`] says.
    ///
    /// # Panics
    /// Outside of a task.
    pub async fn call_with(&self, method: u16, request: Message) -> Result<Response, Failure> {
        let shared = &self.owner.0;
        let waiting = Waiting {
            shared,
            key: shared.calls.borrow_mut().insert(Call::Waits(None)),
        };
        let tag = waiting.key.cookie();
        let called = shared
            .protocol
            .borrow_mut()
            .call(now_ns(), self.session, method, request, tag);
        called.map_err(Failure::Refused)?;
        shared.send();
        poll_fn(|cx| waiting.poll(cx)).await.map_err(Failure::Failed)
    }
}

/// Forgets a call that nobody waits for any more.
struct Waiting<'a> {
    shared: &'a Shared,
    key: Key,
}

impl Waiting<'_> {
    fn poll(&self, cx: &Context<'_>) -> Poll<Result<Response, CallError>> {
        let mut calls = self.shared.calls.borrow_mut();
        match calls.get_mut(self.key) {
            Some(Call::Waits(waker)) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Some(call) => match core::mem::replace(call, Call::Waits(None)) {
                Call::Over(result) => Poll::Ready(result),
                Call::Waits(_) => Poll::Pending,
            },
            None => Poll::Ready(Err(CallError::Gone)),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let call = self.shared.calls.borrow_mut().remove(self.key);
        drop(call);
    }
}

impl Shared {
    /// Sends what there is; wakes the task if it would sleep too long.
    fn send(&self) {
        let mut protocol = self.protocol.borrow_mut();
        while let Some(transmit) = protocol.poll_transmit() {
            let data = SendBuf::slice(transmit.bytes, transmit.range);
            self.socket.send_to_now(data, transmit.to);
        }
        let next = protocol.next_time().unwrap_or(u64::MAX);
        if next < self.sleeps_until_ns.get()
            && let Some(receiver) = self.receiver.take()
        {
            receiver.wake();
        }
    }

    /// Takes in what has come, does what is due, and tells whose calls are over.
    fn advance(&self, cx: &mut Context<'_>) {
        let now_ns = now_ns();
        while let Poll::Ready((data, peer)) = self.socket.poll_recv_from(cx) {
            self.protocol.borrow_mut().receive(now_ns, peer, data);
        }
        self.protocol.borrow_mut().on_time(now_ns);
        self.send();
        while let Some(event) = self.poll_event() {
            if let Event::Done { tag, result } = event
                && let Some(call) = self.calls.borrow_mut().get_mut(Key::from_cookie(tag))
                && let Call::Waits(Some(waker)) = core::mem::replace(call, Call::Over(result))
            {
                waker.wake();
            }
        }
    }

    fn poll_event(&self) -> Option<Event> {
        self.protocol.borrow_mut().poll_event()
    }
}

/// The client's task.
async fn receive(shared: Rc<Shared>) {
    let mut sleeping: Option<(u64, Pin<Box<Sleep>>)> = None;
    poll_fn(move |cx| {
        if shared.is_over.get() {
            return Poll::Ready(());
        }
        shared.advance(cx);
        loop {
            let next = shared.protocol.borrow().next_time();
            if sleeping.as_ref().map(|(until, _)| *until) != next {
                sleeping = next.map(|at_ns| {
                    let wait = Duration::from_nanos(at_ns.saturating_sub(now_ns()));
                    (at_ns, Box::pin(sleep(wait)))
                });
            }
            let is_due = sleeping
                .as_mut()
                .is_some_and(|(_, sleep)| sleep.as_mut().poll(cx).is_ready());
            if !is_due {
                break;
            }
            sleeping = None;
            shared.advance(cx);
        }
        let until = sleeping.as_ref().map_or(u64::MAX, |(until, _)| *until);
        shared.sleeps_until_ns.set(until);
        shared.receiver.replace(Some(cx.waker().clone()));
        Poll::Pending
    })
    .await;
}

fn now_ns() -> u64 {
    scope::with_io(|io| u64::try_from(io.now().as_nanos()).unwrap_or(u64::MAX))
}

impl Drop for Session {
    fn drop(&mut self) {
        let shared = &self.owner.0;
        // Outside of a task the loop is at its end, and the server will miss us by itself.
        if let Some(now) = scope::try_with_io(|io| io.now()) {
            let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
            shared.protocol.borrow_mut().close(now_ns, self.session);
            shared.send();
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.is_over.set(true);
        if let Some(receiver) = self.0.receiver.take() {
            receiver.wake();
        }
    }
}
