//! Bytes that Python gave, or that were read from a file, held so that batches can point into them.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyMemoryView, PyString, PyTuple};

use super::errors;
use crate::error::Broken;
use crate::source::{AHEAD_BYTES, Ahead, Blocks, Buffer, HEAD_BYTES, Head, Packed, Packing, Pushed};

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
    /// A file, and its path; a large one is read ahead from the first block on.
    File(Box<Blocks>, Py<PyString>),
    /// A file that another thread reads.
    Ahead(Ahead, Py<PyString>),
    /// One object, until it has been taken.
    Bytes(Option<Block>),
    /// A Python iterator of bytes-like objects.
    Iterator(Py<PyAny>),
    /// The same, whose first bytes are not known yet; or an object, which is all there is.
    Unknown { iterator: Option<Py<PyAny>>, head: Vec<Block>, bounds: Bounds },
    /// The same, packed.
    Packed { iterator: Option<Py<PyAny>>, packed: Box<Packed<Pushed<Block>>>, spare: Buffer },
    /// The end of one that is damaged, until that is told.
    Broken(Option<Broken>),
}

/// What is said of a source that may be packed.
#[derive(Clone, Copy, Default)]
pub struct Bounds {
    /// The most bytes that may come out.
    most: Option<u64>,
    /// Does its name say brotli, which has no first bytes of its own?
    is_brotli: bool,
}

/// Is it a named pipe?
fn is_pipe(path: &Path) -> bool {
    #[cfg(unix)]
    return std::fs::metadata(path).is_ok_and(|found| std::os::unix::fs::FileTypeExt::is_fifo(&found.file_type()));
    #[cfg(not(unix))]
    return false;
}

/// Opens a pipe in a thread, which stays behind where whoever waits for somebody to write is interrupted.
fn open_pipe(py: Python<'_>, path: PathBuf, most: Option<u64>) -> PyResult<io::Result<Blocks>> {
    let (sender, mut opened) = channel();
    let thread = std::thread::Builder::new().name("chunkwire-open".into());
    thread.spawn(move || drop(sender.send(Blocks::open(&path, most))))?;
    loop {
        let opened = &mut opened;
        match py.detach(move || opened.recv_timeout(PATIENCE)) {
            Ok(blocks) => return Ok(blocks),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => return Err(PyRuntimeError::new_err("the pipe was not opened")),
        }
    }
}

/// What a feed gave.
pub enum Next {
    /// A block.
    Block(Block),
    /// The end.
    End,
    /// A packed source is cut, damaged or too large: the end, and why.
    Damaged(Broken),
}

