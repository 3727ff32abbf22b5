//! Each is what the declaration of its name in `ix.h` says.
//!
//! # Safety
//! Of all of them: `io` is what a function of the handler was given, and that function has not returned; other pointers
//! point to what the header says.

use crate::handler::Caller;
use crate::types::{Address, Handler, code, status_of};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::time::Duration;
use libix::{Flow, Io, Listener, RecvBuf, SendBuf, Status, Timer, UdpPort};

/// Writes what was made, or tells why nothing was.
unsafe fn made<T>(result: Result<T, Status>, bits: impl FnOnce(T) -> u64, to: *mut u64) -> c_int {
    code(result.map(|made| {
        // SAFETY: the caller's promise.
        unsafe { to.write(bits(made)) };
    }))
}

/// # Safety
/// Pointers are what `ix.h` says; `io` is what a running function of the handler was given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ix_run(handler: *const Handler) -> c_int {
    // SAFETY: the caller's promise.
    let c = unsafe { handler.read() };
    code(libix::run(&mut Caller { c }).map_err(status_of))
}

/// What a result below 0 means.
#[unsafe(no_mangle)]
pub extern "C" fn ix_status_text(status: c_int) -> *const c_char {
    let text: &'static CStr = match Status::check(status) {
        Ok(_) => c"no failure",
        Err(status) => TEXTS[status as usize - 1],
    };
    text.as_ptr()
}

/// # Safety
/// Pointers are what `ix.h` says; `io` is what a running function of the handler was given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ix_listen(io: &mut Io, port: u16, listener: *mut u64) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { made(io.listen(port), Listener::to_bits, listener) }
}

/// Stops listening.
#[unsafe(no_mangle)]
pub extern "C" fn ix_unlisten(io: &mut Io, listener: u64) {
    io.unlisten(Listener::from_bits(listener));
}

/// # Safety
/// Pointers are what `ix.h` says; `io` is what a running function of the handler was given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ix_connect(io: &mut Io, remote: &Address, flow: *mut u64) -> c_int {
    let connected = remote.to_std().and_then(|remote| io.connect(remote));
    // SAFETY: the caller's promise.
    unsafe { made(connected, Flow::to_bits, flow) }
}

/// # Safety
/// Pointers are what `ix.h` says; `io` is what a running function of the handler was given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ix_send_buf(io: &mut Io, flow: u64, data: *mut RecvBuf) -> c_int {
    // SAFETY: a buffer that C was given, and now gives back.
    let data = unsafe { Box::from_raw(data) };
    code(io.send(Flow::from_bits(flow), *data).map(drop))
}

/// Bytes of C's, and how to tell it that they are free.
struct Lent {
    bytes: *const u8,
    len: usize,
    release: Option<unsafe extern "C" fn(*mut c_void)>,
    argument: *mut c_void,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: C leaves them as they are until they are released.
        unsafe { core::slice::from_raw_parts(self.bytes, self.len) }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // SAFETY: of the type that the header says, and called once.
            unsafe { release(self.argument) };
        }
    }
}

/// # Safety
/// Pointers are what `ix.h` says; `io` is what a running function of the handler was given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ix_send(
    io: &mut Io,
    flow: u64,
    bytes: *const u8,
    len: usize,
    release: Option<unsafe extern "C" fn(*mut c_void)>,
    argument: *mut c_void,
) -> c_int {
    let lent = Lent {
        bytes,
        len,
        release,
        argument,
    };
    code(
        io.send(Flow::from_bits(flow), SendBuf::from_owner(lent))
            .map(drop),
    )
}

/// # Safety
/// Pointers are what `ix.h` says; `io` is what a running function of the handler was given.
unsafe fn copy(bytes: *const u8, len: usize) -> Vec<u8> {
    if len == 0 {
        return Vec::new();
    }
    // SAFETY: the caller's promise.
    unsafe { core::slice::from_raw_parts(bytes, len) }.to_vec()
}

/// # Safety
/// Pointers are what `ix.h` says; `io` is what a running function of the handler was given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ix_send_copy(io: &mut Io, flow: u64, bytes: *const u8, len: usize) -> c_int {
    // SAFETY: the caller's promise.
    let bytes = unsafe { copy(bytes, len) };
    code(io.send(Flow::from_bits(flow), bytes).map(drop))
}

