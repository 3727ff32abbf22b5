//! The local interrupt controller (SDM volume 3, chapter 11): periodic ticks, which are taken in ring 3, so that an app
//! that computes for long is noticed and its threads get their turns, and by processors that sleep.

use super::control::cpuid;
use super::idt;
use super::port::outb;
use super::tsc;
use crate::mem::frames::Frames;
use crate::mem::paging::MapError;
use crate::mem::{self, GuestPhys};
use ::x86_64::registers::model_specific::{ApicBase, ApicBaseFlags, Msr};
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering, fence};

/// Ticks per second.
pub const TICKS_PER_S: u64 = 100;

/// CPUID leaf 1, ECX.
const X2APIC: u32 = 1 << 21;

/// In x2APIC mode, register `r` is this MSR plus `r / 16`.
const X2APIC_MSRS: u32 = 0x800;

const ID: u32 = 0x20;
const TASK_PRIORITY: u32 = 0x80;
const END_OF_INTERRUPT: u32 = 0xb0;
const SPURIOUS: u32 = 0xf0;
const INTERRUPT_COMMAND: u32 = 0x300;
const INTERRUPT_COMMAND_HIGH: u32 = 0x310;
const LVT_TIMER: u32 = 0x320;
const LVT_LINT0: u32 = 0x350;
const LVT_LINT1: u32 = 0x360;
const LVT_ERROR: u32 = 0x370;
const INITIAL_COUNT: u32 = 0x380;
const CURRENT_COUNT: u32 = 0x390;
const DIVIDE: u32 = 0x3e0;

const ENABLE: u32 = 1 << 8;
const DELIVER_NMI: u32 = 4 << 8;
const DELIVER_INIT: u32 = 5 << 8;
const DELIVER_STARTUP: u32 = 6 << 8;
const DELIVERY_PENDING: u32 = 1 << 12;
const ASSERT: u32 = 1 << 14;
const MASKED: u32 = 1 << 16;
const PERIODIC: u32 = 1 << 17;
const DIVIDE_BY_16: u32 = 3;

const CALIBRATION_NS: u64 = 5_000_000;

/// How often ring 3 is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// [`TICKS_PER_S`].
    Normal,
    /// So much more often: for work that is done while waiting for a packet, and must not keep it waiting for long.
    Short,
}

/// Short ticks per tick: 200 us each.
const SHORT_TICKS: u32 = 50;

/// What the timer counts down from for a normal tick.
static COUNTS_PER_TICK: AtomicU32 = AtomicU32::new(0);

/// The registers in memory; null in x2APIC mode.
static REGISTERS: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());

fn write(register: u32, value: u32) {
    let base = REGISTERS.load(Ordering::Relaxed);
    if base.is_null() {
        let mut msr = Msr::new(X2APIC_MSRS + register / 16);
        // SAFETY: a register of the controller, which is in x2APIC mode; none of those used here touches memory.
        unsafe { msr.write(value.into()) };
    } else {
        // SAFETY: `init` has mapped a page of registers.
        unsafe { base.add(register as usize).cast::<u32>().write_volatile(value) };
    }
}

fn read(register: u32) -> u32 {
    let base = REGISTERS.load(Ordering::Relaxed);
    if base.is_null() {
        let msr = Msr::new(X2APIC_MSRS + register / 16);
        // SAFETY: a register of the controller, which is in x2APIC mode.
        u32::try_from(unsafe { msr.read() }).unwrap_or(u32::MAX)
    } else {
        // SAFETY: `init` has mapped a page of registers.
        unsafe { base.add(register as usize).cast::<u32>().read_volatile() }
    }
}

/// Switches the first core's controller on and lets it tick.
///
/// # Errors
/// If its registers cannot be mapped.
pub fn init(frames: &mut Frames) -> Result<(), MapError> {
    if !enable_x2apic() {
        let (base, _) = ApicBase::read();
        let registers = mem::map_device(frames, GuestPhys(base.start_address().as_u64()), mem::PAGE_BYTES)?;
        REGISTERS.store(registers, Ordering::Relaxed);
    }
    switch_on();
    calibrate();
    start_ticks();
    Ok(())
}

/// The same on another core, whose controller is at the same place and counts at the same rate.
pub(super) fn init_secondary() {
    enable_x2apic();
    switch_on();
    start_ticks();
}

/// `false` if this processor has no such mode.
fn enable_x2apic() -> bool {
    let (base, flags) = ApicBase::read();
    let has_it = cpuid(1, 0).ecx & X2APIC != 0;
    if has_it {
        // SAFETY: the processor has the mode, and nobody uses the controller yet.
        unsafe {
            ApicBase::write(
                base,
                flags | ApicBaseFlags::LAPIC_ENABLE | ApicBaseFlags::X2APIC_ENABLE,
            )
        };
    }
    has_it
}

