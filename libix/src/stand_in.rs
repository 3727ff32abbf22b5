//! What plays the kernel's part where the kernel underneath is not ours: plain Linux ([`crate::hosted`]), a network in
//! virtual time (`testing`), a script (in the tests of the event loop). All of libix above the arrays is the same code.

use crate::arrays::Interrupt;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::time::Duration;
use ix_abi::app::{Command, Event, Handle, IoInfo, SgEntry};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::rc::Rc;

/// The part of `run_io`.
pub(crate) trait StandIn {
    /// As `io_setup` leaves it. The addresses are those of [`StandIn::memory`].
    fn info(&self) -> IoInfo;

    /// The memory it shares with libix.
    fn memory(&self) -> Rc<SharedMemory>;

    /// As the trap: a number of events, or a negated status.
    ///
    /// # Safety
    /// No reference into the command array is alive, and none into the event array unless `max_events` is 0. What the
    /// commands lend is readable for as long as the ABI says.
    unsafe fn run_io(&mut self, commands: usize, max_events: usize, wait_ns: u64) -> i64;

    /// Time since some point in the past.
    fn now(&self) -> Duration;

    /// How it is woken from a wait.
    fn interrupt(&self) -> Interrupt;
}

/// Command array, event array and receive window of a stand-in. Both sides reach them through raw pointers, each in its
/// turn, as they do with the kernel's.
pub(crate) struct SharedMemory {
    commands: Zeroed<Command>,
    events: Zeroed<Event>,
    window: Zeroed<u8>,
}

impl SharedMemory {
    /// Arrays of these capacities, and a window of so many bytes, which takes memory as it is touched.
    pub(crate) fn new(commands: usize, events: usize, window_bytes: usize) -> Self {
        SharedMemory {
            commands: Zeroed::new(commands),
            events: Zeroed::new(events),
            window: Zeroed::new(window_bytes),
        }
    }

    /// An `IoInfo` that describes it.
    pub(crate) fn info(&self) -> IoInfo {
        IoInfo {
            size: IoInfo::SIZE,
            commands: self.commands.address(),
            commands_capacity: u32::try_from(self.commands.len).unwrap_or(u32::MAX),
            events: self.events.address(),
            events_capacity: u32::try_from(self.events.len).unwrap_or(u32::MAX),
            rx_window: self.window.address(),
            rx_window_len: self.window.len as u64,
            ..IoInfo::default()
        }
    }

    /// Most commands of a batch.
    pub(crate) fn commands_capacity(&self) -> usize {
        self.commands.len
    }

    /// A copy of the command at `place`.
    ///
    /// # Safety
    /// Libix is inside `run_io`.
    pub(crate) unsafe fn command(&self, place: usize) -> Command {
        // SAFETY: in bounds, initialized, and by the caller's promise nobody writes there.
        unsafe { self.commands.at(place).read() }
    }

    /// Writes the answer of the command at `place`.
    ///
    /// # Safety
    /// Libix is inside `run_io`.
    pub(crate) unsafe fn answer(&self, place: usize, result: i32, made: Option<Handle>) {
        // SAFETY: in bounds, and by the caller's promise nobody else uses the entry.
        let command = unsafe { self.commands.at(place).as_mut() };
        command.result = result;
        if let Some(handle) = made {
            command.handle = handle;
        }
    }

    /// Writes the event at `place`.
    ///
    /// # Safety
    /// Libix is inside a `run_io` that asks for events.
    pub(crate) unsafe fn write_event(&self, place: usize, event: Event) {
        // SAFETY: in bounds, and by the caller's promise nobody else uses the entry.
        unsafe { self.events.at(place).write(event) };
    }

    /// `len` bytes of the window.
    ///
    /// # Safety
    /// None of them is lent to the app, and no other reference to them is alive.
    #[allow(
        clippy::mut_from_ref,
        reason = "the window is memory of others, reached through a raw pointer"
    )]
    pub(crate) unsafe fn window(&self, offset: usize, len: usize) -> &mut [MaybeUninit<u8>] {
        assert!(offset <= self.window.len && len <= self.window.len - offset);
        // SAFETY: in bounds; by the caller's promise the only reference.
        unsafe { core::slice::from_raw_parts_mut(self.window.first.add(offset).cast().as_ptr(), len) }
    }

    /// The address of a byte of the window.
    pub(crate) fn window_address(&self, offset: usize) -> u64 {
        self.window.address() + offset as u64
    }

    /// Where in the window `address` is.
    pub(crate) fn window_offset(&self, address: u64) -> Option<usize> {
        let offset = usize::try_from(address.checked_sub(self.window.address())?).ok()?;
        (offset < self.window.len).then_some(offset)
    }
}

/// The entries that a `*Sendv` command points to.
///
/// # Safety
/// They are there.
pub(crate) unsafe fn sg_entries<'a>(command: &Command) -> &'a [SgEntry] {
    let Some(first) = NonNull::new(command.address as *mut SgEntry) else {
        return &[];
    };
    // SAFETY: by the caller's promise; the caller of this has compared the number with the most there may be.
    unsafe { core::slice::from_raw_parts(first.as_ptr(), usize::try_from(command.len).unwrap_or(0)) }
}

/// Memory of zeros, for types that zeros are a value of.
struct Zeroed<T> {
    first: NonNull<T>,
    len: usize,
    layout: Layout,
}

impl<T> Zeroed<T> {
    fn new(len: usize) -> Self {
        let layout = Layout::array::<T>(len.max(1)).expect("fewer than 2^63 bytes");
        // SAFETY: of at least one byte.
        let Some(first) = NonNull::new(unsafe { alloc_zeroed(layout) }.cast()) else {
            handle_alloc_error(layout)
        };
        Zeroed { first, len, layout }
    }

    fn address(&self) -> u64 {
        self.first.as_ptr() as u64
    }

    fn at(&self, place: usize) -> NonNull<T> {
        assert!(place < self.len);
        // SAFETY: in bounds.
        unsafe { self.first.add(place) }
    }
}

impl<T> Drop for Zeroed<T> {
    fn drop(&mut self) {
        // SAFETY: allocated by this layout.
        unsafe { dealloc(self.first.as_ptr().cast(), self.layout) };
    }
}
