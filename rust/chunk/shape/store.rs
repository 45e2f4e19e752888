//! The shapes of a source: parsed events in, guesses at the next event and matches out.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::credit::{Credit, LEARN, LOOK};
use super::matching::{self, Tried};
use super::template::{MAX_TEMPLATE_NODES, Slot, Span, Template, slot_kind};
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
const LIFETIME: u32 = 4096;

/// So many shapes are learned when they come for the first time.
const KEPT_AT_ONCE: usize = 64;
/// How many structures are remembered until they come again.
const SEEN: usize = 1024;

/// How many shapes are guessed to follow one.
const FOLLOWERS: usize = 4;

/// The number of a shape.
type Number = u16;
const NONE: Number = Number::MAX;

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

/// The shapes of a source.
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
    tried: Tried,
    credit: Credit,
    streams: Streams,
}

/// Shapes by the beginning of their event, which often holds the id: what tells interleaved streams apart.
struct Streams {
    shapes: Box<[Number; Self::SIZE]>,
    /// How much better this guess was of late than the one by succession.
    better: i8,
}

impl Streams {
    const SIZE: usize = 256;
    const BEGINNING: usize = 48;
    const MUCH_BETTER: i8 = 8;
    const BEST: i8 = 32;

    fn new() -> Self {
        Self { shapes: Box::new([NONE; Self::SIZE]), better: 0 }
    }

    #[inline]
    fn are_interleaved(&self) -> bool {
        self.better >= Self::MUCH_BETTER
    }

    #[inline]
    fn slot(text: &[u8]) -> usize {
        let Some(beginning) = text.first_chunk::<{ Self::BEGINNING }>() else { return 0 };
        hash(beginning, 0) as usize % Self::SIZE
    }
}

/// For keys that are hashes already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash(bytes, self.0);
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What the structure of an event is told by: all its bytes but those of scalars that may change, and what those are.
fn structure(text: &[u8], nodes: &[Node]) -> u64 {
    let (mut state, mut from) = (0, 0);
    for node in nodes {
        if let Some(kind) = slot_kind(node.kind()) {
            state = hash(&text[from..node.start as usize], state ^ kind as u64);
            from = node.end as usize;
        }
    }
    hash(&text[from..], state)
}

/// Folds bytes, and only those, into a number that depends on all of them.
#[inline]
fn hash(bytes: &[u8], seed: u64) -> u64 {
    let length = bytes.len();
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    let half = |at: usize| u64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes")));
    let mut state = seed ^ length as u64;
    // The last words may overlap with those before.
    match length {
        0 => {}
        1..4 => {
            state = mix(state, u64::from(bytes[0]) << 16 | u64::from(bytes[length / 2]) << 8, bytes[length - 1].into())
        }
        4..8 => state = mix(state, half(0), half(length - 4)),
        _ => {
            for at in (0..length.saturating_sub(16)).step_by(16) {
                state = mix(state, word(at), word(at + 8));
            }
            state = mix(state, word(length.saturating_sub(16)), word(length - 8));
        }
    }
    state
}

