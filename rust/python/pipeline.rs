//! From blocks to items: the decoder, the blocks that wait for it, and the batch that is being given out.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::block::Block;
use super::convert::{text, to_python};
use super::errors;
use super::lent::{self, Filling, Sort};
use super::lock::{AttachedLock, Taken};
use super::logs;
use super::options::Options;
use super::spares::Spares;
use crate::decoder;
use crate::error::{Broken, Damage};
use crate::log::Log;
use crate::numbers::{Mark, Numbered, Numbers};
use crate::record::{Batch, Builder, ErrorBody, Item, Record};
use crate::source::Buffer;

/// A block, shared by the batches that were decoded from it.
#[derive(Clone)]
pub struct SharedBlock(pub Arc<Block>);

impl AsRef<[u8]> for SharedBlock {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref().as_ref()
    }
}

/// A batch, shared by the objects that look into it.
pub type SharedBatch = Arc<Shared>;

/// A batch, and those of these objects that can serve again.
pub struct Shared {
    pub(super) batch: Batch<SharedBlock>,
    spares: AttachedLock<Spares>,
    /// What is told of each item, if somebody wants to know.
    marks: Vec<Mark>,
}

impl Shared {
    /// A batch whose views are kept for another use if the spares are open.
    pub fn new(batch: Batch<SharedBlock>, spares: Spares) -> Self {
        Self { batch, spares: AttachedLock::new(spares), marks: Vec::new() }
    }

    /// What is told of an item.
    #[inline]
    pub fn mark(&self, item: usize) -> Mark {
        self.marks.get(item).copied().unwrap_or(Mark::NONE)
    }

    /// The views that can serve again; None if none are kept, or if somebody is at them.
    #[inline]
    pub fn spares(&self, py: Python<'_>) -> Option<Taken<'_, Spares>> {
        self.spares.take(py).filter(|spares| spares.is_open())
    }

    /// Keeps no more views.
    pub fn close(&self, py: Python<'_>) {
        let spares = self.spares(py).map(|mut spares| std::mem::take(&mut *spares));
        // Not under the lock: whatever a user put into a list of choices may go now.
        drop(spares);
    }
}

impl Deref for Shared {
    type Target = Batch<SharedBlock>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.batch
    }
}

/// How many events one batch takes: enough that its cost does not matter, few enough that its nodes stay in cache.
const BATCH_EVENTS: usize = 128;
/// A batch of fewer items makes its views anew.
pub const WORTH_SPARES: usize = 4;
/// From this many bytes on decoding them is worth letting other threads run.
const DETACH_BYTES: usize = 16 << 10;

/// The state of an iteration.
pub struct Pipeline {
    decoder: Log,
    raise: bool,
    /// What the source is called.
    pub source: Option<Py<PyAny>>,
    waiting: VecDeque<SharedBlock>,
    /// How much of the first waiting block is decoded.
    at: usize,
    /// Tells the streams apart, if somebody wants to know.
    numbers: Option<Box<Numbers>>,
    batch: Option<SharedBatch>,
    next_item: usize,
    /// The batch before: its memory serves again once nobody looks into it. (The one that was just given out will not
    /// do: a loop still holds its last chunk while it asks for the next.)
    spent: Option<SharedBatch>,
    /// The memory of the last block that nobody looks into any more.
    pub spare: Option<Buffer>,
    finished: bool,
    /// Is the source live, so that shapes and small batches are lent: see [`lent`].
    lends: bool,
}

impl Pipeline {
    /// At the start of a source.
    pub fn new(options: Options) -> Self {
        Self {
            decoder: Log::new(options.decoder, options.wanted),
            raise: options.raise,
            source: options.name,
            waiting: VecDeque::new(),
            at: 0,
            numbers: None,
            batch: None,
            next_item: 0,
            spent: None,
            spare: None,
            finished: false,
            lends: false,
        }
    }

    /// See [`Log::be_whole`].
    pub fn be_whole(&mut self) {
        self.decoder.be_whole();
    }

    /// From here on shapes and small batches are lent.
    pub fn lend(&mut self) {
        self.lends = true;
    }

    /// From here on batches say of each chunk to which stream it belongs.
    pub fn number(&mut self) {
        self.numbers = Some(Box::default());
    }

    /// Takes a block.
    pub fn push(&mut self, block: Block) {
        if !block.as_ref().is_empty() {
            self.waiting.push_back(SharedBlock(Arc::new(block)));
        }
    }

