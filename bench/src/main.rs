//! `ix-bench`: how fast is Ixion, beside Linux, on the same emulated machine?
//!
//! [`load`] is the load generator. [`compare`] runs it against each [`guest`]'s [`server`], in a [`netns`] of its own, and
//! [`report`] makes tables of what [`measure`] finds with [`cpu`] and [`counts`]. [`profile`] shows where a guest's
//! instructions go, [`bulk`] how fast one connection is, [`forward`] how many packets go through, [`lab`] compares on cards passed through, [`evaluation`] draws the curves of all services. `bench/run`
//! builds all that this needs.
#![forbid(unsafe_code)]

mod load;

mod netns;

mod guest;

mod server;

mod pin;

mod cpu;

mod symbols;

mod counts;

mod measure;

mod compare;

mod machine;

mod report;

mod profile;

mod lab;

mod bulk;

mod forward;

mod cores;

mod source;

mod sharing;

mod evaluation;

use anyhow::Result;
use clap::Parser;

#[derive(Parser)]
#[command(version, about = "Measures Ixion beside Linux, on the same emulated machine")]
enum Command {
    /// All guests under all loads, as tables
    Compare(compare::Options),
    /// Instructions per request of a guest, by function
    Profile(profile::Options),
    /// The comparison with its curves: echo, memcached, HTTP and NetPIPE on Linux, on Ixion, and on Linux by Ixion's apps
    Report(evaluation::Options),
    /// One connection as fast as it goes, each way, with offloads and without
    Bulk(bulk::Options),
    /// The same load on more and more cores
    Cores(cores::Options),
    /// Lines of the cache that go from core to core, per request
    Sharing(sharing::Options),
    /// Packets a second through a bridge and a router
    Forward(forward::Options),
    /// Ixion beside Linux in the lab: under KVM, with cards passed through
    Lab(lab::Options),
    /// One load on any server, from where this is called
    Load(load::Load),
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Compare(options) => report::publish(&compare::run(&options)?, options.write.as_deref()),
        Command::Profile(options) => profile::run(&options),
        Command::Report(options) => evaluation::run(&options),
        Command::Bulk(options) => bulk::run(&options),
        Command::Cores(options) => cores::run(&options),
        Command::Sharing(options) => sharing::run(&options),
        Command::Forward(options) => forward::run(&options),
        Command::Lab(options) => lab::run(&options),
        Command::Load(load) => {
            let (outcome, ..) = load::run(&load, || Ok(()))?;
            println!(
                "{:.0} requests/s; p50 {:.1} us, p99 {:.1} us, p99.9 {:.1} us; {} errors, {} lost",
                outcome.rate(),
                outcome.latency_us(0.5),
                outcome.latency_us(0.99),
                outcome.latency_us(0.999),
                outcome.errors,
                outcome.lost
            );
            Ok(())
        }
    }
}
