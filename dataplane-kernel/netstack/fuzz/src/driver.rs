//! A driver of vectors. A payload it is asked for is all zeros: spans may be as wrong as an app can make them.

use netstack::{
    BufId, Env, Instant, LARGE_BYTES, MAX_TX_SPANS, RxChecksum, Span, Stack, TxOffload, TxTicket,
};

pub(crate) const BUFFERS: u32 = 64;
/// Large buffers, whose numbers follow.
pub(crate) const LARGE: u32 = 4;
/// Room in the transmit ring.
const RING: u32 = 8;

pub(crate) struct Driver {
    is_free: [bool; (BUFFERS + LARGE) as usize],
    large: Vec<Vec<u8>>,
    zeros: Vec<u8>,
    header: [u8; 2048],
    /// Headers of the frames sent since they were last looked at, with what they carry.
    pub(crate) sent: Vec<(Vec<u8>, u32)>,
    committed: u32,
    /// Frames that the device has let go of.
    done: u32,
}

impl Driver {
    pub(crate) fn new() -> Self {
        Driver {
            is_free: [true; (BUFFERS + LARGE) as usize],
            large: vec![vec![0; LARGE_BYTES]; LARGE as usize],
            zeros: vec![0; LARGE_BYTES],
            header: [0; 2048],
            sent: Vec::new(),
            committed: u32::MAX - 3,
            done: u32::MAX - 3,
        }
    }

    /// A buffer for a frame.
    pub(crate) fn take(&mut self) -> Option<BufId> {
        self.take_from(0, BUFFERS)
    }

    fn take_from(&mut self, first: u32, count: u32) -> Option<BufId> {
        let free = (first..first + count).find(|index| self.is_free[*index as usize])?;
        self.is_free[free as usize] = false;
        Some(BufId(free))
    }

    /// A frame in a buffer of ours, and what was put together of it and earlier fragments.
    pub(crate) fn receive(
        &mut self,
        stack: &mut Stack,
        now: Instant,
        buf: BufId,
        frame: &[u8],
        checksum: RxChecksum,
    ) {
        stack.receive_next(self, now, buf, frame, 12, checksum);
        while let Some(whole) = stack.poll_whole() {
            let buffer = &self.large[(whole.buf().0 - BUFFERS) as usize];
            let bytes = buffer[usize::from(whole.offset())..][..usize::from(whole.len())].to_vec();
            stack.receive_whole(self, now, whole, &bytes);
        }
    }

    /// The device lets go of so many frames.
    pub(crate) fn finish(&mut self, frames: u32) {
        let waiting = self.committed.wrapping_sub(self.done);
        self.done = self.done.wrapping_add(frames.min(waiting));
    }

    pub(crate) fn buffers_out(&self) -> usize {
        self.is_free.iter().filter(|is_free| !**is_free).count()
    }
}

impl Env for Driver {
    fn begin_tx(&mut self) -> Option<&mut [u8]> {
        if self.committed.wrapping_sub(self.done) >= RING {
            return None;
        }
        Some(&mut self.header)
    }

    fn commit_tx(&mut self, header_len: usize, payload: &[Span], _: TxOffload) -> TxTicket {
        assert!(payload.len() <= MAX_TX_SPANS, "too many spans");
        assert!(payload.iter().all(|span| span.len > 0), "an empty span");
        let len = payload.iter().map(|span| u64::from(span.len)).sum::<u64>();
        let len = u32::try_from(len).expect("a frame is small");
        assert!(header_len + len as usize <= 14 + 1500, "a frame beyond the MTU");
        self.sent.push((self.header[..header_len].to_vec(), len));
        let ticket = TxTicket(self.committed);
        self.committed = self.committed.wrapping_add(1);
        ticket
    }

    fn tx_done(&self, ticket: TxTicket) -> bool {
        self.done.wrapping_sub(ticket.0).cast_signed() > 0
    }

    fn free_rx(&mut self, buf: BufId) {
        let is_free = &mut self.is_free[buf.0 as usize];
        assert!(!*is_free, "buffer {} freed twice", buf.0);
        *is_free = true;
    }

    fn alloc_large(&mut self) -> Option<BufId> {
        self.take_from(BUFFERS, LARGE)
    }

    fn large(&mut self, buf: &BufId) -> &mut [u8] {
        assert!(!self.is_free[buf.0 as usize], "buffer {} is free", buf.0);
        &mut self.large[(buf.0 - BUFFERS) as usize]
    }

    fn bytes(&self, span: Span) -> &[u8] {
        &self.zeros[..span.len as usize]
    }
}