    /// Nothing more comes but damage: true if what was held of the log, to recognise it, is decoded first. Call `next`
    /// for that.
    pub fn settle(&mut self) -> bool {
        let has_held = self.decoder.settle();
        if has_held {
            self.waiting.push_back(SharedBlock(Arc::new(Block::Owned(Buffer::default()))));
        }
        has_held
    }

    /// Has the end of the source been told?
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// What `make` makes of the next chunk of what was pushed for which it makes something; an error if that comes
    /// first, or None if more is wanted. `make` gets the batch and the chunk's number in it.
    #[inline]
    pub fn next<T>(
        &mut self,
        py: Python<'_>,
        mut make: impl FnMut(&SharedBatch, usize, &Record) -> PyResult<Option<T>>,
    ) -> PyResult<Option<T>> {
        loop {
            if let Some(batch) = &self.batch {
                let number = self.next_item;
                if let Some(item) = batch.items().get(number) {
                    self.next_item += 1;
                    if let Item::Chunk(record) = item {
                        if let Some(made) = make(batch, number, record)? {
                            return Ok(Some(made));
                        }
                    } else if self.raise {
                        return Err(self.error(py, batch, item)?);
                    }
                    continue;
                }
            }
            if !self.refill(py)? {
                return Ok(None);
            }
        }
    }

    /// Decodes the next batch of what waits; false if nothing waits.
    fn refill(&mut self, py: Python<'_>) -> PyResult<bool> {
        let Some(block) = self.waiting.front().cloned() else {
            if self.lends && (self.batch.is_some() || self.spent.is_some()) {
                self.rest(py);
            }
            return Ok(false);
        };
        if self.lends && lent::is_small(&block) {
            self.refill_small(py, block);
            logs::check(py, &self.decoder)?;
            return Ok(true);
        }
        let mut marks = Vec::new();
        let mut builder = match self.spent.take().and_then(Arc::into_inner) {
            Some(spent) => {
                marks = spent.marks;
                marks.clear();
                let (builder, block) = spent.batch.into_parts();
                if let Some(Block::Owned(memory)) = Arc::into_inner(block.0) {
                    self.spare = Some(memory);
                }
                builder
            }
            None => Builder::default(),
        };
        self.spent = self.retire(py);
        self.borrow_shapes(py);
        let (decoder, at, numbers) = (&mut self.decoder, &mut self.at, self.numbers.as_deref_mut());
        let input = block.as_ref();
        let work = || {
            let more = match numbers {
                None => decoder.decode(input, at, BATCH_EVENTS, &mut builder),
                Some(numbers) => {
                    let mut sink = Numbered { builder: &mut builder, marks: &mut marks, numbers };
                    decoder.decode(input, at, BATCH_EVENTS, &mut sink)
                }
            };
            (builder, marks, more)
        };
        let (builder, marks, more) = if input.len() >= DETACH_BYTES { py.detach(work) } else { work() };
        self.return_shapes(py);
        if !more {
            self.waiting.pop_front();
            self.at = 0;
        }
        logs::check(py, &self.decoder)?;
        self.give(py, builder, marks, block);
        Ok(true)
    }

    /// The same of a small block of a live stream.
    fn refill_small(&mut self, py: Python<'_>, block: SharedBlock) {
        self.give_back(py);
        let (filling, mut builder) = Filling::begin(py);
        self.borrow_shapes(py);
        let more = self.decoder.decode(block.as_ref(), &mut self.at, BATCH_EVENTS, &mut builder);
        self.return_shapes(py);
        if !more {
            self.waiting.pop_front();
            self.at = 0;
        }
        let is_empty = builder.is_empty();
        let batch = filling.end(builder, block);
        if is_empty {
            lent::give_batch(py, batch);
        } else {
            self.batch = Some(batch);
            self.next_item = 0;
        }
    }

    /// Lets go of all that serves only while there is input.
    fn rest(&mut self, py: Python<'_>) {
        self.give_back(py);
        self.spent = None;
        if self.waiting.capacity() > 4 {
            self.waiting.shrink_to_fit();
        }
        self.decoder.rest();
    }

    fn borrow_shapes(&mut self, py: Python<'_>) {
        if self.lends && self.decoder.has_shapes() {
            self.decoder.lend(lent::shapes(py, Sort::Decoder));
        }
    }

    fn return_shapes(&mut self, py: Python<'_>) {
        if self.lends {
            lent::give_shapes(py, Sort::Decoder, self.decoder.take_back());
        }
    }

    /// Lends the batch that was given out to others.
    fn give_back(&mut self, py: Python<'_>) {
        if let Some(batch) = self.batch.take() {
            lent::give_batch(py, batch);
        }
    }

