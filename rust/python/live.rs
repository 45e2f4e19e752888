//! Decoding for a client that has a parser of its own: the bytes of a response in, chunks or the client's own objects
//! out, and what is not plain back to the client. See [`crate::live`].

use std::sync::Arc;

use pyo3::exceptions::{PyException, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator};

use super::block::Block;
use super::errors::borrow;
use super::models::{Maker, Models, Refusal};
use super::pipeline::{Shared, SharedBatch, SharedBlock, WORTH_SPARES};
use super::spares::{self, Spares};
use crate::live::{Live, Step, ends_block};
use crate::record::{Builder, Item};
use crate::source::Buffer;

/// How many events one batch takes: see `pipeline`.
const BATCH_EVENTS: usize = 128;

/// One response: `feed` bytes, iterate for what they complete, and ask for what is `foreign` whenever the iteration ends.
#[pyclass(module = "chunkwire._native")]
pub struct Session {
    live: Live,
    /// An iterator of bytes-like objects, until it ends or fails.
    source: Option<Py<PyAny>>,
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
    spent: Option<SharedBatch>,
    /// The text of an event whose object the client has to make. It comes before what is left of the batch.
    declined: Option<Vec<u8>>,
    /// The block behind the batch, which the client's parser has to read.
    foreign: Option<Vec<u8>>,
}

#[pymethods]
impl Session {
    #[new]
    #[pyo3(signature = (models=None, *, chunks_only=false))]
    fn new(py: Python<'_>, models: Option<Py<Models>>, chunks_only: bool) -> PyResult<Self> {
        let max_int_digits = py.import("sys")?.call_method0("get_int_max_str_digits")?.extract()?;
        Ok(Self {
            live: Live::new(max_int_digits, chunks_only),
            source: None,
            error: None,
            maker: models.map(|models| Maker::new(py, models)),
            pending: Vec::new(),
            line: 0,
            block: None,
            at: 0,
            batch: None,
            next_item: 0,
            spent: None,
            declined: None,
            foreign: None,
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.source)?;
        super::pipeline::traverse(self.batch.as_ref(), &visit)
    }

    fn __clear__(&mut self) {
        self.source = None;
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

    /// Takes an iterator of bytes-like objects, and feeds itself from it; iterate for everything.
    fn pull<'py>(slf: &Bound<'py, Self>, source: &Bound<'py, PyAny>) -> PyResult<Bound<'py, Self>> {
        borrow(slf)?.source = Some(source.try_iter()?.into_any().unbind());
        Ok(slf.clone())
    }

    /// The exception with which the iterator ended, if it did.
    fn error<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(borrow(slf)?.error.take().map(|error| error.into_value(slf.py()).into_bound(slf.py()).into_any()))
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        let session = &mut *borrow(slf)?;
        loop {
            if let Some(batch) = &session.batch
                && let Some(item) = batch.items().get(session.next_item)
            {
                let Item::Chunk(record) = item else { unreachable!("what is live has chunks alone") };
                let number = session.next_item;
                let Some(maker) = &mut session.maker else {
                    session.next_item += 1;
                    return spares::chunk(py, batch, number as u32).map(|chunk| Some(chunk.into_any()));
                };
                if session.declined.is_some() {
                    return Ok(None);
                }
                session.next_item += 1;
                let doc = batch.doc(record);
                match maker.make(py, doc.root()) {
                    Ok(made) => return Ok(Some(made)),
                    Err(Refusal::Error(error)) => return Err(error),
                    Err(Refusal::Client | Refusal::Invalid) => {
                        session.declined = Some(doc.text().to_vec());
                        return Ok(None);
                    }
                }
            }
            if session.declined.is_some() || session.foreign.is_some() {
                return Ok(None);
            }
            if !session.refill(py) && !session.next_block(py)? {
                return Ok(None);
            }
        }
    }

    /// The block that comes next and is not plain, as the client's parser is to read it; None if there is none. Iterate
    /// on behind it.
    fn foreign<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let py = slf.py();
        let mut session = borrow(slf)?;
        if let Some(text) = session.declined.take() {
            return Ok(Some(PyBytes::new(py, &[b"data: ", text.as_slice(), b"\n\n"].concat())));
        }
        if session.batch.as_ref().is_some_and(|batch| session.next_item < batch.items().len()) {
            return Ok(None);
        }
        Ok(session.foreign.take().map(|block| PyBytes::new(py, &block)))
    }

    /// The beginning of a block that is left at the end.
    fn rest<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyBytes>> {
        let mut session = borrow(slf)?;
        let rest = std::mem::take(&mut session.pending);
        session.line = 0;
        Ok(PyBytes::new(slf.py(), &rest))
    }
}

impl Session {
    /// Asks the source for bytes; false if there are none.
    fn next_block(&mut self, py: Python<'_>) -> PyResult<bool> {
        let Some(source) = &self.source else { return Ok(false) };
        match source.bind(py).cast::<PyIterator>()?.clone().next() {
            Some(Ok(data)) => self.push(Block::from_python(&data)?),
            // What is not an error but an interruption goes its way.
            Some(Err(error)) if !error.is_instance_of::<PyException>(py) => return Err(error),
            end => {
                self.source = None;
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
        if ends_block(&self.pending, &mut self.line, from) {
            let mut memory = Buffer::default();
            memory.begin(&self.pending, 0);
            self.pending.clear();
            self.line = 0;
            self.block = Some(SharedBlock(Arc::new(Block::Owned(memory))));
        }
    }

    /// Decodes the next batch; false if nothing is left to decode.
    fn refill(&mut self, py: Python<'_>) -> bool {
        let Some(block) = &self.block else { return false };
        let mut builder = match self.spent.take().and_then(Arc::into_inner) {
            Some(spent) => spent.into_builder(),
            None => Builder::default(),
        };
        let input = block.as_ref();
        let step = self.live.decode(input, &mut self.at, BATCH_EVENTS, &mut builder);
        let block = block.clone();
        match step {
            Step::More => {}
            Step::Foreign(whole) => {
                let id: &[u8] = if self.live.has_id() { b"id: 0\n" } else { b"" };
                self.foreign = Some([id, &input[whole]].concat());
            }
            Step::Starved => {
                self.pending.extend_from_slice(&input[self.at..]);
                self.line = 0;
                let _ = ends_block(&self.pending, &mut self.line, 0);
                self.block = None;
            }
        }
        self.spent = self.retire(py);
        if !builder.is_empty() {
            let batch = builder.build(block);
            let keeps = self.maker.is_none() && batch.items().len() >= WORTH_SPARES;
            let spares = if keeps { Spares::open() } else { Spares::default() };
            self.batch = Some(Arc::new(Shared::new(batch, spares)));
            self.next_item = 0;
        }
        true
    }

    /// Lets go of the batch that was given out.
    fn retire(&mut self, py: Python<'_>) -> Option<SharedBatch> {
        let batch = self.batch.take();
        if let Some(batch) = &batch {
            batch.close(py);
        }
        batch
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.__clear__();
    }
}
