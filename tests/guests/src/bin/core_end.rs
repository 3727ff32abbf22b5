//! Threads on all cores, some serving, some computing, and an end that concerns all: `exit` by one of them, `fault` on the
//! last core, or `late`, where the last core computes for ever.

use libix::EventLoop;
use std::time::Duration;

struct Nothing;

impl libix::Handler for Nothing {
    fn on_start(&mut self, _: &mut libix::Io) -> Result<(), libix::Error> {
        Ok(())
    }
}

fn main() {
    let way = std::env::args().nth(1).unwrap_or_default();
    let last = libix::cores() - 1;
    for core in 0..last {
        std::thread::spawn(move || {
            let mut event_loop = EventLoop::on_core(core).expect("a core");
            event_loop.io().listen(7).expect("a free port");
            let _ = event_loop.run(&mut Nothing);
        });
    }
    for _ in 0..2 {
        std::thread::spawn(|| {
            loop {
                std::hint::spin_loop();
            }
        });
    }
    std::thread::sleep(Duration::from_millis(200));
    println!("about to end by {way}");
    let at_last = std::thread::spawn(move || {
        let mut event_loop = EventLoop::on_core(last).expect("a core");
        event_loop.io().listen(8).expect("a free port");
        match way.as_str() {
            "exit" => std::process::exit(7),
            "fault" => {
                // SAFETY: none; that is the point.
                unsafe { core::ptr::without_provenance::<u8>(8).read_volatile() };
            }
            _ => loop {
                std::hint::spin_loop();
            },
        }
    });
    let _ = at_last.join();
}
