//! Moments. They cost no call of the kernel: the loop waits no longer than until the first of them.

use super::reactor::Reactor;
use super::scope;
use crate::Status;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll};
use core::time::Duration;
use std::rc::Rc;

/// Resolves after `duration`, counted from the first poll.
#[must_use]
pub fn sleep(duration: Duration) -> Sleep {
    Sleep {
        duration,
        registered: None,
    }
}

/// What [`sleep`] returns.
pub struct Sleep {
    duration: Duration,
    registered: Option<Registered>,
}

struct Registered {
    at: Duration,
    number: u64,
    reactor: Rc<Reactor>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let now = scope::with_io(|io| io.now());
        match &self.registered {
            Some(Registered { at, number, reactor }) => {
                if now >= *at {
                    return Poll::Ready(());
                }
                reactor.timers.borrow_mut().set(*at, *number, cx.waker());
            }
            None => {
                let reactor = scope::reactor();
                let at = now.saturating_add(self.duration);
                let number = reactor.timers.borrow_mut().add(at, cx.waker().clone());
                self.registered = Some(Registered { at, number, reactor });
            }
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(Registered { at, number, reactor }) = &self.registered {
            reactor.timers.borrow_mut().remove(*at, *number);
        }
    }
}

/// What `future` gives, unless that takes longer than `duration`; then `future` is dropped.
///
/// # Errors
/// `TimedOut`.
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, Status> {
    let mut future = pin!(future);
    let mut sleep = pin!(sleep(duration));
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        sleep.as_mut().poll(cx).map(|()| Err(Status::TimedOut))
    })
    .await
}
