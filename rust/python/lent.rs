//! What decoders of live streams lend each other, so that one that waits holds next to nothing: shapes, and small batches
//! with their views.
//!
//! A live stream is decoded an event at a time, and between two of them thousands of others may come. So no stream has
//! shapes of its own: it takes some for a piece and gives them back, and keeps only where it stands among them. Streams
//! of one server share what was learned, and a new stream begins with it. Small batches go round in the same way: one
//! into which nobody looks any more is filled again, in place, and its views serve the next chunk. Nothing that is given
//! out depends on who had it before.
//!
//! What goes round is bounded, and belongs to the process: at most [`MOST_SHAPES`] sets of shapes of each sort (one,
//! unless several threads decode at the same moment), and [`MOST_BATCHES`] batches of at most [`SMALL_BLOCK`] bytes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{Ordering::Acquire, fence};

use pyo3::prelude::*;

use super::lock::AttachedLock;
use super::pipeline::{Shared, SharedBatch, SharedBlock};
use super::spares::Spares;
use crate::chunk::shape::Shapes;
use crate::record::Builder;

/// So many threads that decode at the same time find shapes.
const MOST_SHAPES: usize = 4;
/// Shapes that take more are not kept. (Those of one server take some KiB.)
const MOST_SHAPES_BYTES: usize = 1 << 20;
/// Some consumers hold the last chunk of each of several streams.
const MOST_BATCHES: usize = 8;
/// A batch of a longer block does not go round, nor one that takes more memory itself.
const SMALL_BLOCK: usize = 4096;
const SMALL_BATCH: usize = 8192;

/// Who learned shapes: they learn from different events.
#[derive(Clone, Copy)]
pub enum Sort {
    Decoder,
    Live,
    /// Of clients that write once more what they read: so not from all that others do.
    Written,
}

/// What waits to be lent.
#[expect(clippy::vec_box, reason = "shapes are handed on, and are large")]
struct Lent {
    shapes: [Vec<Box<Shapes>>; 3],
    /// The one that was given back first comes first.
    batches: VecDeque<SharedBatch>,
}

static LENT: AttachedLock<Lent> =
    AttachedLock::new(Lent { shapes: [Vec::new(), Vec::new(), Vec::new()], batches: VecDeque::new() });

/// Shapes of this sort, if there are any.
#[inline]
pub fn shapes(py: Python<'_>, sort: Sort) -> Option<Box<Shapes>> {
    LENT.take(py)?.shapes[sort as usize].pop()
}

/// Takes shapes back.
#[inline]
pub fn give_shapes(py: Python<'_>, sort: Sort, shapes: Option<Box<Shapes>>) {
    if let Some(shapes) = shapes
        && shapes.memory() <= MOST_SHAPES_BYTES
        && let Some(mut lent) = LENT.take(py)
        && lent.shapes[sort as usize].len() < MOST_SHAPES
    {
        lent.shapes[sort as usize].push(shapes);
    }
}

/// Is a block small enough for a batch that goes round?
#[inline]
pub fn is_small(block: &SharedBlock) -> bool {
    block.as_ref().len() <= SMALL_BLOCK
}

/// A batch that is being filled: one that was lent, or one to be.
pub struct Filling(Option<SharedBatch>);

impl Filling {
    /// Begins a batch, in the place of one into which nobody looks any more if there is one.
    #[inline]
    pub fn begin(py: Python<'_>) -> (Self, Builder) {
        let mut found = free(py);
        let builder = found.as_mut().map_or_else(Builder::default, |batch| alone(batch).batch.empty());
        (Self(found), builder)
    }

    /// Ends it; what was found is in the builder.
    #[inline]
    pub fn end(mut self, builder: Builder, block: SharedBlock) -> SharedBatch {
        match self.0.take() {
            None => Arc::new(Shared::new(builder.build(block), Spares::open())),
            Some(mut batch) => {
                drop(alone(&mut batch).batch.refill(builder, block));
                batch
            }
        }
    }
}

/// A batch that nobody but its own views looks into.
#[inline]
fn free(py: Python<'_>) -> Option<SharedBatch> {
    let mut lent = LENT.take(py)?;
    let first = lent.batches.front()?;
    let views = match first.spares(py) {
        Some(spares) => spares.unused(py)?,
        None => 0,
    };
    if Arc::strong_count(first) != 1 + views {
        return None;
    }
    // What its last owner did to it comes before what is done now.
    fence(Acquire);
    lent.batches.pop_front()
}

/// A batch that [`free`] gave.
#[inline]
fn alone(batch: &mut SharedBatch) -> &mut Shared {
    // SAFETY: `free` has seen that all other owners of the batch are views that its spares alone hold. They are asked for
    // nothing, and no other can be made, before the caller gives the batch out: it is in nobody else's hands, and the
    // caller's borrow of it lasts as long as this one.
    unsafe { &mut *Arc::as_ptr(batch).cast_mut() }
}

/// Takes a batch back whose last chunk was given out; somebody may still look into it.
#[inline]
pub fn give_batch(py: Python<'_>, batch: SharedBatch) {
    let is_welcome = is_small(batch.block()) && batch.memory() <= SMALL_BATCH;
    let before = match LENT.take(py).filter(|_| is_welcome) {
        Some(mut lent) => {
            lent.batches.push_back(batch);
            if lent.batches.len() > MOST_BATCHES { lent.batches.pop_front() } else { None }
        }
        None => Some(batch),
    };
    // Not under the lock: whatever a user put into a list of choices may go now.
    if let Some(before) = before {
        before.close(py);
    }
}
