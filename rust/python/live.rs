//! Decoding for a client that has a parser of its own: the bytes of a response in, chunks or the client's own objects
//! out, and what is not plain back to the client. See [`crate::live`].

use std::sync::Arc;

use pyo3::exceptions::{PyException, PyStopAsyncIteration, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator};

use super::awaits::Reads;
use super::block::Block;
use super::counted::Counted;
use super::errors::borrow;
use super::lent::{self, Filling, Sort};
use super::models::{Maker, Refusal};
use super::options::{max_int_digits, shapes_are_on};
use super::pipeline::{SharedBatch, SharedBlock};
use super::plan::Models;
use super::spares;
use crate::live::framing::Framing;
use crate::live::{Live, Step, ends_block, has_lone_surrogate};
use crate::record::Item;
use crate::source::Buffer;

/// How many events one batch takes: see `pipeline`.
const BATCH_EVENTS: usize = 128;

/// One response: `feed` bytes, iterate for what they complete, and ask for what is `foreign` whenever the iteration ends.
#[pyclass(module = "chunkwire._native")]
pub struct Session {
    live: Live,
    framing: Framing,
    /// An iterator of bytes-like objects, until it ends or fails.
    source: Option<Py<PyAny>>,
    counted: Option<Box<Counted>>,
    /// The same of asynchronous reads, which an [`AsyncRelay`](super::relay::AsyncRelay) awaits.
    reads: Option<Box<Reads>>,
    error: Option<PyErr>,
    /// Makes the client's objects; without one, chunks are given.
    maker: Option<Maker>,
    /// The beginning of a block, where its open line begins, and how far that has been looked at.
    pending: Vec<u8>,
    line: usize,
    /// What is being decoded, and how far it is.
    block: Option<SharedBlock>,
    at: usize,
    batch: Option<SharedBatch>,
    next_item: usize,
    /// Where in the stream the block of the batch begins.
    begin: u64,
    /// A block whose object the client has to make. It comes before what is left of the batch.
    declined: Option<Vec<u8>>,
    /// The block behind the batch, which the client's parser has to read.
    foreign: Option<Vec<u8>>,
}

#[pymethods]
impl Session {
    #[new]
    #[pyo3(signature = (models=None, *, chunks_only=false, framing="lines"))]
    fn new(py: Python<'_>, models: Option<Py<Models>>, chunks_only: bool, framing: &str) -> PyResult<Self> {
        let framing = match framing {
            "lines" => Framing::Lines,
            "any pair" => Framing::AnyPair,
            "same pair" => Framing::SamePair,
            other => return Err(PyValueError::new_err(format!("no framing is called {other:?}"))),
        };
        Ok(Self {
            live: Live::new(max_int_digits(py)?, chunks_only, shapes_are_on(), framing),
            framing,
            source: None,
            counted: None,
            reads: None,
            error: None,
            maker: models.map(Maker::new),
            pending: Vec::new(),
            line: 0,
            block: None,
            at: 0,
            batch: None,
            next_item: 0,
            begin: 0,
            declined: None,
            foreign: None,
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.source)?;
        self.counted.as_ref().map_or(Ok(()), |counted| counted.traverse(&visit))?;
        self.reads.as_ref().map_or(Ok(()), |reads| reads.traverse(&visit))?;
        super::pipeline::traverse(self.batch.as_ref(), &visit)
    }

    fn __clear__(&mut self) {
        (self.source, self.counted, self.reads) = (None, None, None);
        Python::try_attach(|py| self.retire(py));
    }

    /// Takes bytes; iterate for what they complete.
    fn feed<'py>(slf: &Bound<'py, Self>, data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, Self>> {
        let mut session = borrow(slf)?;
        if session.block.is_some() || session.declined.is_some() || session.foreign.is_some() {
            return Err(PyValueError::new_err("feed() before all of the last bytes was iterated"));
        }
        session.push(Block::from_python(data)?);
        Ok(slf.clone())
    }

    /// Takes an iterator of bytes-like objects, and feeds itself from it; iterate for everything. `counted` is an object
    /// and the name of its attribute that is to say how many bytes have come.
    #[pyo3(signature = (source, counted=None))]
    fn pull<'py>(
        slf: &Bound<'py, Self>,
        source: &Bound<'py, PyAny>,
        counted: Option<Counted>,
    ) -> PyResult<Bound<'py, Self>> {
        let mut session = borrow(slf)?;
        session.source = Some(source.try_iter()?.into_any().unbind());
        session.counted = counted.map(Box::new);
        Ok(slf.clone())
    }

    /// Takes an asynchronous iterator of bytes-like objects, for an `AsyncRelay` that feeds this from it; `counted` is
    /// that of `pull`.
    #[pyo3(signature = (source, counted=None))]
    fn apull<'py>(
        slf: &Bound<'py, Self>,
        source: &Bound<'py, PyAny>,
        counted: Option<Counted>,
    ) -> PyResult<Bound<'py, Self>> {
        borrow(slf)?.reads = Some(Reads::new(source, counted)?);
        Ok(slf.clone())
    }

    /// The exception with which the iterator ended, if it did.
    fn error<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(borrow(slf)?.error.take().map(|error| error.into_value(slf.py()).into_bound(slf.py()).into_any()))
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[inline]
    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        borrow(slf)?.next(slf.py())
    }

    /// The block that comes next and is not plain, as the client's parser is to read it; None if there is none. Iterate
    /// on behind it.
    fn foreign<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let py = slf.py();
        let mut session = borrow(slf)?;
        if let Some(block) = session.declined.take() {
            return Ok(Some(PyBytes::new(py, &block)));
        }
        if session.batch.as_ref().is_some_and(|batch| session.next_item < batch.items().len()) {
            return Ok(None);
        }
        Ok(session.foreign.take().map(|block| PyBytes::new(py, &block)))
    }

    /// What is not decoded: the beginning of a block that is left at the end, or all behind one that is foreign.
    fn rest<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyBytes>> {
        let mut session = borrow(slf)?;
        let rest = std::mem::take(&mut session.pending);
        session.line = 0;
        Ok(match session.block.take() {
            Some(block) => PyBytes::new(slf.py(), &block.as_ref()[session.at..]),
            None => PyBytes::new(slf.py(), &rest),
        })
    }
}

