//! What Python owns and Arrow data points into: held until the last consumer has let go of it.
//!
//! Consumers let go on any thread. One that Python knows drops at once. Any other must not wait for Python's lock, since
//! who has it may be waiting for that thread; what it lets go is dropped by Python's main thread, as soon as that can.

use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, RefUnwindSafe};
use std::ptr::{NonNull, null_mut};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_buffer::{ArrowNativeType, Buffer, ScalarBuffer};
use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;

/// What threads let go that Python does not know.
static LET_GO: Mutex<Vec<AssertUnwindSafe<Box<dyn Send>>>> = Mutex::new(Vec::new());

/// Something of Python's that is dropped where that may be.
pub struct Held<T: Send + 'static>(ManuallyDrop<T>);

// (Nobody sees what is held but through the address that it gave.)
impl<T: Send> RefUnwindSafe for Held<T> {}

impl<T: Send> Held<T> {
    /// Holds it.
    pub fn new(object: T) -> Self {
        Self(ManuallyDrop::new(object))
    }

    /// What is held.
    pub fn get(&self) -> &T {
        &self.0
    }
}

impl<T: Send> Drop for Held<T> {
    fn drop(&mut self) {
        // SAFETY: nobody uses it after this.
        let mut object = Some(unsafe { ManuallyDrop::take(&mut self.0) });
        // SAFETY: it asks for a value of this thread, and may be called at any time.
        let is_known = unsafe { !ffi::PyGILState_GetThisThreadState().is_null() };
        if is_known {
            // (If the interpreter is gone, so is all that it had.)
            Python::try_attach(|_| drop(object.take()));
        }
        let Some(object) = object else { return };
        let mut waiting = LET_GO.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(AssertUnwindSafe(Box::new(object)));
        // SAFETY: both may be called on any thread; the function does not use its argument. If Python's list of calls is
        // full, the next export drops what waits.
        unsafe {
            if waiting.len() == 1 && ffi::Py_IsInitialized() != 0 {
                ffi::Py_AddPendingCall(Some(called), null_mut());
            }
        }
    }
}

extern "C" fn called(_: *mut c_void) -> c_int {
    Python::try_attach(drop_waiting);
    0
}

/// Drops what other threads let go.
pub fn drop_waiting(_: Python<'_>) {
    // Not under the lock: what is dropped may run anything.
    let waiting = std::mem::take(&mut *LET_GO.lock().unwrap_or_else(PoisonError::into_inner));
    drop(waiting);
}

/// The memory of an object that has the buffer protocol: not copied if it is read-only.
pub fn buffer(object: &Bound<'_, PyAny>) -> PyResult<Buffer> {
    let view = PyUntypedBuffer::get(object)?;
    if !view.is_c_contiguous() {
        return Err(PyValueError::new_err("the memory of a column has to be contiguous"));
    }
    let length = view.len_bytes();
    let (Some(start), 1..) = (NonNull::new(view.buf_ptr().cast::<u8>()), length) else {
        return Ok(Buffer::default());
    };
    if !view.readonly() {
        // SAFETY: the view has so many bytes, and while this thread is attached nobody else writes to them.
        return Ok(Buffer::from(unsafe { std::slice::from_raw_parts(start.as_ptr(), length) }));
    }
    // SAFETY: the view has so many bytes, which stay where they are while it is held, and which nobody may change.
    Ok(unsafe { Buffer::from_custom_allocation(start, length, Arc::new(Held::new(view))) })
}

/// The same as numbers, `count` of them.
pub fn scalars<T: ArrowNativeType>(object: &Bound<'_, PyAny>, count: usize) -> PyResult<ScalarBuffer<T>> {
    let size = size_of::<T>();
    let mut buffer = buffer(object)?;
    if Some(buffer.len()) != count.checked_mul(size) {
        let found = buffer.len();
        return Err(PyValueError::new_err(format!("expected {count} numbers of {size} bytes, found {found} bytes")));
    }
    if buffer.as_ptr().align_offset(align_of::<T>()) != 0 {
        buffer = Buffer::from(buffer.as_slice());
    }
    Ok(ScalarBuffer::new(buffer, 0, count))
}
