//! The dataplane kernel.
#![no_std]
