//! Event loop and buffers for ring-3 programs.
