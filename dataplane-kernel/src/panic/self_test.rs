//! Mistakes on purpose, ordered on the command line: end-to-end tests see by them that ring 0 ends as it should, and
//! that the machine's walls hold.

use crate::arch::{image, smp, tsc};
use crate::mem::frames::Frames;
use crate::mem::mbuf::Pool;
use crate::mem::{GuestPhys, PAGE_BYTES, paging};
use crate::nic::Nic;
use crate::settings::SelfTest;
use core::hint::black_box;
use netstack::{Span, TxOffload};

/// How long a card is left pointed at foreign memory while frames come in, in nanoseconds.
const FOREIGN_DMA_NS: u64 = 4_000_000_000;

/// How long after a first frame has left, in nanoseconds: whoever stops a card's accesses writes down few of them (Linux
/// three in five seconds), and none that comes while an earlier one is being written down.
const FIRST_FRAME_NS: u64 = 250_000_000;

/// How many bytes the card is to read there.
const FOREIGN_BYTES: u32 = 1024;

/// Frames for nobody: to all stations, of the protocol that IEEE 802 leaves to experiments.
const EXPERIMENT: [u8; 14] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 1, 0x88, 0xb5,
];

/// Makes the mistake, and does not return, unless it needs a card: then [`foreign_dma`] makes it.
#[inline(never)]
pub fn make(mistake: SelfTest, frames: &mut Frames) {
    log::warn!("self test: {mistake:?}");
    match mistake {
        SelfTest::Panic => {}
        SelfTest::Fault => touch_nothing(),
        SelfTest::DoubleFault => {
            let [trap_stack_top, ..] = image::trap_stack_tops();
            let removed = paging::unmap(frames, trap_stack_top - PAGE_BYTES, PAGE_BYTES);
            log::info!("the stack for traps is gone: {removed:?}");
            touch_nothing();
        }
        SelfTest::StackOverflow => {
            recurse(0);
        }
        SelfTest::CoreFault => on_last_core(touch_nothing),
        SelfTest::CoreStackOverflow => on_last_core(|| {
            recurse(0);
        }),
        SelfTest::ForeignDma(_) => return,
    }
    panic!("the mistake ordered: {mistake:?}");
}

/// How long another core has for its mistake, in nanoseconds.
const CORE_NS: u64 = 2_000_000_000;

fn on_last_core(mistake: impl FnOnce() + Send + 'static) {
    smp::run_on(smp::count() - 1, mistake);
    let until = tsc::now_ns() + CORE_NS;
    while tsc::now_ns() < until {
        core::hint::spin_loop();
    }
}

/// Lets the card read and write at `at`: it sends frames from there, and the buffers it was opened with lie there too.
/// Reading comes first, then writing, then both.
pub fn foreign_dma(mut nic: impl Nic, mut pool: Pool, at: GuestPhys) -> ! {
    let (mut sent, mut received) = (send_from(&mut nic, at), 0);
    let until = tsc::now_ns() + FIRST_FRAME_NS;
    while tsc::now_ns() < until {
        nic.reclaim_tx();
    }
    log::warn!("self test: frames may come in");
    let begun = tsc::now_ns();
    let mut passed = 0;
    while passed < FOREIGN_DMA_NS {
        nic.refill(&mut pool);
        if passed > FOREIGN_DMA_NS / 2 {
            sent += send_from(&mut nic, at);
        }
        nic.kick();
        received += nic.poll_rx(64, &mut |frame| pool.free(frame.buf));
        nic.reclaim_tx();
        passed = tsc::now_ns() - begun;
    }
    nic.stop();
    panic!("foreign DMA at {at:?}: {sent} frames sent, {received} received");
}

/// Sends a frame with what lies at `at` if none is on its way; how many were sent.
fn send_from(nic: &mut impl Nic, at: GuestPhys) -> u32 {
    let payload = [Span {
        address: at.0,
        len: FOREIGN_BYTES,
    }];
    if !nic.tx_idle() {
        return 0;
    }
    let Some(room) = nic.begin_tx() else { return 0 };
    room[..EXPERIMENT.len()].copy_from_slice(&EXPERIMENT);
    nic.commit_tx(EXPERIMENT.len(), &payload, TxOffload::Complete);
    nic.kick();
    1
}

#[inline(never)]
fn touch_nothing() {
    image::touch(0x6e6f_7768_6572);
}

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let room = black_box([depth; 64]);
    // What comes after the call keeps it from being a loop.
    if depth == u64::MAX {
        0
    } else {
        recurse(depth + 1) + room[0]
    }
}
