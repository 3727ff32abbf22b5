//! Stack to NIC: headers are written into the NIC's buffer for the next frame, payload stays where the app has it.

use super::Core;
use crate::mem::GuestPhys;
use crate::mem::io_area;
use crate::mem::mbuf::Pool;
use crate::nic::Nic;
use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
use netstack::{BufId, Env, Instant, Span, TxOffload, TxTicket};

/// The stack's view of the NIC and the buffer pool.
pub(super) struct Wire<'a, N> {
    nic: &'a mut N,
    pool: &'a mut Pool,
}

impl<'a, N: Nic> Wire<'a, N> {
    pub(super) fn new(nic: &'a mut N, pool: &'a mut Pool) -> Self {
        Wire { nic, pool }
    }
}

impl<N: Nic> Env for Wire<'_, N> {
    #[inline]
    fn begin_tx(&mut self) -> Option<&mut [u8]> {
        self.nic.begin_tx()
    }

    #[inline]
    fn commit_tx(&mut self, header_len: usize, payload: &[Span], checksum: TxOffload) -> TxTicket {
        self.nic.commit_tx(header_len, payload, checksum)
    }

    #[inline]
    fn tx_done(&self, ticket: TxTicket) -> bool {
        self.nic.tx_done(ticket)
    }

    #[inline]
    fn free_rx(&mut self, buf: BufId) {
        self.pool.free(buf);
    }

    #[inline]
    #[allow(unsafe_code, reason = "there is no safe way to ask for a cache line")]
    fn prefetch<T>(&self, place: &T) {
        let start = core::ptr::from_ref(place).cast::<i8>();
        for line in (0..size_of::<T>()).step_by(64) {
            // SAFETY: a prefetch reads nothing, whatever the address. In a batch of 32 segments of 10,000 flows it takes two
            // thirds off the time (docs/benchmarks.md, TCP/IP alone).
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(line)) };
        }
    }

    fn alloc_large(&mut self) -> Option<BufId> {
        self.pool.alloc_large()
    }

    fn large(&mut self, buf: &BufId) -> &mut [u8] {
        self.pool.large(buf)
    }

    #[allow(
        unsafe_code,
        reason = "for NICs that leave checksums to software, and for fragments"
    )]
    fn bytes(&self, span: Span) -> &[u8] {
        // SAFETY: the stack asks only for parts of the spans it was given to send, and `commands::Memory::span`, which makes
        // them, makes no others.
        unsafe { io_area::span_bytes(GuestPhys(span.address), span.len) }
    }
}

impl<N: Nic> Core<N> {
    /// Sends what the stacks have pending, and rings each card's doorbell once.
    pub(super) fn transmit(&mut self, time: Instant) {
        for link in &mut self.links {
            let (stack, mut wire) = link.ends(&mut self.pool);
            stack.flush(&mut wire, time);
            link.nic.kick();
        }
    }
}
