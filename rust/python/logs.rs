//! What is found out about a log's format.

use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::options::Options;
use crate::log::{Layout, Log, Path};

create_exception!(
    chunkwire._native,
    NeedsConversion,
    PyValueError,
    "A file of a format that has to be converted to JSON lines first: `format` names it, `head` is what was read of it."
);

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
#[pyo3(signature = (head, options=None))]
pub fn recognise(head: &[u8], options: Option<Options>) -> Recognised {
    let request = options.map(|options| options.wanted.request).unwrap_or_default();
    told(&crate::log::recognise(head, &request))
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
