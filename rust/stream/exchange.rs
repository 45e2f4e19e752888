//! Streams of exchanges: they end with their exchange, and an exchange without any is a row, too.
//!
//! Where exchanges are read in pieces, which take turns, what belongs to one is put aside while another is at work.

use hashbrown::{HashMap, HashTable};

use super::{Kept, Tracker};
use crate::chunk::{Doc, Value};
use crate::decoder::Exchange;
use crate::error::Place;

/// What is known of an exchange.
#[derive(Clone)]
pub(super) struct Here {
    number: u64,
    offset: u64,
    source: u32,
    /// Its rows; not after some were forgotten.
    pub rows: Vec<usize>,
    kept: Option<Kept>,
    /// When it began, in seconds.
    pub began: Option<f64>,
}

impl Default for Here {
    /// None.
    fn default() -> Self {
        Self { number: u64::MAX, offset: 0, source: 0, rows: Vec::new(), kept: None, began: None }
    }
}

/// An exchange that is put aside, with what the tracker knows of it alone.
#[derive(Clone, Default)]
pub(super) struct Aside {
    here: Here,
    pub open: HashTable<usize>,
    pub open_rows: Vec<usize>,
    pub current: Option<usize>,
    pub ended: Option<usize>,
    pub children: HashMap<usize, Vec<usize>>,
    rows_here: usize,
    first_loss: Option<u64>,
    seq: u64,
}

impl Tracker {
    /// What follows is of this exchange.
    pub(super) fn enter(&mut self, exchange: &Exchange<'_>) {
        self.put_aside();
        self.has_exchanges = true;
        self.here = Here { number: exchange.number, offset: exchange.offset, source: self.source, ..Here::default() };
        self.keep_of_exchange(exchange.kept);
    }

    /// What follows is of this exchange, which was put aside.
    pub(super) fn switch(&mut self, number: u64) {
        if self.here.number == number && !self.here.is_over() {
            return;
        }
        self.put_aside();
        if let Some(mut aside) = self.others.remove(&number) {
            self.exchange_with(&mut aside);
        }
    }

    /// Puts the exchange aside, if there is one that goes on.
    fn put_aside(&mut self) {
        self.last = None;
        let mut aside = Aside::default();
        self.exchange_with(&mut aside);
        if self.has_exchanges && !aside.here.is_over() {
            self.others.insert(aside.here.number, Box::new(aside));
        }
    }

    fn exchange_with(&mut self, aside: &mut Aside) {
        std::mem::swap(&mut self.here, &mut aside.here);
        std::mem::swap(&mut self.open, &mut aside.open);
        std::mem::swap(&mut self.open_rows, &mut aside.open_rows);
        std::mem::swap(&mut self.current, &mut aside.current);
        std::mem::swap(&mut self.ended, &mut aside.ended);
        std::mem::swap(&mut self.children, &mut aside.children);
        std::mem::swap(&mut self.rows_here, &mut aside.rows_here);
        std::mem::swap(&mut self.first_loss, &mut aside.first_loss);
        std::mem::swap(&mut self.seq, &mut aside.seq);
    }

    /// Members of the exchange to be kept.
    pub(super) fn keep_of_exchange(&mut self, kept: &[Option<Vec<u8>>]) {
        let kept = kept.iter().map(|value| value.as_deref().map(Into::into));
        self.here.kept = (kept.len() > 0).then(|| kept.collect());
    }

    /// The exchange has ended.
    pub(super) fn leave(&mut self) {
        self.last = None;
        if self.rows_here == 0 {
            let row = self.begin(self.first_loss.unwrap_or(self.here.offset));
            self.rows[row].done = true;
            self.rows[row].malformed = self.first_loss.is_some();
            self.rows[row].source = self.here.source;
        }
        while let Some(&row) = self.open_rows.last() {
            self.close(row);
        }
        self.current = None;
        if let Some(before) = self.ended.take() {
            self.tell(before);
        }
        let here = std::mem::take(&mut self.here);
        for row in here.rows {
            self.rows[row].kept.clone_from(&here.kept);
            self.rows[row].began = here.began;
        }
    }

    /// All exchanges have ended, those that were put aside in the order in which they began.
    pub(super) fn leave_all(&mut self) {
        if !self.has_exchanges {
            return;
        }
        self.put_aside();
        let mut others: Vec<_> = self.others.drain().collect();
        others.sort_by_key(|&(number, _)| number);
        for (_, mut aside) in others {
            self.exchange_with(&mut aside);
            self.leave();
        }
    }

    /// Takes a finished completion: a stream of its own, which is over at once and touches no other.
    pub fn take_completion(&mut self, doc: Doc<'_>, place: Place) {
        let (current, ended) = (self.current, self.ended);
        self.current = None;
        self.last = None;
        self.seq += 1;
        let members = super::Members::of(doc.root());
        let row = self.begin(place.offset);
        self.add(row, &members);
        if !self.numbers_only {
            self.report(row, &members, place);
        }
        self.rows[row].done = true;
        self.last_row = row;
        // (It has no id yet: no other chunk finds it.)
        self.close(row);
        self.rows[row].id = members.id.and_then(Value::non_empty).map(|id| (*id).into());
        (self.current, self.ended) = (current, ended);
    }
}

impl Aside {
    /// What is known of it.
    pub(super) fn here_mut(&mut self) -> &mut Here {
        &mut self.here
    }
}

impl Here {
    /// Is it none, or has it ended?
    fn is_over(&self) -> bool {
        self.number == u64::MAX
    }
}
