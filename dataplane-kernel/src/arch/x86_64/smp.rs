//! The other cores: started one after the other by INIT and SIPI (SDM volume 3, section 9.4), each on stacks of its own,
//! and given something to do.
//!
//! A core starts in real mode, at a page below 1 MiB. What is copied there (`trampoline.s`) takes it into long mode in
//! one step and to `secondary_main`.

pub use super::apic::Message;
use super::control::cpuid;
use super::{apic, image, shootdown, tsc};
use crate::acpi::Processors;
use crate::mem::frames::Frames;
use crate::mem::paging::{self, MapError};
use crate::mem::{GuestPhys, PAGE_BYTES, direct, stacks};
use alloc::boxed::Box;
use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use spin::Mutex;

/// Most cores of a machine.
pub const MAX_CORES: usize = 64;

/// How long a core may take to answer; on a busy host the machine may sleep in between.
const PATIENCE_NS: u64 = 5_000_000_000;
/// Between INIT and SIPI, and between a SIPI and the one that is sent in case it was missed.
const INIT_NS: u64 = 10_000_000;
const RETRY_NS: u64 = 200_000;

/// Identifiers of the cores' interrupt controllers, by the cores' numbers.
static IDS: [AtomicU32; MAX_CORES] = [const { AtomicU32::new(u32::MAX) }; MAX_CORES];
/// How many cores have started.
static STARTED: AtomicUsize = AtomicUsize::new(1);
/// What they are to do.
static JOBS: [Mutex<Option<Job>>; MAX_CORES] = [const { Mutex::new(None) }; MAX_CORES];

type Job = Box<dyn FnOnce() + Send>;

/// What the core that is being started finds in memory; the trampoline knows the layout.
#[derive(Debug)]
#[repr(C)]
pub struct Launch {
    page_tables: AtomicU64,
    stack_top: AtomicU64,
    core: AtomicU64,
}

/// For one core at a time.
pub static LAUNCH: Launch = Launch {
    page_tables: AtomicU64::new(0),
    stack_top: AtomicU64::new(0),
    core: AtomicU64::new(0),
};

/// Why there are not as many cores as wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmpError {
    /// The machine does not have them.
    TooFew {
        /// How many were wanted.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
    /// One of them does not start.
    Silent {
        /// Its number.
        core: usize,
        /// The identifier of its interrupt controller.
        id: u32,
    },
    /// No memory below 1 MiB for real mode.
    NoLowMemory,
    /// No memory for stacks.
    Map(MapError),
}

impl fmt::Display for SmpError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            SmpError::TooFew { wanted, found } => {
                write!(f, "{wanted} cores are wanted, but the machine has {found}")
            }
            SmpError::Silent { core, id } => write!(
                f,
                "core {core} (interrupt controller {id}) was told to start and does not answer"
            ),
            SmpError::NoLowMemory => f.write_str("no free page below 1 MiB for other cores to start in"),
            SmpError::Map(error) => write!(f, "no stacks for another core: {error:?}"),
        }
    }
}

/// Starts cores until there are `wanted`. `low_page` is a page below 1 MiB that is nobody's, mapped writable.
///
/// # Errors
/// See [`SmpError`].
pub fn start(
    wanted: usize,
    processors: &Processors,
    low_page: Option<GuestPhys>,
    frames: &mut Frames,
) -> Result<(), SmpError> {
    let first = apic::id();
    IDS[0].store(first, Ordering::Relaxed);
    let others = || processors.ids().iter().copied().filter(|&id| id != first);
    let found = 1 + others().count();
    if wanted > found {
        return Err(SmpError::TooFew { wanted, found });
    }
    if wanted == 1 {
        return Ok(());
    }
    let page = low_page.ok_or(SmpError::NoLowMemory)?;
    prepare(page);
    others().take(wanted - 1).for_each(apic::send_init);
    wait(INIT_NS, || false);
    for (core, id) in (1..wanted).zip(others()) {
        let tops = stacks::make(frames, core).map_err(SmpError::Map)?;
        super::gdt::prepare(core, tops.traps);
        IDS[core].store(id, Ordering::Relaxed);
        start_one(core, id, page, tops.kernel)?;
    }
    log::info!("{wanted} cores");
    Ok(())
}

