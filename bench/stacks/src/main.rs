//! `ix-stacks`: what TCP/IP alone costs, between two stacks in memory, without an operating system or a device.
//!
//! [`pair`] says what is asked of any stack; [`ixion`] (over [`wire`]) and [`smoltcp`] answer. [`workload`] measures
//! one of them, [`compare`] all, lwIP included (which is a program of its own, in C). [`instructions`] counts ours, [`goodput`] sends through
//! losses beside Linux; [`calls`] is `libix::rpc`'s protocol, alone and over ours.
#![deny(unsafe_code)]

mod pair;

mod wire;

mod ixion;

mod smoltcp;

mod calls;

mod workload;

mod compare;

mod instructions;

mod goodput;

use anyhow::Result;
use clap::Parser;

#[derive(Parser)]
#[command(version, about = "Measures TCP/IP stacks in memory")]
enum Command {
    /// One stack under one load
    Measure(workload::Options),
    /// All stacks under all loads, as a table
    Compare(compare::Options),
    /// Instructions per segment, against their bounds
    Instructions(instructions::Options),
    /// What gets through a way that loses data, beside Linux
    Goodput(goodput::Options),
    /// What is done while instructions are counted
    Perform {
        scenario: instructions::Scenario,
        rounds: u32,
    },
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Measure(options) => println!("{:.1}", workload::measure(&options)),
        Command::Compare(options) => compare::run(&options)?,
        Command::Instructions(options) => instructions::check(&options)?,
        Command::Goodput(options) => goodput::run(&options)?,
        Command::Perform { scenario, rounds } => instructions::perform(scenario, rounds),
    }
    Ok(())
}
