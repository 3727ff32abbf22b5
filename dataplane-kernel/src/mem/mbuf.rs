//! Packet buffers. The data lies in one contiguous region of 2 KiB buffers, which ring 3 sees read-only through its
//! receive window; what is known about the buffers lies apart from it, in `Pool`.
//!
//! A buffer is owned by whoever has its `BufId`: the pool, then the NIC, the stack, the app, and the pool again.
#![allow(unsafe_code, reason = "hands out the bytes of buffers by address")]

use super::spsc::{self, Consumer, Producer};
use super::{GuestPhys, direct, frames::Frames};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use core::ptr::NonNull;
use netstack::{BufId, LARGE_BYTES};

/// Bytes of a buffer.
pub const BUFFER_BYTES: usize = 2048;

/// Buffers in a row that make a large one, into which the stack puts together what comes in pieces.
pub const LARGE_RUN: u32 = 33;
const _: () = assert!(LARGE_RUN as usize * BUFFER_BYTES >= LARGE_BYTES);

/// Large buffers of each pool but core 0's, at most.
const LARGE_ELSEWHERE: u32 = 16;

/// Large buffers of a pool that is not small: as many as there are packets of fragments under way, and as many again as the
/// frames of a batch.
const MAX_LARGE: u32 = 16 + 64;

const SHIFT: u32 = BUFFER_BYTES.trailing_zeros();

/// The region starts and ends on pages of this size, so that large pages map all of it and nothing else.
const REGION_ALIGN: u64 = 2 << 20;

/// The data of all buffers. It exists for ever; copies are views of the same bytes.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    base: NonNull<u8>,
    phys: GuestPhys,
    count: u32,
}

// SAFETY: an address and a number; whoever reads or writes there answers for it.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// # Safety
    /// `base` must be the start of `count` buffers that are mapped for ever, written by devices and through
    /// [`Pool::large`] only, and at `phys` for devices.
    pub unsafe fn new(base: NonNull<u8>, phys: GuestPhys, count: u32) -> Self {
        Region { base, phys, count }
    }

    /// The same buffers, for a device that is to look for them elsewhere.
    pub fn misplaced(self, phys: GuestPhys) -> Self {
        Region { phys, ..self }
    }

    /// `len` bytes at `offset` of a buffer, or as many of them as lie inside it. None at all of a buffer that does not
    /// exist.
    #[inline]
    pub fn bytes(&self, index: u32, offset: u16, len: u16) -> &[u8] {
        let start = usize::from(offset).min(BUFFER_BYTES);
        let len = usize::from(len).min(BUFFER_BYTES - start);
        if index >= self.count {
            return &[];
        }
        // SAFETY: inside an existing buffer. Only a device that was given the buffer writes it; its owner has it back,
        // and what a hostile device writes late changes bytes, nothing the kernel decides by twice.
        unsafe {
            core::slice::from_raw_parts(self.base.add(((index as usize) << SHIFT) + start).as_ptr(), len)
        }
    }

    /// Writes `bytes` at `offset` of a buffer, as a device would that was given it, or as many of them as lie inside it.
    pub fn fill(&self, buf: &BufId, offset: usize, bytes: &[u8]) {
        let offset = offset.min(BUFFER_BYTES);
        let len = bytes.len().min(BUFFER_BYTES - offset);
        if buf.0 >= self.count {
            return;
        }
        let start = ((buf.0 as usize) << SHIFT) + offset;
        // SAFETY: inside an existing buffer, whose name is with its one owner, so no device has it and nobody in ring 0 reads it;
        // ring 3 may, and sees bytes change at worst. `bytes` may be those of a buffer, so they may be the same.
        unsafe { core::ptr::copy(bytes.as_ptr(), self.base.add(start).as_ptr(), len) }
    }

    /// What [`Region::bytes`] gives, of a large buffer, whose bytes go on in the buffers behind it.
    pub fn large_bytes(&self, index: u32, offset: u16, len: u16) -> &[u8] {
        let (start, len) = (usize::from(offset), usize::from(len));
        let run = u64::from(index) + u64::from(LARGE_RUN);
        if run > u64::from(self.count) || start + len > LARGE_RUN as usize * BUFFER_BYTES {
            return &[];
        }
        // SAFETY: inside existing buffers, which no device is ever given; only their owner writes them, through `large`,
        // which borrows the pool and the buffer's name.
        unsafe {
            core::slice::from_raw_parts(self.base.add(((index as usize) << SHIFT) + start).as_ptr(), len)
        }
    }

    /// Where a device finds a buffer.
    #[inline]
    pub fn phys(&self, index: u32) -> GuestPhys {
        GuestPhys(self.phys.0 + self.window_offset(index))
    }

    /// Offset of a buffer in the region, and so in ring 3's window on it.
    #[inline]
    pub fn window_offset(&self, index: u32) -> u64 {
        u64::from(index) << SHIFT
    }

    /// The buffer that the byte at `offset` of the region belongs to.
    #[inline]
    pub fn index_of(&self, offset: u64) -> Option<u32> {
        u32::try_from(offset >> SHIFT)
            .ok()
            .filter(|&index| index < self.count)
    }

    /// Where a device finds the `len` bytes at `offset` of the region; `None` if they are not inside it.
    #[inline]
    pub fn translate(&self, offset: u64, len: u64) -> Option<GuestPhys> {
        let inside = offset.checked_add(len)? <= self.bytes_total();
        inside.then(|| GuestPhys(self.phys.0 + offset))
    }

    /// Where the region starts.
    pub fn start(&self) -> GuestPhys {
        self.phys
    }

    /// Length of the region in bytes, a multiple of 2 MiB.
    pub fn bytes_total(&self) -> u64 {
        u64::from(self.count) << SHIFT
    }

    /// Number of buffers.
    pub fn count(&self) -> u32 {
        self.count
    }
}

