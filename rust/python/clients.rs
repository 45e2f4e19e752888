//! Events of any kind for a client that has a class of its own for them: the bytes of a response in, instances of that
//! class out, by the rules of the client's parser or by the standard's.

use pyo3::exceptions::{PyException, PyStopAsyncIteration, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyInt, PyIterator, PyString, PyType};

use super::awaits::Reads;
use super::bare::{Bare, set};
use super::block::Block;
use super::counted::Counted;
use super::errors;
use super::events::too_large;
use super::lock::{AttachedLock, Taken};
use crate::event::{Data, Frame, FrameKind, Framer, HttpxSse, HttpxSseEvent, SseClient};

/// More digits than these are left to Python's `int`.
const FEW_DIGITS: usize = 18;

/// Which attribute of an event.
#[derive(Clone, Copy)]
enum Role {
    Event,
    Data,
    Id,
    Retry,
}

/// How events are made.
struct Maker {
    class: Bare,
    /// In the order of the client's: the name of an attribute, and what it is where nothing was sent.
    fields: Vec<(Role, Py<PyString>, Py<PyAny>)>,
}

impl Maker {
    /// From a class, the `__dict__` of an event of which nothing was sent, and its keys for type, data, id and retry.
    fn new(
        class: &Bound<'_, PyType>,
        defaults: &Bound<'_, PyDict>,
        names: &[Bound<'_, PyString>; 4],
    ) -> PyResult<Self> {
        let mut fields = Vec::with_capacity(names.len());
        for (name, default) in defaults {
            for (other, role) in names.iter().zip([Role::Event, Role::Data, Role::Id, Role::Retry]) {
                if name.eq(other)? {
                    fields.push((role, other.clone().unbind(), default.clone().unbind()));
                }
            }
        }
        if fields.len() != names.len() || defaults.len() != names.len() {
            return Err(PyValueError::new_err("defaults and names do not belong together"));
        }
        Ok(Self { class: Bare::new(class)?, fields })
    }

    /// An event. What is None is as in the defaults.
    #[inline]
    fn make<'py>(
        &self,
        py: Python<'py>,
        event: Option<&[u8]>,
        data: &[u8],
        id: Option<&[u8]>,
        retry: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let instance = self.class.instance(py)?;
        for (role, name, default) in &self.fields {
            let value = match role {
                Role::Event => event.map(|event| text(py, event)).transpose()?,
                Role::Data => Some(text(py, data)?),
                Role::Id => id.map(|id| text(py, id)).transpose()?,
                Role::Retry => retry.clone(),
            };
            set(&instance, name, value.as_ref().unwrap_or(default.bind(py)))?;
        }
        Ok(instance)
    }

    fn framed<'py>(&self, py: Python<'py>, framer: &Framer, frame: &Frame, data: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        if frame.kind == FrameKind::TooLarge {
            return Err(errors::decode_error(py, &too_large(framer.max_event_bytes(), frame.place), None)?);
        }
        let retry = framer.retry().map(|retry| PyInt::new(py, retry).into_any());
        self.make(py, sent(framer.event_type().as_bytes()), data, Some(framer.last_id().as_bytes()), retry)
    }

    /// None if it is no event after all.
    fn of_httpx_sse<'py>(&self, py: Python<'py>, event: &HttpxSseEvent<'_>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let retry = event.retries.iter().rev().find_map(|text| integer(py, text));
        if retry.is_none() && event.needs_retry {
            return Ok(None);
        }
        self.make(py, sent(event.event), event.data, sent(event.id), retry).map(Some)
    }

    fn of_sseclient<'py>(&self, py: Python<'py>, block: &[u8]) -> PyResult<Option<Bound<'py, PyAny>>> {
        match SseClient::read(block) {
            Ok(None) => Ok(None),
            Ok(Some(event)) => {
                let retry = event.retry.map(|retry| PyString::new(py, retry).into_any());
                self.make(py, sent(event.event.as_bytes()), event.data.as_bytes(), event.id.map(str::as_bytes), retry)
                    .map(Some)
            }
            // What is wrong Python says in its own words.
            Err(line) => PyBytes::new(py, line).call_method1(intern!(py, "decode"), ("utf-8",)).map(Some),
        }
    }
}

/// A field, if it holds anything.
fn sent(field: &[u8]) -> Option<&[u8]> {
    (!field.is_empty()).then_some(field)
}

/// A text; what is no UTF-8 is U+FFFD in it.
#[inline]
fn text<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the pointer and the length are those of a slice, which is no longer than `isize::MAX`, and the name ends
    // with NUL; the call gives a new reference or sets an error.
    unsafe {
        let text =
            ffi::PyUnicode_DecodeUTF8(bytes.as_ptr().cast(), bytes.len() as ffi::Py_ssize_t, c"replace".as_ptr());
        Bound::from_owned_ptr_or_err(py, text)
    }
}

