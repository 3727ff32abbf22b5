//! Whatever the network does, each call is carried out once and answered by its own response. Clients and a server on a wire
//! that loses, repeats and reorders packets, in virtual time, the same on each run with the same seed.

mod world;

mod loss;

mod failures;

mod hostile;

mod flow;
