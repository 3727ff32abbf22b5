//! One thread takes memory away while another, on another core, reads it: the reader must not go on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const MMAP: u64 = 9;
const MPROTECT: u64 = 10;
const MUNMAP: u64 = 11;

static READS: AtomicU64 = AtomicU64::new(0);

fn main() {
    let with_munmap = std::env::args().nth(1).as_deref() == Some("munmap");
    let page = ixion_guests::call(MMAP, [0, 4096, 3, 0x22, u64::MAX, 0]);
    let address = u64::try_from(page).expect("a page");
    std::thread::spawn(move || {
        loop {
            // SAFETY: mapped until it is not, which ends the program.
            unsafe {
                core::ptr::with_exposed_provenance::<u64>(usize::try_from(address).unwrap()).read_volatile()
            };
            READS.fetch_add(1, Ordering::Relaxed);
        }
    });
    while READS.load(Ordering::Relaxed) < 1000 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let result = if with_munmap {
        ixion_guests::call(MUNMAP, [address, 4096, 0, 0, 0, 0])
    } else {
        ixion_guests::call(MPROTECT, [address, 4096, 0, 0, 0, 0])
    };
    assert_eq!(result, 0);
    let before = READS.load(Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(500));
    println!("still read: {}", READS.load(Ordering::Relaxed) - before);
}