impl Session {
    /// The iterator of the awaitable of more bytes; None if no more are needed, or none will come.
    #[inline]
    pub fn read<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let needs_none = self.block.is_some() || self.declined.is_some() || self.foreign.is_some();
        self.reads.as_ref().filter(|_| !needs_none).map(|reads| reads.next(py)).transpose()
    }

    /// Takes what the awaitable came to.
    #[inline]
    pub fn push_read(&mut self, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let block = Block::from_python(data)?;
        if let Some(reads) = &mut self.reads {
            reads.count(data.py(), block.as_ref().len())?;
        }
        self.push(block);
        Ok(())
    }

    /// Takes the end of the reads, or their error; what is not an error but an interruption comes back.
    pub fn end_reads(&mut self, py: Python<'_>, error: PyErr) -> PyResult<()> {
        if !error.is_instance_of::<PyException>(py) {
            return Err(error);
        }
        self.reads = None;
        self.error = Some(error).filter(|error| !error.is_instance_of::<PyStopAsyncIteration>(py));
        Ok(())
    }

    /// The next item of what is there.
    #[inline]
    pub fn next<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        loop {
            if let Some(batch) = &self.batch
                && let Some(item) = batch.items().get(self.next_item)
            {
                let Item::Chunk(record) = item else { unreachable!("what is live has chunks alone") };
                let number = self.next_item;
                let Some(maker) = &self.maker else {
                    self.next_item += 1;
                    return spares::chunk(py, batch, number as u32).map(|chunk| Some(chunk.into_any()));
                };
                if self.declined.is_some() {
                    return Ok(None);
                }
                self.next_item += 1;
                let doc = batch.doc(record);
                // Such a client writes the document once more, as no text that has these can be.
                let is_text = self.framing == Framing::Lines || !has_lone_surrogate(doc);
                let made = if is_text { maker.make(py, doc.root()) } else { Err(Refusal::Client) };
                match made {
                    Ok(made) => return Ok(Some(made)),
                    Err(Refusal::Error(error)) => return Err(error),
                    Err(Refusal::Client | Refusal::Invalid) => {
                        let start = (record.offset - self.begin) as usize;
                        let input = batch.block().as_ref();
                        self.declined = Some(match self.framing {
                            Framing::Lines => [b"data: ", doc.text(), b"\n\n"].concat(),
                            pairs => input[start..pairs.end(input, start).map_or(input.len(), |(end, _)| end)].to_vec(),
                        });
                        return Ok(None);
                    }
                }
            }
            // Whoever waits holds no batch.
            self.give_back(py);
            if self.declined.is_some() || self.foreign.is_some() {
                return Ok(None);
            }
            if !self.refill(py) && !self.next_block(py)? {
                return Ok(None);
            }
        }
    }

    /// Asks the source for bytes; false if there are none.
    fn next_block(&mut self, py: Python<'_>) -> PyResult<bool> {
        let Some(source) = &self.source else { return Ok(false) };
        match source.bind(py).cast::<PyIterator>()?.clone().next() {
            Some(Ok(data)) => {
                let data = Block::from_python(&data)?;
                if let Some(counted) = &mut self.counted {
                    counted.add(py, data.as_ref().len())?;
                }
                self.push(data);
            }
            // What is not an error but an interruption goes its way.
            Some(Err(error)) if !error.is_instance_of::<PyException>(py) => return Err(error),
            end => {
                (self.source, self.counted) = (None, None);
                self.error = end.and_then(Result::err);
            }
        }
        Ok(self.source.is_some())
    }

    fn push(&mut self, data: Block) {
        if self.pending.is_empty() {
            self.block = Some(SharedBlock(Arc::new(data)));
        } else {
            self.join(data.as_ref());
        }
        self.at = 0;
    }

    /// Puts bytes behind the block that has begun; decodes them once it has ended.
    fn join(&mut self, data: &[u8]) {
        let from = self.pending.len();
        self.pending.extend_from_slice(data);
        let ends = match self.framing {
            Framing::Lines => ends_block(&self.pending, &mut self.line, from),
            pairs => pairs.end(&self.pending, Framing::resume(from)).is_some(),
        };
        if ends {
            let mut memory = Buffer::default();
            memory.begin(&self.pending, 0);
            self.pending = Vec::new();
            self.line = 0;
            self.block = Some(SharedBlock(Arc::new(Block::Owned(memory))));
        }
    }

    /// Decodes the next batch; false if nothing is left to decode.
    fn refill(&mut self, py: Python<'_>) -> bool {
        let Some(block) = self.block.clone() else { return false };
        let (filling, mut builder) = Filling::begin(py);
        let sort = if self.framing == Framing::Lines { Sort::Live } else { Sort::Written };
        if self.live.has_shapes() {
            self.live.lend(lent::shapes(py, sort));
        }
        let input = block.as_ref();
        let begin = self.live.offset() - self.at as u64;
        let step = self.live.decode(input, &mut self.at, BATCH_EVENTS, &mut builder);
        lent::give_shapes(py, sort, self.live.take_back());
        match step {
            Step::More => {}
            Step::Foreign(whole) => {
                let is_known = self.framing == Framing::Lines && self.live.has_id();
                let id: &[u8] = if is_known { b"id: 0\n" } else { b"" };
                self.foreign = Some([id, &input[whole]].concat());
            }
            Step::Starved => {
                self.pending.extend_from_slice(&input[self.at..]);
                self.line = 0;
                if self.framing == Framing::Lines {
                    let _ = ends_block(&self.pending, &mut self.line, 0);
                }
                self.block = None;
            }
        }
        let is_empty = builder.is_empty();
        let batch = filling.end(builder, block);
        if is_empty {
            lent::give_batch(py, batch);
        } else {
            self.batch = Some(batch);
            (self.next_item, self.begin) = (0, begin);
        }
        true
    }

    /// Lends the batch that was given out to others.
    #[inline]
    fn give_back(&mut self, py: Python<'_>) {
        if let Some(batch) = self.batch.take() {
            lent::give_batch(py, batch);
        }
    }

    /// Lets go of a batch of which not all was given out.
    fn retire(&mut self, py: Python<'_>) {
        if let Some(batch) = self.batch.take() {
            batch.close(py);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.batch.is_some() {
            Python::try_attach(|py| self.retire(py));
        }
    }
}

