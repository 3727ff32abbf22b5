//! Mistakes on purpose, ordered on the command line: end-to-end tests see by them that ring 0 ends as it should.

use crate::arch::image;
use crate::mem::frames::Frames;
use crate::mem::{PAGE_BYTES, paging};
use crate::settings::SelfTest;
use core::hint::black_box;

/// Makes the mistake; it does not return.
#[inline(never)]
pub fn make(mistake: SelfTest, frames: &mut Frames) -> ! {
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
    }
    panic!("the mistake ordered: {mistake:?}");
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
