//! The Rust side of chat: templates and grammars behind the C functions of `src/chat/rust_api.h`.
//!
//! No panic leaves this library: each exported function turns one into an error.

mod grammars;
mod python;
mod templates;

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Once;

/// A byte string that this library allocated; freed by `callie_rust_bytes_free`.
#[repr(C)]
pub struct Bytes {
    data: *mut u8,
    len: usize,
}

impl Bytes {
    fn new(text: impl Into<Vec<u8>>) -> Bytes {
        let boxed = text.into().into_boxed_slice();
        let len = boxed.len();
        Bytes { data: Box::into_raw(boxed) as *mut u8, len }
    }
}

/// # Safety
/// `bytes` came from this library and is freed once.
#[no_mangle]
pub unsafe extern "C" fn callie_rust_bytes_free(bytes: Bytes) {
    if !bytes.data.is_null() {
        drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(bytes.data, bytes.len)));
    }
}

/// # Safety
/// `data` points to `len` readable bytes, or `len` is 0.
pub(crate) unsafe fn slice<'a, T>(data: *const T, len: usize) -> &'a [T] {
    if len == 0 {
        &[]
    } else {
        std::slice::from_raw_parts(data, len)
    }
}

/// Runs `body`; an error or a panic goes to `error` and gives None.
pub(crate) fn guarded<T>(error: *mut Bytes, body: impl FnOnce() -> Result<T, String>) -> Option<T> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    let message = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => return Some(value),
        Ok(Err(message)) => message,
        Err(panic) => match panic.downcast_ref::<String>() {
            Some(text) => text.clone(),
            None => panic.downcast_ref::<&str>().unwrap_or(&"internal failure").to_string(),
        },
    };
    if !error.is_null() {
        // SAFETY: the caller passes a place for one value, or null.
        unsafe { error.write(Bytes::new(message)) };
    }
    None
}
