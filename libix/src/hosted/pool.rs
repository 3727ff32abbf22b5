//! The receive window: buffers that are read into, lent to the app, and come back.

use crate::slab::Key;
use crate::stand_in::SharedMemory;
use core::mem::MaybeUninit;
use std::rc::Rc;

/// A datagram fits, and a stream is read in few calls.
const BUFFER_BYTES: usize = 1 << 16;

/// As many as the app could hold of the kernel's. Memory is taken where bytes have been received, and the buffer that
/// came back last is the next to be used, so a few of them do where the app returns what it gets.
const BUFFERS: usize = 4096;

pub(super) const WINDOW_BYTES: usize = BUFFERS * BUFFER_BYTES;

/// Whose bytes a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Flow(Key),
    Port(Key),
}

pub(super) struct Pool {
    memory: Rc<SharedMemory>,
    free: Vec<u32>,
    /// The owner and the bytes of each buffer that is lent.
    lent: Box<[Option<(Owner, u32)>]>,
}

impl Pool {
    pub(super) fn new(memory: Rc<SharedMemory>) -> Self {
        Pool {
            memory,
            free: (0..).take(BUFFERS).collect(),
            lent: vec![None; BUFFERS].into(),
        }
    }

    /// `true` while one is left.
    pub(super) fn has_free(&self) -> bool {
        !self.free.is_empty()
    }

    /// The bytes of the buffer that [`Pool::lend`] would lend, `limit` at most.
    #[allow(unsafe_code, reason = "the window is shared by address")]
    pub(super) fn next(&mut self, limit: usize) -> &mut [MaybeUninit<u8>] {
        let Some(&index) = self.free.last() else {
            return &mut [];
        };
        // SAFETY: a free buffer is not lent, and `&mut self` makes the reference the only one.
        unsafe {
            self.memory
                .window(index as usize * BUFFER_BYTES, limit.min(BUFFER_BYTES))
        }
    }

    /// Lends the buffer with the `len` bytes just received to the app, and tells its address.
    pub(super) fn lend(&mut self, owner: Owner, len: u32) -> u64 {
        let Some(index) = self.free.pop() else {
            return 0;
        };
        self.lent[index as usize] = Some((owner, len));
        self.memory.window_address(index as usize * BUFFER_BYTES)
    }

    /// Takes a buffer back by an address in it; tells whose it was and how many bytes it held.
    pub(super) fn take_back(&mut self, address: u64) -> Option<(Owner, u32)> {
        let index = self.memory.window_offset(address)? / BUFFER_BYTES;
        let lent = self.lent.get_mut(index)?.take()?;
        self.free.push(u32::try_from(index).ok()?);
        Some(lent)
    }
}
