//! A sink in front of a sink: what is found in a body in, the same with its place in the log out.

use crate::chunk::Node;
use crate::chunk::shape::Template;
use crate::decoder::{Body, Exchange, Found, Shaped, Sink};
use crate::error::{Damage, Kind, Place};

/// Gives what is found on to `sink`, with other places, and no longer pointing into the input.
pub(super) struct Placed<'a, S, G> {
    pub sink: &'a mut S,
    /// Where in the log something is that is at this place of what is decoded.
    pub global: G,
    /// Was something found that breaks off?
    pub truncated: bool,
    /// It is the end of the log: all that is left is told, also to a sink that is full.
    is_last: bool,
}

/// A sink that remembers whether something breaks off.
pub(super) trait Peek: Sink {
    /// Forgets what it saw.
    fn forget_truncated(&mut self);
    /// Did something break off since?
    fn saw_truncated(&self) -> bool;
}

impl<S: Sink, G: FnMut(Place) -> Place> Peek for Placed<'_, S, G> {
    fn forget_truncated(&mut self) {
        self.truncated = false;
    }

    fn saw_truncated(&self) -> bool {
        self.truncated
    }
}

impl<'a, S: Sink, G: FnMut(Place) -> Place> Placed<'a, S, G> {
    pub fn new(sink: &'a mut S, global: G) -> Self {
        Self { sink, global, truncated: false, is_last: false }
    }
}

/// A sink in front of a sink that is told all that is left, full or not: nobody would come back for it.
pub(super) fn to_the_end<S: Sink>(sink: &mut S) -> Placed<'_, S, fn(Place) -> Place> {
    Placed { is_last: true, ..Placed::new(sink, |place| place) }
}

impl<S: Sink, G: FnMut(Place) -> Place> Sink for Placed<'_, S, G> {
    #[inline]
    fn nodes(&mut self) -> &mut Vec<Node> {
        self.sink.nodes()
    }

    fn chunk(&mut self, found: Found<'_>) {
        self.sink.chunk(Found { place: (self.global)(found.place), at: None, ..found });
    }

    #[inline]
    fn shaped(&mut self, shaped: Shaped<'_>) {
        self.sink.shaped(Shaped { place: (self.global)(shaped.place), at: None, ..shaped });
    }

    #[inline]
    fn counts(&self, template: &Template) -> bool {
        self.sink.counts(template)
    }

    fn repeated(&mut self, count: u64, last: Shaped<'_>) {
        self.sink.repeated(count, Shaped { place: (self.global)(last.place), at: None, ..last });
    }

    fn completion(&mut self, found: Found<'_>) {
        self.sink.completion(Found { place: (self.global)(found.place), at: None, ..found });
    }

    fn next_source(&mut self) {
        self.sink.next_source();
    }

    fn begin_exchange(&mut self, exchange: Exchange<'_>) {
        self.sink.begin_exchange(exchange);
    }

    fn go_back(&mut self, number: u64) {
        self.sink.go_back(number);
    }

    fn keep(&mut self, kept: &[Option<Vec<u8>>]) {
        self.sink.keep(kept);
    }

    fn time(&mut self, time: Option<f64>) {
        self.sink.time(time);
    }

    fn content_at(&mut self, time: f64) {
        self.sink.content_at(time);
    }

    fn end_exchange(&mut self) {
        self.sink.end_exchange();
    }

    fn done(&mut self, place: Place) {
        self.sink.done((self.global)(place));
    }

    fn server_error(&mut self, place: Place, body: Body<'_>) {
        let place = (self.global)(place);
        let body = match body {
            Body::Json(found) => Body::Json(Found { place, at: None, ..found }),
            text => text,
        };
        self.sink.server_error(place, body);
    }

    fn damage(&mut self, damage: &Damage) {
        self.truncated |= damage.kind == Kind::Truncated;
        self.sink.damage(&Damage { place: (self.global)(damage.place), ..damage.clone() });
    }

    fn outer_damage(&mut self, damage: &Damage) {
        self.sink.outer_damage(&Damage { place: (self.global)(damage.place), ..damage.clone() });
    }

    fn stray_damage(&mut self, damage: &Damage) {
        self.sink.stray_damage(&Damage { place: (self.global)(damage.place), ..damage.clone() });
    }

    #[inline]
    fn is_full(&self) -> bool {
        !self.is_last && self.sink.is_full()
    }
}
