//! Server-sent events of any kind, as Python objects.

use std::sync::Arc;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyTuple};

use super::block::{Block, Feed, Next};
use super::errors;
use super::options::Options;
use crate::decoder::Stats;
use crate::error::{Damage, Kind, Place};
use crate::event::{Data, Frame, FrameKind, Framer, decode_utf8};

/// One dispatched event.
#[pyclass(module = "chunkwire._native", frozen)]
pub struct Event {
    #[pyo3(get)]
    event: Py<PyString>,
    #[pyo3(get)]
    data: Py<PyString>,
    #[pyo3(get)]
    id: Py<PyString>,
    #[pyo3(get)]
    retry: Option<u64>,
    #[pyo3(get)]
    offset: u64,
}

#[pymethods]
impl Event {
    #[new]
    #[pyo3(signature = (event, data, id, retry, offset))]
    fn new(event: Py<PyString>, data: Py<PyString>, id: Py<PyString>, retry: Option<u64>, offset: u64) -> Self {
        Self { event, data, id, retry, offset }
    }

    fn __repr__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        static DESCRIBE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        DESCRIBE.import(slf.py(), "chunkwire._model", "describe_event")?.call1((slf,))
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        if !other.is_instance(CLASS.import(py, "chunkwire._model", "Event")?)? {
            return Ok(py.NotImplemented());
        }
        let equal = self.event.bind(py).as_any().eq(other.getattr("event")?)?
            && self.data.bind(py).as_any().eq(other.getattr("data")?)?
            && self.id.bind(py).as_any().eq(other.getattr("id")?)?
            && self.retry.into_pyobject(py)?.eq(other.getattr("retry")?)?;
        Ok(equal.into_pyobject(py)?.to_owned().into_any().unbind())
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let (py, event) = (slf.py(), slf.get());
        let fields =
            (event.event.clone_ref(py), event.data.clone_ref(py), event.id.clone_ref(py), event.retry, event.offset);
        (slf.get_type(), fields).into_pyobject(py)
    }
}

/// The damage of an event that passed the limit.
pub fn too_large(max_event_bytes: usize, place: Place) -> Damage {
    let reason = format!("the event is larger than {max_event_bytes} bytes");
    Damage { kind: Kind::EventTooLarge, place, position: None, reason }
}

/// The events of a source.
#[pyclass(module = "chunkwire._native")]
pub struct Events {
    feed: Option<Feed>,
    framer: Framer,
    options: Options,
    stats: Stats,
    block: Option<Arc<Block>>,
    at: usize,
    /// The feed has ended, and the framer does not know yet.
    ending: bool,
    /// Names that nearly every event has.
    message: Option<Py<PyString>>,
}

impl Events {
    /// At the start of a source.
    pub fn new(feed: Feed, options: Options) -> Self {
        let framer = Framer::new(options.decoder.max_event_bytes);
        Self {
            feed: Some(feed),
            framer,
            options,
            stats: Stats::default(),
            block: None,
            at: 0,
            ending: false,
            message: None,
        }
    }

    fn give(&mut self, py: Python<'_>, frame: &Frame, input: &[u8]) -> PyResult<Event> {
        if frame.kind == FrameKind::TooLarge {
            let damage = too_large(self.options.decoder.max_event_bytes, frame.place);
            self.stats.add(&damage);
            return Err(errors::decode_error(py, &damage, self.options.name.as_ref())?);
        }
        self.stats.chunk_bytes += frame.bytes;
        let data = match &frame.data {
            Data::Input(span) => &input[span.clone()],
            Data::Framer => self.framer.data(),
        };
        let decoded = decode_utf8(data);
        if decoded.invalid_at.is_some() || frame.invalid_field {
            let reason = "invalid UTF-8 in the event's data".to_owned();
            let (place, position) = (frame.place, decoded.invalid_at);
            self.stats.add(&Damage { kind: Kind::InvalidUtf8, place, position, reason });
        }
        let event = match self.framer.event_type() {
            "" => self.message.get_or_insert_with(|| PyString::new(py, "message").unbind()).clone_ref(py),
            other => PyString::new(py, other).unbind(),
        };
        Ok(Event {
            event,
            data: PyString::new(py, &decoded.text).unbind(),
            id: PyString::new(py, self.framer.last_id()).unbind(),
            retry: self.framer.retry(),
            offset: frame.place.offset,
        })
    }

    fn next(&mut self, py: Python<'_>) -> PyResult<Option<Event>> {
        loop {
            if let Some(block) = self.block.clone() {
                let input = (*block).as_ref();
                let frame = self.framer.next(input, &mut self.at);
                self.stats.chunk_bytes += self.framer.take_late_bytes();
                if let Some(frame) = frame {
                    return self.give(py, &frame, input).map(Some);
                }
                self.block = None;
            }
            let Some(feed) = &mut self.feed else {
                if std::mem::take(&mut self.ending)
                    && let Some(frame) = self.framer.finish(self.options.decoder.strict)
                {
                    return self.give(py, &frame, &[]).map(Some);
                }
                return Ok(None);
            };
            let broken = match feed.next(py)? {
                Next::Block(block) => {
                    self.block = Some(Arc::new(block));
                    self.at = 0;
                    continue;
                }
                Next::End => None,
                Next::Damaged(broken) => Some(broken),
            };
            self.feed = None;
            self.ending = true;
            if let Some(broken) = broken {
                let damage = Damage::of_compression(self.framer.consumed(), &broken);
                self.stats.add(&damage);
                return Err(errors::decode_error(py, &damage, self.options.name.as_ref())?);
            }
        }
    }
}

#[pymethods]
impl Events {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.feed.as_ref().map_or(Ok(()), |feed| feed.traverse(&visit))
    }

    fn __clear__(&mut self) {
        self.feed = None;
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(slf: &Bound<'_, Self>) -> PyResult<Option<Event>> {
        errors::borrow(slf)?.next(slf.py())
    }

    /// What was counted so far.
    #[getter]
    fn stats<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let events = errors::borrow(slf)?;
        let counts = events.framer.counts();
        let mut stats = events.stats.clone();
        stats.bytes = events.framer.consumed();
        stats.events = events.framer.events();
        stats.comments = counts.comments;
        stats.comment_bytes += counts.comment_bytes;
        stats.skipped_bytes += counts.skipped_bytes;
        stats.damaged_bytes += counts.dropped_bytes;
        errors::stats(slf.py(), &stats, events.options.name.as_ref())
    }
}
