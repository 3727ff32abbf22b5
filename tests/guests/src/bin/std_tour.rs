//! The parts of `std` that a program leans on without thinking: collections, threads and their locks, time, memory.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, mpsc};
use std::time::{Duration, Instant, SystemTime};

fn main() {
    collections();
    memory();
    time();
    threads();
    files();
    println!("tour done");
}

fn collections() {
    let squares: HashMap<u64, u64> = (0..10_000).map(|i| (i, i * i)).collect();
    assert_eq!(squares[&9_999], 99_980_001);
    let mut words: Vec<String> = (0..1_000).rev().map(|i| format!("{i:04}")).collect();
    words.sort();
    assert_eq!(words[7], "0007");
    println!("collections fine");
}

fn memory() {
    for megabytes in [1, 5, 17] {
        let mut block = vec![0u8; megabytes << 20];
        block.iter_mut().step_by(4096).for_each(|byte| *byte = 7);
        assert_eq!(
            block.iter().map(|&byte| usize::from(byte)).sum::<usize>(),
            7 * megabytes * 256
        );
    }
    // More than there would be if none came back.
    for _ in 0..200 {
        assert_eq!(vec![1u8; 4 << 20][4095], 1);
    }
    assert_eq!((1.5f64.sin().powi(2) + 1.5f64.cos().powi(2)).round(), 1.0);
    println!("memory fine");
}

fn time() {
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(20));
    let slept = start.elapsed();
    assert!(
        (Duration::from_millis(20)..Duration::from_secs(2)).contains(&slept),
        "{slept:?}"
    );
    let year = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs()
        / 31_556_952
        + 1970;
    assert!((2024..2200).contains(&year), "it is {year}");
    println!("time fine");
}

fn threads() {
    let total = Arc::new(Mutex::new(0u64));
    let workers: Vec<_> = (0..8u64)
        .map(|worker| {
            let total = Arc::clone(&total);
            std::thread::spawn(move || {
                for i in 0..1_000 {
                    *total.lock().unwrap() += i * worker;
                }
                worker
            })
        })
        .collect();
    let ids: Vec<u64> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
    assert_eq!(ids, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(*total.lock().unwrap(), 499_500 * 28);

    let (sender, receiver) = mpsc::channel();
    let producer = std::thread::spawn(move || (0..500).for_each(|i| sender.send(i).unwrap()));
    assert_eq!(receiver.iter().sum::<u32>(), 124_750);
    producer.join().unwrap();

    let meeting = Arc::new((Barrier::new(3), Mutex::new(false), Condvar::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                meeting.0.wait();
                let ready = meeting.1.lock().unwrap();
                drop(meeting.2.wait_while(ready, |ready| !*ready).unwrap());
            });
        }
        meeting.0.wait();
        *meeting.1.lock().unwrap() = true;
        meeting.2.notify_all();
    });

    // Needs a timer tick: the thread that is waited for gives nothing up by itself.
    let turns = Arc::new(AtomicU32::new(0));
    let other = Arc::clone(&turns);
    let spinner = std::thread::spawn(move || while other.load(Ordering::Relaxed) < 3 {});
    for _ in 0..3 {
        std::thread::yield_now();
        turns.fetch_add(1, Ordering::Relaxed);
    }
    spinner.join().unwrap();

    thread_local!(static OWN: std::cell::Cell<u32> = const { std::cell::Cell::new(1) });
    OWN.set(2);
    assert_eq!(std::thread::spawn(|| OWN.get()).join().unwrap(), 1);
    println!("threads fine");
}

/// There are none but the standard streams; what asks for others must be told so, not killed.
fn files() {
    assert!(std::fs::File::open("/etc/hostname").is_err());
    assert!(std::net::TcpStream::connect("10.0.2.2:1").is_err());
    assert!(std::process::Command::new("/bin/true").status().is_err());
    assert_eq!(std::io::stdin().read(&mut [0; 8]).unwrap_or(0), 0);
    std::io::stdout().flush().unwrap();
    println!("files fine");
}
