//! Waits for events for ever and heeds none, least of all the one that asks it to finish.

use ixion_guests::Dataplane;

fn main() {
    let dataplane = Dataplane::set_up();
    println!("deaf");
    loop {
        drop(dataplane.wait(1));
    }
}
