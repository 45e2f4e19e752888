//! The message room: chunks in the order of the source in, one completion with whole messages for each stream out.
//!
//! Which chunk belongs to which stream is said by the [`Tracker`], and by nothing else: there are as many completions as
//! it has rows with chunks. Each is given out as soon as its own stream is final, whatever began before it, so what is
//! kept is that of the streams that are not. What the source's end makes final comes in the order in which it began.
//!
//! `rules` says how the pieces of a field become one value, `fold` does it, `calls` knows tool calls, `state` folds the
//! chunks of a stream, and `trail` makes that short for chunks that differ in a piece of text.

mod calls;
mod fold;
mod rules;
mod state;
#[cfg(test)]
mod tests;
mod trail;

use std::collections::VecDeque;

use crate::chunk::{Doc, Node};
use crate::decoder::{Body, Exchange, Found, Shaped, Sink};
use crate::error::{Damage, Place};
use crate::stream::{Status, Tracker};

pub use fold::{Folded, List, Object};
pub use state::Choice;
use state::State;
use trail::Trail;

/// So many rows are kept before those are forgotten that are given out.
const USUAL_ROWS: usize = 1024;
/// So many completions are made before somebody takes them.
const READY_AT_ONCE: usize = 64;
/// How many nodes are kept for the next event.
const USUAL_NODES: usize = 1 << 16;

/// A stream, folded into whole messages.
#[derive(Debug)]
pub struct Completion {
    /// Its first id that is not empty.
    pub id: Option<Box<[u8]>>,
    /// Its first model that is not empty.
    pub model: Option<Box<[u8]>>,
    /// Its first creation time that is not zero, in Unix seconds; else 0.
    pub created: i64,
    /// How it went.
    pub status: Status,
    /// How many chunks it has; at least one.
    pub chunks: u64,
    /// Where its first event stands in the source.
    pub offset: u64,
    /// Its last usage object, as sent.
    pub usage: Option<Vec<u8>>,
    /// In the order of their indexes.
    pub choices: Vec<Choice>,
    /// What else the chunks had.
    pub fields: Object,
}

/// The body of an error that the server sent.
#[derive(Debug)]
pub enum ErrorBody {
    /// JSON, as sent.
    Json(Vec<u8>),
    /// Anything else.
    Text(String),
}

/// What is ready, in the order in which it became so.
#[derive(Debug)]
pub enum Ready {
    /// A completion.
    Completion(Box<Completion>),
    /// An error that the server sent, and where.
    ServerError(Box<(Place, ErrorBody)>),
    /// Damage by which an event was lost.
    Damage(Box<Damage>),
}

/// A sink that folds the chunks of each stream into whole messages.
pub struct Completions {
    tracker: Tracker,
    /// By row.
    states: Vec<Option<Box<State>>>,
    /// How many rows there have to be before some are forgotten.
    enough_rows: usize,
    /// Rows that are about to be given out.
    found: Vec<usize>,
    nodes: Vec<Node>,
    trail: Trail,
    ready: VecDeque<Ready>,
    keeps_errors: bool,
}

impl Completions {
    /// `keeps_errors`: are errors of the server and damage to be given out, each in its place?
    #[must_use]
    pub fn new(keeps_errors: bool) -> Self {
        Self {
            tracker: Tracker::for_early(),
            states: Vec::new(),
            enough_rows: USUAL_ROWS,
            found: Vec::new(),
            nodes: Vec::new(),
            trail: Trail::default(),
            ready: VecDeque::new(),
            keeps_errors,
        }
    }

    /// The next of what is ready.
    pub fn take_next(&mut self) -> Option<Ready> {
        self.ready.pop_front()
    }

    /// Ends all streams: all that is left becomes ready.
    pub fn finish(&mut self) {
        self.give_out(Tracker::take_left);
    }

    /// Takes the damages that were found so far: usage that is no object.
    pub fn take_damages(&mut self) -> Vec<Damage> {
        self.tracker.take_damages()
    }

    /// Adds a chunk that the tracker has taken.
    #[inline]
    fn fold(&mut self, doc: Doc<'_>, shaped: Option<&Shaped<'_>>) {
        let Self { tracker, states, trail, .. } = self;
        let row = tracker.last_row();
        if row >= states.len() {
            states.resize_with(row + 1, || None);
        }
        let state = states[row].get_or_insert_default();
        if tracker.is_part(row) {
            // Whether it goes on with the message of another row is known later.
            state.wait(doc);
            return;
        }
        if state.has_waiting() {
            state.fold_waiting(trail);
        }
        match shaped {
            Some(shaped) => state.fold_shaped(shaped, trail),
            None => state.fold(doc, trail),
        }
    }

