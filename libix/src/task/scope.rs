//! The executor lends [`Io`] to the tasks it polls: a thread-local borrow, for as long as the poll takes.

use super::reactor::Reactor;
use crate::Io;
use core::cell::{Cell, RefCell};
use core::ptr::NonNull;
use std::rc::Rc;

thread_local! {
    /// The `Io` of the executor that is polling; `None` outside, and while somebody uses it.
    static IO: Cell<Option<NonNull<Io>>> = const { Cell::new(None) };
    static REACTOR: RefCell<Option<Rc<Reactor>>> = const { RefCell::new(None) };
}

/// Ends the loan, also if a task panics.
struct Loan {
    io_before: Option<NonNull<Io>>,
    reactor_before: Option<Rc<Reactor>>,
}

impl Drop for Loan {
    fn drop(&mut self) {
        IO.set(self.io_before.take());
        REACTOR.replace(self.reactor_before.take());
    }
}

/// Lends `io` to what `work` polls.
pub(super) fn enter<R>(io: &mut Io, reactor: &Rc<Reactor>, work: impl FnOnce() -> R) -> R {
    let _loan = Loan {
        io_before: IO.replace(Some(NonNull::from(io))),
        reactor_before: REACTOR.replace(Some(Rc::clone(reactor))),
    };
    work()
}

/// Puts the borrow back, also if its user panics.
struct Borrow(NonNull<Io>);

impl Drop for Borrow {
    fn drop(&mut self) {
        IO.set(Some(self.0));
    }
}

/// Uses the `Io` lent; `None` outside of a task.
pub(crate) fn try_with_io<R>(use_it: impl FnOnce(&mut Io) -> R) -> Option<R> {
    let mut borrow = Borrow(IO.take()?);
    // SAFETY: the pointer is that of the `&mut Io` that `enter` holds for as long as it is in `IO`, and it has just been
    // taken out of there, so this is the only reference made from it.
    Some(use_it(unsafe { borrow.0.as_mut() }))
}

/// The same.
///
/// # Panics
/// Outside of a task.
pub(crate) fn with_io<R>(use_it: impl FnOnce(&mut Io) -> R) -> R {
    try_with_io(use_it).expect("called outside of a task")
}

/// The reactor of the executor that is polling.
///
/// # Panics
/// Outside of a task.
pub(super) fn reactor() -> Rc<Reactor> {
    REACTOR
        .with_borrow(Option::clone)
        .expect("called outside of a task")
}
