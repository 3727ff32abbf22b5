//! The memory shared with the kernel, as checked views: command array, event array, receive window.
//!
//! The kernel touches the command array only inside `run_io`, the event array only inside a `run_io` that asks for
//! events, and a received buffer not before it has been given back. All three are upheld here and in [`crate::batch`].

use crate::hosted::Hosted;
use crate::stand_in::{SharedMemory, StandIn};
use crate::{Error, trap};
use core::ops::Range;
use core::ptr::NonNull;
use core::time::Duration;
use ix_abi::app::{Command, Endpoint, Event, IoInfo, Status};
use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

/// The command array of this thread, and what the kernel said of the rest.
pub(crate) struct Arrays {
    info: IoInfo,
    /// Where the kernel keeps it up to date.
    page: Option<NonNull<IoInfo>>,
    commands: NonNull<Command>,
    /// Who carries the batches out where the kernel underneath is not ours. Under Ixion there is none, and the test for
    /// it is all that the other worlds cost.
    stand_in: Option<Box<dyn StandIn>>,
}

/// How a thread that waits in `run_io` gets to hear of something that is not the network's.
#[derive(Clone)]
pub(crate) enum Interrupt {
    /// By this.
    Waker(Arc<mio::Waker>),
    /// Not at all: it must not wait for long.
    LookOften,
    /// There is no other thread.
    #[cfg(any(test, feature = "testing"))]
    Unneeded,
}

/// The event array of this thread. Apart from [`Arrays`], so that events can be read where they are while commands are
/// added and submitted: only [`Arrays::wait`] overwrites it, and that wants it for itself.
pub(crate) struct Events {
    first: NonNull<Event>,
    capacity: usize,
    /// Keeps the array where it is, if it is not the kernel's.
    _memory: Option<Rc<SharedMemory>>,
}

/// The arrays that somebody has, by the address of their `IoInfo`. They are never given up: what the kernel still says
/// of a former owner's flows would pass for news of the next one's, and free what it has lent.
static TAKEN: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// # Errors
/// `Busy` if somebody has them.
fn take(info_address: u64) -> Result<(), Status> {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    if taken.contains(&info_address) {
        return Err(Status::Busy);
    }
    taken.push(info_address);
    Ok(())
}

impl Arrays {
    /// Asks the kernel for those of a core; on plain Linux, has its sockets stand in for it.
    pub(crate) fn set_up(core: u16) -> Result<(Self, Events), Error> {
        let address = match trap::io_setup(core) {
            trap::NO_SUCH_LINUX_CALL => return Self::on(Box::new(Hosted::new(core)?)),
            result => u64::try_from(result).map_err(|_| {
                let status = i32::try_from(result).unwrap_or(i32::MIN);
                Error::Status(Status::check(status).err().unwrap_or(Status::Invalid))
            })?,
        };
        take(address)?;
        let info = NonNull::new(address as *mut IoInfo).ok_or(Error::Status(Status::Fault))?;
        // SAFETY: the kernel answered io_setup with the address of an `IoInfo` mapped for as long as the program runs.
        let (mut arrays, events) = Self::new(unsafe { info.read() }, None)?;
        arrays.page = Some(info);
        Ok((arrays, events))
    }

    /// Those of `stand_in`.
    pub(crate) fn on(stand_in: Box<dyn StandIn>) -> Result<(Self, Events), Error> {
        Self::new(stand_in.info(), Some(stand_in))
    }

    fn new(info: IoInfo, stand_in: Option<Box<dyn StandIn>>) -> Result<(Self, Events), Error> {
        let commands = NonNull::new(info.commands as *mut Command).ok_or(Error::Status(Status::Fault))?;
        let events = Events {
            first: NonNull::new(info.events as *mut Event).ok_or(Error::Status(Status::Fault))?,
            capacity: info.events_capacity as usize,
            _memory: stand_in.as_ref().map(|stand_in| stand_in.memory()),
        };
        let arrays = Arrays {
            info,
            page: None,
            commands,
            stand_in,
        };
        Ok((arrays, events))
    }

    /// What received buffers must keep alive, if they are not the kernel's.
    pub(crate) fn memory(&self) -> Option<Rc<SharedMemory>> {
        self.stand_in.as_ref().map(|stand_in| stand_in.memory())
    }

    /// `true` if what has been lent may be read until the program ends, whatever becomes of this.
    pub(crate) fn lends_for_ever(&self) -> bool {
        self.stand_in.is_none()
    }

    pub(crate) fn interrupt(&self) -> Interrupt {
        match &self.stand_in {
            None => Interrupt::LookOften,
            Some(stand_in) => stand_in.interrupt(),
        }
    }

    /// Time since some point in the past.
    pub(crate) fn now(&self) -> Duration {
        match &self.stand_in {
            None => since_start(),
            Some(stand_in) => stand_in.now(),
        }
    }

    /// # Safety
    /// That of [`trap::run_io`].
    #[inline]
    unsafe fn run_io(&mut self, commands: usize, max_events: usize, wait_ns: u64) -> i64 {
        match &mut self.stand_in {
            // SAFETY: the caller's promise.
            None => unsafe { trap::run_io(commands as u64, max_events as u64, wait_ns) },
            // SAFETY: as above.
            Some(stand_in) => unsafe { stand_in.run_io(commands, max_events, wait_ns) },
        }
    }

