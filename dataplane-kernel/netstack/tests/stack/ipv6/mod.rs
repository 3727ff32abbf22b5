//! IPv6: RFC 8200, RFC 4443, RFC 4861, RFC 4862.

mod alone;
mod autoconfiguration;
mod discovery;
mod extensions;
mod icmp;
mod tcp;
mod udp;
