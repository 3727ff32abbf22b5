//! Computes for ever; with `dataplane`, as the dataplane thread, with a port open.

fn main() {
    if std::env::args().nth(1).as_deref() == Some("dataplane") {
        let mut event_loop = libix::EventLoop::new().expect("a dataplane");
        event_loop.io().listen(7).expect("a free port");
    }
    println!("looping");
    loop {
        std::hint::spin_loop();
    }
}