#[inline]
fn mix(state: u64, one: u64, other: u64) -> u64 {
    let product = u128::from(one ^ state ^ 0x9e37_79b9_7f4a_7c15) * u128::from(other ^ 0xd1b5_4a32_d192_ed03);
    (product as u64 ^ (product >> 64) as u64).wrapping_add(state.rotate_left(23))
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
            tried: Tried::default(),
            credit: Credit::default(),
            streams: Streams::new(),
        }
    }

    /// Matches the event whose text begins at `at`; `ends` says whether the text may end at a place, and gives the place
    /// behind what ends it. None is a miss.
    #[inline]
    pub fn find(&mut self, input: &[u8], at: usize, ends: impl Fn(usize) -> Option<usize> + Copy) -> Option<Matched> {
        if !self.credit.is_awake() {
            return None;
        }
        if self.memory > MAX_MEMORY {
            self.make_room();
        }
        let before = self.last;
        let last = self.shapes.get(before as usize)?;
        if self.streams.are_interleaved() {
            return self.find_among(input, at, NONE, ends);
        }
        let guess = last.followers[0];
        let Some(matched) = self.attempt(guess, input, at, ends) else {
            return self.find_among(input, at, guess, ends);
        };
        let last = &mut self.shapes[before as usize];
        if last.sure < SURE {
            last.sure += 1;
        } else if self.streams.better > 0 {
            self.streams.better -= 1;
        }
        if guess != before {
            self.enter(guess);
        }
        self.hit(matched, input, at);
        Some(matched)
    }

    /// Tries the other shapes that are likely, when the guess by succession has `failed`, or is not to be the first.
    #[inline(never)]
    fn find_among(
        &mut self,
        input: &[u8],
        at: usize,
        failed: Number,
        ends: impl Fn(usize) -> Option<usize> + Copy,
    ) -> Option<Matched> {
        let slot = Streams::slot(&input[at..]);
        let last_of_stream = self.streams.shapes[slot];
        let by_stream = self.shapes.get(last_of_stream as usize).map_or(NONE, |shape| shape.followers[0]);
        let followers = self.shapes.get(self.last as usize).map_or([NONE; FOLLOWERS], |last| last.followers);
        let mut guesses = [by_stream; 1 + FOLLOWERS];
        guesses[1..].copy_from_slice(&followers);
        for (number, &guess) in guesses.iter().enumerate() {
            if guess == NONE || guess == failed || guesses[..number].contains(&guess) {
                continue;
            }
            if let Some(matched) = self.attempt(guess, input, at, ends) {
                let change = match (followers[0] == guess, by_stream == guess) {
                    (true, _) => -1,
                    (false, true) => 2,
                    (false, false) => 0,
                };
                self.streams.better = (self.streams.better + change).clamp(0, Streams::BEST);
                self.came(guess, slot);
                self.hit(matched, input, at);
                return Some(matched);
            }
        }
        None
    }

    /// Takes note that a shape came that was not the first guess.
    fn came(&mut self, number: Number, slot: usize) {
        let last_of_stream = std::mem::replace(&mut self.streams.shapes[slot], number);
        let by_stream = self.streams.are_interleaved() && last_of_stream != NONE;
        self.follows(if by_stream { last_of_stream } else { self.last }, number);
        self.enter(number);
    }

    /// Takes note that the last event has this shape.
    #[inline]
    fn enter(&mut self, number: Number) {
        self.last = number;
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
    ) -> Option<Matched> {
        let shape = self.shapes.get(guess as usize)?;
        let stopped = match matching::run(&shape.template, input, at, self.max_digits, &mut self.tried) {
            Ok(end) => match ends(end) {
                // With other constants it would be the template of the next.
                Some(behind) if self.tried.changes.is_empty() || end - at <= MAX_TEXT => {
                    return Some(Matched { end, behind, shape: guess });
                }
                _ => end,
            },
            Err(stopped) => stopped,
        };
        self.credit.miss(stopped - at, self.tried.changes.len());
        None
    }

    /// Takes note of a match, and learns from it what varies.
    #[inline(always)]
    fn hit(&mut self, matched: Matched, input: &[u8], at: usize) {
        self.credit.hit();
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
        let Self { shapes, tried, memory, .. } = self;
        let shape = &mut shapes[number as usize];
        let old = &shape.template;
        // What has moved, in order: holes with their values, and constants that changed.
        let mut moved: Vec<(u16, Span)> = Vec::with_capacity(tried.spans.len() + tried.changes.len());
        let holes = old.parts.iter().map(|part| part.slot).zip(tried.spans.iter().copied());
        moved.extend(holes);
        moved.extend_from_slice(&tried.changes);
        moved.sort_unstable_by_key(|&(slot, _)| slot);
        let becomes_hole = |slot: usize, was: &Slot| {
            let changed = tried.changes.iter().any(|&(change, _)| change as usize == slot);
            !forget && (was.is_hole || (changed && shape.matches - shape.changed_at[slot] <= SOON))
        };
        let template = old.moved(text, &moved, becomes_hole);
        for &(slot, _) in &tried.changes {
            shape.changed_at[slot as usize] = shape.matches;
        }
        if forget {
            shape.changed_at.fill(shape.matches);
        }
        *memory = *memory + template.memory() - old.memory();
        // The spans of this event, for the new holes.
        let value = |slot: u16| moved.iter().find(|&&(moved, _)| moved == slot).map(|&(_, span)| span);
        tried.spans = template.parts.iter().filter_map(|part| value(part.slot)).collect();
        shape.template = Arc::new(template);
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
mod tests {
    use super::*;
    use crate::chunk::parse;

    fn learn(shapes: &mut Shapes, text: &str) {
        let mut nodes = Vec::new();
        parse(text.as_bytes(), text.len(), 0, &mut nodes).expect("JSON");
        shapes.learn(text.as_bytes(), &nodes);
    }

    fn find(shapes: &mut Shapes, text: &str) -> Option<usize> {
        shapes.find(text.as_bytes(), 0, |end| (end == text.len()).then_some(end)).map(|found| found.end)
    }

    #[test]
    fn shapes_and_their_memory_are_bounded() {
        let mut shapes = Shapes::new(0);
        for round in 0..20_000usize {
            // Every structure comes twice, which is what it takes.
            let number = round / 2;
            let text = format!(r#"{{"choices":[],"x{number}":"{}"}}"#, "y".repeat(number % 20_000));
            shapes.credit = Credit::default();
            learn(&mut shapes, &text);
            assert!(shapes.shapes.len() <= MAX_SHAPES);
            assert!(shapes.memory <= MAX_MEMORY + 2 * MAX_TEXT, "{}", shapes.memory);
            assert_eq!(shapes.numbers.len(), shapes.shapes.len());
        }
        let memory: usize = shapes.shapes.iter().map(|shape| shape.template.memory()).sum();
        assert_eq!(shapes.memory, memory);
        assert!(shapes.shapes.len() > KEPT_AT_ONCE);
    }

    #[test]
    fn memory_is_bounded_when_constants_become_long() {
        let mut shapes = Shapes::new(0);
        let text = |number: usize, value: &str| format!(r#"{{"choices":[],"x{number}":"a","y":"{value}"}}"#);
        for number in 0..KEPT_AT_ONCE {
            learn(&mut shapes, &text(number, "1"));
        }
        for round in 0..200 {
            for number in 0..KEPT_AT_ONCE {
                shapes.credit = Credit::default();
                let value = "z".repeat(MAX_TEXT - 100 - round);
                if find(&mut shapes, &text(number, &value)).is_none() {
                    learn(&mut shapes, &text(number, &value));
                }
                let largest = shapes.shapes.iter().map(|shape| shape.template.memory()).max().unwrap_or(0);
                assert!(shapes.memory <= MAX_MEMORY + largest, "{}", shapes.memory);
            }
        }
    }

    #[test]
    fn nothing_is_learned_from_long_texts() {
        let mut shapes = Shapes::new(0);
        let text = |id: &str, content: &str| format!(r#"{{"id":"{id}","choices":["{content}"]}}"#);
        learn(&mut shapes, &text("a", "b"));
        assert!(find(&mut shapes, &text("a", "c")).is_some());
        let memory = shapes.memory;
        let long = "d".repeat(MAX_TEXT);
        assert!(find(&mut shapes, &text("a", &long)).is_some(), "what fills a hole may be long");
        assert!(find(&mut shapes, &text("b", &long)).is_none(), "but other constants may not come with it");
        assert!(find(&mut shapes, &text(&long, "c")).is_none());
        assert_eq!(shapes.memory, memory);
        while !shapes.shapes[0].matches.is_multiple_of(LIFETIME) {
            assert!(find(&mut shapes, &text("a", &long)).is_some());
        }
        assert_eq!(shapes.memory, memory);
        assert!(find(&mut shapes, &text("a", "e")).is_some());
    }

    #[test]
    fn the_structure_is_told_by_all_but_the_values() {
        let of = |text: &str| {
            let mut nodes = Vec::new();
            parse(text.as_bytes(), text.len(), 0, &mut nodes).expect("JSON");
            structure(text.as_bytes(), &nodes)
        };
        let same = [r#"{"a":"","b":1,"c":[true]}"#, r#"{"a":"xyz\n","b":-12.5e3,"c":[true]}"#];
        assert_eq!(of(same[0]), of(same[1]));
        let others = [
            r#"{"a":"","b":1,"c":[false]}"#,
            r#"{"a":"","b":1,"c":[true] }"#,
            r#"{"a":"", "b":1,"c":[true]}"#,
            r#"{"a":"","c":1,"b":[true]}"#,
            r#"{"a":1,"b":1,"c":[true]}"#,
            r#"{"a":"","b":"1","c":[true]}"#,
            r#"{"a":null,"b":1,"c":[true]}"#,
            r#"{"a":"","b":1,"c":[]}"#,
        ];
        for other in others {
            assert_ne!(of(same[0]), of(other), "{other}");
        }
    }

    #[test]
    fn constants_become_holes_when_they_change_soon_and_else_are_replaced() {
        let mut shapes = Shapes::new(0);
        let text = |id: usize, content: &str| format!(r#"{{"id":"{id}","choices":["{content}"]}}"#);
        learn(&mut shapes, &text(1, "a"));
        for round in 0..100 {
            assert!(find(&mut shapes, &text(1, &"b".repeat(round % 7))).is_some());
        }
        assert_eq!(shapes.shapes[0].template.holes(), 1, "the content");
        assert!(find(&mut shapes, &text(22, "c")).is_some());
        assert_eq!(shapes.shapes[0].template.holes(), 1, "the id has changed after a long time");
        assert!(find(&mut shapes, &text(333, "d")).is_some());
        assert_eq!(shapes.shapes[0].template.holes(), 2, "and again soon");
        while shapes.shapes[0].matches < LIFETIME {
            assert!(find(&mut shapes, &text(1, "e")).is_some());
        }
        assert_eq!(shapes.shapes[0].template.holes(), 0, "all is forgotten now and then");
    }

    #[test]
    fn what_is_not_proved_is_a_miss() {
        let mut shapes = Shapes::new(20);
        learn(&mut shapes, r#"{"a":"x","n":12,"choices":[]}"#);
        for good in [
            r#"{"a":"","n":-0,"choices":[]}"#,
            r#"{"a":"\u00e9\\","n":1.5,"choices":[]}"#,
            "{\"a\":\"\u{e9}\u{1f600}\",\"n\":1e-7,\"choices\":[]}",
        ] {
            assert_eq!(find(&mut shapes, good), Some(good.len()), "{good}");
        }
        for bad in [
            r#"{"a":"x","n":012,"choices":[]}"#,
            r#"{"a":"x","n":1.,"choices":[]}"#,
            r#"{"a":"x","n":1e,"choices":[]}"#,
            r#"{"a":"x","n":-,"choices":[]}"#,
            r#"{"a":"x","n":123456789012345678901,"choices":[]}"#,
            r#"{"a":"x","n":"1","choices":[]}"#,
            r#"{"a":null,"n":1,"choices":[]}"#,
            r#"{"a":"x\","n":1,"choices":[]}"#,
            r#"{"a":"\q","n":1,"choices":[]}"#,
            r#"{"a":"\u12g4","n":1,"choices":[]}"#,
            r#"{"a":"x","n":1,"choices":[]"#,
            r#"{"a":"x","n":1,"choices":[]}}"#,
            "{\"a\":\"\n\",\"n\":1,\"choices\":[]}",
        ] {
            assert_eq!(find(&mut shapes, bad), None, "{bad}");
        }
        let mut invalid = br#"{"a":"xy","n":1,"choices":[]}"#.to_vec();
        invalid[6] = 0xc3;
        assert!(shapes.find(&invalid, 0, |end| (end == invalid.len()).then_some(end)).is_none());
    }
}