/// What Python's `int` makes of a text.
fn integer<'py>(py: Python<'py>, bytes: &[u8]) -> Option<Bound<'py, PyAny>> {
    if bytes.len() <= FEW_DIGITS
        && bytes.iter().all(u8::is_ascii_digit)
        && let Ok(number) = std::str::from_utf8(bytes).unwrap_or_default().parse::<u64>()
    {
        return Some(PyInt::new(py, number).into_any());
    }
    py.get_type::<PyInt>().call1((text(py, bytes).ok()?,)).ok()
}

/// Whose rules are followed, between two pieces of input.
enum Reader {
    Standard(Box<Framer>),
    HttpxSse(HttpxSse),
    SseClient(SseClient),
}

impl Reader {
    /// The next event of `input[*at..]`; None when all of it is consumed.
    #[inline]
    fn next<'py>(
        &mut self,
        py: Python<'py>,
        input: &[u8],
        at: &mut usize,
        maker: &Maker,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        loop {
            let made = match self {
                Self::Standard(framer) => {
                    let Some(frame) = framer.next(input, at) else { return Ok(None) };
                    let data = match &frame.data {
                        Data::Input(span) => &input[span.clone()],
                        Data::Framer => framer.data(),
                    };
                    return maker.framed(py, framer, &frame, data).map(Some);
                }
                Self::HttpxSse(reader) => {
                    let Some(event) = reader.next(input, at) else { return Ok(None) };
                    maker.of_httpx_sse(py, &event)?
                }
                Self::SseClient(reader) => {
                    let Some(block) = reader.next(input, at) else { return Ok(None) };
                    maker.of_sseclient(py, block)?
                }
            };
            if made.is_some() {
                return Ok(made);
            }
        }
    }

    /// What the end of the input completes.
    fn finish<'py>(&mut self, py: Python<'py>, maker: &Maker) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self {
            Self::SseClient(reader) => reader.finish().map_or(Ok(None), |block| maker.of_sseclient(py, block)),
            // The others discard it.
            Self::Standard(_) | Self::HttpxSse(_) => Ok(None),
        }
    }
}

/// The events of one response: `pull` an iterator of bytes, or `feed` bytes, and iterate.
#[pyclass(module = "chunkwire._native", frozen)]
pub struct ClientEvents(AttachedLock<Response>);

/// What its events are made of.
pub struct Response {
    reader: Reader,
    maker: Maker,
    /// An iterator of bytes, until it ends or fails.
    source: Option<Py<PyAny>>,
    counted: Option<Counted>,
    /// The same of asynchronous reads, which an [`AsyncRelay`](super::relay::AsyncRelay) awaits.
    reads: Option<Box<Reads>>,
    /// What the source gave that is no bytes.
    odd: Option<Py<PyAny>>,
    block: Option<Block>,
    at: usize,
    /// The input has ended, and the reader does not know yet.
    ending: bool,
}