/// The free buffers of one core. Taking and giving back are a push and a pop; the buffer used last is the next to be
/// used, while it is still in the cache.
///
/// Where cores share a card, a core's buffers may come to other cores, whose pools send them home.
#[derive(Debug)]
pub struct Pool {
    region: Region,
    /// Its buffers, of those of the region.
    own: Range<u32>,
    free: Vec<u32>,
    /// Large buffers: the first buffer of each. All stand at the end of the pool's.
    free_large: Vec<u32>,
    first_large: u32,
    /// Per buffer: somebody has it.
    taken: Box<[bool]>,
    bad_frees: u64,
    /// Where other cores' buffers are sent, in their order.
    homes: Vec<WayHome>,
    /// Buffers that come back from other cores.
    returning: Vec<Consumer<u32>>,
}

/// To the pool of another core, which has the buffers up to `end` that those before it have not.
#[derive(Debug)]
struct WayHome {
    end: u32,
    /// `None`: they are this pool's own.
    ring: Option<Producer<u32>>,
}

/// Makes ways from each pool to those of the cores that receive.
fn ways_home(pools: &mut [Pool], receivers: usize) {
    for owner in 0..receivers {
        let Some(Range { start, end }) = pools.get(owner).map(|pool| pool.own.clone()) else {
            return;
        };
        let mut returning = Vec::new();
        for (core, pool) in pools.iter_mut().enumerate() {
            // There is room for all of its buffers.
            let way = (core != owner).then(|| spsc::queue(end - start, || 0));
            let (ring, from) = way.unzip();
            returning.extend(from);
            pool.homes.push(WayHome { end, ring });
        }
        if let Some(pool) = pools.get_mut(owner) {
            pool.returning = returning;
        }
    }
}

impl Pool {
    /// Takes memory for at least `buffers` buffers; `None` when there is not that much.
    pub fn new(frames: &mut Frames, buffers: u32) -> Option<Self> {
        let bytes = (u64::from(buffers) << SHIFT).next_multiple_of(REGION_ALIGN);
        let count = u32::try_from(bytes >> SHIFT).ok()?;
        // Not cleared, which takes seconds for a large pool: what was there before the kernel is no secret from the app.
        let phys = frames.alloc_uncleared(bytes, REGION_ALIGN)?;
        let base = NonNull::new(direct(phys))?;
        // SAFETY: the allocator has just given this memory to nobody else, and the direct map holds all of it for ever.
        Some(Pool::over(unsafe { Region::new(base, phys, count) }))
    }

