//! A column of Python's as an Arrow array: what Python says of it in, an array of the type that was agreed upon out.
//!
//! Numbers are pointed to where they are. Bits, offsets and texts that Python has as objects are written anew.

use std::sync::Arc;

use arrow_array::builder::GenericStringBuilder;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Float64Array, GenericStringArray, Int32Array, Int64Array,
    OffsetSizeTrait, StringViewArray,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field};
use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

use super::held::{buffer, scalars};

/// A column as Python gives it: a tuple of its name, its kind, and what the kind wants.
pub struct Column<'py> {
    /// Its name.
    pub name: String,
    cells: Cells<'py>,
}

/// What a column is made of. `valid` is a byte for each row, 0 where the row has nothing; None if all have something.
enum Cells<'py> {
    /// `"int64", values, valid`
    Int64 { values: Bound<'py, PyAny>, valid: Bound<'py, PyAny> },
    /// `"float64", values, valid`
    Float64 { values: Bound<'py, PyAny>, valid: Bound<'py, PyAny> },
    /// `"bool", values, valid`: a byte for each row
    Bool { values: Bound<'py, PyAny>, valid: Bound<'py, PyAny> },
    /// `"texts", texts`: a list of str or None
    Texts { texts: Bound<'py, PyList> },
    /// `"coded", codes, texts`: an int32 for each row, -1 where it has nothing, and a list of the str for each code
    Coded { codes: Bound<'py, PyAny>, texts: Bound<'py, PyList> },
    /// `"joined", bytes, ends, valid`: the texts one behind the other, and an int64 for each row, where its text ends
    Joined { bytes: Bound<'py, PyAny>, ends: Bound<'py, PyAny>, valid: Bound<'py, PyAny> },
}

impl<'py> Column<'py> {
    /// The column that this tuple says.
    pub fn new(said: &Bound<'py, PyAny>) -> PyResult<Self> {
        let said = said.cast::<PyTuple>()?;
        let part = |place: usize| said.get_item(place);
        let list = |place: usize| Ok::<_, PyErr>(said.get_item(place)?.cast_into::<PyList>()?);
        let kind: String = part(1)?.extract()?;
        let cells = match kind.as_str() {
            "int64" => Cells::Int64 { values: part(2)?, valid: part(3)? },
            "float64" => Cells::Float64 { values: part(2)?, valid: part(3)? },
            "bool" => Cells::Bool { values: part(2)?, valid: part(3)? },
            "texts" => Cells::Texts { texts: list(2)? },
            "coded" => Cells::Coded { codes: part(2)?, texts: list(3)? },
            "joined" => Cells::Joined { bytes: part(2)?, ends: part(3)?, valid: part(4)? },
            _ => return Err(PyValueError::new_err(format!("unknown kind of column: {kind:?}"))),
        };
        Ok(Self { name: part(0)?.extract()?, cells })
    }

    /// The type that the column has if nobody wants another.
    pub fn data_type(&self) -> PyResult<DataType> {
        let text = || Ok::<_, PyErr>(if self.fits(&DataType::Utf8)? { DataType::Utf8 } else { DataType::LargeUtf8 });
        Ok(match &self.cells {
            Cells::Int64 { .. } => DataType::Int64,
            Cells::Float64 { .. } => DataType::Float64,
            Cells::Bool { .. } => DataType::Boolean,
            Cells::Texts { .. } | Cells::Joined { .. } => text()?,
            Cells::Coded { texts, .. } => {
                let value = if most_bytes(texts)? > MOST_UTF8 { DataType::LargeUtf8 } else { DataType::Utf8 };
                DataType::Dictionary(Box::new(DataType::Int32), Box::new(value))
            }
        })
    }

    /// The type that the column gets if this one is wanted: a consumer can have texts in another layout. What else it
    /// wants it converts itself; only what no column can be made of is an error.
    pub fn agreed_type(&self, wanted: &Field) -> PyResult<DataType> {
        let own = self.data_type()?;
        let is_text = !matches!(own, DataType::Int64 | DataType::Float64 | DataType::Boolean);
        let wanted = wanted.data_type();
        match wanted {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View if is_text && self.fits(wanted)? => {
                Ok(wanted.clone())
            }
            DataType::Dictionary(key, value)
                if matches!(self.cells, Cells::Coded { .. })
                    && **key == DataType::Int32
                    && **value == DataType::LargeUtf8 =>
            {
                Ok(wanted.clone())
            }
            wanted if wanted.is_nested() => {
                let message = format!("column {:?} is {own}, which cannot become {wanted}", self.name);
                Err(PyValueError::new_err(message))
            }
            _ => Ok(own),
        }
    }

    /// Would the texts of the column fit this type? (Utf8 has offsets of 32 bits.)
    fn fits(&self, wanted: &DataType) -> PyResult<bool> {
        if *wanted != DataType::Utf8 {
            return Ok(true);
        }
        let most = match &self.cells {
            Cells::Texts { texts } => most_bytes(texts)?,
            Cells::Joined { bytes, .. } => bytes.len()?,
            Cells::Coded { codes, texts } => {
                let sizes = texts.iter().map(|text| Ok(4 * text.len()?)).collect::<PyResult<Vec<_>>>()?;
                let codes = buffer(codes)?;
                let codes = codes.typed_data::<i32>();
                codes.iter().filter_map(|&code| sizes.get(code as usize)).fold(0, |sum, size| size.saturating_add(sum))
            }
            _ => 0,
        };
        Ok(most <= MOST_UTF8)
    }

    /// The column as an array of this type, which was agreed upon.
    pub fn array(&self, wanted: &DataType, rows: usize) -> PyResult<ArrayRef> {
        let fit = |is_fit: bool| if is_fit { Ok(()) } else { Err(self.too_large()) };
        Ok(match (&self.cells, wanted) {
            (Cells::Int64 { values, valid }, _) => {
                Arc::new(Int64Array::try_new(scalars(values, rows)?, nulls(valid, rows)?).map_err(wrong)?)
            }
            (Cells::Float64 { values, valid }, _) => {
                Arc::new(Float64Array::try_new(scalars(values, rows)?, nulls(valid, rows)?).map_err(wrong)?)
            }
            (Cells::Bool { values, valid }, _) => {
                let nulls = nulls(valid, rows)?;
                Arc::new(BooleanArray::new(bits(values, rows)?, nulls))
            }
            (Cells::Coded { codes, texts }, DataType::Dictionary(_, value)) => {
                let values: ArrayRef = if **value == DataType::Utf8 {
                    fit(most_bytes(texts)? <= MOST_UTF8)?;
                    Arc::new(from_list::<i32>(texts)?)
                } else {
                    Arc::new(from_list::<i64>(texts)?)
                };
                dictionary(&scalars(codes, rows)?, values)?
            }
            (_, DataType::Utf8) => {
                fit(self.fits(wanted)?)?;
                Arc::new(self.texts::<i32>(rows)?)
            }
            (_, DataType::Utf8View) => Arc::new(StringViewArray::from(&self.texts::<i64>(rows)?)),
            (_, _) => Arc::new(self.texts::<i64>(rows)?),
        })
    }

    fn texts<O: OffsetSizeTrait>(&self, rows: usize) -> PyResult<GenericStringArray<O>> {
        match &self.cells {
            Cells::Texts { texts } => from_list(texts),
            Cells::Joined { bytes, ends, valid } => joined(buffer(bytes)?, &scalars(ends, rows)?, nulls(valid, rows)?)
                .ok_or_else(|| {
                    PyValueError::new_err(format!(
                        "the texts of column {:?} are not where they are said to be",
                        self.name
                    ))
                }),
            Cells::Coded { codes, texts } => {
                let codes = scalars::<i32>(codes, rows)?;
                let values = from_list::<i64>(texts)?;
                let mut builder = GenericStringBuilder::new();
                for &code in &codes {
                    match usize::try_from(code).ok().filter(|&code| code < values.len()) {
                        Some(code) => builder.append_value(values.value(code)),
                        None => builder.append_null(),
                    }
                }
                Ok(builder.finish())
            }
            _ => Err(PyValueError::new_err(format!("column {:?} has no texts", self.name))),
        }
    }

    #[cold]
    fn too_large(&self) -> PyErr {
        PyOverflowError::new_err(format!("the texts of column {:?} have more than 2 GiB in one batch", self.name))
    }
}

/// More bytes than these need offsets of 64 bits.
const MOST_UTF8: usize = i32::MAX as usize;

/// What arrow-rs finds wrong with an array.
pub fn wrong(error: ArrowError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// The most bytes that these texts can have in UTF-8.
fn most_bytes(texts: &Bound<'_, PyList>) -> PyResult<usize> {
    let mut most = 0usize;
    for text in texts {
        if !text.is_none() {
            most = most.saturating_add(4 * text.len()?);
        }
    }
    Ok(most)
}

/// A bit for each byte that is not 0.
fn bits(bytes: &Bound<'_, PyAny>, rows: usize) -> PyResult<BooleanBuffer> {
    let bytes = scalars::<u8>(bytes, rows)?;
    Ok(BooleanBuffer::collect_bool(rows, |row| bytes[row] != 0))
}

fn nulls(valid: &Bound<'_, PyAny>, rows: usize) -> PyResult<Option<NullBuffer>> {
    if valid.is_none() {
        return Ok(None);
    }
    Ok(Some(NullBuffer::new(bits(valid, rows)?)).filter(|nulls| nulls.null_count() > 0))
}

/// Codes and texts as a dictionary.
fn dictionary(codes: &ScalarBuffer<i32>, values: ArrayRef) -> PyResult<ArrayRef> {
    let nulls = NullBuffer::new(BooleanBuffer::collect_bool(codes.len(), |row| codes[row] >= 0));
    let nulls = Some(nulls).filter(|nulls| nulls.null_count() > 0);
    // Some consumers look up the code of a row that has nothing, too.
    let keys: ScalarBuffer<i32> = match nulls {
        Some(_) => codes.iter().map(|&code| code.max(0)).collect(),
        None => codes.clone(),
    };
    let keys = Int32Array::try_new(keys, nulls).map_err(wrong)?;
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, values).map_err(wrong)?))
}

