//! The arrays of `run_io`: memory that ring 0 reaches through the direct map and ring 3 through `layout::IO_AREA`:
//! an `IoInfo` page and the event array (read-only to ring 3), and the command array (writable).

use super::frames::Frames;
use super::paging::{self, Flags};
use super::{GuestPhys, UserVirt, direct};
use ix_abi::app::{
    Command, Endpoint, Event, Handle, IoInfo, LinkInfo, MAX_LINKS, MAX_NAME_SERVERS, Status, layout,
};
use run_io::Request;

/// Entries of both arrays per packet of a batch: one message makes up to two events (received, sent) and two commands
/// (received-done, send), and connections coming and going a few more.
const ENTRIES_PER_PACKET: u32 = 4;

const PAGE: u64 = 4096;

/// Address space for the arrays of a core.
const PER_CORE_BYTES: u64 = 2 << 20;

/// The arrays of one core.
pub struct IoArea {
    address: UserVirt,
    info: *mut IoInfo,
    commands: *mut Command,
    events: *mut Event,
    capacity: u32,
    /// Which were there from the start, and stay.
    has_own_name_servers: bool,
}

// SAFETY: memory that is mapped on all cores and this area's alone.
unsafe impl Send for IoArea {}

impl IoArea {
    /// Takes the memory for batches of `batch` packets and maps it for ring 3, in the place of the core that `info` names, which
    /// is completed with where the arrays lie. `None`: out of memory.
    pub fn new(frames: &mut Frames, batch: u32, info: IoInfo) -> Option<Self> {
        let capacity = batch.checked_mul(ENTRIES_PER_PACKET)?;
        let bytes = |entry: usize| (u64::from(capacity) * entry as u64).next_multiple_of(PAGE);
        let (commands_bytes, events_bytes) = (bytes(size_of::<Command>()), bytes(size_of::<Event>()));
        let info_at = UserVirt(layout::IO_AREA + u64::from(info.core) * PER_CORE_BYTES);
        let events_at = UserVirt(info_at.0 + PAGE);
        let commands_at = UserVirt(events_at.0 + events_bytes);
        if PAGE + events_bytes + commands_bytes > PER_CORE_BYTES {
            return None;
        }

        let info_phys = map(frames, info_at, PAGE, Flags::USER)?;
        let events_phys = map(frames, events_at, events_bytes, Flags::USER)?;
        let commands_phys = map(frames, commands_at, commands_bytes, Flags::USER | Flags::WRITE)?;

        let area = IoArea {
            address: info_at,
            info: direct(info_phys).cast(),
            commands: direct(commands_phys).cast(),
            events: direct(events_phys).cast(),
            capacity,
            has_own_name_servers: info.name_servers != [Endpoint::UNSPECIFIED; MAX_NAME_SERVERS],
        };
        let info = IoInfo {
            size: IoInfo::SIZE,
            batch,
            commands: commands_at.0,
            commands_capacity: capacity,
            events: events_at.0,
            events_capacity: capacity,
            ..info
        };
        // SAFETY: a page of our own, aligned, that only this core's kernel writes.
        unsafe { area.info.write(info) };
        Some(area)
    }

    /// From now on this is the IPv4 address of a link, for those who ask; the first link that has one gives the dataplane's own.
    pub fn set_address(&mut self, link: usize, address: Endpoint) {
        let info = self.info;
        if link >= MAX_LINKS {
            return;
        }
        // SAFETY: the page of `new`, which only this core's kernel writes, and a place within its array. Volatile: ring 3 may
        // read it at any time.
        let links = unsafe {
            (&raw mut (*info).links[link].v4).write_volatile(address);
            (&raw const (*info).links).read_volatile()
        };
        // SAFETY: as above.
        unsafe { (&raw mut (*info).local).write_volatile(local_of(&links)) };
    }

    /// From now on these are the name servers, for those who ask, unless [`IoArea::new`] was given others.
    pub fn lease_name_servers(&mut self, servers: [Endpoint; MAX_NAME_SERVERS]) {
        if self.has_own_name_servers {
            return;
        }
        // SAFETY: as in `set_address`.
        unsafe { (&raw mut (*self.info).name_servers).write_volatile(servers) };
    }

