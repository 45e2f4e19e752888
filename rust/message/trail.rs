//! The short way of a stream's chunks that differ in a piece of text: what folding a chunk did in, what is left to do for
//! the next one of the same template out.
//!
//! Folding leaves a trail: which strings it appended, and where. If everything else in the chunk is the same in all
//! chunks of its template, then a second one straight behind it adds those strings and nothing more.

use crate::chunk::{Doc, Value};

/// How deep a place may be.
const DEEP: usize = 7;
/// How many strings a chunk may append.
const MANY: usize = 4;

/// The way from a stream to one of its texts: the choice, which of its parts, and from there place by place.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Path {
    steps: [u32; DEEP],
    length: u8,
}

impl Path {
    pub(super) fn steps(&self) -> &[u32] {
        &self.steps[..self.length as usize]
    }
}

/// What folding a chunk did.
#[derive(Debug, Default)]
pub(super) struct Trail {
    path: Path,
    too_deep: usize,
    appends: Vec<(usize, Path)>,
    /// Something else changed that another chunk of the template may change again.
    is_lost: bool,
    /// How many chunks were folded in full.
    #[cfg(test)]
    pub(super) folds: usize,
}

impl Trail {
    pub(super) fn clear(&mut self) {
        self.path = Path::default();
        self.too_deep = 0;
        self.appends.clear();
        self.is_lost = false;
        #[cfg(test)]
        {
            self.folds += 1;
        }
    }

    pub(super) fn enter(&mut self, place: usize) {
        if (self.path.length as usize) < DEEP && self.too_deep == 0 {
            self.path.steps[self.path.length as usize] = place as u32;
            self.path.length += 1;
        } else {
            self.too_deep += 1;
        }
    }

    pub(super) fn leave(&mut self) {
        if self.too_deep > 0 {
            self.too_deep -= 1;
        } else {
            self.path.length -= 1;
        }
    }

    /// A string was appended to the text at the end of the path.
    pub(super) fn append(&mut self, value: Value<'_>) {
        if value.template().is_some() && value.text().is_empty() {
            return;
        }
        if self.too_deep > 0 || self.appends.len() == MANY {
            self.is_lost = true;
        } else {
            self.appends.push((value.number(), self.path));
        }
    }

    /// A value was put where it counts until another comes.
    pub(super) fn see(&mut self, value: Value<'_>) {
        self.is_lost |= !value.is_fixed();
    }

    /// Something happened that has to happen for each chunk.
    pub(super) fn give_up(&mut self) {
        self.is_lost = true;
    }
}

/// What is left to do for another chunk of a template.
#[derive(Debug, Default)]
pub(super) struct Shortcut {
    template: Option<u64>,
    appends: Vec<(usize, Path)>,
}

impl Shortcut {
    /// After a chunk was folded.
    pub(super) fn learn(&mut self, doc: Doc<'_>, trail: &Trail) {
        self.template = doc.template().filter(|_| !trail.is_lost).map(|template| template.number());
        self.appends.clone_from(&trail.appends);
    }

    /// Is this a chunk of that template, straight behind one?
    #[inline]
    pub(super) fn knows(&self, template: u64) -> bool {
        self.template == Some(template)
    }

    /// The strings that are appended: the number of each in the document, and where it goes.
    #[inline]
    pub(super) fn appends(&self) -> &[(usize, Path)] {
        &self.appends
    }
}
