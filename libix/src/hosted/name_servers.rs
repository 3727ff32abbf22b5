//! Where names are resolved: what `/etc/resolv.conf` says.

use ix_abi::app::{Endpoint, MAX_NAME_SERVERS};
use std::net::{IpAddr, SocketAddr};

const PATH: &str = "/etc/resolv.conf";

/// Where name servers answer (RFC 1035 section 4.2).
const DNS_PORT: u16 = 53;

/// Those of this system; none if there is no such file.
pub(super) fn of_the_system() -> [Endpoint; MAX_NAME_SERVERS] {
    parse(&std::fs::read_to_string(PATH).unwrap_or_default())
}

/// The first that can be asked: an endpoint names no interface, so a link-local one cannot.
fn parse(text: &str) -> [Endpoint; MAX_NAME_SERVERS] {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        words.next().filter(|word| *word == "nameserver")?;
        words.next()?.parse::<IpAddr>().ok()
    });
    let mut told = [Endpoint::UNSPECIFIED; MAX_NAME_SERVERS];
    for (place, ip) in told.iter_mut().zip(servers) {
        *place = SocketAddr::new(ip, DNS_PORT).into();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::parse;
    use ix_abi::app::Endpoint;

    #[test]
    fn three_servers_are_taken_and_other_lines_passed_over() {
        let text = "# nameserver 9.9.9.9\nsearch test\nnameserver\nnameserver 10.0.0.1 # near\n nameserver\tfd00::1\n\
                    nameserver fe80::1%eth0\nnameservers 10.0.0.2\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n";
        let servers = parse(text).map(|server| server.to_string());
        assert_eq!(servers, ["10.0.0.1:53", "[fd00::1]:53", "10.0.0.3:53"]);
        assert_eq!(parse(""), [Endpoint::UNSPECIFIED; 3]);
    }
}