fn from_list<O: OffsetSizeTrait>(texts: &Bound<'_, PyList>) -> PyResult<GenericStringArray<O>> {
    let mut builder = GenericStringBuilder::with_capacity(texts.len(), most_bytes(texts)? / 4);
    for text in texts {
        if text.is_none() {
            builder.append_null();
            continue;
        }
        let text = text.cast_into::<PyString>()?;
        match text.to_str() {
            Ok(text) => builder.append_value(text),
            Err(_) => {
                let bytes = text.call_method1("encode", ("utf-8", "surrogatepass"))?;
                let text = String::from_utf8(without_surrogates(bytes.extract()?))?;
                builder.append_value(text);
            }
        }
    }
    Ok(builder.finish())
}

/// Texts that stand one behind the other; None if these are no places in them.
fn joined<O: OffsetSizeTrait>(
    mut bytes: Buffer,
    ends: &ScalarBuffer<i64>,
    nulls: Option<NullBuffer>,
) -> Option<GenericStringArray<O>> {
    if simdutf8::basic::from_utf8(&bytes).is_err() {
        bytes = Buffer::from(without_surrogates(bytes.to_vec()));
    }
    let offsets: Option<Vec<O>> =
        std::iter::once(&0).chain(ends).map(|&end| O::from_usize(usize::try_from(end).ok()?)).collect();
    let offsets = offsets.filter(|offsets| offsets.is_sorted())?;
    GenericStringArray::try_new(OffsetBuffer::new(offsets.into()), bytes, nulls).ok()
}

/// U+FFFD in place of each lone surrogate; both have three bytes.
fn without_surrogates(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut from = 0;
    while let Some(found) = memchr::memchr(0xED, &bytes[from..]) {
        let at = from + found;
        if let Some(three @ [_, 0xA0..=0xBF, _]) = bytes.get_mut(at..at + 3) {
            three.copy_from_slice("\u{FFFD}".as_bytes());
        }
        from = at + 1;
    }
    bytes
}
