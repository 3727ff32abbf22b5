//! Hosted mode and signals. A program of its own, because a signal is for all loops of a process.

use libix::{EventLoop, Handler, Io};
use std::process::Command;
use std::thread;
use std::time::Duration;

#[derive(Default)]
struct Stopped(usize);

impl Handler for Stopped {
    fn on_stop(&mut self, io: &mut Io) {
        self.0 += 1;
        io.stop();
    }
}

#[test]
fn sigterm_asks_every_loop_to_finish() {
    let loops = [(); 2].map(|()| {
        thread::spawn(|| {
            let mut app = Stopped::default();
            EventLoop::new().unwrap().run(&mut app).unwrap();
            app.0
        })
    });
    thread::sleep(Duration::from_millis(200));
    let pid = std::process::id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(loops.map(|ended| ended.join().unwrap()), [1, 1]);
}
