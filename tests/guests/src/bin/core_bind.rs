//! Binds threads to cores in all ways there are, the wrong ones too.

use ix_abi::app::{Status, trap};
use ixion_guests::call;
use std::sync::Barrier;

/// An address, or why not.
fn bind(core: u64) -> Result<i64, Status> {
    let result = call(trap::IO_SETUP, [core, 0, 0, 0, 0, 0]);
    if result > 0 {
        return Ok(result);
    }
    Err(Status::check(result.try_into().expect("a status")).expect_err("a refusal"))
}

fn main() {
    let cores = u64::from(libix::cores());
    println!("cores: {cores}");
    for core in [cores, cores + 1, 1 << 32, u64::MAX] {
        assert_eq!(bind(core), Err(Status::Invalid), "core {core}");
    }
    let all_bound = Barrier::new(cores.try_into().expect("few"));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores)
            .map(|core| {
                let all_bound = &all_bound;
                scope.spawn(move || {
                    let area = bind(core).expect("a free core");
                    assert_eq!(bind(core), Ok(area), "it may ask again");
                    all_bound.wait();
                    for other in (0..cores).filter(|&other| other != core) {
                        assert_eq!(bind(other), Err(Status::Busy), "two cores, or two threads");
                    }
                    area
                })
            })
            .collect();
        let mut areas: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        areas.dedup();
        assert_eq!(areas.len() as u64, cores, "each has arrays of its own");
    });
    // The threads are gone, and the cores free.
    let area = bind(cores - 1).expect("a free core");
    assert_eq!(call(trap::RUN_IO, [0, 1, 1000, 0, 0, 0]), 0);
    println!("bound as it should be, the last at {area:#x}");
}
