//! Who has the buffers of frames that were taken in. A buffer is out of the pool as long as anybody has it: the kernel until the
//! app is told, the app until it gives it back, and each card that sends it.

use crate::mem::mbuf::Pool;
use alloc::vec::Vec;
use ix_abi::app::Status;
use netstack::{BufId, RxChecksum};

/// Whose turn it is with a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Holder {
    /// Nobody's any more, but a card may send it.
    #[default]
    Nobody,
    /// The kernel's: the app has not been told.
    Kernel,
    /// The app's.
    App,
}

/// What is known of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// Where it lies in its buffer: bytes before it, and its length.
    pub(super) offset: u16,
    pub(super) len: u16,
    /// Of a packet: bytes of its frame before it.
    pub(super) ahead: u16,
    pub(super) checksum: RxChecksum,
    /// By which it came.
    pub(super) link: u8,
    holder: Holder,
    /// Cards that have it, and next hops it waits for.
    pub(super) sends: u8,
}

impl Record {
    const NONE: Record = Record {
        offset: 0,
        len: 0,
        ahead: 0,
        checksum: RxChecksum::Unknown,
        link: 0,
        holder: Holder::Nobody,
        sends: 0,
    };

    /// Of a frame that came by `link`.
    pub(super) fn new(link: usize, (offset, len): (u16, u16), ahead: u16, checksum: RxChecksum) -> Self {
        Record {
            offset,
            len,
            ahead,
            checksum,
            link: u8::try_from(link).unwrap_or(u8::MAX),
            holder: Holder::Kernel,
            sends: 0,
        }
    }
}

/// A record of each buffer there is, once somebody takes frames.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    records: Vec<Record>,
    held: u32,
    most: u32,
}

impl Buffers {
    /// Makes room to keep track of `count` buffers, of which `most` may be held at once.
    pub(super) fn prepare(&mut self, count: u32, most: u32) -> Result<(), Status> {
        if self.records.is_empty() {
            let count = count as usize;
            self.records
                .try_reserve_exact(count)
                .map_err(|_| Status::NoMemory)?;
            self.records.resize(count, Record::NONE);
            self.most = most;
        }
        Ok(())
    }

    /// How many are out of the pool, for whomever.
    pub(super) fn held(&self) -> u32 {
        self.held
    }

    /// How many may be.
    pub(super) fn most(&self) -> u32 {
        self.most
    }

    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.held < self.most
    }

    /// Keeps a buffer; `Err` gives it back: somebody has it.
    #[inline]
    pub(super) fn take(&mut self, buf: BufId, record: Record) -> Result<(), BufId> {
        match self.records.get_mut(buf.0 as usize) {
            Some(place) if place.holder == Holder::Nobody && place.sends == 0 => {
                *place = record;
                self.held += 1;
                Ok(())
            }
            _ => Err(buf),
        }
    }

    /// The app's turn, if it was the kernel's.
    #[inline]
    pub(super) fn tell(&mut self, index: u32) -> Option<Record> {
        let record = self.records.get_mut(index as usize)?;
        if record.holder != Holder::Kernel {
            return None;
        }
        record.holder = Holder::App;
        Some(*record)
    }

    /// What is known of a frame that the app has.
    #[inline]
    pub(super) fn lent(&self, index: u32) -> Option<Record> {
        let record = self.records.get(index as usize)?;
        (record.holder == Holder::App).then_some(*record)
    }

    /// What is known of a frame that somebody has.
    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<Record> {
        self.records.get(index as usize).copied()
    }

    /// The app's turn ends.
    ///
    /// # Errors
    /// `Invalid`: it was not the app's.
    #[inline]
    pub(super) fn give_back(&mut self, index: u32, pool: &mut Pool) -> Result<(), Status> {
        match self.records.get_mut(index as usize) {
            Some(record) if record.holder == Holder::App => {
                self.release(index, pool);
                Ok(())
            }
            _ => Err(Status::Invalid),
        }
    }

    /// Takes a frame from whoever has it but cards.
    pub(super) fn release(&mut self, index: u32, pool: &mut Pool) {
        if let Some(record) = self.records.get_mut(index as usize)
            && record.holder != Holder::Nobody
        {
            record.holder = Holder::Nobody;
            if record.sends == 0 {
                self.go_home(index, pool);
            }
        }
    }

    /// The buffers the app has.
    pub(super) fn all_lent(&self) -> impl Iterator<Item = u32> + use<> {
        let records = self.records.iter().zip(0..);
        let lent: Vec<u32> = records
            .filter(|(record, _)| record.holder == Holder::App)
            .map(|(_, index)| index)
            .collect();
        lent.into_iter()
    }

    /// One card more has it.
    #[inline]
    pub(super) fn sending(&mut self, index: u32) {
        if let Some(record) = self.records.get_mut(index as usize) {
            record.sends += 1;
        }
    }

    /// One card less.
    #[inline]
    pub(super) fn sent(&mut self, index: u32, pool: &mut Pool) {
        if let Some(record) = self.records.get_mut(index as usize)
            && record.sends > 0
        {
            record.sends -= 1;
            if record.sends == 0 && record.holder == Holder::Nobody {
                self.go_home(index, pool);
            }
        }
    }

    #[inline]
    fn go_home(&mut self, index: u32, pool: &mut Pool) {
        self.held -= 1;
        pool.free(BufId(index));
    }
}
