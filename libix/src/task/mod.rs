//! The third level: tasks that `await`, on an executor that is a [`Handler`](crate::Handler) of the event loop.
//!
//! Tasks run to completion: what the batch just received has woken is polled, one after the other, and what they send goes
//! out with the next batch. All of it stays on the core's one thread, so nothing needs to be `Send`. A spawn allocates;
//! a message does not: received buffers are the kernel's, sent ones the app's, and a waker is an index.
//!
//! ```
//! use libix::task::{self, TcpListener, TcpStream};
//!
//! # fn main() -> Result<(), libix::Error> {
//! task::run(async {
//!     let listener = TcpListener::bind_at("127.0.0.1:7101".parse().unwrap())?;
//!     task::spawn(async move {
//!         while let Ok((stream, _peer)) = listener.accept().await {
//!             task::spawn(async move {
//!                 while let Ok(Some(data)) = stream.recv().await {
//!                     stream.send_now(data)?;
//!                 }
//!                 Ok::<(), libix::Status>(())
//!             });
//!         }
//!     });
//!     let stream = TcpStream::connect("127.0.0.1:7101".parse().unwrap()).await?;
//!     // Resolves when the peer has acknowledged it.
//!     stream.send("hello").await?;
//!     let echoed = stream.recv().await?.expect("no end of the stream yet");
//!     assert_eq!(&*echoed, b"hello");
//!     Ok(())
//! })
//! # }
//! ```
//!
//! Combinators (`join`, `select`, ...) are those of the `futures` crates; for protocol crates a [`TcpStream`] is
//! `futures_io`'s `AsyncRead` and `AsyncWrite`, which copy.

/// Tasks in their slots.
mod tasks;

/// How a task is woken.
mod waker;

/// The event loop's side of a task that is being polled.
#[allow(unsafe_code, reason = "a borrow that cannot be handed through `Future::poll`")]
pub(crate) mod scope;

/// What tasks wait for.
mod reactor;

mod executor;
pub use executor::Executor;

mod tcp;
pub use tcp::{TcpListener, TcpStream};

/// A stream's bytes for protocol crates.
mod adapters;

mod udp;
pub use udp::UdpSocket;

mod time;
pub use time::{Sleep, sleep, timeout};

mod join;
pub use join::JoinHandle;

use crate::{Error, EventLoop};
use core::future::{Future, poll_fn};
use core::task::Poll;

/// Runs `future`, and what it spawns, until it ends, or until `ix` stops the app; then closes every connection in order.
///
/// A stop ends it by closing everything, which tasks see as the end of their streams; an app that wants to take leave in
/// its own way waits for [`stopping`], and ends `future` when it is ready.
///
/// # Errors
/// As [`crate::run`], and what `future` returns.
pub fn run(future: impl Future<Output = Result<(), Error>> + 'static) -> Result<(), Error> {
    let mut executor = Executor::new(future);
    let mut event_loop = EventLoop::new()?;
    executor.start(event_loop.io());
    event_loop.run(&mut executor)?;
    executor.into_result()
}

/// Starts `future` as a task of its own on this core. Dropping the handle lets it run on.
///
/// # Panics
/// Outside of a task.
pub fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
    join::spawn(&scope::reactor(), future)
}

/// Lets the other tasks that are ready run first.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Resolves when `ix` asks the app to finish. As long as somebody waits for it, nothing else happens then.
///
/// # Panics
/// Outside of a task.
pub async fn stopping() {
    let reactor = scope::reactor();
    poll_fn(|cx| reactor.poll_stopping(cx)).await;
}