    /// A pool of all buffers of a region.
    pub fn over(region: Region) -> Self {
        let large = (region.count / 8 / LARGE_RUN).min(MAX_LARGE);
        Self::with_large(region, 0..region.count, large)
    }

    /// The same buffers for several cores. The first `receivers` of them have a queue of the card's, and get equal shares; the
    /// others get a few large buffers each, for what they put together.
    pub fn shared(self, receivers: usize, cores: usize) -> Vec<Self> {
        let (region, mut end, cores) = (self.region, self.region.count, cores.max(1));
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let receivers = receivers.clamp(1, cores);
        let others = number(cores - receivers);
        let large = (region.count / 8 / others.max(1) / LARGE_RUN).min(LARGE_ELSEWHERE);
        let mut pools: Vec<Pool> = (0..others)
            .map(|_| {
                let own = end - large * LARGE_RUN..end;
                end = own.start;
                Self::with_large(region, own, large)
            })
            .collect();
        let share = end / number(receivers);
        pools.extend((0..number(receivers)).map(|place| {
            let own = place * share..(place + 1) * share;
            let large = (share / 8 / LARGE_RUN).min(MAX_LARGE);
            Self::with_large(region, own, large)
        }));
        // In the order of the cores.
        pools.rotate_left(cores - receivers);
        ways_home(&mut pools, receivers);
        pools
    }

    /// A pool of these buffers with so many large ones among them.
    fn with_large(region: Region, own: Range<u32>, large: u32) -> Self {
        let first_large = own.end - large * LARGE_RUN;
        Pool {
            region,
            free: (own.start..first_large).rev().collect(),
            free_large: (0..large)
                .map(|number| first_large + number * LARGE_RUN)
                .collect(),
            first_large,
            taken: vec![false; own.len()].into(),
            own,
            bad_frees: 0,
            homes: Vec::new(),
            returning: Vec::new(),
        }
    }

    /// Where it stands of a buffer of this pool's whether somebody has it; of other buffers nowhere.
    #[inline]
    fn place(&self, index: u32) -> usize {
        index.wrapping_sub(self.own.start) as usize
    }

    /// Takes a buffer; `None` while all are in use.
    #[inline]
    pub fn alloc(&mut self) -> Option<BufId> {
        let index = self.free.pop()?;
        let place = self.place(index);
        if let Some(taken) = self.taken.get_mut(place) {
            *taken = true;
        }
        Some(BufId(index))
    }

    /// Takes a buffer back. One that is free already, or that does not exist, is counted and left alone.
    #[inline]
    pub fn free(&mut self, buf: BufId) {
        let place = self.place(buf.0);
        match self.taken.get_mut(place) {
            Some(taken) if *taken => {
                *taken = false;
                if buf.0 < self.first_large {
                    self.free.push(buf.0);
                } else {
                    self.free_large.push(buf.0);
                }
            }
            Some(_) => self.bad_frees += 1,
            None => self.send_home(buf.0),
        }
    }

    /// A buffer of another pool's.
    #[inline(never)]
    fn send_home(&mut self, index: u32) {
        let home = self.homes.iter_mut().find(|home| index < home.end);
        let ring = home.and_then(|home| home.ring.as_mut());
        let sent = ring.is_some_and(|ring| ring.push(index).is_ok());
        self.bad_frees += u64::from(!sent);
    }

    /// Lets other cores see the buffers that were sent home.
    #[inline]
    pub fn publish(&mut self) {
        for home in self.homes.iter_mut().filter_map(|home| home.ring.as_mut()) {
            home.publish();
        }
    }

    /// Takes in the buffers that other cores have sent home.
    pub fn collect(&mut self) {
        let mut returning = core::mem::take(&mut self.returning);
        for from in &mut returning {
            while let Some(index) = from.front().copied() {
                from.empty();
                self.free(BufId(index));
            }
            from.publish();
        }
        self.returning = returning;
    }

