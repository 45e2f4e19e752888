//! Columns as Arrow data, by the Arrow PyCapsule interface: what Python says of its columns in, capsules out.
//!
//! `column` makes an array of a column, and `held` keeps alive what that points into.

mod column;
mod held;

use std::ffi::CStr;
use std::iter::zip;
use std::sync::Arc;

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema};
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{Array, RecordBatch, RecordBatchIterator, RecordBatchOptions, RecordBatchReader, StructArray};
use arrow_schema::{ArrowError, Field, Schema, SchemaRef};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyIterator, PyList};

use column::{Column, wrong};
use held::{Held, drop_waiting};

const SCHEMA: &CStr = c"arrow_schema";
const ARRAY: &CStr = c"arrow_array";
const STREAM: &CStr = c"arrow_array_stream";

/// Columns are lists of tuples: see `Column`.
type Columns<'a, 'py> = &'a Bound<'py, PyList>;
type Capsule<'py> = Bound<'py, PyCapsule>;

/// The schema of these columns.
#[pyfunction]
pub fn export_schema<'py>(columns: Columns<'_, 'py>) -> PyResult<Capsule<'py>> {
    drop_waiting(columns.py());
    let schema = agree(&read(columns)?, None)?;
    schema_capsule(columns.py(), &schema)
}

/// The columns of so many rows as an array: its schema and itself. `requested` is a schema, for text in other layouts.
#[pyfunction]
pub fn export_array<'py>(
    columns: Columns<'_, 'py>,
    rows: usize,
    requested: Option<&Capsule<'py>>,
) -> PyResult<(Capsule<'py>, Capsule<'py>)> {
    let py = columns.py();
    drop_waiting(py);
    let columns = read(columns)?;
    let schema = agree(&columns, requested)?;
    let batch = batch(&columns, &schema, rows)?;
    let array = FFI_ArrowArray::new(&StructArray::from(batch).into_data());
    Ok((schema_capsule(py, &schema)?, PyCapsule::new_with_value(py, array, ARRAY)?))
}

/// The same as a stream of one array.
#[pyfunction]
pub fn export_stream<'py>(
    columns: Columns<'_, 'py>,
    rows: usize,
    requested: Option<&Capsule<'py>>,
) -> PyResult<Capsule<'py>> {
    drop_waiting(columns.py());
    let read = read(columns)?;
    let schema = agree(&read, requested)?;
    let batch = batch(&read, &schema, rows)?;
    stream_capsule(columns.py(), Box::new(RecordBatchIterator::new([Ok(batch)], schema)))
}

/// A stream of what an iterator gives: pairs of columns and how many rows they have. `columns` are such, of no rows.
#[pyfunction]
pub fn export_reader<'py>(
    batches: &Bound<'py, PyAny>,
    columns: Columns<'_, 'py>,
    requested: Option<&Capsule<'py>>,
) -> PyResult<Capsule<'py>> {
    drop_waiting(columns.py());
    let schema = agree(&read(columns)?, requested)?;
    let batches = Held::new(batches.try_iter()?.unbind());
    stream_capsule(columns.py(), Box::new(Reader { batches, schema, error: None }))
}

/// Reads batches from a Python iterator, on whatever thread it is asked.
struct Reader {
    batches: Held<Py<PyIterator>>,
    schema: SchemaRef,
    /// What went wrong: nothing comes behind it, so that nobody takes a part for all.
    error: Option<String>,
}

impl Reader {
    fn read(&self, py: Python<'_>) -> PyResult<Option<RecordBatch>> {
        let Some(found) = self.batches.get().bind(py).clone().next() else { return Ok(None) };
        let (columns, rows): (Bound<'_, PyList>, usize) = found?.extract()?;
        batch(&read(&columns)?, &self.schema, rows).map(Some)
    }
}

impl Iterator for Reader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.error.is_none() {
            let read = Python::try_attach(|py| self.read(py).map_err(|error| error.value(py).to_string()));
            match read.unwrap_or_else(|| Err("Python has ended".to_owned())) {
                Ok(batch) => return batch.map(Ok),
                // C's strings cannot have a NUL.
                Err(message) => self.error = Some(message.replace('\0', "\u{FFFD}")),
            }
        }
        self.error.clone().map(|message| Err(ArrowError::ExternalError(message.into())))
    }
}

impl RecordBatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

fn read<'py>(columns: Columns<'_, 'py>) -> PyResult<Vec<Column<'py>>> {
    columns.iter().map(|column| Column::new(&column)).collect()
}

/// The schema that the columns get.
fn agree(columns: &[Column<'_>], requested: Option<&Capsule<'_>>) -> PyResult<SchemaRef> {
    let requested = requested.map(requested_schema).transpose()?;
    if let Some(requested) = &requested {
        let (wanted, found) = (requested.fields().len(), columns.len());
        if wanted != found {
            return Err(PyValueError::new_err(format!("the requested schema has {wanted} fields, there are {found}")));
        }
        if let Some((field, column)) =
            zip(requested.fields(), columns).find(|(field, column)| *field.name() != column.name)
        {
            let (wanted, found) = (field.name(), &column.name);
            let message = format!("the requested schema has a field {wanted:?} where there is {found:?}");
            return Err(PyValueError::new_err(message));
        }
    }
    let fields = columns.iter().enumerate().map(|(number, column)| {
        let data_type = match &requested {
            Some(requested) => column.agreed_type(requested.field(number))?,
            None => column.data_type()?,
        };
        Ok(Field::new(&column.name, data_type, true))
    });
    Ok(Arc::new(Schema::new(fields.collect::<PyResult<Vec<_>>>()?)))
}

fn requested_schema(capsule: &Capsule<'_>) -> PyResult<Schema> {
    let pointer = capsule.pointer_checked(Some(SCHEMA))?.cast::<FFI_ArrowSchema>();
    // SAFETY: a capsule of this name has an ArrowSchema, which is its own while this call lasts.
    let schema = unsafe { pointer.as_ref() };
    if schema.release().is_none() {
        return Err(PyValueError::new_err("the requested schema was released"));
    }
    Schema::try_from(schema).map_err(wrong)
}

fn batch(columns: &[Column<'_>], schema: &SchemaRef, rows: usize) -> PyResult<RecordBatch> {
    let arrays = columns.iter().zip(schema.fields()).map(|(column, field)| column.array(field.data_type(), rows));
    let arrays = arrays.collect::<PyResult<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), arrays, &options).map_err(wrong)
}

// A capsule that nobody has consumed drops its value, which releases what is in it.

fn schema_capsule<'py>(py: Python<'py>, schema: &Schema) -> PyResult<Capsule<'py>> {
    PyCapsule::new_with_value(py, FFI_ArrowSchema::try_from(schema).map_err(wrong)?, SCHEMA)
}

fn stream_capsule(py: Python<'_>, reader: Box<dyn RecordBatchReader + Send>) -> PyResult<Capsule<'_>> {
    PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(reader), STREAM)
}
