//! What our data plane counts. Each frame or chain that does not go its way is counted once.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What has happened since the machine started.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: AtomicU64,)*
        }

        impl Counters {
            /// All of them, with their names.
            #[must_use]
            pub fn snapshot(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.load(Ordering::Relaxed)),)*]
            }
        }
    };
}

counters! {
    /// Frames that the guest got.
    rx_frames,
    /// Bytes of those.
    rx_bytes,
    /// Times there was no buffer of the guest's for what might have come.
    rx_no_buffer,
    /// Frames that did not fit the guest's buffer.
    rx_too_long,
    /// Chains of the guest's that are no buffer.
    rx_bad_chain,
    /// Times the tap could not be read.
    rx_link_errors,
    /// Frames that the guest sent.
    tx_frames,
    /// Bytes of those.
    tx_bytes,
    /// Chains of the guest's that are no frame.
    tx_bad_chain,
    /// Frames of the guest's that the tap did not take: malformed, or the host has no room, or the link is down.
    tx_refused,
    /// Times the guest rang for received frames' buffers.
    rx_doorbells,
    /// Times the guest rang for frames to transmit.
    tx_doorbells,
    /// Times the thread slept.
    sleeps,
    /// Times a queue was so broken that the device had to ask for a reset.
    failures,
}

/// Adds to a counter that all threads of a device write, for each frame that a system call moves.
pub(super) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}
