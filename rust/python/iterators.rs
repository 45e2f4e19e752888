//! What users iterate: over a whole source, or over what they feed.

use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use super::block::{Block, Feed, Next};
use super::errors::{borrow, compressed_damage};
use super::events::Events;
use super::logs::Recognised;
use super::options::Options;
use super::pipeline::{Pipeline, SharedBatch};
use super::spares;
use super::tokens::token;
use super::views::Chunk;
use crate::chunk::Type;
use crate::record::Record;

/// A source and its decoder.
pub struct Reader {
    feed: Option<Feed>,
    pipeline: Pipeline,
}

impl Reader {
    /// At the start of a source.
    pub fn new(source: &Bound<'_, PyAny>, options: Options) -> PyResult<Self> {
        let (feed, mut pipeline) = (Feed::new(source)?, Pipeline::new(options));
        if !matches!(feed, Feed::Iterator(_)) {
            pipeline.be_whole();
        }
        Ok(Self { feed: Some(feed), pipeline })
    }

    /// Batches say of each chunk to which stream it belongs.
    pub fn numbered(mut self) -> Self {
        self.pipeline.number();
        self
    }

    /// What comes piece by piece is decoded as live streams are, which lend each other what they can.
    pub fn live(mut self) -> Self {
        if matches!(self.feed, Some(Feed::Iterator(_))) {
            self.pipeline.lend();
        }
        self
    }

