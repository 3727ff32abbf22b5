//! Received data, and how it finds its way back.

use crate::arrays::Received;
use crate::stand_in::SharedMemory;
use core::cell::RefCell;
use core::fmt;
use core::ops::Deref;
use ix_abi::app::Opcode;
use std::rc::Rc;

/// Received bytes, where the NIC put them. Read them through `Deref`; drop the value, and the buffer goes back to the
/// kernel with the next batch, which opens the TCP window of the flow it came from. Keeping many of them closes that
/// window: a slow app slows its own peers.
///
/// It can be sent as it is ([`crate::SendBuf`]), without a copy.
pub struct RecvBuf {
    received: Received,
    give_back: Opcode,
    returns: Rc<Returns>,
}

/// Buffers dropped since the last batch was put together.
pub(crate) struct Returns {
    dropped: RefCell<Vec<Returned>>,
    /// Where the buffers are, if not in the kernel's window.
    _memory: Option<Rc<SharedMemory>>,
}

/// A buffer to give back: by which command, and an address within it.
pub(crate) struct Returned {
    pub(crate) opcode: Opcode,
    pub(crate) address: u64,
}

impl Returns {
    pub(crate) fn new(memory: Option<Rc<SharedMemory>>) -> Self {
        Returns {
            dropped: RefCell::default(),
            _memory: memory,
        }
    }

    #[inline]
    pub(crate) fn push(&self, returned: Returned) {
        self.dropped.borrow_mut().push(returned);
    }

    #[cfg(feature = "testing")]
    pub(crate) fn is_empty(&self) -> bool {
        self.dropped.borrow().is_empty()
    }

    /// Takes all of them, and leaves `storage`, which is empty, for the next.
    #[inline]
    pub(crate) fn exchange(&self, storage: Vec<Returned>) -> Vec<Returned> {
        self.dropped.replace(storage)
    }
}

impl RecvBuf {
    #[inline]
    pub(crate) fn new(received: Received, give_back: Opcode, returns: &Rc<Returns>) -> Self {
        RecvBuf {
            received,
            give_back,
            returns: Rc::clone(returns),
        }
    }

    #[inline]
    pub(crate) fn address(&self) -> u64 {
        self.received.address()
    }

    /// Keeps only the first `len` bytes in view.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn truncate(&mut self, len: usize) {
        self.received.narrow(0..len);
    }

    /// Drops the first `count` bytes from view.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn advance(&mut self, count: usize) {
        self.received.narrow(count..self.len());
    }
}

impl Deref for RecvBuf {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.received.bytes()
    }
}

impl AsRef<[u8]> for RecvBuf {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for RecvBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl Drop for RecvBuf {
    #[inline]
    fn drop(&mut self) {
        self.returns.push(Returned {
            opcode: self.give_back,
            address: self.received.address(),
        });
    }
}