impl Feed {
    /// `source` is a path (str), `bytes`, or an iterator of bytes-like objects; or a tuple of that, the most bytes that
    /// may come out if it is packed, and `"brotli"` where its name says that.
    pub fn new(source: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(bounded) = source.cast::<PyTuple>() {
            let (source, most, packing): (Bound<'_, PyAny>, Option<u64>, Option<String>) = bounded.extract()?;
            return Self::bounded(&source, Bounds { most, is_brotli: packing.as_deref() == Some("brotli") });
        }
        Self::bounded(source, Bounds::default())
    }

    fn bounded(source: &Bound<'_, PyAny>, bounds: Bounds) -> PyResult<Self> {
        if let Ok(path) = source.cast::<PyString>() {
            let name: PathBuf = path.extract()?;
            let py = source.py();
            let blocks = if is_pipe(&name) {
                open_pipe(py, name, bounds.most)?
            } else {
                py.detach(|| Blocks::open(&name, bounds.most))
            };
            let blocks = blocks.map_err(|error| os_error(&error, path))?;
            return Ok(Self::File(Box::new(blocks), path.clone().unbind()));
        }
        if source.is_instance_of::<PyBytes>() {
            return Ok(Self::Unknown { iterator: None, head: vec![Block::from_python(source)?], bounds });
        }
        Ok(Self::Unknown { iterator: Some(source.try_iter()?.into_any().unbind()), head: Vec::new(), bounds })
    }

    /// For Python's collector of cycles: a generator may hold the object that holds this.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Iterator(iterator)
            | Self::Unknown { iterator: Some(iterator), .. }
            | Self::Packed { iterator: Some(iterator), .. } => visit.call(iterator),
            _ => Ok(()),
        }
    }

    /// Takes the memory of a block back that nobody looks into any more.
    pub fn give_back(&mut self, block: Buffer) {
        match self {
            Self::File(blocks, _) => blocks.give_back(block),
            Self::Ahead(blocks, _) => blocks.give_back(block),
            Self::Packed { spare, .. } => *spare = block,
            _ => {}
        }
    }

    /// The next block.
    pub fn next(&mut self, py: Python<'_>) -> PyResult<Next> {
        // An iterator may unpack what it gives.
        self.read(py).or_else(|error| errors::broken(py, error).map(Next::Damaged))
    }

    fn read(&mut self, py: Python<'_>) -> PyResult<Next> {
        *self = match std::mem::replace(self, Self::Bytes(None)) {
            Self::File(blocks, path) if blocks.is_worth_a_thread() => match py.detach(|| Ahead::new(blocks)) {
                Ok(ahead) => Self::Ahead(ahead, path),
                Err(blocks) => Self::File(blocks, path),
            },
            feed => feed,
        };
        match self {
            Self::File(blocks, path) => loop {
                py.check_signals()?;
                match py.detach(|| blocks.next_block()) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    block => return of_file(block, path.bind(py)),
                }
            },
            Self::Ahead(blocks, path) => loop {
                py.check_signals()?;
                if blocks.is_orphan() {
                    return Err(PyRuntimeError::new_err("the source was opened before this process was forked"));
                }
                if let Some(block) = py.detach(|| blocks.next_block(PATIENCE)) {
                    return of_file(block, path.bind(py));
                }
            },
            Self::Bytes(block) => Ok(block.take().map_or(Next::End, Next::Block)),
            Self::Broken(broken) => Ok(broken.take().map_or(Next::End, Next::Damaged)),
            Self::Iterator(iterator) => Ok(pull(py, Some(iterator))?.map_or(Next::End, Next::Block)),
            Self::Unknown { .. } => match self.recognise(py)? {
                Some(block) => Ok(Next::Block(block)),
                None => self.read(py),
            },
            Self::Packed { iterator, packed, spare } => loop {
                let mut block = std::mem::take(spare);
                block.begin(&[], AHEAD_BYTES);
                match py.detach(|| packed.read(block.room(AHEAD_BYTES))) {
                    Ok(0) => return Ok(Next::End),
                    Ok(length) => {
                        block.fill(length);
                        block.shrink();
                        return Ok(Next::Block(Block::Owned(block)));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        *spare = block;
                        match pull(py, iterator.as_ref())? {
                            Some(block) => packed.reader_mut().push(block),
                            None => packed.reader_mut().end(),
                        }
                    }
                    Err(error) => return Ok(Next::Damaged(Broken::of(error)?)),
                }
            },
        }
    }

    /// Reads the first bytes of a source that is not known yet, and gives them if it is not packed.
    fn recognise(&mut self, py: Python<'_>) -> PyResult<Option<Block>> {
        let Self::Unknown { iterator, head, bounds } = self else { return Ok(None) };
        let packing = loop {
            let mut first = Vec::with_capacity(HEAD_BYTES);
            for block in head.iter() {
                let block = block.as_ref();
                first.extend_from_slice(&block[..block.len().min(HEAD_BYTES - first.len())]);
            }
            let by_name = bounds.is_brotli.then_some(Packing::Brotli);
            match Packing::of(&first) {
                Head::Packed(packing) => break Some(packing),
                Head::Plain => break by_name,
                Head::Short => match pull(py, iterator.as_ref())? {
                    Some(block) => head.push(block),
                    None => break by_name.filter(|_| !first.is_empty()),
                },
            }
        };
        let iterator = iterator.take();
        let mut blocks = std::mem::take(head);
        let block = if blocks.len() == 1 { blocks.pop() } else { None };
        let block = block.unwrap_or_else(|| Block::Owned(joined(&blocks)));
        let Some(packing) = packing else {
            *self = iterator.map_or(Self::Bytes(None), Self::Iterator);
            return Ok(Some(block));
        };
        let size = iterator.is_none().then_some(block.as_ref().len() as u64);
        let packed = Packed::new(Pushed::new(block), packing, size, bounds.most);
        *self = Self::Packed { iterator, packed: Box::new(packed), spare: Buffer::default() };
        Ok(None)
    }
}

/// The blocks as one.
fn joined(blocks: &[Block]) -> Buffer {
    let bytes: Vec<u8> = blocks.iter().flat_map(|block| block.as_ref()).copied().collect();
    let mut buffer = Buffer::default();
    buffer.begin(&bytes, 0);
    buffer
}

/// The next object of a Python iterator; None at its end.
fn pull(py: Python<'_>, iterator: Option<&Py<PyAny>>) -> PyResult<Option<Block>> {
    let Some(iterator) = iterator else { return Ok(None) };
    iterator.bind(py).cast()?.clone().next().map(|object| Block::from_python(&object?)).transpose()
}

/// The OSError of a path. (One without the file's name helps nobody.)
pub fn os_error(error: &io::Error, path: &Bound<'_, PyString>) -> PyErr {
    let number = error.raw_os_error().unwrap_or(match error.kind() {
        io::ErrorKind::IsADirectory => 21, // EISDIR, on every system that CPython maps
        _ => 5,                            // EIO
    });
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default().to_owned();
    PyOSError::new_err((number, text, path.clone().unbind()))
}

/// What the reader of a file said.
fn of_file(block: io::Result<Option<Buffer>>, path: &Bound<'_, PyString>) -> PyResult<Next> {
    match block.map_err(Broken::of) {
        Ok(block) => Ok(block.map_or(Next::End, |block| Next::Block(Block::Owned(block)))),
        Err(Ok(broken)) => Ok(Next::Damaged(broken)),
        Err(Err(error)) => Err(os_error(&error, path)),
    }
}
