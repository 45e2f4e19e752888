//! Bytes that Python gave, or that were read from a file, held so that batches can point into them.

use std::io;
use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyMemoryView, PyString};

use crate::source::{Ahead, Blocks, Buffer};

/// A piece of a source that nobody can change any more.
pub enum Block {
    /// A `bytes` object: immutable, so it is pointed into.
    Bytes(PyBackedBytes),
    /// A block of our own.
    Owned(Buffer),
}

impl AsRef<[u8]> for Block {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

impl Block {
    /// The bytes of any bytes-like object. `bytes` is not copied; anything else could change, and is.
    pub fn from_python(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(Self::Bytes(bytes.clone().into()));
        }
        if object.is_instance_of::<PyString>() {
            return Err(PyTypeError::new_err("expected bytes, got str: open the file in binary mode ('rb')"));
        }
        let Ok(view) = PyMemoryView::from(object) else {
            let found = object.get_type().name()?.to_string();
            return Err(PyTypeError::new_err(format!("expected a bytes-like object, got {found}")));
        };
        // `tobytes` also gathers strided memory, in C order.
        let bytes = view.call_method0(intern!(object.py(), "tobytes"))?.cast_into::<PyBytes>()?;
        Ok(Self::Bytes(bytes.into()))
    }
}

/// How long to wait for a block between two looks at Python's signals.
const PATIENCE: Duration = Duration::from_millis(50);

/// Where blocks come from.
pub enum Feed {
    /// A file; a large one is read ahead from the first block on.
    File(Box<Blocks>),
    /// A file that another thread reads.
    Ahead(Ahead),
    /// One object, until it has been taken.
    Bytes(Option<Block>),
    /// A Python iterator of bytes-like objects.
    Iterator(Py<PyAny>),
}

/// What a feed gave.
pub enum Next {
    /// A block.
    Block(Block),
    /// The end.
    End,
    /// A compressed file is cut or damaged: the end, and why.
    Damaged(String),
}

impl Feed {
    /// `source` is a path (str), `bytes`, or an iterator of bytes-like objects.
    pub fn new(source: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(path) = source.cast::<PyString>() {
            let path: std::path::PathBuf = path.extract()?;
            // An OSError without the file's name helps nobody.
            let blocks = source.py().detach(|| Blocks::open(&path)).map_err(|error| {
                let number = error.raw_os_error().unwrap_or(match error.kind() {
                    std::io::ErrorKind::IsADirectory => 21, // EISDIR, on every system that CPython maps
                    _ => 5,                                 // EIO
                });
                let text = error.to_string();
                let text = text.split(" (os error").next().unwrap_or_default().to_owned();
                PyOSError::new_err((number, text, source.clone().unbind()))
            })?;
            return Ok(Self::File(Box::new(blocks)));
        }
        if source.is_instance_of::<PyBytes>() {
            return Ok(Self::Bytes(Some(Block::from_python(source)?)));
        }
        Ok(Self::Iterator(source.try_iter()?.into_any().unbind()))
    }

    /// For Python's collector of cycles: a generator may hold the object that holds this.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Self::Iterator(iterator) = self { visit.call(iterator) } else { Ok(()) }
    }

    /// Takes the memory of a block back that nobody looks into any more.
    pub fn give_back(&mut self, block: Buffer) {
        match self {
            Self::File(blocks) => blocks.give_back(block),
            Self::Ahead(blocks) => blocks.give_back(block),
            _ => {}
        }
    }

    /// The next block.
    pub fn next(&mut self, py: Python<'_>) -> PyResult<Next> {
        if let Self::File(blocks) = self
            && blocks.is_worth_a_thread()
        {
            let Self::File(blocks) = std::mem::replace(self, Self::Bytes(None)) else { unreachable!("it is a file") };
            *self = match py.detach(|| Ahead::new(blocks)) {
                Ok(ahead) => Self::Ahead(ahead),
                Err(blocks) => Self::File(blocks),
            };
        }
        match self {
            Self::File(blocks) => loop {
                py.check_signals()?;
                match py.detach(|| blocks.next_block()) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    block => return of_file(block),
                }
            },
            Self::Ahead(blocks) => loop {
                py.check_signals()?;
                if blocks.is_orphan() {
                    return Err(PyRuntimeError::new_err("the source was opened before this process was forked"));
                }
                if let Some(block) = py.detach(|| blocks.next_block(PATIENCE)) {
                    return of_file(block);
                }
            },
            Self::Bytes(block) => Ok(block.take().map_or(Next::End, Next::Block)),
            Self::Iterator(iterator) => match iterator.bind(py).cast()?.clone().next() {
                None => Ok(Next::End),
                Some(object) => Ok(Next::Block(Block::from_python(&object?)?)),
            },
        }
    }
}

/// What the reader of a file said.
fn of_file(block: io::Result<Option<Buffer>>) -> PyResult<Next> {
    match block {
        Ok(block) => Ok(block.map_or(Next::End, |block| Next::Block(Block::Owned(block)))),
        Err(error) if error.raw_os_error().is_none() => Ok(Next::Damaged(error.to_string())),
        Err(error) => Err(error.into()),
    }
}
