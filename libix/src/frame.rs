//! What comes by a link for others.

use crate::arrays::Received;
use crate::recv_buf::{Returned, Returns};
use core::fmt;
use core::ops::Deref;
use ix_abi::app::{Handle, Opcode};
use std::rc::Rc;

/// A link of which this loop takes what is for others ([`crate::Io::bind_frames`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FramePort(pub(crate) Handle);

/// A frame, or a packet for another host, where the NIC put it; read it through `Deref`. [`crate::Io::forward`] sends it on
/// from there. Drop the value, and the buffer goes back to the kernel with the next batch. Of frames, those held and those on
/// their way together, there is a most; what comes beyond it is dropped.
pub struct Frame {
    port: FramePort,
    received: Received,
    returns: Rc<Returns>,
    /// The kernel's again: it was given to be sent on.
    given_away: bool,
}

impl Frame {
    #[inline]
    pub(crate) fn new(port: FramePort, received: Received, returns: &Rc<Returns>) -> Self {
        Frame {
            port,
            received,
            returns: Rc::clone(returns),
            given_away: false,
        }
    }

    #[inline]
    pub(crate) fn address(&self) -> u64 {
        self.received.address()
    }

    /// Nobody gives it back.
    #[inline]
    pub(crate) fn give_away(mut self) {
        self.given_away = true;
    }

    /// By which it came.
    #[must_use]
    pub fn port(&self) -> FramePort {
        self.port
    }

    /// The same by its number.
    #[inline]
    #[must_use]
    pub fn link(&self) -> u16 {
        u16::try_from(self.port.0.index()).unwrap_or(u16::MAX)
    }
}

impl Deref for Frame {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.received.bytes()
    }
}

impl Drop for Frame {
    #[inline]
    fn drop(&mut self) {
        if !self.given_away {
            self.returns.push(Returned {
                opcode: Opcode::FrameDone,
                address: self.address(),
            });
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("port", &self.port)
            .field("len", &self.len())
            .finish()
    }
}
