//! Before the app starts: the address that a DHCP server gives. Later ones are told as events.

use super::{Core, now};
use crate::host;
use crate::nic::Nic;
use crate::user::Seat;
use core::sync::atomic::Ordering;
use core::time::Duration;
use ix_abi::app::Endpoint;

/// How waiting for an address ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// There is one.
    Over,
    /// No server gave one in time.
    TimedOut,
    /// The launcher wants no more.
    Stopped,
}

impl<N: Nic> Core<N> {
    /// Waits for a DHCP server, at most for `patience`, and tells the app's first address.
    pub fn wait_for_address(&mut self, seat: &Seat, patience: Duration) -> Wait {
        let until = now() + patience;
        loop {
            self.attend();
            if let Some(lease) = self.stack.lease() {
                log::info!(
                    "{}/{} is leased from {}",
                    lease.address,
                    lease.prefix,
                    lease.server
                );
                self.io.set_local(Endpoint::v4(lease.address, 0));
                return Wait::Over;
            }
            if host::area().is_some_and(|area| area.stop.load(Ordering::Relaxed) != 0) {
                return Wait::Stopped;
            }
            if now() >= until {
                return Wait::TimedOut;
            }
            self.pause(seat, now());
        }
    }
}
