//! Damage and counts as the Python classes of `chunkwire._errors` and `chunkwire._stats`.

use pyo3::PyClass;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::False;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyAny, PyDict};

use crate::decoder::Stats;
use crate::error::{Damage, Place};

/// Asks for the state of an iterator, which somebody else may be using: another thread, or its own source.
pub fn borrow<'py, T: PyClass<Frozen = False>>(object: &Bound<'py, T>) -> PyResult<PyRefMut<'py, T>> {
    object.try_borrow_mut().map_err(|_| PyValueError::new_err("already in use, by another thread or by its own source"))
}

/// A class of the Python package, imported once.
fn class<'py>(
    py: Python<'py>,
    cell: &'static PyOnceLock<Py<PyAny>>,
    module: &str,
    name: &str,
) -> PyResult<&'py Bound<'py, PyAny>> {
    cell.import(py, module, name)
}

/// The DecodeError for a damage.
pub fn decode_error(py: Python<'_>, damage: &Damage, source: Option<&Py<PyAny>>) -> PyResult<PyErr> {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class = class(py, &CLASS, "chunkwire._errors", "DecodeError")?;
    let keywords = place(py, damage.place, source)?;
    keywords.set_item("position", damage.position)?;
    Ok(PyErr::from_value(class.call((damage.kind.name(), &damage.reason), Some(&keywords))?))
}

/// The StreamError for what a server sent.
pub fn stream_error(py: Python<'_>, at: Place, body: &Bound<'_, PyAny>, source: Option<&Py<PyAny>>) -> PyResult<PyErr> {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class = class(py, &CLASS, "chunkwire._errors", "StreamError")?;
    Ok(PyErr::from_value(class.call((body,), Some(&place(py, at, source)?))?))
}

fn place<'py>(py: Python<'py>, place: Place, source: Option<&Py<PyAny>>) -> PyResult<Bound<'py, PyDict>> {
    let keywords = PyDict::new(py);
    keywords.set_item("offset", place.offset)?;
    keywords.set_item("line", place.line)?;
    keywords.set_item("event", place.event)?;
    keywords.set_item("source", source.map(|source| source.bind(py)))?;
    Ok(keywords)
}

/// A snapshot of the counts.
pub fn stats<'py>(py: Python<'py>, stats: &Stats, source: Option<&Py<PyAny>>) -> PyResult<Bound<'py, PyAny>> {
    static STATS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static DAMAGE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let damage_class = class(py, &DAMAGE, "chunkwire._stats", "Damage")?;
    let damages = stats
        .damages
        .iter()
        .map(|damage| {
            let keywords = place(py, damage.place, source)?;
            keywords.set_item("position", damage.position)?;
            damage_class.call((damage.kind.name(), &damage.reason), Some(&keywords))
        })
        .collect::<PyResult<Vec<_>>>()?;
    let keywords = PyDict::new(py);
    for (name, count) in [
        ("bytes", stats.bytes),
        ("events", stats.events),
        ("chunks", stats.chunks),
        ("done", stats.done),
        ("errors", stats.errors),
        ("keepalives", stats.keepalives),
        ("comments", stats.comments),
        ("damaged", stats.damaged),
        ("chunk_bytes", stats.chunk_bytes),
        ("done_bytes", stats.done_bytes),
        ("error_bytes", stats.error_bytes),
        ("comment_bytes", stats.comment_bytes),
        ("skipped_bytes", stats.skipped_bytes),
        ("damaged_bytes", stats.damaged_bytes),
    ] {
        keywords.set_item(name, count)?;
    }
    keywords.set_item("damages", damages)?;
    class(py, &STATS, "chunkwire._stats", "Stats")?.call((), Some(&keywords))
}
