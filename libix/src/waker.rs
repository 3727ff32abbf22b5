use crate::arrays::Interrupt;

/// Ends a wait of a loop from another thread, so that its [`crate::Handler::on_turn`] is called: for handlers that hear from
/// other threads, or from the handlers of other cores. [`crate::Io::waker`] makes it.
///
/// On Linux the wait ends at once. On Ixion nothing but the network interrupts a core, which polls anyway: a loop that has
/// a waker waits for 20 us at most, and then has its turn.
#[derive(Clone)]
pub struct Waker {
    interrupt: Interrupt,
}

impl Waker {
    pub(crate) fn new(interrupt: Interrupt) -> Self {
        Waker { interrupt }
    }

    /// Has the loop make its next turn soon. Several calls before that may cause a single one. Wake once for all that
    /// the loop is to hear: on Linux, each call is a system call.
    pub fn wake(&self) {
        if let Interrupt::Waker(waker) = &self.interrupt {
            // It fails if the loop is gone, which then hears nothing any more.
            let _ = waker.wake();
        }
    }
}

impl core::fmt::Debug for Waker {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Waker").finish_non_exhaustive()
    }
}