/// What a generator gives; where that gives a [`Session`], what the session gives until it ends, without a step of the
/// generator for each. The generator stands still meanwhile: who drops this ends it where it is.
#[pyclass(module = "chunkwire._native")]
pub struct Relay {
    steps: Option<Py<PyAny>>,
    session: Option<Py<Session>>,
}

#[pymethods]
impl Relay {
    #[new]
    fn new(steps: Py<PyAny>) -> Self {
        Self { steps: Some(steps), session: None }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.steps)?;
        visit.call(&self.session)
    }

    fn __clear__(&mut self) {
        (self.steps, self.session) = (None, None);
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        let mut relay = borrow(slf)?;
        loop {
            if let Some(session) = &relay.session {
                match borrow(session.bind(py))?.next(py) {
                    Ok(None) => relay.session = None,
                    Ok(next) => return Ok(next),
                    Err(error) => {
                        relay.end(py)?;
                        return Err(error);
                    }
                }
            }
            let Some(steps) = &relay.steps else { return Ok(None) };
            // (A generator that raised has ended.)
            let Some(next) = steps.bind(py).cast::<PyIterator>()?.clone().next() else {
                relay.steps = None;
                return Ok(None);
            };
            let next = next?;
            match next.cast_into_exact::<Session>() {
                Ok(session) => relay.session = Some(session.unbind()),
                Err(other) => return Ok(Some(other.into_inner())),
            }
        }
    }

    /// Ends the generator.
    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        borrow(slf)?.end(slf.py())
    }
}

impl Relay {
    fn end(&mut self, py: Python<'_>) -> PyResult<()> {
        self.session = None;
        self.steps.take().map_or(Ok(()), |steps| steps.call_method0(py, intern!(py, "close")).map(drop))
    }
}
