//! What a part of a source adds to its streams: the decoder's findings in, something that a [`Tracker`] can take later out.
//!
//! A digest keeps what is told in order, but a run of chunks that say the same but for their text is one entry. So it
//! is small, and taking it costs next to nothing beside the decoding that another thread did. It copies what it keeps:
//! the bytes of its part are gone by then, and their memory serves the next one.

use crate::chunk::shape::Template;
use crate::chunk::{Doc, Node};
use crate::decoder::{Body, Exchange, Found, Shaped, Sink};
use crate::error::{Damage, Kind, Place};
use crate::record::{Batch, Builder, Item};
use crate::stream::{Likeness, Tracker};
use crate::written::{Gauge, Written};

enum Entry {
    /// A chunk, by its number in the batch, and how many came behind it that are like it.
    Chunk {
        item: usize,
        place: Place,
        more: u64,
        /// Where the last of them stands, if what that one reports counts: it is the item behind the first.
        last: Option<Place>,
        /// How much text all of them carry.
        written: Written,
        is_completion: bool,
    },
    Done(Place),
    ServerError(Place),
    /// (Its reason says nothing of streams: it is told by the decoder's counts.)
    Damage(Reach, Kind, Place),
    /// The beginning of an exchange in the part.
    Begin(u64, Vec<Option<Vec<u8>>>),
    End,
}

/// To what a damage was done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Event,
    Outer,
    Stray,
}

/// A sink that keeps what matters to streams.
pub(super) struct Digest {
    builder: Builder,
    entries: Vec<Entry>,
    last: Option<Likeness>,
    /// Measures what was written, if that is wanted.
    gauge: Option<Gauge>,
}

/// A digest that is whole. (There is no block that it looks into.)
pub(super) struct Digested {
    batch: Batch<[u8; 0]>,
    entries: Vec<Entry>,
}

impl Digest {
    /// Nothing yet; `builder` is an empty one, with memory to use. Is it to be measured what was written?
    pub fn new(builder: Builder, measures: bool) -> Self {
        Self { builder, entries: Vec::new(), last: None, gauge: measures.then(Gauge::default) }
    }

    fn push_chunk(&mut self, place: Place, written: Written) {
        let item = self.builder.len();
        self.entries.push(Entry::Chunk { item, place, more: 0, last: None, written, is_completion: false });
    }

    fn push_damage(&mut self, reach: Reach, damage: &Damage) {
        self.last = None;
        if !self.is_said(reach, damage.kind) {
            self.entries.push(Entry::Damage(reach, damage.kind, damage.place));
        }
    }

    /// Is it among the damages at the end, so that it says nothing new? Else a source that is all damage would have a
    /// digest that is larger than itself.
    fn is_said(&self, reach: Reach, kind: Kind) -> bool {
        for entry in self.entries.iter().rev() {
            match *entry {
                Entry::Damage(reach_before, kind_before, _) if (reach_before, kind_before) == (reach, kind) => {
                    return true;
                }
                // It may have begun a stream, and only then an outer one counts.
                Entry::Damage(Reach::Event, ..) if reach == Reach::Outer => return false,
                Entry::Damage(..) => {}
                _ => return false,
            }
        }
        false
    }

    pub fn build(self) -> Digested {
        Digested { batch: self.builder.build([]), entries: self.entries }
    }

    /// Keeps a chunk that matched a shape.
    #[inline]
    fn keep(&mut self, shaped: Shaped<'_>) {
        self.builder.shaped(Shaped { at: None, ..shaped });
    }
}

impl Sink for Digest {
    fn nodes(&mut self) -> &mut Vec<Node> {
        self.builder.nodes()
    }

    fn chunk(&mut self, found: Found<'_>) {
        self.last = None;
        let written = match &mut self.gauge {
            Some(gauge) => gauge.measure(Doc::new(found.text, &self.builder.nodes()[found.first_node..])),
            None => Written::default(),
        };
        self.push_chunk(found.place, written);
        self.builder.chunk(Found { at: None, ..found });
    }

    #[inline]
    fn shaped(&mut self, shaped: Shaped<'_>) {
        if self.last.as_ref().is_some_and(|last| shaped.template.last_report_counts() && last.is_like(&shaped)) {
            self.repeated(1, shaped);
            return;
        }
        Likeness::set(&mut self.last, &shaped);
        let written = self.gauge.as_mut().map(|gauge| gauge.measure(shaped.doc())).unwrap_or_default();
        self.push_chunk(shaped.place, written);
        self.keep(shaped);
    }

    fn counts(&self, template: &Template) -> bool {
        // What is measured has to be seen.
        self.gauge.is_none()
            && template.last_report_counts()
            && self.last.as_ref().is_some_and(|last| last.is_like_all(template))
    }

