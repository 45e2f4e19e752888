//! Streams by number, for who asks of each chunk which stream it belongs to, and never for rows.

use super::Tracker;

impl Tracker {
    /// A tracker that is asked for numbers, and never for rows.
    #[must_use]
    pub fn for_numbers() -> Self {
        Self { numbers_only: true, ..Self::default() }
    }

    /// Takes a chunk that is like one that went to this row, if it goes there again for sure: always straight behind
    /// another chunk of the row, and anywhere if it has an id. Otherwise it is not taken.
    #[inline]
    pub fn goes_on(&mut self, row: usize, has_id: bool) -> bool {
        // (Ids do not join across exchanges.)
        let is_open_here = |one: &Self| one.rows[row].open && (!one.has_exchanges || one.open_rows.contains(&row));
        let goes_on = self.current == Some(row) || (has_id && is_open_here(self) && !self.children.contains_key(&row));
        if goes_on {
            self.last = None;
            self.last_row = row;
            self.current = Some(row);
            self.repeat(row, 1);
        }
        goes_on
    }

    /// The number of the stream that the last chunk belongs to, as far as can be told now: how many began before it. Only a
    /// tracker [for numbers](Self::for_numbers) can be asked.
    ///
    /// A part under another id counts to the stream that it continues; where it turns out to be a stream of its own, it
    /// gets the next number from there on. Where none does, the numbers are those of the rows.
    #[inline]
    #[must_use]
    pub fn number(&self) -> u64 {
        self.rows[self.last_row].number
    }

    /// A part turned out to be a stream of its own, with the parts that continue it; those begin behind it.
    pub(super) fn renumber(&mut self, part: usize) {
        let mut parts = vec![part];
        for row in part + 1..self.rows.len() {
            if self.rows[row].parent.is_some_and(|parent| parts.contains(&parent)) {
                parts.push(row);
            }
        }
        for part in parts {
            self.rows[part].number = self.begun;
        }
        self.begun += 1;
    }
}
