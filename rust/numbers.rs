//! The number room: what the decoder finds in, a batch of it and the number of the stream of each chunk out.

use crate::chunk::{Doc, Node};
use crate::decoder::{Body, Exchange, Found, Shaped, Sink};
use crate::error::{Damage, Place};
use crate::record::Builder;
use crate::stream::{Likeness, Tracker};

/// After so many findings the streams that have ended are forgotten.
const REMEMBERED: usize = 1 << 10;

/// How many chunks are kept that later ones may be like: enough for so many interleaved streams.
pub const KNOWN: usize = 16;

/// What is told of a chunk.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// The number of its stream: see [`Tracker::number`].
    pub stream: i64,
    /// Chunks with the same number here are [alike](Likeness): 0 where that is not known of
    /// any other. No more than [`KNOWN`] of these numbers are in use at a time, and new ones are one larger.
    pub alike: u64,
}

impl Mark {
    /// That of an item that is no chunk.
    pub const NONE: Self = Self { stream: -1, alike: 0 };
}

/// Tells the streams of a source apart, and forgets them.
pub struct Numbers {
    tracker: Tracker,
    found: usize,
    /// The last different chunks of which others may come that are like them.
    known: Vec<Known>,
    /// Which of these came last.
    last: usize,
    /// The number that is next in [`Mark::alike`]; the chunk replaces the one whose place this is.
    next: u64,
    /// The template of the last chunk that was like none.
    template: u64,
}

/// A chunk, and where it went.
#[derive(Default)]
struct Known {
    likeness: Option<Likeness>,
    row: usize,
    has_id: bool,
    alike: u64,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { tracker: Tracker::for_numbers(), found: 0, known: Vec::new(), last: 0, next: 1, template: 0 }
    }
}

impl Numbers {
    /// Takes a chunk.
    #[inline]
    fn take(&mut self, shaped: &Shaped<'_>) -> Mark {
        let alike = if self.is_like(self.last, shaped) { self.known[self.last].alike } else { self.take_other(shaped) };
        Mark { stream: self.tracker.number() as i64, alike }
    }

    /// Takes a chunk if it is like this one that is known.
    #[inline(always)]
    fn is_like(&mut self, number: usize, shaped: &Shaped<'_>) -> bool {
        let Some(Known { likeness: Some(likeness), row, has_id, .. }) = self.known.get(number) else { return false };
        likeness.is_like(shaped) && self.tracker.goes_on(*row, *has_id)
    }

    #[inline(never)]
    fn take_other(&mut self, shaped: &Shaped<'_>) -> u64 {
        if let Some(number) = (0..self.known.len()).find(|&number| self.is_like(number, shaped)) {
            self.last = number;
            return self.known[number].alike;
        }
        self.tracker.take_shaped(shaped);
        let template = std::mem::replace(&mut self.template, shaped.template.number());
        let has_id = shaped.template.plain().is_some_and(|plain| !shaped.doc().value(plain.id).text().is_empty());
        // Of those that begin or end something no other is like them.
        if has_id || template == self.template {
            let alike = self.next;
            self.next += 1;
            self.last = alike as usize % KNOWN;
            if self.known.len() < KNOWN {
                self.known.resize_with(KNOWN, Known::default);
            }
            let known = &mut self.known[self.last];
            Likeness::set(&mut known.likeness, shaped);
            known.row = self.tracker.last_row();
            known.has_id = has_id;
            known.alike = alike;
            self.count();
            return alike;
        }
        self.count();
        0
    }

    /// Counts what may begin or end a stream.
    fn count(&mut self) {
        self.found += 1;
        if self.found == REMEMBERED {
            self.found = 0;
            self.tracker.forget(|_| false);
            self.known.clear();
        }
    }
}

/// A sink that fills a batch, and a list of what is told of each of its items.
pub struct Numbered<'a> {
    /// The batch.
    pub builder: &'a mut Builder,
    /// What is told of its items.
    pub marks: &'a mut Vec<Mark>,
    /// What is known of the source.
    pub numbers: &'a mut Numbers,
}

impl Sink for Numbered<'_> {
    fn nodes(&mut self) -> &mut Vec<Node> {
        self.builder.nodes()
    }

    fn chunk(&mut self, found: Found<'_>) {
        let doc = Doc::new(found.text, &self.builder.nodes()[found.first_node..]);
        self.numbers.tracker.chunks(doc, found.place, 1);
        self.marks.push(Mark { stream: self.numbers.tracker.number() as i64, alike: 0 });
        self.numbers.count();
        self.builder.chunk(found);
    }

    #[inline]
    fn shaped(&mut self, shaped: Shaped<'_>) {
        let mark = self.numbers.take(&shaped);
        self.marks.push(mark);
        self.builder.shaped(shaped);
    }

    fn completion(&mut self, found: Found<'_>) {
        let doc = Doc::new(found.text, &self.builder.nodes()[found.first_node..]);
        self.numbers.tracker.take_completion(doc, found.place);
        self.marks.push(Mark { stream: self.numbers.tracker.number() as i64, alike: 0 });
        self.numbers.count();
        self.builder.chunk(found);
    }

    fn begin_exchange(&mut self, exchange: Exchange<'_>) {
        self.numbers.tracker.begin_exchange(exchange);
    }

    fn go_back(&mut self, number: u64) {
        self.numbers.tracker.go_back(number);
    }

    fn end_exchange(&mut self) {
        self.numbers.tracker.end_exchange();
        self.numbers.count();
    }

    fn outer_damage(&mut self, damage: &Damage) {
        self.numbers.tracker.outer_damage(damage);
        self.keep_damage(damage);
    }

    fn stray_damage(&mut self, damage: &Damage) {
        self.keep_damage(damage);
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.builder.is_full()
    }

    fn done(&mut self, place: Place) {
        self.numbers.tracker.done(place);
        self.numbers.count();
    }

    fn server_error(&mut self, place: Place, body: Body<'_>) {
        self.numbers.tracker.server_error(place, body);
        self.builder.server_error(place, body);
        self.marks.resize(self.builder.len(), Mark::NONE);
        self.numbers.count();
    }

    fn damage(&mut self, damage: &Damage) {
        self.numbers.tracker.damage(damage);
        self.keep_damage(damage);
    }
}

impl Numbered<'_> {
    fn keep_damage(&mut self, damage: &Damage) {
        self.builder.damage(damage);
        self.marks.resize(self.builder.len(), Mark::NONE);
        self.numbers.count();
    }
}