    /// Where ring 3 finds its [`IoInfo`].
    pub fn address(&self) -> UserVirt {
        self.address
    }

    /// Checks the counts of a `run_io` against the arrays; (commands, room for events).
    ///
    /// # Errors
    /// [`Status::Invalid`] if either is beyond its array.
    pub fn check(&self, commands: u64, max_events: u64) -> Result<(u32, u32), Status> {
        let fits = |count: u64| {
            u32::try_from(count)
                .ok()
                .filter(|&n| n <= self.capacity)
                .ok_or(Status::Invalid)
        };
        Ok((fits(commands)?, fits(max_events)?))
    }

    /// What most commands consist of. Ring 3 may be changing it, so each word is read once and checked afterwards.
    #[inline]
    pub fn request(&self, index: u32) -> Request {
        assert!(index < self.capacity);
        // SAFETY: within the array. Volatile, since another thread of ring 3 may write at any time; any bit pattern is
        // legal in these fields.
        unsafe {
            let command = self.commands.add(index as usize);
            Request {
                index,
                opcode: (&raw const (*command).opcode).read_volatile(),
                flags: (&raw const (*command).flags).read_volatile(),
                handle: (&raw const (*command).handle).read_volatile(),
                cookie: (&raw const (*command).cookie).read_volatile(),
                address: (&raw const (*command).address).read_volatile(),
                len: (&raw const (*command).len).read_volatile(),
            }
        }
    }

    /// The endpoint of a command that has one; to be read once.
    #[inline]
    pub fn endpoint(&self, request: &Request) -> Endpoint {
        assert!(request.index < self.capacity);
        // SAFETY: as in `request`.
        unsafe { (&raw const (*self.commands.add(request.index as usize)).endpoint).read_volatile() }
    }

    /// Writes the result of command `index`.
    #[inline]
    pub fn answer(&mut self, index: u32, result: i32) {
        assert!(index < self.capacity);
        // SAFETY: within the array; plain data that ring 0 does not read back.
        unsafe { (&raw mut (*self.commands.add(index as usize)).result).write_volatile(result) };
    }

    /// Writes success and the handle made by command `index`.
    pub fn answer_with_handle(&mut self, index: u32, handle: Handle) {
        self.answer(index, 0);
        // SAFETY: `answer` has checked the index; plain data that ring 0 does not read back.
        unsafe { (&raw mut (*self.commands.add(index as usize)).handle).write_volatile(handle) };
    }

    /// Event `index`, to be filled in; what is left alone is an older event's.
    #[inline]
    pub fn event(&mut self, index: u32) -> &mut Event {
        assert!(index < self.capacity);
        // SAFETY: within the array, which ring 3 cannot write and does not read while this core is in ring 0.
        unsafe { &mut *self.events.add(index as usize) }
    }
}

/// What stands for all addresses of these links: the first IPv4 address, or the first of IPv6.
pub fn local_of(links: &[LinkInfo]) -> Endpoint {
    let v4 = links.iter().map(|link| link.v4);
    let v6 = links.iter().map(|link| link.v6);
    let mut all = v4.chain(v6).filter(|address| !address.is_any_address());
    all.next().unwrap_or(Endpoint::UNSPECIFIED)
}

/// The bytes of a span that ring 3 has given for sending.
///
/// # Safety
/// The span is one that [`crate::user::View::translate`] or the packet buffers' region has found to be ring 3's, so
/// that all of it is RAM, mapped for ever, and none of it ring 0's own. Another thread of the app may change the bytes
/// meanwhile, on another core; then the checksum computed from them is wrong, and the peer drops the segment.
pub unsafe fn span_bytes(at: GuestPhys, len: u32) -> &'static [u8] {
    // SAFETY: passed on to the caller; any byte is a legal `u8`.
    unsafe { core::slice::from_raw_parts(direct(at), len as usize) }
}

fn map(frames: &mut Frames, at: UserVirt, bytes: u64, flags: Flags) -> Option<GuestPhys> {
    let phys = frames.alloc(bytes, PAGE)?;
    paging::map(frames, at.0, phys, bytes, flags).ok()?;
    Some(phys)
}
