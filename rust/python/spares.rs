//! Views that were given out and that nobody else holds any more: they serve again, so that a loop over a million chunks
//! makes a few objects for each batch.
//!
//! `chunk.choices[0].delta.content` needs a list and two views for a moment only. The batch that they look into keeps the
//! last ones of each sort; one that has no other owner when the next is asked for is pointed at another object of the same
//! batch and given out again. What anybody holds is never touched. The batch holds views, and they hold the batch: so
//! there are spares only while an iterator is at this batch, which closes them when it goes on.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::pipeline::SharedBatch;
use super::views::{Choice, Chunk, Delta, Kind, Looks, Usage, View};

/// The last views of a batch.
#[derive(Default)]
pub struct Spares {
    is_open: bool,
    /// By chunk, in turns: a loop's variables still hold what is of the last chunk when it asks for that of the next.
    turns: [Turn; 2],
}

/// The last views of every second chunk.
#[derive(Default)]
struct Turn {
    chunk: Option<Py<Chunk>>,
    /// `chunk.choices` of one choice.
    choices: Option<(Py<PyList>, Py<Choice>)>,
    delta: Option<Py<Delta>>,
    usage: Option<Py<Usage>>,
}

impl Spares {
    /// From here on views are kept.
    pub fn open() -> Self {
        Self { is_open: true, ..Self::default() }
    }

    /// Are views kept?
    #[inline]
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// For Python's collector of cycles: a user could put the iterator into a list of choices.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.turns.iter().filter_map(|turn| turn.choices.as_ref()).try_for_each(|(list, _)| visit.call(list))
    }

    /// How many views are kept, if nobody else holds one of them.
    #[inline]
    pub fn unused(&self, py: Python<'_>) -> Option<usize> {
        self.turns.iter().try_fold(0, |views, turn| Some(views + turn.unused(py)?))
    }

    #[inline]
    fn turn(&mut self, item: u32) -> &mut Turn {
        &mut self.turns[item as usize % 2]
    }
}

impl Turn {
    /// How many views are kept, if nobody else holds one of them.
    #[inline]
    fn unused(&self, py: Python<'_>) -> Option<usize> {
        let Self { chunk, choices, delta, usage } = self;
        let mut views = 0;
        for owners in [chunk.as_ref().map(owners), delta.as_ref().map(owners), usage.as_ref().map(owners)] {
            match owners {
                None => {}
                Some(1) => views += 1,
                Some(_) => return None,
            }
        }
        if let Some((list, choice)) = choices {
            if !is_unused(py, list, choice) {
                return None;
            }
            views += 1;
        }
        Some(views)
    }
}

/// Does nobody hold the list of a choice, or the choice?
#[inline]
fn is_unused(py: Python<'_>, list: &Py<PyList>, choice: &Py<Choice>) -> bool {
    // Its last owner could have changed the list.
    (owners(list), owners(choice)) == (1, 2)
        && list.bind(py).len() == 1
        && list.bind(py).get_item(0).is_ok_and(|item| item.is(choice))
}

/// A view of the chunk with this number.
#[inline]
pub fn chunk<'py>(py: Python<'py>, batch: &SharedBatch, item: u32) -> PyResult<Bound<'py, Chunk>> {
    served(py, batch, item, 0, |turn| &mut turn.chunk)
}

/// A view of an object in a chunk.
#[inline]
pub fn view<'py>(
    py: Python<'py>,
    batch: &SharedBatch,
    item: u32,
    node: u32,
    kind: Kind,
) -> PyResult<Bound<'py, PyAny>> {
    match kind {
        Kind::Delta => Ok(served(py, batch, item, node, |turn| &mut turn.delta)?.into_any()),
        Kind::Usage => Ok(served(py, batch, item, node, |turn| &mut turn.usage)?.into_any()),
        _ => kind.view(py, View::new(batch, item, node)),
    }
}

/// A list with a view of a chunk's only choice.
#[inline]
pub fn only_choice<'py>(py: Python<'py>, batch: &SharedBatch, item: u32, node: u32) -> PyResult<Bound<'py, PyAny>> {
    if let Some(mut spares) = batch.spares(py)
        && let Some((list, choice)) = &spares.turn(item).choices
        && is_unused(py, list, choice)
    {
        choice.get().view().point_at(item, node);
        return Ok(list.bind(py).clone().into_any());
    }
    let choice = Bound::new(py, Choice::new(View::new(batch, item, node)))?;
    let list = PyList::new(py, [&choice])?;
    let kept = (list.clone().unbind(), choice.unbind());
    // Not dropped while it is taken: whatever a user put into the list may go now.
    let before = batch.spares(py).and_then(|mut spares| spares.turn(item).choices.replace(kept));
    drop(before);
    Ok(list.into_any())
}

/// A view that is kept, or a new one that is from now on.
#[inline]
fn served<'py, V: Looks>(
    py: Python<'py>,
    batch: &SharedBatch,
    item: u32,
    node: u32,
    spare: impl Fn(&mut Turn) -> &mut Option<Py<V>>,
) -> PyResult<Bound<'py, V>> {
    if let Some(mut spares) = batch.spares(py)
        && let Some(view) = spare(spares.turn(item))
        && owners(view) == 1
    {
        view.get().view().point_at(item, node);
        return Ok(view.bind(py).clone());
    }
    let view = Bound::new(py, V::new(View::new(batch, item, node)))?;
    let before = batch.spares(py).and_then(|mut spares| spare(spares.turn(item)).replace(view.clone().unbind()));
    drop(before);
    Ok(view)
}

/// How many references to an object there are.
#[inline]
pub fn owners<T>(object: &Py<T>) -> isize {
    // SAFETY: the pointer is that of a live object, and only who is attached to the interpreter comes here.
    unsafe { pyo3::ffi::Py_REFCNT(object.as_ptr()) }
}
