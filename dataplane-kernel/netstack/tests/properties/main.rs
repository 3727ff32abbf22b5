//! Properties that hold for all inputs: arithmetic, formats, checksums, and the timer wheel against a model that is
//! too simple to be wrong.

mod checksum;
mod neighbor;
mod seq;
mod timer_wheel;
mod wire;
