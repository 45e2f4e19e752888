//! What a caller says of a log's format, and what is found out about it.

use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::log::{Format, Layout, Log, MAX_LINE_BYTES, Path, Request, Told, Wanted};

create_exception!(
    chunkwire._native,
    NeedsConversion,
    PyValueError,
    "A file of a format that has to be converted to JSON lines first: `format` names it, `head` is what was read of it."
);

/// What a caller says of a log's format, checked.
pub fn wanted(
    format: &str,
    field: Option<&str>,
    id_field: Option<&str>,
    time_field: Option<&str>,
    keep: &[String],
) -> PyResult<Wanted> {
    let told = match format {
        "auto" => Told::Auto,
        "jsonl" => Told::JsonLines,
        name => match Format::ALL.into_iter().find(|format| format.name() == name) {
            Some(format) => Told::Format(format),
            None => {
                let names: Vec<_> = Format::ALL.into_iter().map(|format| format!("{:?}", format.name())).collect();
                let message = format!("format must be \"auto\", \"jsonl\", {}, not {name:?}", names.join(", "));
                return Err(PyValueError::new_err(message));
            }
        },
    };
    let path = |text: &str| Path::parse(text).map_err(PyValueError::new_err);
    let optional = |text: Option<&str>| text.map(path).transpose();
    let request =
        Request { told, field: optional(field)?, id_field: optional(id_field)?, time_field: optional(time_field)? };
    let keep = keep.iter().map(|text| path(text)).collect::<PyResult<_>>()?;
    Ok(Wanted { request, keep, max_line_bytes: max_line_bytes() })
}

/// `CHUNKWIRE_TEST_LINE_BYTES` sets the length of the longest line: for tests.
fn max_line_bytes() -> usize {
    let set = std::env::var("CHUNKWIRE_TEST_LINE_BYTES").ok().and_then(|value| value.parse().ok());
    set.unwrap_or(MAX_LINE_BYTES)
}

/// An error if somebody has to convert the log first.
pub fn check(py: Python<'_>, log: &Log) -> PyResult<()> {
    match log.foreign() {
        None => Ok(()),
        Some((format, head)) => {
            let name = format.name();
            let message = format!("the source is in format '{name}', and is not read by itself: say format='{name}'");
            let error = NeedsConversion::new_err(message);
            error.value(py).setattr("format", name)?;
            error.value(py).setattr("head", PyBytes::new(py, head))?;
            Err(error)
        }
    }
}

/// Format, field, id field, time field, and why.
pub type Recognised = (&'static str, Option<String>, Option<String>, Option<String>, String);

/// The format of the log that begins with these bytes, the paths of the members that it needs, and why that is thought.
#[pyfunction]
#[pyo3(signature = (head, format="auto", field=None, id_field=None, time_field=None))]
pub fn recognise(
    head: &[u8],
    format: &str,
    field: Option<&str>,
    id_field: Option<&str>,
    time_field: Option<&str>,
) -> PyResult<Recognised> {
    let wanted = wanted(format, field, id_field, time_field, &[])?;
    Ok(told(&crate::log::recognise(head, &wanted.request)))
}

/// The same of a log that is being read, once it is known.
pub fn layout(log: &Log) -> Option<Recognised> {
    log.layout().map(told)
}

fn told(layout: &Layout) -> Recognised {
    let text = |path: &Option<Path>| path.as_ref().map(ToString::to_string);
    let Layout { format, field, id_field, time_field, why, .. } = layout;
    (format.name(), text(field), text(id_field), text(time_field), why.clone())
}