fn start_one(core: usize, id: u32, page: GuestPhys, stack_top: u64) -> Result<(), SmpError> {
    LAUNCH.page_tables.store(paging::root().0, Ordering::Relaxed);
    LAUNCH.stack_top.store(stack_top, Ordering::Relaxed);
    LAUNCH.core.store(core as u64, Ordering::Release);
    let answered = || STARTED.load(Ordering::Acquire) > core;
    apic::send_startup(id, page);
    if !wait(RETRY_NS, answered) {
        apic::send_startup(id, page);
    }
    if wait(PATIENCE_NS, answered) {
        Ok(())
    } else {
        Err(SmpError::Silent { core, id })
    }
}

/// Waits until it is so, at most so long; `false` if it has not come to be so.
fn wait(ns: u64, is_so: impl Fn() -> bool) -> bool {
    let until = tsc::now_ns() + ns;
    while !is_so() {
        if tsc::now_ns() > until {
            return false;
        }
        core::hint::spin_loop();
    }
    true
}

/// Copies the trampoline to where cores start.
fn prepare(page: GuestPhys) {
    let code = image::trampoline();
    assert!(code.len() as u64 <= PAGE_BYTES);
    // SAFETY: a page that is nobody's, mapped writable, as the caller of `start` says; the code fits.
    unsafe { direct(page).copy_from_nonoverlapping(code.as_ptr(), code.len()) };
}

/// How many cores work.
pub fn count() -> usize {
    STARTED.load(Ordering::Acquire)
}

/// Where a core goes from the trampoline: in long mode, on its stack, with interrupts off.
///
/// # Safety
/// Not to be called, only jumped to by a core that was told to start.
pub unsafe extern "C" fn secondary_main(core: u64) -> ! {
    let core = usize::try_from(core).unwrap_or(MAX_CORES);
    super::init_secondary(core);
    STARTED.store(core + 1, Ordering::Release);
    loop {
        let job = JOBS.get(core).and_then(|job| job.lock().take());
        if let Some(job) = job {
            job();
        }
        shootdown::checkpoint();
        core::hint::spin_loop();
    }
}

/// Has another core do something, as soon as it has done what it was told before.
pub fn run_on(core: usize, job: impl FnOnce() + Send + 'static) {
    if let Some(place) = JOBS.get(core) {
        *place.lock() = Some(Box::new(job));
    }
}

/// Interrupts another core if it is in ring 3 or sleeps, or else as soon as it does. One that was never started is not.
pub fn interrupt(core: usize) {
    let id = IDS.get(core).map(|id| id.load(Ordering::Relaxed));
    if let Some(id) = id.filter(|&id| id != u32::MAX) {
        apic::send_look(id);
    }
}

/// What a device writes to interrupt this core as [`interrupt`] does; `None`: no message reaches it.
pub fn message_to(core: usize) -> Option<Message> {
    if cfg!(test) {
        return apic::message(u32::try_from(core).ok()?);
    }
    let id = IDS.get(core)?.load(Ordering::Relaxed);
    apic::message(id)
}

/// The number of the core that asks. Slow, but sure at any time: for reports.
pub fn this_core() -> usize {
    let id = apic_id_by_cpuid();
    IDS.iter()
        .position(|known| known.load(Ordering::Relaxed) == id)
        .unwrap_or(0)
}

fn apic_id_by_cpuid() -> u32 {
    let topology = cpuid(0xb, 0);
    if topology.ebx != 0 {
        topology.edx
    } else {
        cpuid(1, 0).ebx >> 24
    }
}
