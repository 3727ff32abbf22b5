//! System calls for which there is no safe function: sending from addresses, which Linux checks; how much of a
//! connection is not acknowledged; and who refuses datagrams.

use super::sockets::Version;
use core::mem::{MaybeUninit, zeroed};
use core::ptr;
use ix_abi::app::{MAX_SG_ENTRIES, SgEntry};
use socket2::{SockAddr, SockAddrStorage, Socket};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

/// `spans`, `limit` bytes at most, as Linux wants them.
struct Pieces {
    list: [MaybeUninit<libc::iovec>; MAX_SG_ENTRIES],
    count: usize,
}

impl Pieces {
    fn new(spans: &[SgEntry], mut limit: usize) -> Self {
        let mut list = [const { MaybeUninit::uninit() }; MAX_SG_ENTRIES];
        let mut count = 0;
        for (place, span) in list.iter_mut().zip(spans) {
            let len = usize::try_from(span.len).unwrap_or(usize::MAX).min(limit);
            limit -= len;
            place.write(libc::iovec {
                iov_base: span.address as *mut libc::c_void,
                iov_len: len,
            });
            count += 1;
        }
        Pieces { list, count }
    }

    /// Sends them by one call.
    fn send(&mut self, socket: &Socket, to: Option<&SockAddr>) -> io::Result<usize> {
        // SAFETY: zeros are a header that names nothing.
        let mut header: libc::msghdr = unsafe { zeroed() };
        if let Some(to) = to {
            header.msg_name = to.as_ptr().cast_mut().cast();
            header.msg_namelen = to.len();
        }
        header.msg_iov = self.list.as_mut_ptr().cast();
        header.msg_iovlen = self.count;
        // SAFETY: the header, its list and the address are alive. Linux only reads what the list names, and answers an
        // address that is not the app's by EFAULT.
        let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_NOSIGNAL) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

/// Gives as much of `spans` to a stream as fits, `limit` bytes at most.
pub(super) fn send(socket: &Socket, spans: &[SgEntry], limit: usize) -> io::Result<usize> {
    if limit == 0 || spans.iter().all(|span| span.len == 0) {
        return Ok(0);
    }
    Pieces::new(spans, limit).send(socket, None)
}

/// Sends one datagram.
pub(super) fn send_to(socket: &Socket, spans: &[SgEntry], to: &SockAddr) -> io::Result<usize> {
    Pieces::new(spans, usize::MAX).send(socket, Some(to))
}

/// Bytes of a stream that the peer has not acknowledged, the FIN among them (tcp(7), `SIOCOUTQ`).
pub(super) fn unacknowledged(socket: &Socket) -> usize {
    let mut count: libc::c_int = 0;
    // SAFETY: the request writes one int.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) };
    // It fails of no TCP socket.
    if result == 0 {
        usize::try_from(count).unwrap_or(0)
    } else {
        0
    }
}

/// Has Linux keep the complaints about datagrams of `socket`, with the addresses they were sent to.
pub(super) fn tell_of_refusals(socket: &Socket, version: Version) -> io::Result<()> {
    let on = |level, option| {
        let value: libc::c_int = 1;
        // SAFETY: the option's value is an int.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                level,
                option,
                (&raw const value).cast(),
                libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(0),
            )
        };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    };
    on(libc::IPPROTO_IP, libc::IP_RECVERR)?;
    if version == Version::V6 {
        on(libc::IPPROTO_IPV6, libc::IPV6_RECVERR)?;
    }
    Ok(())
}

/// Room for the one control message of a complaint, aligned as its header is.
#[repr(C, align(8))]
struct Control([u8; 256]);

/// The next complaint about a datagram of `socket`'s; `None` if there are no more, `Some(None)` if it is not one about a
/// closed port. The address is that of the datagram.
pub(super) fn take_refusal(socket: &Socket) -> Option<Option<SocketAddr>> {
    let mut control = Control([0; 256]);
    let mut is_refusal = false;
    let receive = |storage: *mut SockAddrStorage, len: *mut libc::socklen_t| {
        // SAFETY: zeros are a header that names nothing.
        let mut header: libc::msghdr = unsafe { zeroed() };
        header.msg_name = storage.cast();
        // SAFETY: socket2 passes where the length is.
        header.msg_namelen = unsafe { *len };
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = control.0.len();
        // SAFETY: the header and what it names are alive, and are written within their lengths.
        let result = unsafe {
            libc::recvmsg(
                socket.as_raw_fd(),
                &raw mut header,
                libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT,
            )
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: as above.
        unsafe { *len = header.msg_namelen };
        is_refusal = errno_of(&header) == Some(libc::ECONNREFUSED);
        Ok(())
    };
    // SAFETY: the closure initializes the address and its length, or fails.
    let (_, address) = unsafe { SockAddr::try_init(receive) }.ok()?;
    Some(address.as_socket().filter(|_| is_refusal))
}

/// What the control message of a complaint says was wrong.
fn errno_of(header: &libc::msghdr) -> Option<i32> {
    // SAFETY: the header has just been filled in by Linux.
    let first = unsafe { libc::CMSG_FIRSTHDR(ptr::from_ref(header)) };
    if first.is_null() {
        return None;
    }
    // SAFETY: not null, so in the control buffer.
    let message = unsafe { first.read_unaligned() };
    let is_error = matches!(
        (message.cmsg_level, message.cmsg_type),
        (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
    );
    if !is_error || message.cmsg_len < size_of::<libc::cmsghdr>() + size_of::<libc::sock_extended_err>() {
        return None;
    }
    // SAFETY: of this kind, and long enough for what the kind holds.
    let error = unsafe {
        libc::CMSG_DATA(first)
            .cast::<libc::sock_extended_err>()
            .read_unaligned()
    };
    i32::try_from(error.ee_errno).ok()
}
