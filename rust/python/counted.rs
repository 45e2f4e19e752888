//! Who is told how many bytes of a response have come: an object of its client's.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyString;

/// An object, and which of its attributes says how many bytes have come.
pub struct Counted {
    object: Py<PyAny>,
    name: Py<PyString>,
    bytes: usize,
}

impl<'py> FromPyObject<'_, 'py> for Counted {
    type Error = PyErr;

    fn extract(pair: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let (object, name) = pair.extract()?;
        Ok(Self { object, name, bytes: 0 })
    }
}

impl Counted {
    /// For Python's collector of cycles.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.object)
    }

    /// So many more have come.
    #[inline]
    pub fn add(&mut self, py: Python<'_>, bytes: usize) -> PyResult<()> {
        self.bytes += bytes;
        self.object.bind(py).setattr(&self.name, self.bytes)
    }
}
