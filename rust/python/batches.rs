//! Columns with a row for each chunk, as bytes for NumPy.

use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::convert::{array, texts};
use super::errors::borrow;
use super::iterators::Reader;
use super::options::Options;
use crate::columns::{ChunkColumns, Texts};

/// A batch of so many bytes of content is full, however few rows it has.
const MAX_CONTENT: usize = 64 << 20;

/// The chunks of a source as columns, so many rows at a time.
#[pyclass(module = "chunkwire._native")]
pub struct Batches {
    reader: Reader,
    size: usize,
    /// The memory of the last batch.
    columns: ChunkColumns,
    /// What came behind the last batch.
    error: Option<PyErr>,
}

#[pymethods]
impl Batches {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.reader.traverse(&visit)
    }

    fn __clear__(&mut self) {
        self.reader.clear();
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let py = slf.py();
        let mut slf = borrow(slf)?;
        if let Some(error) = slf.error.take() {
            return Err(error);
        }
        let slf = &mut *slf;
        let columns = &mut slf.columns;
        columns.clear();
        while columns.rows() < slf.size && columns.content.len() < MAX_CONTENT {
            let pushed = slf.reader.next(py, |batch, number, record| {
                columns.push(batch.doc(record), record.offset, batch.mark(number));
                Ok(Some(()))
            });
            match pushed {
                Ok(Some(())) => {}
                Ok(None) => break,
                Err(error) if columns.rows() == 0 => return Err(error),
                Err(error) => {
                    slf.error = Some(error);
                    break;
                }
            }
        }
        if columns.rows() == 0 {
            return Ok(None);
        }
        to_dict(py, columns).map(Some)
    }

    /// What was counted so far.
    #[getter]
    fn stats<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        borrow(slf)?.reader.stats(slf.py())
    }
}

fn to_dict<'py>(py: Python<'py>, columns: &ChunkColumns) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("stream", array(py, &columns.stream, i64::to_ne_bytes)?)?;
    dict.set_item("offset", array(py, &columns.offset, i64::to_ne_bytes)?)?;
    dict.set_item("index", array(py, &columns.index, i64::to_ne_bytes)?)?;
    dict.set_item("content", PyBytes::new(py, &columns.content))?;
    dict.set_item("content_end", array(py, &columns.content_end, i64::to_ne_bytes)?)?;
    dict.set_item("has_content", PyBytes::new(py, &columns.has_content))?;
    for (name, Texts { codes, categories }) in
        [("id", &columns.id), ("model", &columns.model), ("finish_reason", &columns.finish_reason)]
    {
        dict.set_item(name, (array(py, codes, i32::to_ne_bytes)?, texts(py, categories.texts())?))?;
    }
    Ok(dict)
}

/// The chunks of a source as columns, `size` rows at a time: a path (str), `bytes`, or an iterator of bytes-like objects.
#[pyfunction]
#[pyo3(signature = (source, options, name=None, *, size))]
pub fn batches(source: &Bound<'_, PyAny>, options: Options, name: Option<Py<PyAny>>, size: usize) -> PyResult<Batches> {
    if size == 0 {
        return Err(PyValueError::new_err("size must be at least 1"));
    }
    let reader = Reader::new(source, options.named(name))?.numbered();
    Ok(Batches { reader, size, columns: ChunkColumns::default(), error: None })
}
