//! An example of calls over UDP: [`service`] serves, [`check`] calls every method and compares each byte, [`measure`]
//! tells how many calls a second there are and how long they take.

pub mod service;

pub mod check;

pub mod measure;
