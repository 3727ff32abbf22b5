//! The result of a task.

use super::reactor::Reactor;
use crate::slab::Key;
use core::cell::RefCell;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::rc::Rc;

enum State<T> {
    Running(Option<Waker>),
    Done(T),
    Taken,
}

/// Awaiting it gives what the task returned. Dropping it changes nothing.
pub struct JoinHandle<T> {
    state: Rc<RefCell<State<T>>>,
    reactor: Rc<Reactor>,
    task: Key,
}

pub(super) fn spawn<T: 'static>(
    reactor: &Rc<Reactor>,
    future: impl Future<Output = T> + 'static,
) -> JoinHandle<T> {
    let state = Rc::new(RefCell::new(State::Running(None)));
    let result = Rc::clone(&state);
    let task = reactor.tasks.borrow_mut().add(Box::pin(async move {
        let value = future.await;
        if let State::Running(Some(waker)) = result.replace(State::Done(value)) {
            waker.wake();
        }
    }));
    JoinHandle {
        state,
        reactor: Rc::clone(reactor),
        task,
    }
}

impl<T> JoinHandle<T> {
    /// Drops the task where it waits; whoever awaits this waits for ever. One that has ended is ignored.
    pub fn cancel(&self) {
        let task = self.reactor.tasks.borrow_mut().remove(self.task);
        drop(task);
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut state = self.state.borrow_mut();
        match core::mem::replace(&mut *state, State::Taken) {
            State::Done(value) => Poll::Ready(value),
            State::Running(_) => {
                *state = State::Running(Some(cx.waker().clone()));
                Poll::Pending
            }
            State::Taken => panic!("polled after it was ready"),
        }
    }
}