    fn give(&mut self, py: Python<'_>, builder: Builder, marks: Vec<Mark>, block: SharedBlock) {
        self.retire(py);
        if !builder.is_empty() {
            let batch = builder.build(block);
            let spares = if batch.items().len() >= WORTH_SPARES { Spares::open() } else { Spares::default() };
            self.batch = Some(Arc::new(Shared { marks, ..Shared::new(batch, spares) }));
            self.next_item = 0;
        }
    }

    /// Lets go of the batch that was given out.
    fn retire(&mut self, py: Python<'_>) -> Option<SharedBatch> {
        let batch = self.batch.take();
        if let Some(batch) = &batch {
            batch.close(py);
        }
        batch
    }

    /// For Python's collector of cycles.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        traverse(self.batch.as_ref(), visit)
    }

    /// Drops what may be part of a cycle.
    pub fn clear(&mut self) {
        // (When the interpreter goes, so does all that it has.)
        Python::try_attach(|py| self.retire(py));
    }

    /// Tells the end of the source; call `next` until it gives None before.
    pub fn finish(&mut self, py: Python<'_>) -> PyResult<()> {
        if std::mem::replace(&mut self.finished, true) {
            return Ok(());
        }
        let (mut builder, mut marks) = (Builder::default(), Vec::new());
        self.borrow_shapes(py);
        match self.numbers.as_deref_mut() {
            None => self.decoder.finish(&mut builder),
            Some(numbers) => {
                let mut sink = Numbered { builder: &mut builder, marks: &mut marks, numbers };
                self.decoder.finish(&mut sink);
            }
        }
        self.return_shapes(py);
        logs::check(py, &self.decoder)?;
        self.give(py, builder, marks, SharedBlock(Arc::new(Block::Owned(Buffer::default()))));
        Ok(())
    }

    /// The log goes on in another file; call `next` until it gives None before.
    pub fn turn(&mut self, py: Python<'_>) -> PyResult<()> {
        let (mut builder, mut marks) = (Builder::default(), Vec::new());
        self.borrow_shapes(py);
        match self.numbers.as_deref_mut() {
            None => self.decoder.turn(&mut builder),
            Some(numbers) => {
                let mut sink = Numbered { builder: &mut builder, marks: &mut marks, numbers };
                self.decoder.turn(&mut sink);
            }
        }
        self.return_shapes(py);
        logs::check(py, &self.decoder)?;
        self.give(py, builder, marks, SharedBlock(Arc::new(Block::Owned(Buffer::default()))));
        Ok(())
    }

    /// See [`Log::look`].
    pub fn look(&mut self, head: &[u8]) {
        self.decoder.look(head);
    }

    /// How the log is read: see [`logs::layout`].
    pub fn layout(&self) -> Option<logs::Recognised> {
        logs::layout(&self.decoder)
    }

    /// Counts a compressed source that breaks off, and gives the error to raise.
    pub fn compressed_damage(&mut self, py: Python<'_>, broken: &Broken) -> PyResult<Option<PyErr>> {
        let damage = Damage::of_compression(self.decoder.stats().bytes, broken);
        self.decoder.add_damage(&damage);
        if self.raise { Ok(Some(errors::decode_error(py, &damage, self.source.as_ref())?)) } else { Ok(None) }
    }

    /// What was counted so far.
    pub fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        errors::stats(py, &self.decoder.stats(), self.source.as_ref())
    }

    /// How many chunks matched a shape, and how many the careful parser read.
    pub fn paths(&self) -> (u64, u64) {
        let decoder::Paths { shape, careful, .. } = self.decoder.paths();
        (shape, careful)
    }

    #[cold]
    fn error(&self, py: Python<'_>, batch: &Batch<SharedBlock>, item: &Item) -> PyResult<PyErr> {
        let source = self.source.as_ref();
        match item {
            Item::Damage(damage) => errors::decode_error(py, damage, source),
            Item::ServerError(error) => {
                let (place, body) = &**error;
                let body = match body {
                    ErrorBody::Json(record) => to_python(py, batch.doc(record).root())?,
                    ErrorBody::Text(body) => text(py, body.as_bytes())?.into_any(),
                };
                errors::stream_error(py, *place, &body, source)
            }
            Item::Chunk(_) => unreachable!("a chunk is no error"),
        }
    }
}

/// Shows Python's collector of cycles the spares of a batch.
pub fn traverse(batch: Option<&SharedBatch>, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
    // SAFETY: Python's collector runs on a thread that is attached, and nothing of Python is called.
    let py = unsafe { Python::assume_attached() };
    let spares = batch.and_then(|batch| batch.spares(py));
    spares.map_or(Ok(()), |spares| spares.traverse(visit))
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.clear();
    }
}