    #[inline]
    fn repeated(&mut self, count: u64, shaped: Shaped<'_>) {
        let Some(Entry::Chunk { more, last, written, .. }) = self.entries.last_mut() else { return };
        *more += count;
        if let Some(gauge) = &mut self.gauge {
            *written += gauge.measure(shaped.doc());
        }
        if shaped.template.reports() {
            match last.replace(shaped.place) {
                Some(_) => self.builder.replace(Shaped { at: None, ..shaped }),
                None => self.keep(shaped),
            }
        }
    }

    fn done(&mut self, place: Place) {
        self.last = None;
        self.entries.push(Entry::Done(place));
    }

    fn server_error(&mut self, place: Place, body: Body<'_>) {
        self.last = None;
        if let Body::Json(found) = body {
            self.builder.nodes().truncate(found.first_node);
        }
        self.entries.push(Entry::ServerError(place));
    }

    fn completion(&mut self, found: Found<'_>) {
        self.chunk(found);
        if let Some(Entry::Chunk { is_completion, .. }) = self.entries.last_mut() {
            *is_completion = true;
        }
    }

    fn begin_exchange(&mut self, exchange: Exchange<'_>) {
        self.last = None;
        self.entries.push(Entry::Begin(exchange.offset, exchange.kept.to_vec()));
    }

    fn end_exchange(&mut self) {
        self.last = None;
        self.entries.push(Entry::End);
    }

    fn damage(&mut self, damage: &Damage) {
        self.push_damage(Reach::Event, damage);
    }

    fn outer_damage(&mut self, damage: &Damage) {
        self.push_damage(Reach::Outer, damage);
    }

    fn stray_damage(&mut self, damage: &Damage) {
        self.push_damage(Reach::Stray, damage);
    }
}

impl Digested {
    /// How many bytes it has, about.
    pub fn memory(&self) -> usize {
        self.batch.memory() + self.entries.capacity() * size_of::<Entry>()
    }

    fn doc(&self, item: usize) -> Option<Doc<'_>> {
        match &self.batch.items()[item] {
            Item::Chunk(record) => Some(self.batch.doc(record)),
            _ => None,
        }
    }

    /// Tells the tracker what was found; `global` gives the place in the source for one in the part. Gives a builder for
    /// the next digest.
    pub fn tell(self, tracker: &mut Tracker, global: impl Fn(Place) -> Place) -> Builder {
        for entry in &self.entries {
            match entry {
                Entry::Chunk { item, place, more, last, written, is_completion } => {
                    let Some(doc) = self.doc(*item) else { continue };
                    if *is_completion {
                        tracker.take_completion(doc, global(*place));
                    } else {
                        tracker.chunks(doc, global(*place), 1 + more);
                        if let Some(place) = last
                            && let Some(doc) = self.doc(item + 1)
                        {
                            tracker.last_usage(doc, global(*place));
                        }
                    }
                    tracker.add_written(*written);
                }
                Entry::Done(place) => tracker.done(global(*place)),
                Entry::ServerError(place) => tracker.server_error(global(*place), Body::Text("")),
                Entry::Damage(reach, kind, place) => {
                    let (kind, place) = (*kind, global(*place));
                    let damage = Damage { kind, place, position: None, reason: String::new() };
                    match reach {
                        Reach::Event => tracker.damage(&damage),
                        Reach::Outer => tracker.outer_damage(&damage),
                        Reach::Stray => tracker.stray_damage(&damage),
                    }
                }
                Entry::Begin(offset, kept) => {
                    let place = global(Place { offset: *offset, line: 0, event: 0 });
                    tracker.begin_exchange(Exchange { number: 0, offset: place.offset, kept });
                }
                Entry::End => tracker.end_exchange(),
            }
        }
        self.batch.recycle()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damage(kind: Kind, offset: u64) -> Damage {
        let place = Place { offset, ..Place::default() };
        Damage { kind, place, position: None, reason: String::new() }
    }

    #[test]
    fn damage_that_says_nothing_new_is_not_kept() {
        let mut digest = Digest::new(Builder::default(), false);
        for offset in 0..1000 {
            let kinds = [Kind::InvalidJson, Kind::NotAChunk, Kind::Truncated];
            digest.damage(&damage(kinds[offset as usize % 3], offset));
            digest.outer_damage(&damage(Kind::WrongFormat, offset));
        }
        // Each damage to an event may begin a stream, to which the outer one behind it is done.
        let kept = digest.entries.iter().map(|entry| match entry {
            Entry::Damage(reach, _, place) => (*reach == Reach::Outer, place.offset),
            _ => panic!("no damage"),
        });
        let kept: Vec<_> = kept.collect();
        assert_eq!(kept, [(false, 0), (true, 0), (false, 1), (true, 1), (false, 2), (true, 2)]);
        digest.done(Place::default());
        digest.damage(&damage(Kind::InvalidJson, 1000));
        assert_eq!(digest.entries.len(), 8);
    }
}
