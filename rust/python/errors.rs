//! Damage and counts as the Python classes of `chunkwire._errors` and `chunkwire._stats`.

use pyo3::PyClass;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::False;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyAny, PyDict};

use crate::decoder::Stats;
use crate::error::{Broken, Damage, Kind, Place};

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

/// The CompressedDamage that says so.
pub fn compressed_damage(py: Python<'_>, broken: &Broken) -> PyResult<PyErr> {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class = class(py, &CLASS, "chunkwire._blocks", "CompressedDamage")?;
    Ok(PyErr::from_value(class.call1((&broken.reason, broken.kind.name()))?))
}

/// What a CompressedDamage says that an iterator of blocks has raised.
///
/// Any other exception comes back.
pub fn broken(py: Python<'_>, error: PyErr) -> PyResult<Broken> {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let value = error.value(py);
    if !value.is_instance(class(py, &CLASS, "chunkwire._blocks", "CompressedDamage")?)? {
        return Err(error);
    }
    let is_cut = value.getattr("kind")?.extract::<&str>()? == Kind::Truncated.name();
    let kind = if is_cut { Kind::Truncated } else { Kind::SourceTooLarge };
    Ok(Broken { kind, reason: value.str()?.extract()?, is_cut })
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

/// A damage.
pub fn damage<'py>(
    py: Python<'py>,
    damage: &Damage,
    source: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    static DAMAGE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class = class(py, &DAMAGE, "chunkwire._stats", "Damage")?;
    let keywords = place(py, damage.place, None)?;
    keywords.set_item("source", source)?;
    keywords.set_item("position", damage.position)?;
    class.call((damage.kind.name(), &damage.reason), Some(&keywords))
}

/// The counts by name, in the order of `chunkwire.Stats`.
pub fn counts(stats: &Stats) -> impl Iterator<Item = (&'static str, u64)> {
    [
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
        ("wrapping_bytes", stats.wrapping_bytes),
        ("exchanges", stats.exchanges),
    ]
    .into_iter()
}

/// A snapshot of the counts.
pub fn stats<'py>(py: Python<'py>, stats: &Stats, source: Option<&Py<PyAny>>) -> PyResult<Bound<'py, PyAny>> {
    static STATS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let source = source.map(|source| source.bind(py));
    let damages = stats.damages.iter().map(|one| damage(py, one, source)).collect::<PyResult<Vec<_>>>()?;
    let keywords = PyDict::new(py);
    for (name, count) in counts(stats) {
        keywords.set_item(name, count)?;
    }
    keywords.set_item("damages", damages)?;
    class(py, &STATS, "chunkwire._stats", "Stats")?.call((), Some(&keywords))
}
