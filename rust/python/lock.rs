//! A lock for what is touched only while the thread is attached to the interpreter: a flag, where that has a GIL.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use pyo3::exceptions::PyValueError;
use pyo3::{PyErr, PyResult, Python};

/// Is one thread alone attached at a time? Interpreters without a GIL have larger objects.
const HAS_GIL: bool = size_of::<pyo3::ffi::PyObject>() == 2 * size_of::<usize>();

/// What one owner at a time may touch. Nobody waits for it: who asks meanwhile goes without.
#[derive(Default)]
pub struct AttachedLock<T> {
    is_taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: `value` is reached through a `Taken` alone, of which `take` gives no second one.
unsafe impl<T: Send> Sync for AttachedLock<T> {}

/// The lock's only owner.
pub struct Taken<'a, T>(&'a AttachedLock<T>);

impl<T> AttachedLock<T> {
    /// Nobody's yet.
    pub const fn new(value: T) -> Self {
        Self { is_taken: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// Takes it, if nobody has it.
    #[inline]
    pub fn take(&self, _: Python<'_>) -> Option<Taken<'_, T>> {
        let is_free = if HAS_GIL {
            // Between the two no other thread is attached; and an atomic exchange costs as much as all else here.
            let is_free = !self.is_taken.load(Relaxed);
            self.is_taken.store(true, Relaxed);
            is_free
        } else {
            self.is_taken.compare_exchange(false, true, Acquire, Relaxed).is_ok()
        };
        is_free.then(|| Taken(self))
    }

    /// The same for objects that Python calls: somebody else may be using one, as another thread or its own source.
    #[inline]
    pub fn borrow(&self, py: Python<'_>) -> PyResult<Taken<'_, T>> {
        self.take(py).ok_or_else(in_use)
    }

    /// For Python's collector of cycles: None while somebody is at it, whose references then count as those of others.
    pub fn visited(&self) -> Option<Taken<'_, T>> {
        // SAFETY: the collector runs in a thread that is attached; its visits of references change nothing.
        self.take(unsafe { Python::assume_attached() })
    }
}

/// Why somebody goes without.
#[cold]
pub fn in_use() -> PyErr {
    PyValueError::new_err("already in use, by another thread or by its own source")
}

impl<T> Deref for Taken<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: there is one `Taken` at a time, borrowed for as long as the reference.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for Taken<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: there is one `Taken` at a time, borrowed alone for as long as the reference.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for Taken<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.0.is_taken.store(false, Release);
    }
}
