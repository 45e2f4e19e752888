//! JSON values as Python objects, equal to what `json.loads` makes of the same text; columns as bytes.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyFloat, PyInt, PyList, PyString};

use crate::chunk::{Type, Value};

/// A value and all that is in it.
pub fn to_python<'py>(py: Python<'py>, value: Value<'_>) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value.kind() {
        Type::Object => {
            let dict = PyDict::new(py);
            for (key, value) in value.members() {
                // A later duplicate replaces an earlier one, as in json.
                dict.set_item(string(py, key)?, to_python(py, value)?)?;
            }
            dict.into_any()
        }
        Type::Array => {
            let list = PyList::empty(py);
            for item in value.items() {
                list.append(to_python(py, item)?)?;
            }
            list.into_any()
        }
        Type::Key | Type::String => string(py, value)?.into_any(),
        Type::Int => integer(py, value)?,
        Type::NaN => {
            // The one object that json gives too, so that values with NaN compare as theirs do: by identity.
            static NAN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
            NAN.import(py, "json.decoder", "NaN")?.clone()
        }
        Type::Float | Type::Infinity | Type::NegInfinity => {
            PyFloat::new(py, value.number_value().unwrap_or(f64::NAN)).into_any()
        }
        Type::True => true.into_pyobject(py)?.to_owned().into_any(),
        Type::False => false.into_pyobject(py)?.to_owned().into_any(),
        Type::Null => py.None().into_bound(py),
    })
}

/// A key or string; lone surrogates survive.
pub fn string<'py>(py: Python<'py>, value: Value<'_>) -> PyResult<Bound<'py, PyString>> {
    if !value.is_escaped() {
        return PyString::from_bytes(py, value.text());
    }
    text(py, &value.bytes())
}

/// Text that is UTF-8 but for lone surrogates.
pub fn text<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(PyString::new(py, text)),
        Err(_) => {
            let bytes = PyBytes::new(py, bytes);
            PyString::from_encoded_object(&bytes, Some(c"utf-8"), Some(c"surrogatepass"))
        }
    }
}

fn integer<'py>(py: Python<'py>, value: Value<'_>) -> PyResult<Bound<'py, PyAny>> {
    match value.integer() {
        Some(number) => Ok(number.into_pyobject(py)?.into_any()),
        None => py.get_type::<PyInt>().call1((PyString::from_bytes(py, value.text())?,)),
    }
}

/// The text of each category.
pub fn texts<'py>(py: Python<'py>, categories: impl Iterator<Item = impl AsRef<[u8]>>) -> PyResult<Bound<'py, PyList>> {
    let texts = PyList::empty(py);
    for category in categories {
        texts.append(text(py, category.as_ref())?)?;
    }
    Ok(texts)
}

/// A copy of a column, as NumPy reads it, where the column itself goes on.
pub fn array<'py, T: Copy, const N: usize>(
    py: Python<'py>,
    column: &[T],
    bytes_of: impl Fn(T) -> [u8; N],
) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, column.len() * N, |memory| {
        for (place, &value) in memory.chunks_exact_mut(N).zip(column) {
            place.copy_from_slice(&bytes_of(value));
        }
        Ok(())
    })
}
