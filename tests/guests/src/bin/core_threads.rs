//! Threads without a core, which take turns on all of them: what they share stays whole, and they do run at the same time.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, mpsc};
use std::time::{Duration, Instant};

const THREADS: u64 = 12;
const ROUNDS: u64 = 300;

fn current_core() -> u32 {
    let mut core = u32::MAX;
    let result = ixion_guests::call(309, [(&raw mut core) as u64, 0, 0, 0, 0, 0]);
    assert_eq!(result, 0, "getcpu");
    core
}

/// Everybody adds under a lock, and hands a token on.
fn count() {
    let (sum, token, turn) = (Mutex::new(0), Mutex::new(0), Condvar::new());
    let cores = Mutex::new(HashSet::new());
    std::thread::scope(|scope| {
        for number in 0..THREADS {
            let (sum, token, turn, cores) = (&sum, &token, &turn, &cores);
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    *sum.lock().unwrap() += number;
                    cores.lock().unwrap().insert(current_core());
                }
                let mut holder = token.lock().unwrap();
                while *holder != number {
                    holder = turn.wait(holder).unwrap();
                }
                *holder += 1;
                turn.notify_all();
            });
        }
    });
    assert_eq!(*sum.lock().unwrap(), ROUNDS * THREADS * (THREADS - 1) / 2);
    assert_eq!(*token.lock().unwrap(), THREADS);
    // Not always all: where the machine's cores take turns on few of the host's, some come late.
    let cores = cores.lock().unwrap().len();
    assert!(cores > 1, "all on one core");
    println!("met on {cores} cores");
}

/// Memory comes and goes while others use theirs.
fn churn() {
    let (sender, receiver) = mpsc::channel::<Vec<u8>>();
    std::thread::scope(|scope| {
        for number in 1..=4u8 {
            let sender = sender.clone();
            scope.spawn(move || {
                for round in 0..60usize {
                    // Large enough to be mapped, and unmapped when it is dropped.
                    let bytes = vec![number; 300_000 + round * 4096];
                    sender.send(bytes).unwrap();
                }
            });
        }
        drop(sender);
        let mut count = 0;
        for bytes in &receiver {
            assert!(bytes.iter().all(|&byte| byte == bytes[0]));
            count += 1;
        }
        assert_eq!(count, 4 * 60);
    });
}

/// Threads that never wait do not stop each other, nor one that sleeps.
fn compete() {
    let (stop, turns) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let spinners: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let mut own = 0u64;
                    while !stop.load(Ordering::Relaxed) {
                        own += 1;
                    }
                    turns.fetch_add(1, Ordering::Relaxed);
                    own
                })
            })
            .collect();
        let start = Instant::now();
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(60));
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        stop.store(true, Ordering::Relaxed);
        assert!(spinners.into_iter().all(|spinner| spinner.join().unwrap() > 0));
    });
    assert_eq!(turns.into_inner(), 6);
}

fn main() {
    count();
    churn();
    compete();
    println!("threads done");
}
