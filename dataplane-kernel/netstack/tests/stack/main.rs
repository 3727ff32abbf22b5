//! The stack as a whole, driven as the kernel drives it, in virtual time.
//!
//! Packet dialogues (`arp`, `dhcp`, `icmp`, `forwarding`, `udp`, `tcp`, `ipv6`, `offload`, `vlan`) read like the examples of the RFCs; `simulation` connects two stacks by
//! a bad link; `hostile` throws rubbish at one, `attacks` know what they want.

mod arp;
mod attacks;
mod dhcp;
mod forwarding;
mod fragments;
mod groups;
mod harness;
mod hostile;
mod icmp;
mod icmp_errors;
mod ingress;
mod ipv6;
mod loopback;
mod offload;
mod simulation;
mod tcp;
mod timers;
mod udp;
mod vlan;