    /// For Python's collector of cycles: see [`Feed::traverse`].
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.pipeline.traverse(visit)?;
        self.feed.as_ref().map_or(Ok(()), |feed| feed.traverse(visit))
    }

    /// Drops the source.
    pub fn clear(&mut self) {
        self.feed = None;
        self.pipeline.clear();
    }

    /// What was counted so far.
    pub fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.pipeline.stats(py)
    }

    /// What `make` makes of the next chunk: see [`Pipeline::next`].
    #[inline]
    pub fn next<T>(
        &mut self,
        py: Python<'_>,
        mut make: impl FnMut(&SharedBatch, usize, &Record) -> PyResult<Option<T>>,
    ) -> PyResult<Option<T>> {
        loop {
            if let Some(made) = self.pipeline.next(py, &mut make)? {
                return Ok(Some(made));
            }
            let Some(feed) = &mut self.feed else { return Ok(None) };
            if let Some(memory) = self.pipeline.spare.take() {
                feed.give_back(memory);
            }
            match feed.next(py) {
                Ok(Next::Block(block)) => self.pipeline.push(block),
                Ok(Next::End) => {
                    self.feed = None;
                    self.pipeline.finish(py)?;
                }
                Ok(Next::Damaged(broken)) if self.pipeline.settle() => *feed = Feed::Broken(Some(broken)),
                Ok(Next::Damaged(broken)) => {
                    self.feed = None;
                    let error = self.pipeline.compressed_damage(py, &broken)?;
                    self.pipeline.finish(py)?;
                    if let Some(error) = error {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The iterators over a whole source: each has a name, what it gives, and how that is made of a chunk.
macro_rules! readers {
    ($($(#[doc = $doc:literal])* $name:ident -> $item:ty: $make:expr)*) => {
        $(
            $(#[doc = $doc])*
            #[pyclass(module = "chunkwire._native")]
            pub struct $name(Reader);

            #[pymethods]
            impl $name {
                fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
                    self.0.traverse(&visit)
                }

                fn __clear__(&mut self) {
                    self.0.clear();
                }

                fn __iter__(slf: Py<Self>) -> Py<Self> {
                    slf
                }

                fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<$item>> {
                    let py = slf.py();
                    borrow(slf)?.0.next(py, |batch, number, record| $make(py, batch, number, record))
                }

                /// What was counted so far.
                #[getter]
                fn stats<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
                    borrow(slf)?.0.stats(slf.py())
                }

                /// For tests: how many chunks matched a shape, and how many the careful parser read.
                #[getter]
                fn _paths(slf: &Bound<'_, Self>) -> PyResult<(u64, u64)> {
                    Ok(borrow(slf)?.0.pipeline.paths())
                }
            }
        )*
    };
}

readers! {
    /// The chunks of a source.
    Chunks -> Bound<'py, Chunk>: chunk

    /// The text of each chunk of a source that has one.
    Contents -> Bound<'py, PyString>: content
}

#[inline]
fn chunk<'py>(py: Python<'py>, batch: &SharedBatch, number: usize, _: &Record) -> PyResult<Option<Bound<'py, Chunk>>> {
    spares::chunk(py, batch, number as u32).map(Some)
}

/// `choices[0].delta.content`, where it is a string.
#[inline]
fn content<'py>(
    py: Python<'py>,
    batch: &SharedBatch,
    _: usize,
    record: &Record,
) -> PyResult<Option<Bound<'py, PyString>>> {
    let content = batch.doc(record).content().filter(|content| content.kind() == Type::String);
    content.map(|content| token(py, content)).transpose()
}

/// The chunks of a source: a path (str), `bytes`, or an iterator of bytes-like objects.
#[pyfunction]
#[pyo3(signature = (source, options, name=None))]
pub fn chunks(source: &Bound<'_, PyAny>, options: Options, name: Option<Py<PyAny>>) -> PyResult<Chunks> {
    Ok(Chunks(Reader::new(source, options.named(name))?.live()))
}

/// The texts of a source's chunks.
#[pyfunction]
#[pyo3(signature = (source, options, name=None))]
pub fn contents(source: &Bound<'_, PyAny>, options: Options, name: Option<Py<PyAny>>) -> PyResult<Contents> {
    Ok(Contents(Reader::new(source, options.named(name))?.live()))
}

/// The events of a source, whatever their data.
#[pyfunction]
#[pyo3(signature = (source, options, name=None))]
pub fn events(source: &Bound<'_, PyAny>, options: Options, name: Option<Py<PyAny>>) -> PyResult<Events> {
    Ok(Events::new(Feed::new(source)?, options.named(name)))
}

/// The blocks of a source, unpacked if they were packed: see `chunks` for what a source is.
#[pyfunction]
pub fn blocks(source: &Bound<'_, PyAny>) -> PyResult<Blocks> {
    Ok(Blocks(Some(Feed::new(source)?)))
}

/// An iterator of `bytes`.
#[pyclass(module = "chunkwire._native")]
pub struct Blocks(Option<Feed>);

#[pymethods]
impl Blocks {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.as_ref().map_or(Ok(()), |feed| feed.traverse(&visit))
    }

    fn __clear__(&mut self) {
        self.0 = None;
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let mut blocks = borrow(slf)?;
        let Some(feed) = &mut blocks.0 else { return Ok(None) };
        match feed.next(slf.py())? {
            Next::Block(block) => {
                let bytes = PyBytes::new(slf.py(), block.as_ref());
                if let Block::Owned(memory) = block {
                    feed.give_back(memory);
                }
                Ok(Some(bytes))
            }
            Next::End => {
                blocks.0 = None;
                Ok(None)
            }
            Next::Damaged(broken) => {
                blocks.0 = None;
                Err(compressed_damage(slf.py(), &broken)?)
            }
        }
    }
}

/// Decodes what its caller feeds.
#[pyclass(module = "chunkwire._native", frozen)]
pub struct Decoder {
    pipeline: Py<Drain>,
}

#[pymethods]
impl Decoder {
    #[new]
    #[pyo3(signature = (options, name=None))]
    fn new(py: Python<'_>, options: Options, name: Option<Py<PyAny>>) -> PyResult<Self> {
        let mut pipeline = Pipeline::new(options.named(name));
        pipeline.lend();
        Ok(Self { pipeline: Py::new(py, Drain { pipeline, ending: false, turning: false })? })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.pipeline)
    }

    /// Takes bytes; iterate the result for the chunks that they complete.
    fn feed(&self, data: &Bound<'_, PyAny>) -> PyResult<Py<Drain>> {
        let py = data.py();
        let mut drain = borrow(self.pipeline.bind(py))?;
        if drain.ending {
            return Err(PyValueError::new_err("feed() after finish()"));
        }
        if drain.turning {
            return Err(PyValueError::new_err("feed() before all of turn() was iterated"));
        }
        drain.pipeline.push(Block::from_python(data)?);
        Ok(self.pipeline.clone_ref(py))
    }

    /// Tells the end of the source; iterate the result for the chunks that are left.
    fn finish(&self, py: Python<'_>) -> PyResult<Py<Drain>> {
        borrow(self.pipeline.bind(py))?.ending = true;
        Ok(self.pipeline.clone_ref(py))
    }

    /// Tells that the log goes on in another file, whose places are counted anew; iterate the result for the chunks that
    /// are left of this one.
    fn turn(&self, py: Python<'_>) -> PyResult<Py<Drain>> {
        borrow(self.pipeline.bind(py))?.turning = true;
        Ok(self.pipeline.clone_ref(py))
    }

    /// Takes what the log begins with, where that is not to be decoded: it is recognised by it.
    fn look(&self, py: Python<'_>, head: &[u8]) -> PyResult<()> {
        borrow(self.pipeline.bind(py))?.pipeline.look(head);
        Ok(())
    }

    /// How the log is read, as `recognise` says it; None before that is known, and where nobody had to recognise it.
    #[getter]
    fn layout(&self, py: Python<'_>) -> PyResult<Option<Recognised>> {
        Ok(borrow(self.pipeline.bind(py))?.pipeline.layout())
    }

    /// What was counted so far.
    #[getter]
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        borrow(self.pipeline.bind(py))?.pipeline.stats(py)
    }
}

/// The chunks of what was fed so far.
#[pyclass(module = "chunkwire._native")]
pub struct Drain {
    pipeline: Pipeline,
    /// The end has been told; the decoder learns it when all that waits is decoded.
    ending: bool,
    /// The same of the end of a file.
    turning: bool,
}

#[pymethods]
impl Drain {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.pipeline.traverse(&visit)
    }

    fn __clear__(&mut self) {
        self.pipeline.clear();
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, Chunk>>> {
        let (mut drain, py) = (borrow(slf)?, slf.py());
        loop {
            let next = drain.pipeline.next(py, |batch, number, record| chunk(py, batch, number, record))?;
            if let Some(chunk) = next {
                return Ok(Some(chunk));
            }
            if std::mem::take(&mut drain.turning) {
                drain.pipeline.turn(py)?;
            } else if drain.ending && !drain.pipeline.is_finished() {
                drain.pipeline.finish(py)?;
            } else {
                return Ok(None);
            }
        }
    }

    /// For tests: how many chunks matched a shape, and how many the careful parser read.
    #[getter]
    fn _paths(slf: &Bound<'_, Self>) -> PyResult<(u64, u64)> {
        Ok(borrow(slf)?.pipeline.paths())
    }
}
