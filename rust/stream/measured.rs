//! A tracker that also measures what was written: for estimates of what no server reported.

use super::Tracker;
use crate::chunk::{Doc, Node};
use crate::decoder::{Body, Exchange, Found, Shaped, Sink};
use crate::error::{Damage, Place};
use crate::written::Gauge;

/// A sink that sorts chunks into streams, and adds up how much text each stream carries.
#[derive(Default)]
pub struct Measured {
    tracker: Tracker,
    gauge: Gauge,
}

impl Measured {
    /// The tracker.
    #[must_use]
    pub fn into_tracker(self) -> Tracker {
        self.tracker
    }
}

impl Sink for Measured {
    fn nodes(&mut self) -> &mut Vec<Node> {
        self.tracker.nodes()
    }

    fn chunk(&mut self, found: Found<'_>) {
        let nodes = &self.tracker.nodes()[found.first_node..];
        let written = self.gauge.measure(Doc::new(found.text, nodes));
        self.tracker.chunk(found);
        self.tracker.add_written(written);
    }

    fn shaped(&mut self, shaped: Shaped<'_>) {
        let written = self.gauge.measure(shaped.doc());
        self.tracker.shaped(shaped);
        self.tracker.add_written(written);
    }

    fn completion(&mut self, found: Found<'_>) {
        let nodes = &self.tracker.nodes()[found.first_node..];
        let written = self.gauge.measure(Doc::new(found.text, nodes));
        self.tracker.completion(found);
        self.tracker.add_written(written);
    }

    fn begin_exchange(&mut self, exchange: Exchange<'_>) {
        self.tracker.begin_exchange(exchange);
    }

    fn go_back(&mut self, number: u64) {
        self.tracker.go_back(number);
    }

    fn keep(&mut self, kept: &[Option<Vec<u8>>]) {
        self.tracker.keep(kept);
    }

    fn time(&mut self, time: Option<f64>) {
        self.tracker.time(time);
    }

    fn content_at(&mut self, time: f64) {
        self.tracker.content_at(time);
    }

    fn end_exchange(&mut self) {
        self.tracker.end_exchange();
    }

    fn outer_damage(&mut self, damage: &Damage) {
        self.tracker.outer_damage(damage);
    }

    fn stray_damage(&mut self, damage: &Damage) {
        self.tracker.stray_damage(damage);
    }

    fn done(&mut self, place: Place) {
        self.tracker.done(place);
    }

    fn server_error(&mut self, place: Place, body: Body<'_>) {
        self.tracker.server_error(place, body);
    }

    fn damage(&mut self, damage: &Damage) {
        self.tracker.damage(damage);
    }
}
