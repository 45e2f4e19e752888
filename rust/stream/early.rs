//! Streams before their source has ended: which of them have become final, so that they can be given out and forgotten.
//!
//! A row is final once it is closed and no longer the one that the last `[DONE]` ended, behind which usage may come. From
//! then on nothing parts it from the row that continues it under another id, and the two can be made one. A stream is
//! final when that has been done to the last.

use super::{Row, Tracker};
use crate::error::Damage;

impl Tracker {
    /// A tracker that tells which streams have become final.
    #[must_use]
    pub fn for_early() -> Self {
        Self { news: Some(Vec::new()), ..Self::default() }
    }

    /// Notes that a row may have become final, or a stream of its own.
    pub(super) fn tell(&mut self, row: usize) {
        if let Some(news) = &mut self.news {
            news.push(row);
        }
    }

    /// Has something happened by which a stream may have become final?
    #[inline]
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.news.as_ref().is_some_and(|news| !news.is_empty())
    }

    /// Finds the streams that have become final since the last time, in the order in which they began. `join` is told which
    /// row took in which, in the order in which their chunks came.
    pub fn take_final(&mut self, found: &mut Vec<usize>, join: &mut dyn FnMut(usize, usize)) {
        let mut news = self.news.take().unwrap_or_default();
        // From the front, each row finds those that it continues taken in already.
        news.sort_unstable();
        'news: for &row in &news {
            let mut row = row;
            while self.is_final(row) {
                let Some(parent) = self.rows[row].parent else {
                    if self.join_parts(row, false, join) {
                        found.push(row);
                    }
                    continue 'news;
                };
                row = parent;
            }
        }
        found.sort_unstable();
        found.dedup();
        news.clear();
        self.news = Some(news);
    }

    /// Finds the streams that are left at the end of the source.
    pub fn take_left(&mut self, found: &mut Vec<usize>, join: &mut dyn FnMut(usize, usize)) {
        for row in 0..self.rows.len() {
            if self.rows[row].parent.is_none() {
                self.join_parts(row, true, join);
                found.push(row);
            }
        }
    }

    /// Takes the parts of a stream in, one after the other, as far as they are final. Are all?
    fn join_parts(&mut self, row: usize, at_end: bool, join: &mut dyn FnMut(usize, usize)) -> bool {
        while let Some(part) = self.part(row) {
            if !at_end && !self.is_final(part) {
                return false;
            }
            self.absorb(row, part);
            join(row, part);
        }
        true
    }

    /// Will this row get no more chunks?
    fn is_final(&self, row: usize) -> bool {
        !self.rows[row].open && self.ended != Some(row)
    }

    /// The row that is, as far as is known, a part of this one under another id: its chunks come behind those of this
    /// one. There is at most one: a second can begin only when a chunk of this row has come, which parts the first from
    /// it.
    fn part(&self, row: usize) -> Option<usize> {
        self.children.get(&row).and_then(|parts| parts.first()).copied()
    }

    /// Makes a row's part one with it; the part of that is now its own. The part stays as an empty row.
    fn absorb(&mut self, row: usize, part: usize) {
        let (offset, seq) = (self.rows[part].offset, self.rows[part].last_seq);
        let mut empty = Row::new(offset, seq);
        empty.open = false;
        empty.parent = Some(row);
        let part_row = std::mem::replace(&mut self.rows[part], empty);
        self.rows[row].absorb(part_row);
        self.children.remove(&row);
        if let Some(parts) = self.children.remove(&part) {
            for &next in &parts {
                self.rows[next].parent = Some(row);
            }
            self.children.insert(row, parts);
        }
    }

    /// The row of the last chunk, until [`forget`](Self::forget) gives rows other places.
    #[inline]
    #[must_use]
    pub fn last_row(&self) -> usize {
        self.last_row
    }

    /// How many rows there are.
    #[inline]
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// What is known of a row so far.
    #[must_use]
    pub fn row(&self, row: usize) -> &Row {
        &self.rows[row]
    }

    /// A row's model.
    #[must_use]
    pub fn model(&self, row: usize) -> Option<&[u8]> {
        self.models.text(self.rows[row].model)
    }

    /// Is this row, as far as is known, a part of an earlier one?
    #[inline]
    #[must_use]
    pub fn is_part(&self, row: usize) -> bool {
        self.rows[row].parent.is_some()
    }

    /// Takes the damages that were found so far: usage that is no object.
    pub fn take_damages(&mut self) -> Vec<Damage> {
        std::mem::take(&mut self.damages)
    }
}