#[pymethods]
impl ClientEvents {
    #[new]
    #[pyo3(signature = (rules, kind, defaults, names, *, max_event_bytes=67_108_864))]
    fn new(
        rules: &str,
        kind: &Bound<'_, PyType>,
        defaults: &Bound<'_, PyDict>,
        names: [Bound<'_, PyString>; 4],
        max_event_bytes: usize,
    ) -> PyResult<Self> {
        let reader = match rules {
            "standard" => Reader::Standard(Box::new(Framer::new(max_event_bytes))),
            "httpx_sse" => Reader::HttpxSse(HttpxSse::default()),
            "sseclient" => Reader::SseClient(SseClient::default()),
            _ => return Err(PyValueError::new_err(format!("no rules of this name: {rules}"))),
        };
        let maker = Maker::new(kind, defaults, &names)?;
        Ok(Self(AttachedLock::new(Response {
            reader,
            maker,
            source: None,
            counted: None,
            reads: None,
            odd: None,
            block: None,
            at: 0,
            ending: false,
        })))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Some(response) = self.0.visited() else { return Ok(()) };
        visit.call(&response.source)?;
        response.counted.as_ref().map_or(Ok(()), |counted| counted.traverse(&visit))?;
        response.reads.as_ref().map_or(Ok(()), |reads| reads.traverse(&visit))?;
        visit.call(&response.odd)
    }

    fn __clear__(&self, py: Python<'_>) {
        let Some(mut response) = self.0.take(py) else { return };
        let gone = (response.source.take(), response.counted.take(), response.reads.take(), response.odd.take());
        drop(response); // what goes may look at this
        drop(gone);
    }

    /// Takes bytes; iterate for what they complete.
    fn feed<'py>(slf: &Bound<'py, Self>, data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, Self>> {
        let mut response = slf.get().0.borrow(slf.py())?;
        if response.block.is_some() {
            return Err(PyValueError::new_err("feed() before all of the last bytes was iterated"));
        }
        response.block = Some(Block::from_python(data)?);
        response.at = 0;
        Ok(slf.clone())
    }

    /// Takes an iterator of bytes, and feeds itself from it up to its end; iterate for everything. `counted` is an object,
    /// and which of its attributes is to say how many bytes there were so far.
    #[pyo3(signature = (source, counted=None))]
    fn pull<'py>(
        slf: &Bound<'py, Self>,
        source: &Bound<'py, PyAny>,
        counted: Option<Counted>,
    ) -> PyResult<Bound<'py, Self>> {
        let source = source.try_iter()?.into_any().unbind();
        let mut response = slf.get().0.borrow(slf.py())?;
        response.source = Some(source);
        response.counted = counted;
        Ok(slf.clone())
    }

    /// Takes an asynchronous iterator of bytes, for an `AsyncRelay` that feeds this from it; `counted` is that of `pull`.
    #[pyo3(signature = (source, counted=None))]
    fn apull<'py>(
        slf: &Bound<'py, Self>,
        source: &Bound<'py, PyAny>,
        counted: Option<Counted>,
    ) -> PyResult<Bound<'py, Self>> {
        let reads = Reads::new(source, counted)?;
        slf.get().0.borrow(slf.py())?.reads = Some(reads);
        Ok(slf.clone())
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[inline]
    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.0.borrow(py)?.next(py)
    }

    /// Where the iteration ended because the source gave what is no bytes: the beginning of a block before that, and
    /// that; else None.
    fn odd<'py>(&self, py: Python<'py>) -> PyResult<Option<(Bound<'py, PyBytes>, Py<PyAny>)>> {
        let events = &mut *self.0.borrow(py)?;
        let Some(odd) = events.odd.take() else { return Ok(None) };
        let rest = match &mut events.reader {
            Reader::SseClient(reader) => reader.take_rest(),
            _ => {
                let found = odd.bind(py).get_type().name()?;
                return Err(PyTypeError::new_err(format!("expected bytes of the source, got {found}")));
            }
        };
        Ok(Some((PyBytes::new(py, &rest), odd)))
    }
}

impl ClientEvents {
    /// What they are made of.
    #[inline]
    pub fn response(&self, py: Python<'_>) -> PyResult<Taken<'_, Response>> {
        self.0.borrow(py)
    }
}

impl Response {
    /// The next event of what is there.
    #[inline]
    pub fn next<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        loop {
            if let Some(block) = &self.block {
                let made = self.reader.next(py, block.as_ref(), &mut self.at, &self.maker)?;
                if made.is_some() {
                    return Ok(made);
                }
                self.block = None;
            }
            if !self.next_block(py)? {
                return if std::mem::take(&mut self.ending) { self.reader.finish(py, &self.maker) } else { Ok(None) };
            }
        }
    }

    /// The iterator of the awaitable of more bytes; None if none will come.
    #[inline]
    pub fn read<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.reads.as_ref().map(|reads| reads.next(py)).transpose()
    }

    /// Takes what the awaitable came to.
    #[inline]
    pub fn push_read(&mut self, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let block = Block::from_python(data)?;
        if let Some(reads) = &mut self.reads {
            reads.count(data.py(), block.as_ref().len())?;
        }
        (self.block, self.at) = (Some(block), 0);
        Ok(())
    }

    /// Takes the end of the reads; any other error comes back.
    pub fn end_reads(&mut self, py: Python<'_>, error: PyErr) -> PyResult<()> {
        if !error.is_instance_of::<PyStopAsyncIteration>(py) {
            return Err(error);
        }
        (self.reads, self.ending) = (None, true);
        Ok(())
    }

    /// Asks the source for bytes; false if there are none.
    fn next_block(&mut self, py: Python<'_>) -> PyResult<bool> {
        let Some(source) = &self.source else { return Ok(false) };
        match source.bind(py).cast::<PyIterator>()?.clone().next() {
            Some(Ok(data)) if data.is_instance_of::<PyBytes>() || data.is_instance_of::<PyByteArray>() => {
                let block = Block::from_python(&data)?;
                if let Some(counted) = &mut self.counted {
                    counted.add(py, block.as_ref().len())?;
                }
                self.block = Some(block);
                self.at = 0;
                return Ok(true);
            }
            Some(Ok(data)) => self.odd = Some(data.unbind()),
            // What is not an error but an interruption leaves the source as it is.
            Some(Err(error)) => {
                if error.is_instance_of::<PyException>(py) {
                    self.source = None;
                }
                return Err(error);
            }
            None => self.ending = true,
        }
        self.source = None;
        Ok(false)
    }
}
