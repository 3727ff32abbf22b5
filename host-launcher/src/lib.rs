//! The launcher: what `ix` does, apart from reading its command line.
//!
//! A run goes this way: [`config`] turns options into a plan, [`images`] checks the app and finds the kernel,
//! [`backend`] chooses who is the machine and how it is started, `run` starts the machine, carries its output and ends it,
//! [`hostcall`] answers what the app wants of the host, [`control`] answers the other `ix` commands meanwhile. The launcher is never on a packet's way.
//! [`scaffold`] makes crates to start from.
#![deny(unsafe_code)]

pub mod config;

pub mod images;

pub mod memory;

pub mod backend;

pub mod tap;

pub mod host;

pub mod nic;

pub mod doctor;

pub mod run;

pub mod jail;

pub mod hostcall;

pub mod control;

pub mod scaffold;

pub mod vmm;

#[allow(
    unsafe_code,
    reason = "memory shared with the machine, fork, and one ioctl; walled in here"
)]
pub mod sys;
