//! The shapes of a source: parsed events in, guesses at the next event and matches out.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use super::credit::{Credit, LEARN, LOOK};
use super::guess::{Detours, NONE, Number, Streams, Tries};
use super::hash::{Hashed, structure};
use super::matching::{self, Stop, Tried};
use super::retired::Retired;
use super::steady::Steady;
use super::template::{MAX_TEMPLATE_NODES, Slot, Span, Template};
use crate::chunk::doc::Node;

/// At most so many shapes are kept, and of about so many bytes together; the ones unused longest go first.
const MAX_SHAPES: usize = 512;
const MAX_MEMORY: usize = 4 << 20;
/// Longer texts are not learned, and nothing is learned from them: the careful parser reads long strings as fast as a
/// match would.
const MAX_TEXT: usize = 1 << 15;

/// A constant that changes again within so many matches becomes a hole.
const SOON: u32 = 32;
/// After so many matches a shape forgets its holes.
pub(super) const LIFETIME: u32 = 4096;

/// So many shapes are learned when they come for the first time.
const KEPT_AT_ONCE: usize = 256;
/// How many structures are remembered until they come again.
const SEEN: usize = 1024;

/// How many shapes are guessed to follow one.
const FOLLOWERS: usize = 4;

/// After so many events of one shape in a row it is as good as sure that more follow: it pays to prepare for them.
pub(super) const STEADY: u32 = 12;

/// The highest value of [`Shape::sure`].
const SURE: u8 = 3;

struct Shape {
    template: Arc<Template>,
    /// Hash of its structure.
    hash: u64,
    /// Which shapes came behind it, the likeliest first; the counter says how sure the first is.
    followers: [Number; FOLLOWERS],
    sure: u8,
    matches: u32,
    /// By slot: after how many matches its value changed last.
    changed_at: Box<[u32]>,
    /// When it last came behind another shape, in such events of all shapes.
    used: u64,
}

/// An event that matched.
#[derive(Clone, Copy, Debug)]
pub struct Matched {
    /// The place behind its text.
    pub end: usize,
    /// The place behind what ended it.
    pub behind: usize,
    shape: Number,
}

/// Where a source stands among shapes that others use in turn with it, and what guessing may cost it: all that a source
/// has of its own.
#[derive(Clone, Copy)]
pub struct Course {
    last: Number,
    credit: Credit,
}

impl Default for Course {
    /// At the start of a source.
    fn default() -> Self {
        Self { last: NONE, credit: Credit::default() }
    }
}

/// The shapes of a source, or of many that are alike.
pub struct Shapes {
    shapes: Vec<Shape>,
    /// By the hash of their structure.
    numbers: HashMap<u64, Number, BuildHasherDefault<Hashed>>,
    /// Tags of structures that were seen, by hash; empty until it is used.
    seen: Vec<u32>,
    memory: usize,
    max_digits: usize,
    clock: u64,
    /// The shape of the last event that has one.
    last: Number,
    /// How many more have come since with that shape, each as it was guessed; from 0 again when it led to little.
    streak: u32,
    /// The source went on elsewhere, and no constant has changed since.
    has_leapt: bool,
    /// The shape of an event before which there was none: how a stream begins.
    first: Number,
    tried: Tried,
    credit: Credit,
    streams: Streams,
    detours: Detours,
    /// The point from which no known way led to the last event.
    unknown: Option<(Number, u64)>,
    retired: Retired,
}

impl Shapes {
    /// No shapes yet. `max_digits` is that of the careful parser.
    #[must_use]
    pub fn new(max_digits: usize) -> Self {
        Self {
            shapes: Vec::new(),
            numbers: HashMap::default(),
            seen: Vec::new(),
            memory: 0,
            max_digits,
            clock: 0,
            last: NONE,
            streak: 0,
            has_leapt: false,
            first: NONE,
            tried: Tried::default(),
            credit: Credit::default(),
            streams: Streams::new(),
            detours: Detours::default(),
            unknown: None,
            retired: Retired::default(),
        }
    }

    /// Goes on with another source, from where that stands.
    #[inline]
    pub fn resume(&mut self, course: Course) {
        Course { last: self.last, credit: self.credit } = course;
        self.streak = 0;
        self.unknown = None;
    }

    /// Where the source stands.
    #[inline]
    #[must_use]
    pub fn course(&self) -> Course {
        Course { last: self.last, credit: self.credit }
    }