fn switch_on() {
    write(SPURIOUS, ENABLE | u32::from(idt::SPURIOUS));
    write(TASK_PRIORITY, 0);
    write(LVT_LINT0, MASKED);
    write(LVT_ERROR, MASKED);
    // A monitor's way to ask a kernel that hangs where it is.
    write(LVT_LINT1, DELIVER_NMI);
    write(DIVIDE, DIVIDE_BY_16);
}

fn calibrate() {
    write(LVT_TIMER, MASKED);
    write(INITIAL_COUNT, u32::MAX);
    let start = tsc::now_ns();
    while tsc::now_ns() - start < CALIBRATION_NS {
        core::hint::spin_loop();
    }
    let counted = u64::from(u32::MAX - read(CURRENT_COUNT));
    let elapsed = tsc::now_ns() - start;
    let per_tick = counted * (1_000_000_000 / TICKS_PER_S) / elapsed;
    COUNTS_PER_TICK.store(u32::try_from(per_tick).unwrap_or(u32::MAX), Ordering::Relaxed);
}

fn start_ticks() {
    write(LVT_TIMER, PERIODIC | u32::from(idt::TIMER));
    set_pace(Pace::Normal);
}

/// The identifier of this core's controller.
pub(super) fn id() -> u32 {
    let id = read(ID);
    if REGISTERS.load(Ordering::Relaxed).is_null() {
        id
    } else {
        id >> 24
    }
}

/// Resets the core of another controller, which then waits to be started.
pub(super) fn send_init(to: u32) {
    command(to, DELIVER_INIT | ASSERT);
}

/// Starts it in real mode, at a page below 1 MiB.
pub(super) fn send_startup(to: u32, page: GuestPhys) {
    let number = u32::try_from(page.0 / mem::PAGE_BYTES).unwrap_or(0) & 0xff;
    command(to, DELIVER_STARTUP | ASSERT | number);
}

/// Interrupts it: another core wants attention.
pub(super) fn send_look(to: u32) {
    command(to, ASSERT | u32::from(idt::LOOK));
}

/// A write that a controller takes for an interrupt (SDM volume 3, section 11.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where, below 4 GiB.
    pub address: u32,
    /// What.
    pub data: u32,
}

/// As [`send_look`], from a device. Messages reach identifiers of 8 bits; `None` for others.
pub(super) fn message(to: u32) -> Option<Message> {
    const BASE: u32 = 0xfee0_0000;
    const DESTINATION_SHIFT: u32 = 12;
    /// All of them.
    const BROADCAST: u32 = 0xff;
    (to < BROADCAST).then(|| Message {
        address: BASE | to << DESTINATION_SHIFT,
        data: idt::LOOK.into(),
    })
}

fn command(to: u32, what: u32) {
    if REGISTERS.load(Ordering::Relaxed).is_null() {
        // What was written before must be visible to whom it interrupts; a write to this register orders nothing.
        fence(Ordering::SeqCst);
        let mut msr = Msr::new(X2APIC_MSRS + INTERRUPT_COMMAND / 16);
        // SAFETY: a register of the controller, which is in x2APIC mode; what it makes other cores do is theirs to bear.
        unsafe { msr.write(u64::from(to) << 32 | u64::from(what)) };
    } else {
        write(INTERRUPT_COMMAND_HIGH, to << 24);
        write(INTERRUPT_COMMAND, what);
        while read(INTERRUPT_COMMAND) & DELIVERY_PENDING != 0 {
            core::hint::spin_loop();
        }
    }
}

/// Starts a new tick at this pace; those after it follow.
pub fn set_pace(pace: Pace) {
    let per_tick = COUNTS_PER_TICK.load(Ordering::Relaxed);
    let count = match pace {
        Pace::Normal => per_tick,
        Pace::Short => per_tick / SHORT_TICKS,
    };
    write(INITIAL_COUNT, count.max(1));
}

/// The next tick comes after so long, or earlier if a tick is shorter.
pub fn set_alarm(ns: u64) {
    const TICK_NS: u64 = 1_000_000_000 / TICKS_PER_S;
    let per_tick = u64::from(COUNTS_PER_TICK.load(Ordering::Relaxed));
    let count = per_tick * ns.min(TICK_NS) / TICK_NS;
    write(INITIAL_COUNT, u32::try_from(count).unwrap_or(u32::MAX).max(1));
}

/// Tells the controller that the interrupt just taken has been seen to.
#[inline]
pub fn end_of_interrupt() {
    write(END_OF_INTERRUPT, 0);
}

/// The two 8259 controllers of the PC: everything masked, vectors moved off the processor's own should one be spurious.
pub(super) fn mask_legacy_controllers() {
    let words = [
        (0x20, 0x11),
        (0xa0, 0x11),
        (0x21, 0x20),
        (0xa1, 0x28),
        (0x21, 0x04),
        (0xa1, 0x02),
        (0x21, 0x01),
        (0xa1, 0x01),
        (0x21, 0xff),
        (0xa1, 0xff),
    ];
    for (port, word) in words {
        // SAFETY: the controllers do not touch memory.
        unsafe { outb(port, word) };
    }
}
