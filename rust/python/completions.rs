//! Streams folded into whole messages, as Python's own values; `chunkwire._completions` makes objects of them.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use super::block::{Block, Feed, Next};
use super::convert::{text, to_python};
use super::errors::{self, borrow};
use super::logs;
use super::options::Options;
use crate::chunk::{self, Doc};
use crate::decoder::KEPT_DAMAGES;
use crate::error::Damage;
use crate::log::Log;
use crate::message::{self, Choice, Completion, ErrorBody, Folded, Object, Ready};
use crate::source::Buffer;

/// Events between two looks at Python's signals.
const EVENTS_AT_ONCE: usize = 1 << 16;
/// From this many bytes on decoding them is worth letting other threads run.
const DETACH_BYTES: usize = 16 << 10;

/// The streams of a source, each as a tuple: id, model, created, status, offset, chunks, usage, choices and the other
/// fields. A choice is a tuple, too: index, finish reason, message, tool calls, log probabilities and the other fields.
#[pyclass(module = "chunkwire._native")]
pub struct Completions {
    feed: Option<Feed>,
    options: Options,
    decoder: Log,
    sink: message::Completions,
    block: Option<Block>,
    at: usize,
    /// Usage that is no object: counted when the source has ended, as `usage` does.
    wrong: Vec<Damage>,
    wrong_count: usize,
}

#[pymethods]
impl Completions {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.feed.as_ref().map_or(Ok(()), |feed| feed.traverse(&visit))
    }

    fn __clear__(&mut self) {
        self.feed = None;
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let py = slf.py();
        let mut slf = borrow(slf)?;
        loop {
            match slf.sink.take_next() {
                Some(Ready::Completion(completion)) => return completed(py, &completion).map(Some),
                Some(Ready::ServerError(error)) => {
                    let (place, body) = *error;
                    let body = match body {
                        ErrorBody::Json(raw) => raw_to_python(py, &raw)?,
                        ErrorBody::Text(body) => text(py, body.as_bytes())?.into_any(),
                    };
                    return Err(errors::stream_error(py, place, &body, slf.options.name.as_ref())?);
                }
                Some(Ready::Damage(damage)) => {
                    return Err(errors::decode_error(py, &damage, slf.options.name.as_ref())?);
                }
                None => {}
            }
            if !slf.step(py)? {
                return Ok(None);
            }
        }
    }

    /// What was counted so far.
    #[getter]
    fn stats<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let this = borrow(slf)?;
        errors::stats(slf.py(), &this.decoder.stats(), this.options.name.as_ref())
    }
}

impl Completions {
    /// Decodes some more; false if there is no more.
    fn step(&mut self, py: Python<'_>) -> PyResult<bool> {
        if let Some(block) = self.block.take() {
            let input = block.as_ref();
            let (decoder, sink, at) = (&mut self.decoder, &mut self.sink, &mut self.at);
            let mut work = || decoder.decode(input, at, EVENTS_AT_ONCE, sink);
            let more = if input.len() >= DETACH_BYTES { py.detach(work) } else { work() };
            logs::check(py, &self.decoder)?;
            self.keep_wrong();
            if more {
                self.block = Some(block);
            } else if let Block::Owned(memory) = block
                && let Some(feed) = &mut self.feed
            {
                feed.give_back(memory);
            }
            py.check_signals()?;
            return Ok(true);
        }
        let Some(feed) = &mut self.feed else { return Ok(false) };
        match feed.next(py)? {
            Next::Block(block) => {
                self.at = 0;
                self.block = Some(block);
            }
            Next::End => self.finish(py)?,
            Next::Damaged(broken) if self.decoder.settle() => {
                *feed = Feed::Broken(Some(broken));
                (self.block, self.at) = (Some(Block::Owned(Buffer::default())), 0);
            }
            Next::Damaged(broken) => {
                let damage = Damage::of_compression(self.decoder.stats().bytes, &broken);
                self.decoder.add_damage(&damage);
                let error = errors::decode_error(py, &damage, self.options.name.as_ref())?;
                self.finish(py)?;
                if self.options.raise {
                    return Err(error);
                }
            }
        }
        Ok(true)
    }

    fn finish(&mut self, py: Python<'_>) -> PyResult<()> {
        self.feed = None;
        py.detach(|| {
            self.decoder.finish(&mut self.sink);
            self.sink.finish();
        });
        logs::check(py, &self.decoder)?;
        self.keep_wrong();
        for damage in &self.wrong {
            self.decoder.add_damage(damage);
        }
        if let Some(damage) = self.wrong.last() {
            for _ in self.wrong.len()..self.wrong_count {
                self.decoder.add_damage(damage);
            }
        }
        self.wrong.clear();
        Ok(())
    }