    /// Takes a large buffer; `None` while all are in use.
    pub fn alloc_large(&mut self) -> Option<BufId> {
        let index = self.free_large.pop()?;
        let place = self.place(index);
        if let Some(taken) = self.taken.get_mut(place) {
            *taken = true;
        }
        Some(BufId(index))
    }

    /// The memory of a buffer, for its owner.
    pub fn small(&mut self, buf: &BufId) -> &mut [u8] {
        if !self.own.contains(&buf.0) {
            return &mut [];
        }
        let start = (buf.0 as usize) << SHIFT;
        // SAFETY: a buffer of this pool's, which is borrowed, and its name is with its one owner, so no device has it; ring 3
        // may read it, and sees bytes change at worst.
        unsafe { core::slice::from_raw_parts_mut(self.region.base.add(start).as_ptr(), BUFFER_BYTES) }
    }

    /// The memory of a large buffer, for its owner; nothing of one that is none.
    pub fn large(&mut self, buf: &BufId) -> &mut [u8] {
        let is_large = buf.0 >= self.first_large && (buf.0 - self.first_large).is_multiple_of(LARGE_RUN);
        if !is_large || buf.0 >= self.own.end {
            return &mut [];
        }
        let start = (buf.0 as usize) << SHIFT;
        // SAFETY: a run of buffers inside the region that no device is ever given. The pool is borrowed, and the name of
        // the buffer is with its one owner; ring 3 may read it, and sees bytes change at worst.
        unsafe {
            core::slice::from_raw_parts_mut(
                self.region.base.add(start).as_ptr(),
                LARGE_RUN as usize * BUFFER_BYTES,
            )
        }
    }

    /// Buffers that the stack needs for large ones.
    pub fn in_large(&self) -> u32 {
        self.own.end - self.first_large
    }

    /// Its buffers, large ones included.
    pub fn count(&self) -> u32 {
        self.own.end - self.own.start
    }

    /// Free buffers, large ones apart.
    #[inline]
    pub fn available(&self) -> u32 {
        u32::try_from(self.free.len()).unwrap_or(u32::MAX)
    }

    /// The buffers' data.
    #[inline]
    pub fn region(&self) -> Region {
        self.region
    }

    /// The pool's counters: `pool.free` and `pool.free_large`, buffers nobody has; `pool.bad_frees`, buffers given back twice or never given
    /// out.
    pub fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        [
            ("pool.free", u64::from(self.available())),
            ("pool.free_large", self.free_large.len() as u64),
            ("pool.bad_frees", self.bad_frees),
        ]
        .into_iter()
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::{BUFFER_BYTES, NonNull, Pool, Region};
    use crate::hw::dma::testing::memory;

    /// A pool of `count` buffers in memory that the devices of tests can reach.
    pub(crate) fn pool(count: u32) -> Pool {
        pool_with_large(count, 0)
    }

