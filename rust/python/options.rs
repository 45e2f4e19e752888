//! What a caller says of how to read: an object of `chunkwire._options`, where it was checked, as the core takes it.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::chunk::MAX_NODES;
use crate::decoder::{self, MAX_EVENT_BYTES};
use crate::log::{Format, MAX_LINE_BYTES, Path, Request, Told, Wanted};

// What `chunkwire._options` says, too, and the signature of `ClientEvents`: Python sees only defaults that are written
// out.
const _: () = assert!(MAX_EVENT_BYTES == 64 << 20 && MAX_NODES == 1 << 28);

/// The attributes of the object.
#[derive(FromPyObject)]
struct Sent {
    on_error: String,
    strict: bool,
    format: String,
    field: Option<String>,
    id_field: Option<String>,
    time_field: Option<String>,
    max_event_bytes: usize,
    max_decompressed_bytes: Option<u64>,
    keep: Vec<String>,
}

/// What a user can choose.
pub struct Options {
    /// Give out errors as exceptions, or only count them.
    pub raise: bool,
    /// What the decoder has to know.
    pub decoder: decoder::Options,
    /// What is known of the source's format.
    pub wanted: Wanted,
    /// The most bytes that a packed source may unpack to, if that is said.
    pub max_decompressed_bytes: Option<u64>,
    /// What the source is called.
    pub name: Option<Py<PyAny>>,
}

impl Options {
    /// The same for a source of this name.
    pub fn named(self, name: Option<Py<PyAny>>) -> Self {
        Self { name, ..self }
    }
}

impl<'py> FromPyObject<'_, 'py> for Options {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let sent: Sent = object.extract()?;
        let path = |text: &String| Path::parse(text).map_err(PyValueError::new_err);
        let optional = |text: Option<String>| text.as_ref().map(path).transpose();
        let request = Request {
            told: told(&sent.format)?,
            field: optional(sent.field)?,
            id_field: optional(sent.id_field)?,
            time_field: optional(sent.time_field)?,
        };
        Ok(Self {
            raise: sent.on_error == "raise",
            decoder: decoder::Options {
                strict: sent.strict,
                max_event_bytes: sent.max_event_bytes,
                max_int_digits: max_int_digits(object.py())?,
                shapes: shapes_are_on(),
            },
            wanted: Wanted {
                request,
                keep: sent.keep.iter().map(path).collect::<PyResult<_>>()?,
                max_line_bytes: max_line_bytes(),
            },
            max_decompressed_bytes: sent.max_decompressed_bytes,
            name: None,
        })
    }
}

/// A format by its name.
fn told(format: &str) -> PyResult<Told> {
    match format {
        "auto" => Ok(Told::Auto),
        "jsonl" => Ok(Told::JsonLines),
        name => match Format::ALL.into_iter().find(|format| format.name() == name) {
            Some(format) => Ok(Told::Format(format)),
            None => Err(PyValueError::new_err(format!("there is no format {name:?}"))),
        },
    }
}

/// The most digits that an integer may have in this interpreter, 0 for no limit.
pub fn max_int_digits(py: Python<'_>) -> PyResult<usize> {
    static ASK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    ASK.import(py, "sys", "get_int_max_str_digits")?.call0()?.extract()
}

/// `CHUNKWIRE_SHAPES=0` leaves every event to the careful parser: for tests, which compare the two ways.
pub fn shapes_are_on() -> bool {
    std::env::var_os("CHUNKWIRE_SHAPES").is_none_or(|value| value != "0")
}

/// `CHUNKWIRE_TEST_LINE_BYTES` sets the length of the longest line: for tests.
fn max_line_bytes() -> usize {
    let set = std::env::var("CHUNKWIRE_TEST_LINE_BYTES").ok().and_then(|value| value.parse().ok());
    set.unwrap_or(MAX_LINE_BYTES)
}
