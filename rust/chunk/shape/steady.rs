//! Steady events: many that are alike in, matches or their number out, and what they change in the shapes at once.

use std::sync::Arc;

use super::credit::Credit;
use super::guess::Streams;
use super::matching::{self, Around, Counted, Counting, Tried};
use super::store::{LIFETIME, STEADY};
use super::template::{Span, Template};

/// Events, one behind the other, that differ in nothing but what fills the holes of one template. None of them teaches
/// anything new, so what they change is noted once for all.
pub struct Steady<'a> {
    pub(super) template: &'a Arc<Template>,
    pub(super) matches: &'a mut u32,
    pub(super) tried: &'a mut Tried,
    pub(super) credit: &'a mut Credit,
    pub(super) streams: &'a mut Streams,
    pub(super) streak: &'a mut u32,
    pub(super) max_digits: usize,
}

impl Steady<'_> {
    /// How many there may be: what is learned now and then is learned from a match that was found as others are.
    #[must_use]
    pub fn most(&self) -> usize {
        (LIFETIME - 1 - *self.matches % LIFETIME) as usize
    }

    /// Matches the event whose text begins at `at`, and gives the place behind its text. None says nothing but that the
    /// event is to be looked at in full.
    #[inline(always)]
    pub fn next(&mut self, input: &[u8], at: usize) -> Option<usize> {
        matching::again(self.template, input, at, self.max_digits, &mut self.tried.spans)
    }

    /// Are there few enough holes to [count](Self::count) them?
    #[inline]
    #[must_use]
    pub fn can_count(&self) -> bool {
        self.template.holes() <= Counting::MOST_HOLES
    }

    /// Counts the events from `input[at..]` on, up to `most`, that have this around them, and with it so many bytes at
    /// most.
    pub fn count(&mut self, input: &[u8], at: usize, most: usize, around: Around<'_>, max_bytes: usize) -> Counted {
        let Self { template, tried, max_digits, .. } = self;
        let memory = &mut tried.literals;
        Counting { template, around, max_bytes, max_digits: *max_digits, memory }.count(input, at, most)
    }

    /// The template of all of them.
    #[inline(always)]
    #[must_use]
    pub fn template(&self) -> &Arc<Template> {
        self.template
    }

    /// The values of the holes of the last match.
    #[inline(always)]
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.tried.spans
    }

    /// Takes note of how many there were, and whether one that is not like them `missed`. If they were few, it takes some
    /// events again until more are looked for: what missed is read twice, which may happen to one event in a dozen.
    pub fn end(self, events: usize, missed: bool) {
        if events == 0 || (missed && events < STEADY as usize) {
            *self.streak = 0;
        }
        *self.matches += events as u32;
        self.credit.hits(events, self.template.holes());
        self.streams.rate(-(events.min(i8::MAX as usize) as i8));
    }
}
