//! Panics. Built to abort it dies of SIGABRT; built to unwind it first catches one panic, then exits with 101.

fn main() {
    if cfg!(panic = "unwind") {
        let caught = std::panic::catch_unwind(|| panic!("a panic to be caught"));
        println!("caught: {}", caught.is_err());
        let joined = std::thread::spawn(|| panic!("a panic in a thread")).join();
        println!("joined: {}", joined.is_err());
    }
    panic!("the last panic");
}
