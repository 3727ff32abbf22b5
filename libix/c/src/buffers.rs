use libix::RecvBuf;

/// The bytes of a buffer.
#[unsafe(no_mangle)]
pub extern "C" fn ix_buf_bytes(data: &RecvBuf) -> *const u8 {
    data.as_ptr()
}

/// How many they are.
#[unsafe(no_mangle)]
pub extern "C" fn ix_buf_len(data: &RecvBuf) -> usize {
    data.len()
}

/// # Safety
/// A buffer that a function of the handler was given and that has not been given away, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ix_buf_free(data: *mut RecvBuf) {
    if !data.is_null() {
        // SAFETY: the caller's promise.
        drop(unsafe { Box::from_raw(data) });
    }
}