    pub(crate) fn info(&self) -> &IoInfo {
        &self.info
    }

    /// An address of the dataplane's is another one, and with it what came from the same server: the kernel has written it down;
    /// elsewhere it is `local`.
    pub(crate) fn set_local(&mut self, local: Endpoint) {
        match self.page {
            // SAFETY: as in `set_up`; only this core's kernel writes there, and that is not running.
            Some(page) => self.info = unsafe { page.read_volatile() },
            None => self.info.local = local,
        }
    }

    #[inline]
    pub(crate) fn commands_capacity(&self) -> usize {
        self.info.commands_capacity as usize
    }

    /// Entry `place` of the command array.
    #[inline]
    pub(crate) fn command(&mut self, place: usize) -> &mut Command {
        assert!(place < self.commands_capacity());
        // SAFETY: in bounds of the array the kernel described; `&mut self` makes the reference unique on this side, and
        // it cannot live across `submit`, which takes `&mut self` too.
        unsafe { self.commands.add(place).as_mut() }
    }

    /// Submits the first `commands` entries and leaves the event array as it is.
    #[inline]
    pub(crate) fn submit(&mut self, commands: usize) -> Result<(), Status> {
        // SAFETY: references into the command array borrow `self`, so none is alive; no events are asked for.
        let result = unsafe { self.run_io(commands, 0, 0) };
        count(result, 0).map(drop)
    }

    /// Submits the first `commands` entries and waits up to `wait_ns` for events; returns how many there are.
    #[inline]
    pub(crate) fn wait(
        &mut self,
        commands: usize,
        events: &mut Events,
        wait_ns: u64,
    ) -> Result<usize, Status> {
        // SAFETY: references into the arrays borrow `self` or `events`, so none is alive.
        let result = unsafe { self.run_io(commands, events.capacity, wait_ns) };
        count(result, events.capacity)
    }

    /// The `len` bytes at `address`, if they lie in the receive window.
    #[inline]
    pub(crate) fn received(&self, address: u64, len: u32) -> Option<Received> {
        let start = address.checked_sub(self.info.rx_window)?;
        if start.checked_add(u64::from(len))? > self.info.rx_window_len {
            return None;
        }
        Some(Received {
            start: NonNull::new(address as *mut u8)?,
            len,
        })
    }
}

impl Events {
    /// Entry `place`.
    #[inline]
    pub(crate) fn get(&self, place: usize) -> &Event {
        assert!(place < self.capacity);
        // SAFETY: in bounds of the array the kernel described, any bit pattern is an `Event`, and the kernel writes there
        // only in `Arrays::wait`, which borrows `self` mutably.
        unsafe { self.first.add(place).as_ref() }
    }
}

/// By the system's clock.
pub(crate) fn since_start() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// Splits the result of `run_io` into a number of events, at most `most`, or a status.
#[inline]
fn count(result: i64, most: usize) -> Result<usize, Status> {
    match usize::try_from(result) {
        Ok(count) => Ok(count.min(most)),
        Err(_) => {
            let status = i32::try_from(result).unwrap_or(i32::MIN);
            Err(Status::check(status).err().unwrap_or(Status::Invalid))
        }
    }
}

/// Bytes in the receive window that the kernel has lent to this side. Whoever holds it decides when they are returned.
pub(crate) struct Received {
    start: NonNull<u8>,
    len: u32,
}

impl Received {
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: checked to lie in the read-only window, which stays mapped; the kernel does not let the NIC write
        // there until the buffer is returned, which its holder does only when it gives this view up.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.len as usize) }
    }

    /// The same, for longer than this view.
    ///
    /// # Safety
    /// The buffer is not returned while they are borrowed.
    pub(crate) unsafe fn bytes_for_long<'a>(&self) -> &'a [u8] {
        // SAFETY: as in `bytes`, and the caller's promise.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.len as usize) }
    }

    #[inline]
    pub(crate) fn address(&self) -> u64 {
        self.start.as_ptr() as u64
    }

    /// Narrows the view to `range`, which must lie in it. The address stays one of the lent bytes': an empty view does
    /// not move behind the last of them, where another buffer may begin.
    #[allow(clippy::cast_possible_truncation, reason = "at most the old length, a u32")]
    pub(crate) fn narrow(&mut self, range: Range<usize>) {
        let len = self.bytes()[range.clone()].len() as u32;
        if len > 0 {
            // SAFETY: slicing has just checked that `range` lies in the view.
            self.start = unsafe { self.start.add(range.start) };
        }
        self.len = len;
    }
}

#[cfg(test)]
mod tests {
    use super::take;
    use ix_abi::app::Status;

    #[test]
    fn a_core_has_one_loop_for_ever() {
        assert_eq!(take(0x1000), Ok(()));
        assert_eq!(take(0x1000), Err(Status::Busy));
        assert_eq!(take(0x2000), Ok(()));
    }
}