    /// Keeps as many as are ever told, and counts the others.
    fn keep_wrong(&mut self) {
        let found = self.sink.take_damages();
        self.wrong_count += found.len();
        let room = KEPT_DAMAGES - self.wrong.len();
        self.wrong.extend(found.into_iter().take(room));
    }
}

fn completed<'py>(py: Python<'py>, completion: &Completion) -> PyResult<Bound<'py, PyTuple>> {
    let optional = |bytes: Option<&[u8]>| bytes.map(|bytes| text(py, bytes)).transpose();
    let choices = completion.choices.iter().map(|choice| chosen(py, choice)).collect::<PyResult<Vec<_>>>()?;
    let values = [
        optional(completion.id.as_deref())?.into_pyobject(py)?,
        optional(completion.model.as_deref())?.into_pyobject(py)?,
        (completion.created != 0).then_some(completion.created).into_pyobject(py)?,
        completion.status.name().into_pyobject(py)?.into_any(),
        completion.offset.into_pyobject(py)?.into_any(),
        completion.chunks.into_pyobject(py)?.into_any(),
        completion.usage.as_deref().map(|raw| raw_to_python(py, raw)).transpose()?.into_pyobject(py)?,
        PyList::new(py, choices)?.into_any(),
        object_to_python(py, &completion.fields)?.into_any(),
    ];
    PyTuple::new(py, values)
}

fn chosen<'py>(py: Python<'py>, choice: &Choice) -> PyResult<Bound<'py, PyTuple>> {
    let calls = choice.tool_calls.iter().map(|call| object_to_python(py, call)).collect::<PyResult<Vec<_>>>()?;
    let values = [
        choice.index.into_pyobject(py)?.into_any(),
        choice.finish_reason.as_deref().map(|reason| text(py, reason)).transpose()?.into_pyobject(py)?,
        object_to_python(py, &choice.message)?.into_any(),
        PyList::new(py, calls)?.into_any(),
        choice.logprobs.as_ref().map(|logprobs| folded_to_python(py, logprobs)).transpose()?.into_pyobject(py)?,
        object_to_python(py, &choice.fields)?.into_any(),
    ];
    PyTuple::new(py, values)
}

fn folded_to_python<'py>(py: Python<'py>, value: &Folded) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Folded::Null => py.None().into_bound(py),
        Folded::Raw(raw) => raw_to_python(py, raw)?,
        Folded::Text(bytes) => text(py, bytes)?.into_any(),
        Folded::Object(object) => object_to_python(py, object)?.into_any(),
        Folded::List(list) => {
            let items = list.items().iter().map(|item| folded_to_python(py, item)).collect::<PyResult<Vec<_>>>()?;
            PyList::new(py, items)?.into_any()
        }
        Folded::Runs(runs) => {
            let list = PyList::empty(py);
            for run in runs {
                let array = [b"[", &**run, b"]"].concat();
                list.call_method1(intern!(py, "extend"), (raw_to_python(py, &array)?,))?;
            }
            list.into_any()
        }
    })
}

fn object_to_python<'py>(py: Python<'py>, object: &Object) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in object.members() {
        dict.set_item(text(py, name)?, folded_to_python(py, value)?)?;
    }
    Ok(dict)
}

/// JSON that was parsed before; nothing can be wrong with it.
fn raw_to_python<'py>(py: Python<'py>, raw: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let mut nodes = Vec::new();
    match chunk::parse(raw, raw.len(), 0, &mut nodes) {
        Ok(_) => to_python(py, Doc::new(raw, &nodes).root()),
        Err(_) => Ok(py.None().into_bound(py)),
    }
}

/// The streams of a source, folded into whole messages: a path (str), `bytes`, or an iterator of bytes-like objects.
#[pyfunction]
#[pyo3(signature = (source, options, name=None))]
pub fn completions(source: &Bound<'_, PyAny>, options: Options, name: Option<Py<PyAny>>) -> PyResult<Completions> {
    let options = options.named(name);
    Ok(Completions {
        feed: Some(Feed::new(source)?),
        decoder: Log::new(options.decoder, options.wanted.clone()),
        sink: message::Completions::new(options.raise),
        options,
        block: None,
        at: 0,
        wrong: Vec::new(),
        wrong_count: 0,
    })
}
