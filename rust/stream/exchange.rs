//! Streams of exchanges: they end with their exchange, and an exchange without any is a row, too.

use super::Tracker;
use crate::chunk::Doc;
use crate::decoder::Exchange;
use crate::error::Place;

impl Tracker {
    /// What follows is of this exchange.
    pub(super) fn enter(&mut self, exchange: &Exchange<'_>) {
        self.last = None;
        self.rows_here = 0;
        self.first_loss = None;
        self.has_exchanges = true;
        self.here = exchange.offset;
        let kept = exchange.kept.iter().map(|value| value.as_deref().map(Into::into));
        self.kept = (!exchange.kept.is_empty()).then(|| kept.collect());
    }

    /// The exchange has ended.
    pub(super) fn leave(&mut self) {
        self.last = None;
        if self.rows_here == 0 {
            let row = self.begin(self.first_loss.unwrap_or(self.here));
            self.rows[row].done = true;
            self.rows[row].malformed = self.first_loss.is_some();
        }
        while let Some(&row) = self.open_rows.last() {
            self.close(row);
        }
        self.current = None;
        if let Some(before) = self.ended.take() {
            self.tell(before);
        }
        self.kept = None;
    }

    /// Takes a finished completion: a stream of its own, which is over at once and touches no other.
    pub fn take_completion(&mut self, doc: Doc<'_>, place: Place) {
        let (current, ended) = (self.current, self.ended);
        self.current = None;
        self.last = None;
        self.seq += 1;
        let members = super::Members::of(doc.root());
        let row = self.begin(place.offset);
        if let Some(id) = members.id.and_then(crate::chunk::Value::non_empty) {
            // (No other row finds it: it is none of those that are open.)
            self.rows[row].id = Some((*id).into());
        }
        self.add(row, &members);
        if !self.numbers_only {
            self.report(row, &members, place);
        }
        self.rows[row].done = true;
        self.last_row = row;
        self.shut(row);
        (self.current, self.ended) = (current, ended);
    }

    /// Closes a row that no other finds by its id.
    fn shut(&mut self, row: usize) {
        let id = self.rows[row].id.take();
        self.close(row);
        self.rows[row].id = id;
    }
}