/// Bytes not acknowledged.
#[unsafe(no_mangle)]
pub extern "C" fn ix_backlog(io: &mut Io, flow: u64) -> usize {
    io.backlog(Flow::from_bits(flow))
}

/// Closes in order.
#[unsafe(no_mangle)]
pub extern "C" fn ix_close(io: &mut Io, flow: u64) -> c_int {
    code(io.close(Flow::from_bits(flow)))
}

/// Half close.
#[unsafe(no_mangle)]
pub extern "C" fn ix_shutdown(io: &mut Io, flow: u64) -> c_int {
    code(io.shutdown(Flow::from_bits(flow)))
}

/// Resets.
#[unsafe(no_mangle)]
pub extern "C" fn ix_abort(io: &mut Io, flow: u64) -> c_int {
    code(io.abort(Flow::from_bits(flow)))
}

/// # Safety
/// Pointers are what `ix.h` says; `io` is what a running function of the handler was given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ix_udp_bind(io: &mut Io, port: u16, bound: *mut u64) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { made(io.udp_bind(port), UdpPort::to_bits, bound) }
}

/// Gives the port back.
#[unsafe(no_mangle)]
pub extern "C" fn ix_udp_unbind(io: &mut Io, port: u64) {
    io.udp_unbind(UdpPort::from_bits(port));
}

/// # Safety
/// Pointers are what `ix.h` says; `io` is what a running function of the handler was given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ix_udp_send_buf(io: &mut Io, port: u64, peer: &Address, data: *mut RecvBuf) {
    // SAFETY: a buffer that C was given, and now gives back.
    let data = unsafe { Box::from_raw(data) };
    if let Ok(peer) = peer.to_std() {
        io.udp_send(UdpPort::from_bits(port), peer, *data);
    }
}

/// # Safety
/// Pointers are what `ix.h` says; `io` is what a running function of the handler was given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ix_udp_send_copy(
    io: &mut Io,
    port: u64,
    peer: &Address,
    bytes: *const u8,
    len: usize,
) {
    // SAFETY: the caller's promise.
    let bytes = unsafe { copy(bytes, len) };
    if let Ok(peer) = peer.to_std() {
        io.udp_send(UdpPort::from_bits(port), peer, bytes);
    }
}

/// # Safety
/// Pointers are what `ix.h` says; `io` is what a running function of the handler was given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ix_timer_start(io: &mut Io, nanoseconds: u64, timer: *mut u64) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        made(
            io.start_timer(Duration::from_nanos(nanoseconds)),
            Timer::to_bits,
            timer,
        )
    }
}

/// Stops a timer.
#[unsafe(no_mangle)]
pub extern "C" fn ix_timer_cancel(io: &mut Io, timer: u64) {
    io.cancel_timer(Timer::from_bits(timer));
}

/// The time.
#[unsafe(no_mangle)]
pub extern "C" fn ix_now_ns(io: &mut Io) -> u64 {
    u64::try_from(io.now().as_nanos()).unwrap_or(u64::MAX)
}

/// Ends the loop.
#[unsafe(no_mangle)]
pub extern "C" fn ix_stop(io: &mut Io) {
    io.stop();
}

/// The statuses in words, by their numbers.
static TEXTS: [&CStr; 18] = [
    c"a table of the kernel is full",
    c"no packet buffer is free",
    c"an argument makes no sense",
    c"not now; try again after the next events",
    c"an address is not the app's memory",
    c"no such call",
    c"not supported",
    c"the handle names nothing of that kind (forged, or stale)",
    c"the connection is closed for this",
    c"connection refused",
    c"connection reset by peer",
    c"timed out",
    c"address already in use",
    c"not an address of this dataplane, or no free port",
    c"no route, or no answer to ARP",
    c"longer than a packet can be",
    c"taken by another thread",
    c"aborted by this side",
];

#[cfg(test)]
mod tests {
    use super::TEXTS;
    use libix::Status;

    #[test]
    fn the_words_are_those_of_rust() {
        for (text, status) in TEXTS.iter().zip(Status::ALL) {
            assert_eq!(text.to_str(), Ok(status.message()));
        }
    }
}
