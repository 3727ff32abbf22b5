//! Machines of several cores.

use ixion_tests::artifacts::{self, Build, guest};
use ixion_tests::{Ended, Runner};

fn kernel_told(line: &str, cores: &str) -> Ended {
    Runner::new(artifacts::echo())
        .options(&["--cores", cores, "--kernel-arg", line])
        .finish()
}

#[test]
fn every_core_asked_for_starts() {
    for cores in ["2", "4", "8"] {
        let ended = Runner::new(&guest("hello", Build::Plain))
            .options(&["--cores", cores])
            .args(&["0"])
            .finish();
        ended.assert_code(0);
        ended.assert_logged(&format!("{cores} cores"));
    }
}

#[test]
fn cores_that_are_not_there_are_missed() {
    let ended = kernel_told("cores=3", "2");
    ended.assert_code(124);
    ended.assert_logged("3 cores are wanted, but the machine has 2");
}

#[test]
fn a_fault_of_the_kernel_names_its_core_and_ends_all() {
    for (mistake, part) in [
        ("corefault", "page fault reading"),
        ("corestackoverflow", "a kernel stack has overflowed"),
    ] {
        let ended = kernel_told(&format!("selftest={mistake}"), "4");
        ended.assert_code(123);
        ended.assert_logged("core 3: KERNEL FAULT");
        ended.assert_logged(part);
        ended.assert_logged("self_test::");
    }
}