    /// Goes on elsewhere in the same source, inside other streams. So the first constants that change say nothing about how
    /// often they do: else an id would be taken for a hole where one stream ends soon and the next begins.
    pub fn leap(&mut self) {
        self.has_leapt = true;
    }

    /// Were they made for a careful parser with this limit?
    #[inline]
    #[must_use]
    pub fn fit(&self, max_digits: usize) -> bool {
        self.max_digits == max_digits
    }

    /// How many bytes they take, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.memory
    }

    /// Matches the event whose text begins at `at`; `ends` says whether the text may end at a place, and gives the place
    /// behind what ends it. None is a miss.
    #[inline]
    pub fn find(&mut self, input: &[u8], at: usize, ends: impl Fn(usize) -> Option<usize> + Copy) -> Option<Matched> {
        if !self.credit.is_awake() {
            self.unknown = None;
            return None;
        }
        if self.memory > MAX_MEMORY {
            self.make_room();
        }
        let before = self.last;
        let Some(last) = self.shapes.get(before as usize) else { return self.find_first(input, at, ends) };
        if self.streams.are_interleaved() {
            return self.find_among(input, at, None, ends);
        }
        let guess = last.followers[0];
        let matched = match self.attempt(guess, input, at, ends) {
            Ok(matched) => matched,
            Err(stop) => return self.find_among(input, at, stop.map(|stop| (guess, stop)), ends),
        };
        let last = &mut self.shapes[before as usize];
        if last.sure < SURE {
            last.sure += 1;
        } else {
            self.streams.rate(-1);
        }
        if guess != before {
            self.enter(guess);
        } else {
            self.streak += 1;
        }
        self.hit(matched, input, at);
        Some(matched)
    }

    /// Is it as good as sure that many events of the last one's shape follow?
    #[inline]
    #[must_use]
    pub fn is_steady(&self) -> bool {
        self.streak >= STEADY
    }

    /// Takes the events behind the last one, for as long as they are like it.
    pub fn steady(&mut self) -> Option<Steady<'_>> {
        let Self { shapes, tried, credit, streams, streak, max_digits, last, .. } = self;
        let Shape { template, matches, .. } = shapes.get_mut(*last as usize)?;
        tried.spans.resize(template.holes(), Span::default());
        Some(Steady { template, matches, tried, credit, streams, streak, max_digits: *max_digits })
    }

    /// Tries the shape with which another stream began.
    #[inline(never)]
    fn find_first(&mut self, input: &[u8], at: usize, ends: impl Fn(usize) -> Option<usize> + Copy) -> Option<Matched> {
        self.unknown = None;
        let matched = self.attempt(self.first, input, at, ends).ok()?;
        self.came(matched.shape, Streams::slot(&input[at..]));
        self.hit(matched, input, at);
        Some(matched)
    }

    /// Tries other shapes: first those to which the point leads where the guess by succession, `failed`, stopped (there
    /// is none if it is not to be the first), then those that are likely to follow.
    #[inline(never)]
    fn find_among(
        &mut self,
        input: &[u8],
        at: usize,
        failed: Option<(Number, Stop)>,
        ends: impl Fn(usize) -> Option<usize> + Copy,
    ) -> Option<Matched> {
        let slot = Streams::slot(&input[at..]);
        let last_of_stream = self.streams.shapes[slot];
        let by_stream = self.shapes.get(last_of_stream as usize).map_or(NONE, |shape| shape.followers[0]);
        let followers = self.shapes.get(self.last as usize).map_or([NONE; FOLLOWERS], |last| last.followers);
        self.unknown = None;
        let mut tries = Tries::default();
        let mut stopped = failed;
        if let Some((failed, _)) = failed {
            tries.add(failed);
        }
        // By succession if no point leads anywhere.
        let mut likely = [by_stream].into_iter().chain(followers);
        let matched = loop {
            let (guess, before) = match stopped.take() {
                Some((number, stop)) => {
                    let point = (number, stop.point);
                    self.unknown = Some(point);
                    (self.detours.get(point), Some(stop.place))
                }
                None => (likely.next()?, None),
            };
            if guess == NONE || !tries.add(guess) {
                continue;
            }
            match self.attempt(guess, input, at, ends) {
                Ok(matched) => break matched,
                // From a point the way leads on. (A shape that differs earlier was not meant.)
                Err(Some(stop)) if before.map_or(self.unknown.is_none(), |before| stop.place > before) => {
                    stopped = Some((guess, stop));
                }
                Err(_) => {}
            }
        };
        let guess = matched.shape;
        if let Some(point) = self.unknown.take() {
            self.detours.set(point, guess);
        }
        let change = match (followers[0] == guess, by_stream == guess) {
            (true, _) => -1,
            (false, true) => 2,
            (false, false) => 0,
        };
        self.streams.rate(change);
        self.came(guess, slot);
        self.hit(matched, input, at);
        Some(matched)
    }

    /// Takes note that a shape came that was not the first guess.
    fn came(&mut self, number: Number, slot: usize) {
        if self.last == NONE {
            self.first = number;
        }
        let last_of_stream = std::mem::replace(&mut self.streams.shapes[slot], number);
        let by_stream = self.streams.are_interleaved() && last_of_stream != NONE;
        self.follows(if by_stream { last_of_stream } else { self.last }, number);
        self.enter(number);
    }

    /// Takes note that the last event has this shape.
    #[inline]
    fn enter(&mut self, number: Number) {
        self.last = number;
        self.streak = 0;
        self.clock += 1;
        self.shapes[number as usize].used = self.clock;
    }

    #[inline(always)]
    fn attempt(
        &mut self,
        guess: Number,
        input: &[u8],
        at: usize,
        ends: impl Fn(usize) -> Option<usize>,
    ) -> Result<Matched, Option<Stop>> {
        let Some(shape) = self.shapes.get(guess as usize) else { return Err(None) };
        let stop = match matching::event(&shape.template, input, at, self.max_digits, &mut self.tried) {
            Ok(end) => match ends(end) {
                // With other constants it would be the template of the next.
                Some(behind) if self.tried.changes.is_empty() || end - at <= MAX_TEXT => {
                    return Ok(Matched { end, behind, shape: guess });
                }
                _ => Stop::behind(&shape.template, input, end),
            },
            Err(stop) => stop,
        };
        self.credit.miss(stop.place - at, &self.tried, stop.holes);
        Err(Some(stop))
    }

    /// Takes note of a match, and learns from it what varies.
    #[inline(always)]
    fn hit(&mut self, matched: Matched, input: &[u8], at: usize) {
        self.credit.hit(self.tried.spans.len());
        let Matched { end, shape: number, .. } = matched;
        let shape = &mut self.shapes[number as usize];
        shape.matches += 1;
        let forget = shape.matches.is_multiple_of(LIFETIME) && shape.template.holes() > 1 && end - at <= MAX_TEXT;
        if forget || !self.tried.changes.is_empty() {
            self.relearn(number, &input[at..end], forget);
        }
    }

    /// Gives the shape a new template: for constants that changed, or to forget its holes.
    #[cold]
    #[inline(never)]
    fn relearn(&mut self, number: Number, text: &[u8], forget: bool) {
        let Self { shapes, tried, memory, retired, credit, has_leapt, .. } = self;
        let shape = &mut shapes[number as usize];
        let has_leapt = !forget && std::mem::take(has_leapt);
        credit.relearned(shape.template.nodes_count());
        *memory -= shape.template.memory();
        let template = retired.own(&mut shape.template);
        // What has moved, in order: holes with their values, and constants that changed.
        let mut moved: Vec<(u16, Span)> = Vec::with_capacity(tried.spans.len() + tried.changes.len());
        let holes = template.parts.iter().map(|part| part.slot).zip(tried.spans.iter().copied());
        moved.extend(holes);
        moved.extend_from_slice(&tried.changes);
        moved.sort_unstable_by_key(|&(slot, _)| slot);
        let becomes_hole = |slot: usize, was: &Slot| {
            let changed = tried.changes.iter().any(|&(change, _)| change as usize == slot);
            let is_soon = || !has_leapt && shape.matches - shape.changed_at[slot] <= SOON;
            !forget && (was.is_hole || (changed && is_soon()))
        };
        template.change(text, &moved, becomes_hole);
        for &(slot, _) in tried.changes.iter().filter(|_| !has_leapt) {
            shape.changed_at[slot as usize] = shape.matches;
        }
        if forget {
            shape.changed_at.fill(shape.matches);
        }
        *memory += template.memory();
        // The spans of this event, for the new holes; those are in order too.
        let mut moved = moved.into_iter();
        let mut value = |slot: u16| moved.find(|&(moved, _)| moved == slot).map(|(_, span)| span);
        tried.spans.clear();
        tried.spans.extend(template.parts[..template.holes()].iter().filter_map(|part| value(part.slot)));
    }

    /// The template of a match, with whose holes [`spans`](Self::spans) go.
    #[inline]
    #[must_use]
    pub fn template(&self, matched: Matched) -> &Arc<Template> {
        &self.shapes[matched.shape as usize].template
    }

    /// The values of the holes of the last match.
    #[inline]
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.tried.spans
    }

    /// Takes note that `next` came behind `before`.
    fn follows(&mut self, before: Number, next: Number) {
        let Some(shape) = self.shapes.get_mut(before as usize) else { return };
        match shape.followers.iter().position(|&follower| follower == next) {
            Some(0) => shape.sure = (shape.sure + 1).min(SURE),
            Some(place) if shape.sure == 0 => shape.followers.swap(0, place),
            Some(_) => shape.sure -= 1,
            None if shape.followers[0] == NONE => shape.followers[0] = next,
            None => {
                shape.sure = shape.sure.saturating_sub(1);
                shape.followers.copy_within(1..FOLLOWERS - 1, 2);
                shape.followers[1] = next;
            }
        }
    }

    /// Learns from a chunk that the careful parser read.
    #[inline]
    pub fn learn(&mut self, text: &[u8], nodes: &[Node]) {
        if self.credit.may_learn() && nodes.len() <= MAX_TEMPLATE_NODES && text.len() <= MAX_TEXT {
            self.learn_shape(text, nodes);
        }
    }

    #[inline(never)]
    fn learn_shape(&mut self, text: &[u8], nodes: &[Node]) {
        // Data of several lines: its line ends would match those between events.
        if memchr::memchr(b'\n', text).is_some() {
            return;
        }
        self.credit.spend(LOOK);
        let hash = structure(text, nodes);
        let number = match self.numbers.get(&hash).copied() {
            Some(known) => known,
            None if self.is_worth_keeping(hash) => self.add(text, nodes, hash),
            None => return,
        };
        // The point where the last try stopped, if there was one for this event.
        if let Some(point) = self.unknown.take() {
            self.detours.set(point, number);
        }
        self.came(number, Streams::slot(text));
    }

    /// A structure is worth a shape when it comes for the second time; the first few ones are at once.
    fn is_worth_keeping(&mut self, hash: u64) -> bool {
        if self.shapes.len() < KEPT_AT_ONCE {
            return true;
        }
        if self.seen.is_empty() {
            self.seen.resize(SEEN, 0);
        }
        let (slot, tag) = (hash as usize % SEEN, (hash >> 32) as u32);
        std::mem::replace(&mut self.seen[slot], tag) == tag
    }

    fn add(&mut self, text: &[u8], nodes: &[Node], hash: u64) -> Number {
        self.credit.spend(LEARN);
        if self.shapes.len() >= MAX_SHAPES {
            self.drop_oldest();
        }
        self.make_room();
        let template = Template::new(text, nodes);
        self.memory += template.memory();
        let number = self.shapes.len() as Number;
        // Most often a shape follows itself.
        let mut followers = [NONE; FOLLOWERS];
        followers[0] = number;
        self.shapes.push(Shape {
            hash,
            followers,
            sure: 0,
            matches: 0,
            changed_at: vec![0; template.slots.len()].into(),
            used: self.clock,
            template: Arc::new(template),
        });
        self.numbers.insert(hash, number);
        number
    }

    /// Drops shapes until the others take no more memory than they may: a template may be larger than the one before.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self) {
        while self.memory > MAX_MEMORY && !self.shapes.is_empty() {
            self.drop_oldest();
        }
    }

    /// Drops the shape unused longest; the last one takes its number. (Guesses that name them now go wrong, no more.)
    fn drop_oldest(&mut self) {
        let Some(number) = (0..self.shapes.len()).min_by_key(|&number| self.shapes[number].used) else { return };
        let dropped = self.shapes.swap_remove(number);
        self.memory -= dropped.template.memory();
        self.numbers.remove(&dropped.hash);
        if let Some(moved) = self.shapes.get(number) {
            self.numbers.insert(moved.hash, number as Number);
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