    /// The same with so many large ones among them.
    pub(crate) fn pool_with_large(count: u32, large: u32) -> Pool {
        let memory = memory(BUFFER_BYTES * count as usize, 4096);
        let phys = memory.phys(0);
        let base = NonNull::new(super::direct(phys)).unwrap();
        // SAFETY: leaked memory of that size, which only the devices of tests write.
        Pool::with_large(unsafe { Region::new(base, phys, count) }, 0..count, large)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{pool, pool_with_large};
    use super::{BUFFER_BYTES, BufId};

    #[test]
    fn all_buffers_are_given_out_once_and_come_back() {
        let mut pool = pool(8);
        let mut taken: std::vec::Vec<_> = core::iter::from_fn(|| pool.alloc()).collect();
        assert_eq!(pool.available(), 0);
        taken.sort_by_key(|buf| buf.0);
        assert_eq!(taken, (0..8).map(BufId).collect::<std::vec::Vec<_>>());
        for buf in taken {
            pool.free(buf);
        }
        assert_eq!(pool.available(), 8);
    }

    #[test]
    fn large_buffers_are_apart_and_whole() {
        let mut pool = pool_with_large(1024, 3);
        assert_eq!(pool.available() + pool.in_large(), 1024);
        let (one, two) = (pool.alloc_large().unwrap(), pool.alloc_large().unwrap());
        pool.large(&one).fill(1);
        pool.large(&two).fill(2);
        let region = pool.region();
        for (buf, value) in [(&one, 1), (&two, 2)] {
            let bytes = region.large_bytes(buf.0, 60, u16::MAX);
            assert!(bytes.len() == 65_535 && bytes.iter().all(|byte| *byte == value));
        }
        assert!(pool.alloc_large().is_some() && pool.alloc_large().is_none());
        pool.free(one);
        assert!(pool.alloc_large().is_some());
        let small = pool.alloc().unwrap();
        assert!(pool.large(&small).is_empty() && region.large_bytes(1023, 0, 1).is_empty());
        assert!(pool.large(&BufId(two.0 + 1)).is_empty());
    }

    #[test]
    fn buffers_of_core_0_come_home_from_other_cores() {
        let mut others = pool(1024).shared(1, 3);
        let mut first = others.remove(0);
        let all = first.available();
        assert_eq!(all + first.in_large() + 2 * others[0].count(), 1024);
        let (one, two) = (first.alloc().unwrap(), first.alloc().unwrap());
        first.small(&one).fill(9);
        assert!(others[0].small(&one).is_empty());
        others[0].free(one);
        others[1].free(two);
        first.collect();
        assert_eq!(first.available(), all - 2, "nothing was shown yet");
        others.iter_mut().for_each(super::Pool::publish);
        first.collect();
        assert_eq!(first.available(), all);
        let large = others[1].alloc_large().unwrap();
        assert!(!others[1].large(&large).is_empty() && others[0].large(&large).is_empty());
        others[1].free(large);
        others[1].free(BufId(1024));
        assert!(
            others[1]
                .counters()
                .any(|counter| counter == ("pool.bad_frees", 1))
        );
    }

    #[test]
    fn each_receiver_has_an_equal_share_that_comes_home_from_all() {
        let mut pools = pool(4096).shared(2, 3);
        let [one, two, other] = &mut pools[..] else {
            panic!("{pools:?}")
        };
        assert_eq!(one.count(), two.count());
        let all = one.count() + two.count() + other.count();
        assert!((4095..=4096).contains(&all), "none but the remainder is nobody's");
        assert!(other.available() == 0 && other.in_large() > 0);
        let all = one.available();
        for _ in 0..all {
            let (first, second) = (one.alloc().unwrap(), two.alloc().unwrap());
            two.free(first);
            other.free(second);
        }
        assert!(one.alloc().is_none());
        [two, other].into_iter().for_each(super::Pool::publish);
        let [one, two, _] = &mut pools[..] else {
            unreachable!()
        };
        one.collect();
        two.collect();
        assert_eq!([one.available(), two.available()], [all; 2]);
        assert!(pools.iter().all(|pool| pool.bad_frees == 0));
    }

    #[test]
    fn a_buffer_freed_twice_or_out_of_range_is_counted() {
        let mut pool = pool(4);
        let index = pool.alloc().unwrap().0;
        pool.free(BufId(index));
        pool.free(BufId(index));
        pool.free(BufId(4));
        pool.free(BufId(u32::MAX));
        assert_eq!(pool.available(), 4);
        assert!(pool.counters().any(|counter| counter == ("pool.bad_frees", 3)));
    }

    #[test]
    fn nothing_outside_a_buffer_is_reachable() {
        let region = pool(4).region();
        let size = u16::try_from(BUFFER_BYTES).unwrap();
        assert_eq!(region.bytes(3, 0, size).len(), BUFFER_BYTES);
        assert_eq!(region.bytes(3, size - 1, 9).len(), 1);
        assert_eq!(region.bytes(3, u16::MAX, u16::MAX).len(), 0);
        assert_eq!(region.bytes(4, 0, 1).len(), 0);
        assert_eq!(region.index_of(region.bytes_total() - 1), Some(3));
        assert_eq!(region.index_of(region.bytes_total()), None);
        assert_eq!(region.index_of(u64::MAX), None);
        assert!(region.translate(region.bytes_total() - 1, 1).is_some());
        assert!(region.translate(region.bytes_total() - 1, 2).is_none());
        assert!(region.translate(u64::MAX, 2).is_none());
    }
}
