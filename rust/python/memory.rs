//! The memory of a column that is whole, lent to Python: NumPy reads it where it stands, and what large tables would be
//! copied for is nothing.

use std::ffi::c_int;
use std::os::raw::c_void;

use arrow_buffer::{ArrowNativeType, Buffer};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyType};

/// Bytes that nobody can change, with the buffer protocol. It is pickled as `bytes`.
#[pyclass(frozen, module = "chunkwire._native")]
pub struct Memory(Buffer);

impl Memory {
    /// That of these numbers, which are not copied.
    pub fn of<T: ArrowNativeType>(column: Vec<T>) -> Self {
        Self(Buffer::from_vec(column))
    }
}

#[pymethods]
impl Memory {
    /// How many bytes.
    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> (Bound<'py, PyType>, (Bound<'py, PyBytes>,)) {
        (py.get_type::<PyBytes>(), (PyBytes::new(py, &self.0),))
    }

    /// # Safety
    ///
    /// `view` is null or a place for a view, as the buffer protocol has it.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let bytes = &slf.get().0;
        let (start, length) = (bytes.as_ptr().cast::<c_void>().cast_mut(), bytes.len() as ffi::Py_ssize_t);
        // SAFETY: the view holds the object, which holds the memory, and that neither moves nor changes: it is given as
        // one that must not be written to. What is wrong with `view` or `flags` is the function's to say.
        let failed = unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), start, length, 1, flags) };
        if failed < 0 { Err(PyErr::fetch(slf.py())) } else { Ok(()) }
    }
}
