//! Words that nobody off the path can guess: SipHash-2-4 of what they are about, by a key that never leaves this end.

use core::hash::{Hash, Hasher};
use core::net::SocketAddr;
use siphasher::sip::SipHasher24;

/// For how long a cookie is good, at least; at most twice that.
const COOKIE_NS: u64 = 8_000_000_000;

/// Makes nonces, cookies and tokens.
#[derive(Debug)]
pub(crate) struct Secrets {
    key: [u8; 16],
    made: u64,
}

/// What a word is for: the same input gives other words for other purposes.
#[derive(Clone, Copy, Hash)]
enum Purpose {
    Unique,
    Cookie,
}

impl Secrets {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Secrets { key, made: 0 }
    }

    fn hash(&self, purpose: Purpose, of: impl Hash) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        purpose.hash(&mut hasher);
        of.hash(&mut hasher);
        hasher.finish()
    }

    /// A word that has not been given out before.
    pub(crate) fn unique(&mut self) -> u64 {
        self.made += 1;
        self.hash(Purpose::Unique, self.made)
    }

    /// What shows that `peer` has received an answer lately: nothing need be kept of who asks.
    pub(crate) fn cookie(&self, peer: SocketAddr, nonce: u64, now_ns: u64) -> u64 {
        self.cookie_of(peer, nonce, now_ns / COOKIE_NS)
    }

    pub(crate) fn is_cookie(&self, cookie: u64, peer: SocketAddr, nonce: u64, now_ns: u64) -> bool {
        let period = now_ns / COOKIE_NS;
        [Some(period), period.checked_sub(1)]
            .into_iter()
            .flatten()
            .any(|period| self.cookie_of(peer, nonce, period) == cookie)
    }

    fn cookie_of(&self, peer: SocketAddr, nonce: u64, period: u64) -> u64 {
        self.hash(Purpose::Cookie, (peer, nonce, period))
    }
}

#[cfg(test)]
mod tests {
    use super::{COOKIE_NS, Secrets};
    use core::net::{Ipv4Addr, SocketAddr};

    #[test]
    fn a_cookie_is_good_for_its_asker_and_for_a_while() {
        let secrets = Secrets::new([3; 16]);
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let other = SocketAddr::from((Ipv4Addr::LOCALHOST, 10));
        let made = 5 * COOKIE_NS;
        let cookie = secrets.cookie(peer, 1, made);
        assert!(secrets.is_cookie(cookie, peer, 1, made));
        assert!(secrets.is_cookie(cookie, peer, 1, made + COOKIE_NS));
        assert!(!secrets.is_cookie(cookie, peer, 1, made + 2 * COOKIE_NS));
        assert!(!secrets.is_cookie(cookie, peer, 2, made));
        assert!(!secrets.is_cookie(cookie, other, 1, made));
        assert!(!Secrets::new([4; 16]).is_cookie(cookie, peer, 1, made));
    }
}
