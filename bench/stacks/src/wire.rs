//! The driver of Ixion's stack: a wire that moves whole buffers, as a NIC does. What a NIC would do by DMA, gathering
//! the payload from the app's memory, is one copy here.

use crate::pair::REQUEST;
use netstack::{BufId, Env, Span, TxOffload, TxTicket};
use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

/// Size of a buffer.
const BUFFER: usize = 2048;

/// Buffers of one side.
pub(crate) const BUFFERS: u32 = 1024;

/// Addresses from here on are memory of the app's, before it are receive buffers.
pub(crate) const APP: u64 = 1 << 40;

type Buffer = Box<[u8; BUFFER]>;

/// One end of the wire.
pub(crate) struct Port {
    buffers: Vec<Buffer>,
    free: Vec<u32>,
    /// Empty buffers for frames on their way out.
    spare: Vec<Buffer>,
    begun: Option<Buffer>,
    out: Vec<(Buffer, usize)>,
    /// What the app sends from.
    pub(crate) app: Vec<u8>,
    tickets: u32,
}

impl Port {
    pub(crate) fn new(app_bytes: usize) -> Self {
        let buffer = || Box::new([0; BUFFER]);
        Port {
            buffers: (0..BUFFERS).map(|_| buffer()).collect(),
            free: (0..BUFFERS).collect(),
            spare: (0..BUFFERS).map(|_| buffer()).collect(),
            begun: None,
            out: Vec::with_capacity(BUFFERS as usize),
            app: vec![0x55; app_bytes],
            tickets: 0,
        }
    }

    /// Some buffers of the pool are kept for acknowledgements.
    pub(crate) fn reserve() -> u32 {
        BUFFERS / 8
    }

    /// The memory of a flow's answer.
    pub(crate) fn answer_span(slot: u32, len: u16) -> Span {
        let address = APP + u64::from(slot) * REQUEST as u64;
        Span {
            address,
            len: len.into(),
        }
    }

    /// Copies a request into the memory of its flow's answer.
    pub(crate) fn keep(&mut self, slot: u32, buf: &BufId, offset: u16) {
        let (start, offset) = (slot as usize * REQUEST, usize::from(offset));
        let from = &self.buffers[buf.0 as usize][offset..offset + REQUEST];
        self.app[start..start + REQUEST].copy_from_slice(from);
    }

    /// What has come in.
    pub(crate) fn received(&self, buf: &BufId, offset: u16, len: u16) -> &[u8] {
        let offset = usize::from(offset);
        &self.buffers[buf.0 as usize][offset..offset + usize::from(len)]
    }

    /// Frames on their way out.
    pub(crate) fn take_out(&mut self) -> Vec<(Buffer, usize)> {
        std::mem::take(&mut self.out)
    }

    /// Gives the vector back, for its memory.
    pub(crate) fn put_out(&mut self, mut out: Vec<(Buffer, usize)>) {
        out.clear();
        self.out = out;
    }

    /// A free buffer, for a frame that has come in.
    pub(crate) fn take_free(&mut self) -> u32 {
        self.free.pop().expect("the pool has a buffer")
    }

    /// Copies a frame that has come in into a free buffer, if there is one.
    pub(crate) fn fill(&mut self, frame: &[u8]) -> Option<u32> {
        let index = self.free.pop()?;
        self.buffers[index as usize][..frame.len()].copy_from_slice(frame);
        Some(index)
    }

    /// Puts the frame's buffer where the pool says it is; gives the empty one that was there.
    pub(crate) fn exchange(&mut self, index: u32, full: Buffer) -> Buffer {
        std::mem::replace(&mut self.buffers[index as usize], full)
    }

    /// Takes an empty buffer for frames on their way out.
    pub(crate) fn put_spare(&mut self, empty: Buffer) {
        self.spare.push(empty);
    }
}

impl Env for Port {
    fn begin_tx(&mut self) -> Option<&mut [u8]> {
        if self.begun.is_none() {
            self.begun = self.spare.pop();
        }
        self.begun.as_deref_mut().map(|buffer| buffer.as_mut_slice())
    }

    // On its own, so that its copy is not counted as the stack's.
    #[inline(never)]
    fn commit_tx(&mut self, header_len: usize, payload: &[Span], _: TxOffload) -> TxTicket {
        let mut buffer = self.begun.take().expect("a frame was begun");
        let mut len = header_len;
        for span in payload {
            let bytes = self.bytes(*span);
            buffer[len..len + bytes.len()].copy_from_slice(bytes);
            len += bytes.len();
        }
        self.out.push((buffer, len));
        self.tickets = self.tickets.wrapping_add(1);
        TxTicket(self.tickets)
    }

    fn tx_done(&self, _: TxTicket) -> bool {
        true
    }

    fn free_rx(&mut self, buf: BufId) {
        self.free.push(buf.0);
    }

    #[inline]
    #[allow(unsafe_code, reason = "there is no safe way to ask for a cache line")]
    fn prefetch<T>(&self, place: &T) {
        let start = std::ptr::from_ref(place).cast::<i8>();
        for line in (0..size_of::<T>()).step_by(64) {
            // SAFETY: a prefetch reads nothing, whatever the address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(line)) };
        }
    }

    fn bytes(&self, span: Span) -> &[u8] {
        let len = span.len as usize;
        let at = usize::try_from(span.address).unwrap_or(usize::MAX);
        if span.address >= APP {
            let start = usize::try_from(span.address - APP).unwrap_or(usize::MAX);
            return &self.app[start..start + len];
        }
        let (index, offset) = (at / BUFFER, at % BUFFER);
        &self.buffers[index][offset..offset + len]
    }
}
