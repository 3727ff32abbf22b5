//! A host's network card: frames are put together from headers and the app's memory, as a NIC gathers them, and received
//! ones lie in buffers of the receive window.

use crate::stand_in::SharedMemory;
use core::mem::MaybeUninit;
use netstack::{BufId, Env, LARGE_BYTES, Span, TxOffload, TxTicket};
use std::rc::Rc;

/// Bytes of a buffer: each is large enough for a packet put together of fragments.
const BUFFER_BYTES: usize = LARGE_BYTES.next_multiple_of(64);

/// How many there are.
pub(super) const BUFFERS: u32 = 1024;

pub(super) const WINDOW_BYTES: usize = BUFFER_BYTES * BUFFERS as usize;

/// Room for a frame that the stack composes whole.
const FRAME_BYTES: usize = 2048;

pub(super) struct Card {
    memory: Rc<SharedMemory>,
    free: Vec<u32>,
    header: Box<[u8; FRAME_BYTES]>,
    /// Frames sent and not yet on the wire.
    pub(super) outgoing: Vec<Vec<u8>>,
    sent: u32,
}

impl Card {
    pub(super) fn new(memory: Rc<SharedMemory>) -> Self {
        Card {
            memory,
            free: (0..BUFFERS).rev().collect(),
            header: Box::new([0; FRAME_BYTES]),
            outgoing: Vec::new(),
            sent: 0,
        }
    }

    /// Puts a frame into a buffer; `None` where there is none, and the frame is lost.
    pub(super) fn take_in(&mut self, frame: &[u8]) -> Option<BufId> {
        let index = self.free.pop()?;
        let len = frame.len().min(BUFFER_BYTES);
        // SAFETY: the buffer was free, so it is not lent.
        let buffer = unsafe { self.memory.window(index as usize * BUFFER_BYTES, len) };
        buffer.copy_from_slice(as_uninit(&frame[..len]));
        Some(BufId(index))
    }

    /// The bytes of a buffer that the stack has.
    pub(super) fn bytes_of(&self, buf: u32, offset: u16, len: usize) -> Vec<u8> {
        let start = buf as usize * BUFFER_BYTES + usize::from(offset);
        // SAFETY: the app may read the buffer as well; nobody writes there.
        let bytes = unsafe { self.memory.window(start, len) };
        // SAFETY: the window is made of zeros, and what has been written since are bytes.
        bytes.iter().map(|byte| unsafe { byte.assume_init() }).collect()
    }

    /// Where the app finds it.
    pub(super) fn address_of(&self, buf: &BufId, offset: u16) -> u64 {
        self.memory
            .window_address(buf.0 as usize * BUFFER_BYTES + usize::from(offset))
    }
}

/// The buffer that `address` is in.
pub(super) fn buffer_at(memory: &SharedMemory, address: u64) -> Option<u32> {
    u32::try_from(memory.window_offset(address)? / BUFFER_BYTES).ok()
}

fn as_uninit(bytes: &[u8]) -> &[MaybeUninit<u8>] {
    // SAFETY: of the same layout, and what is initialized may pass for what may not be.
    unsafe { core::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) }
}

impl Env for Card {
    fn begin_tx(&mut self) -> Option<&mut [u8]> {
        Some(&mut self.header[..])
    }

    fn commit_tx(&mut self, header_len: usize, payload: &[Span], _: TxOffload) -> TxTicket {
        let mut frame = self.header[..header_len].to_vec();
        for span in payload {
            frame.extend_from_slice(self.bytes(*span));
        }
        self.outgoing.push(frame);
        self.sent = self.sent.wrapping_add(1);
        TxTicket(self.sent)
    }

    fn tx_done(&self, _: TxTicket) -> bool {
        true
    }

    fn free_rx(&mut self, buf: BufId) {
        self.free.push(buf.0);
    }

    fn alloc_large(&mut self) -> Option<BufId> {
        self.free.pop().map(BufId)
    }

    fn large(&mut self, buf: &BufId) -> &mut [u8] {
        // SAFETY: the stack has the buffer, so it is not lent, and `&mut self` makes the reference the only one.
        let bytes = unsafe { self.memory.window(buf.0 as usize * BUFFER_BYTES, LARGE_BYTES) };
        // SAFETY: the window is made of zeros, and what has been written since are bytes.
        unsafe { core::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), bytes.len()) }
    }

    fn bytes(&self, span: Span) -> &[u8] {
        // SAFETY: the stack asks only for parts of what it was given to send, which the app has lent.
        unsafe { core::slice::from_raw_parts(span.address as *const u8, span.len as usize) }
    }
}
