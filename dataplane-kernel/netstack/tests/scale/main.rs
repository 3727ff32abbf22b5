//! A million connections, and what they take. The crowd of clients is played without memory of its own: each client's
//! address and numbers follow from its place, and our initial number is all that has to be remembered of it.

mod crowd;
mod memory;

use crowd::Crowd;

const FLOWS: u32 = 1_000_000;
/// What an idle established flow may take, its share of every table included.
const BYTES_PER_FLOW: u64 = 512;
/// The whole stack, with all that does not depend on the number of flows.
const BYTES_IN_ALL: u64 = 1 << 30;

#[test]
fn a_million_flows_fit_into_512_bytes_each_and_any_of_them_works() {
    let before = memory::resident_bytes();
    let mut crowd = Crowd::new(FLOWS);
    crowd.open_all();
    let taken = memory::resident_bytes() - before - crowd.own_bytes();
    let each = taken / u64::from(FLOWS);
    println!("{FLOWS} flows take {taken} bytes, {each} each");
    assert!(each <= BYTES_PER_FLOW, "{each} bytes per idle flow");
    assert!(taken <= BYTES_IN_ALL, "{taken} bytes in all");

    let opened = memory::resident_bytes();
    crowd.echo_on_random_flows(20_000);
    let grown = memory::resident_bytes().saturating_sub(opened);
    assert!(grown < 1 << 20, "grew by {grown} bytes at work");
    crowd.end();
}
