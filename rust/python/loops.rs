//! A loop over a stream that others may loop over, too, one after the other: what openai's streams give to `async for`.

use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::awaits::thrown;
use super::relay::{AsyncRelay, AsyncStep, To};

/// A loop over what an [`AsyncRelay`] gives, which is over when it is closed; the relay is not.
#[pyclass(module = "chunkwire._native", weakref)]
pub struct AsyncLoop {
    relay: Option<Py<AsyncRelay>>,
}

impl AsyncLoop {
    /// At the place where the relay is.
    pub fn new(relay: Py<AsyncRelay>) -> Self {
        Self { relay: Some(relay) }
    }
}

#[pymethods]
impl AsyncLoop {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.relay)
    }

    fn __clear__(&mut self) {
        self.relay = None;
    }

    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __anext__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, AsyncStep>> {
        match &self.relay {
            Some(relay) => AsyncRelay::__anext__(relay.bind(py)),
            None => AsyncStep::make(py, None, To::Throw(PyStopAsyncIteration::new_err(()).into_value(py))),
        }
    }

    /// The same as `__anext__`: what is sent goes nowhere.
    #[pyo3(signature = (value, /))]
    fn asend<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, AsyncStep>> {
        self.__anext__(value.py())
    }

    /// Raises an exception, which ends the loop.
    #[pyo3(signature = (typ, val=None, tb=None, /))]
    fn athrow<'py>(
        &mut self,
        typ: &Bound<'py, PyAny>,
        val: Option<&Bound<'py, PyAny>>,
        tb: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, AsyncStep>> {
        let error = thrown(typ, val, tb)?;
        self.relay = None;
        AsyncStep::make(typ.py(), None, To::Throw(error))
    }

    /// Ends the loop.
    fn aclose<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, AsyncStep>> {
        self.relay = None;
        AsyncStep::make(py, None, To::Close)
    }
}
