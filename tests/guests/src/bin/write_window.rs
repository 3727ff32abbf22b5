//! Writes where it may only read: the receive window, the event array or its description, as the argument says.

use ixion_guests::Dataplane;

fn main() {
    let dataplane = Dataplane::set_up();
    let info = &dataplane.info;
    let address = match std::env::args().nth(1).as_deref() {
        Some("events") => info.events,
        Some("info") => info.commands & !0xfff_ffff | ix_abi::app::layout::IO_AREA,
        Some("code") => (main as fn() as usize) as u64,
        _ => info.rx_window + 0x1_2345,
    };
    println!("writing to {address:#x}");
    // SAFETY: none; the fault is the point.
    unsafe { (address as *mut u8).write_volatile(1) };
    println!("written");
}