    /// Gives out the streams that the tracker finds.
    fn give_out<F>(&mut self, find: F)
    where
        F: FnOnce(&mut Tracker, &mut Vec<usize>, &mut dyn FnMut(usize, usize)),
    {
        let mut found = std::mem::take(&mut self.found);
        let Self { tracker, states, trail, .. } = self;
        find(tracker, &mut found, &mut |row, part| {
            let part = states.get_mut(part).and_then(Option::take);
            if let (Some(part), Some(state)) = (part, states.get_mut(row)) {
                state.get_or_insert_default().fold_part(&part, trail);
            }
        });
        for row in found.drain(..) {
            if let Some(state) = self.states.get_mut(row).and_then(Option::take) {
                let completion = self.completion(row, *state);
                self.ready.push_back(Ready::Completion(completion));
            }
        }
        self.found = found;
    }

    fn completion(&mut self, row: usize, mut state: State) -> Box<Completion> {
        state.fold_waiting(&mut self.trail);
        let (choices, fields) = state.finish(&mut self.trail);
        let model = self.tracker.model(row).map(Into::into);
        let row = self.tracker.row(row);
        Box::new(Completion {
            id: row.id.clone(),
            model,
            created: row.created,
            status: row.status(),
            chunks: row.chunks,
            offset: row.offset,
            usage: row.usage.as_ref().map(|(raw, _)| raw.clone()),
            choices,
            fields,
        })
    }

    /// Gives out a damage, if that is wanted, behind what it made final.
    fn tell(&mut self, damage: &Damage) {
        self.look();
        if self.keeps_errors && damage.kind.is_loss() {
            self.ready.push_back(Ready::Damage(Box::new(damage.clone())));
        }
    }

    /// Gives out what the last event made final.
    #[inline]
    fn look(&mut self) {
        if self.tracker.has_news() {
            self.give_out_final();
        }
    }

    #[inline(never)]
    fn give_out_final(&mut self) {
        self.give_out(Tracker::take_final);
        if self.tracker.rows() < self.enough_rows {
            return;
        }
        let states = &mut self.states;
        let places = self.tracker.forget(|row| states.get(row).is_some_and(Option::is_some));
        for (row, place) in (0..states.len()).zip(places) {
            if let Some(place) = place {
                states.swap(place, row);
            }
        }
        states.truncate(self.tracker.rows());
        self.enough_rows = USUAL_ROWS.max(2 * self.tracker.rows());
    }
}

impl Sink for Completions {
    fn nodes(&mut self) -> &mut Vec<Node> {
        &mut self.nodes
    }

    fn chunk(&mut self, found: Found<'_>) {
        let nodes = std::mem::take(&mut self.nodes);
        let doc = Doc::new(found.text, &nodes);
        self.tracker.chunks(doc, found.place, 1);
        self.fold(doc, None);
        self.nodes = nodes;
        self.nodes.clear();
        self.nodes.shrink_to(USUAL_NODES);
        self.look();
    }

    #[inline]
    fn shaped(&mut self, shaped: Shaped<'_>) {
        self.tracker.shaped(shaped);
        self.fold(shaped.doc(), Some(&shaped));
        self.look();
    }

    fn done(&mut self, place: Place) {
        self.tracker.done(place);
        self.look();
    }

    fn server_error(&mut self, place: Place, body: Body<'_>) {
        let kept = match body {
            Body::Json(found) => ErrorBody::Json(found.text.to_vec()),
            Body::Text(text) => ErrorBody::Text(text.to_owned()),
        };
        self.nodes.clear();
        self.tracker.server_error(place, Body::Text(""));
        self.look();
        if self.keeps_errors {
            self.ready.push_back(Ready::ServerError(Box::new((place, kept))));
        }
    }

    fn completion(&mut self, found: Found<'_>) {
        let nodes = std::mem::take(&mut self.nodes);
        let doc = Doc::new(found.text, &nodes);
        self.tracker.take_completion(doc, found.place);
        self.fold(doc, None);
        self.nodes = nodes;
        self.nodes.clear();
        self.nodes.shrink_to(USUAL_NODES);
        self.look();
    }

    fn begin_exchange(&mut self, exchange: Exchange<'_>) {
        self.tracker.begin_exchange(exchange);
    }

    fn go_back(&mut self, number: u64) {
        self.tracker.go_back(number);
    }

    fn end_exchange(&mut self) {
        self.tracker.end_exchange();
        self.look();
    }

    fn damage(&mut self, damage: &Damage) {
        self.tracker.damage(damage);
        self.tell(damage);
    }

    fn outer_damage(&mut self, damage: &Damage) {
        self.tracker.outer_damage(damage);
        self.tell(damage);
    }

    fn stray_damage(&mut self, damage: &Damage) {
        self.tracker.stray_damage(damage);
        self.tell(damage);
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.ready.len() >= READY_AT_ONCE
    }
}
