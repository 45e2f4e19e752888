//! The decoder: events in, chunks out. It says of every event what it is, and counts every byte.
//!
//! It owns no input and no output: [`Decoder::decode`] takes a piece of the source and a cursor in it, and tells a
//! [`Sink`] what it found, in the order of the source. Batches of records ([`crate::record`]) and usage rows
//! ([`crate::stream`]) are sinks.

mod steady;

use std::sync::Arc;

use steady::Followers;

use crate::chunk::shape::{Around, Course, Shapes, Span, Template};
use crate::chunk::{self, Doc, Key, Node, Type, Value};
use crate::error::{Damage, JsonError, JsonErrorKind, Kind, Place};
use crate::event::{Data, Decoded, Frame, FrameKind, Framer, TAR, ZIP, decode_utf8};

/// How many damages are kept with their reasons; the rest is only counted.
pub const KEPT_DAMAGES: usize = 1000;

/// How many characters of what a server said are kept as an error's reason.
const MESSAGE_LENGTH: usize = 200;

/// The default of [`Options::max_event_bytes`].
pub const MAX_EVENT_BYTES: usize = 64 << 20;

/// What a caller can choose.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Discard an event that no blank line ended, as the standard says.
    pub strict: bool,
    /// The most bytes that an event's data and open line may have; below [`chunk::MAX_NODES`].
    pub max_event_bytes: usize,
    /// The most digits that an integer may have, 0 for no limit.
    pub max_int_digits: usize,
    /// Match events against the shapes of earlier ones; false only to test the careful parser alone.
    pub shapes: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { strict: false, max_event_bytes: MAX_EVENT_BYTES, max_int_digits: 4300, shapes: true }
    }
}

/// What was counted so far. See `chunkwire.Stats`, its twin in Python, for what each count means.
#[allow(missing_docs)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub bytes: u64,
    pub events: u64,
    pub chunks: u64,
    pub done: u64,
    pub errors: u64,
    pub keepalives: u64,
    pub comments: u64,
    pub damaged: u64,
    pub chunk_bytes: u64,
    pub done_bytes: u64,
    pub error_bytes: u64,
    pub comment_bytes: u64,
    pub skipped_bytes: u64,
    pub damaged_bytes: u64,
    pub wrapping_bytes: u64,
    pub exchanges: u64,
    pub damages: Vec<Damage>,
}

impl Stats {
    /// Counts a damage, and keeps it if there is room.
    pub fn add(&mut self, damage: &Damage) {
        if damage.kind == Kind::ServerError {
            self.errors += 1;
        } else {
            self.damaged += 1;
        }
        if self.damages.len() < KEPT_DAMAGES {
            self.damages.push(damage.clone());
        }
    }

    /// What is none of the bytes that were counted is counted as wrapping.
    pub fn count_wrapping(&mut self) {
        let bodies = self.chunk_bytes + self.done_bytes + self.error_bytes + self.comment_bytes;
        self.wrapping_bytes = self.bytes.saturating_sub(bodies + self.skipped_bytes + self.damaged_bytes);
    }

    /// Adds the counts of the part of a source behind this one; `global` gives the place in the source for one in the
    /// part.
    pub fn append(&mut self, part: Self, global: impl Fn(Place) -> Place) {
        self.bytes += part.bytes;
        self.events += part.events;
        self.chunks += part.chunks;
        self.done += part.done;
        self.errors += part.errors;
        self.keepalives += part.keepalives;
        self.comments += part.comments;
        self.damaged += part.damaged;
        self.chunk_bytes += part.chunk_bytes;
        self.done_bytes += part.done_bytes;
        self.error_bytes += part.error_bytes;
        self.comment_bytes += part.comment_bytes;
        self.skipped_bytes += part.skipped_bytes;
        self.damaged_bytes += part.damaged_bytes;
        self.wrapping_bytes += part.wrapping_bytes;
        self.exchanges += part.exchanges;
        let room = KEPT_DAMAGES.saturating_sub(self.damages.len());
        let damages = part.damages.into_iter().take(room);
        self.damages.extend(damages.map(|damage| Damage { place: global(damage.place), ..damage }));
    }
}

/// How many chunks went which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paths {
    /// Matched against a shape.
    pub shape: u64,
    /// Of those: taken as one of many that were alike.
    pub steady: u64,
    /// Read by the careful parser.
    pub careful: u64,
}

impl std::ops::AddAssign for Paths {
    fn add_assign(&mut self, other: Self) {
        self.shape += other.shape;
        self.steady += other.steady;
        self.careful += other.careful;
    }
}

/// An event whose data is JSON that is worth having: its nodes are the last of [`Sink::nodes`].
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The event.
    pub place: Place,
    /// Its data.
    pub text: &'a [u8],
    /// Where the data lies in the input, if it does; else it does not outlive the call.
    pub at: Option<usize>,
    /// The data as sent, where that is not the text: it held bytes that are no UTF-8.
    pub raw: Option<&'a [u8]>,
    /// The first of its nodes.
    pub first_node: usize,
}

/// A chunk that matched a shape: see [`Doc::shaped`].
#[derive(Clone, Copy, Debug)]
pub struct Shaped<'a> {
    /// The event.
    pub place: Place,
    /// Its data.
    pub text: &'a [u8],
    /// Where the data lies in the input, if it does; else it does not outlive the call.
    pub at: Option<usize>,
    /// The template.
    pub template: &'a Arc<Template>,
    /// What fills its holes.
    pub spans: &'a [Span],
}

impl<'a> Shaped<'a> {
    /// The document.
    #[inline]
    #[must_use]
    pub fn doc(&self) -> Doc<'a> {
        Doc::shaped(self.text, self.template, self.spans)
    }
}

/// The body of an error that the server sent.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// JSON.
    Json(Found<'a>),
    /// Anything else, under `event: error`.
    Text(&'a str),
}

/// One request with its response, in a log that holds such.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// Its number, from 0.
    pub number: u64,
    /// Where it begins in the log.
    pub offset: u64,
    /// What it has of the members that are to be kept, as sent.
    pub kept: &'a [Option<Vec<u8>>],
}

/// Who takes what the decoder finds, in the order of the source.
pub trait Sink {
    /// Where the decoder appends the nodes of the next event. What a sink does not keep it clears.
    fn nodes(&mut self) -> &mut Vec<Node>;
    /// A chunk.
    fn chunk(&mut self, found: Found<'_>);
    /// A chunk that matched a shape. A sink that does not care for shapes gets it as any other.
    fn shaped(&mut self, shaped: Shaped<'_>) {
        let nodes = self.nodes();
        let first_node = nodes.len();
        nodes.extend(shaped.doc().nodes());
        let Shaped { place, text, at, .. } = shaped;
        self.chunk(Found { place, text, at, raw: None, first_node });
    }
    /// Would chunks of this template, straight behind the last one, be no more to it than that many, and what the last of
    /// them [reports](Template::reports)? Then they are told by [`repeated`](Self::repeated), to a sink that no such chunk
    /// fills.
    fn counts(&self, _: &Template) -> bool {
        false
    }
    /// So many chunks of which that is true, and the last of them.
    fn repeated(&mut self, _count: u64, _last: Shaped<'_>) {}
    /// A finished completion, where that is no chunk: a stream of its own.
    fn completion(&mut self, found: Found<'_>) {
        self.chunk(found);
    }
    /// What follows is of this exchange alone.
    fn begin_exchange(&mut self, _: Exchange<'_>) {}
    /// What follows is of this exchange, which has begun already.
    fn go_back(&mut self, _number: u64) {}
    /// The members of the exchange that are to be kept are now these.
    fn keep(&mut self, _: &[Option<Vec<u8>>]) {}
    /// What follows was read at this time, in seconds, if that is known.
    fn time(&mut self, _: Option<f64>) {}
    /// The last chunk has text, and was read at this time.
    fn content_at(&mut self, _: f64) {}
    /// The exchange has ended, and all of its streams.
    fn end_exchange(&mut self) {}
    /// What follows stands in another file, where places are counted anew.
    fn next_source(&mut self) {}
    /// `[DONE]`.
    fn done(&mut self, place: Place);
    /// An error that the server sent; the decoder has counted it.
    fn server_error(&mut self, place: Place, body: Body<'_>);
    /// Damage; the decoder has counted it.
    fn damage(&mut self, damage: &Damage);
    /// Damage to what is around the events of an exchange: it harms a stream only if one is open, or if there is none.
    fn outer_damage(&mut self, damage: &Damage) {
        self.damage(damage);
    }
    /// Damage outside all exchanges, in a log that is made of such: no stream has to do with it.
    fn stray_damage(&mut self, damage: &Damage) {
        self.damage(damage);
    }
    /// Is it time to stop and empty the sink?
    fn is_full(&self) -> bool {
        false
    }
}

/// What became of an event; decides to which count its bytes go.
#[derive(Clone, Copy)]
enum Outcome {
    Chunk,
    Done,
    Error,
    KeepAlive,
    Damage,
}

/// The state between two pieces of a source.
pub struct Decoder {
    framer: Framer,
    options: Options,
    stats: Stats,
    /// What the last event was: late bytes of its block go there.
    last: Outcome,
    /// Made when there is a chunk to learn from.
    shapes: Option<Box<Shapes>>,
    /// Where the source stands among shapes that are lent.
    course: Course,
    /// The offset of an event that no shape matched, so that it is not tried again.
    missed: u64,
    /// How many chunks matched a shape, and how many of those were steady.
    matched: u64,
    steady: u64,
    /// The event is a text that stood alone: it may be a finished completion.
    is_document: bool,
    /// Where the source begins.
    start: u64,
}

impl Decoder {
    /// A decoder at the start of a source.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let max_event_bytes = options.max_event_bytes.min(chunk::MAX_NODES - 1);
        Self {
            framer: Framer::new(max_event_bytes),
            options: Options { max_event_bytes, ..options },
            stats: Stats::default(),
            last: Outcome::KeepAlive,
            shapes: None,
            course: Course::default(),
            missed: u64::MAX,
            matched: 0,
            steady: 0,
            is_document: false,
            start: 0,
        }
    }

    /// Decodes `input[*at..]` until all of it is consumed `limit` events have been found or the sink is full, and moves `at`. Returns
    /// true if there may be more in this input. Call it with the next piece only after it returned false.
    pub fn decode<S: Sink>(&mut self, input: &[u8], at: &mut usize, limit: usize, sink: &mut S) -> bool {
        let mut left = limit;
        while left > 0 {
            self.match_events(input, at, &mut left, sink);
            if left == 0 || sink.is_full() {
                break;
            }
            let frame = self.framer.next(input, at);
            let late = self.framer.take_late_bytes();
            if late > 0 {
                self.count(self.last, late);
            }
            let Some(frame) = frame else { return false };
            self.event(&frame, input, false, sink);
            left -= 1;
            if sink.is_full() {
                break;
            }
        }
        true
    }

    /// The way of most events: those in a row that are one `data:` line and a blank one, and match a shape. (Nearly
    /// every stream ends its lines with LF, the others with CRLF.)
    #[inline]
    fn match_events<S: Sink>(&mut self, input: &[u8], at: &mut usize, left: &mut usize, sink: &mut S) {
        let Some(shapes) = &mut self.shapes else { return };
        if !self.framer.is_between_blocks() {
            return;
        }
        // What was found is counted at the end.
        let (first, mut place) = (*at, self.framer.place());
        let (mut chunks, mut dones, mut steady) = (0, 0, 0);
        while *left > 0 {
            let rest = &input[*at..];
            if !rest.starts_with(b"data:") {
                break;
            }
            let start = *at + 5 + usize::from(rest.get(5) == Some(&b' '));
            if input.get(start) == Some(&b'[') && rest.starts_with(DONE_EVENT) {
                dones += 1;
                sink.done(place);
                place = place.behind(1, DONE_EVENT.len());
                *at += DONE_EVENT.len();
                *left -= 1;
                if sink.is_full() {
                    break;
                }
                continue;
            }
            let last = (*at).saturating_add(self.options.max_event_bytes);
            let ends = |end| if end > last { None } else { behind_event(input, end) };
            let Some(matched) = shapes.find(input, start, ends) else {
                self.missed = place.offset;
                break;
            };
            chunks += 1;
            let (template, spans) = (shapes.template(matched), shapes.spans());
            sink.shaped(Shaped { place, text: &input[start..matched.end], at: Some(start), template, spans });
            place = place.behind(1, matched.behind - *at);
            let begin = std::mem::replace(at, matched.behind);
            *left -= 1;
            if sink.is_full() {
                break;
            }
            if *left > 0 && shapes.is_steady() {
                let around = Around { opening: &input[begin..start], closing: &input[matched.end..matched.behind] };
                let max_event_bytes = self.options.max_event_bytes;
                let followers = Followers { input, around, max_event_bytes, most: *left };
                let taken = followers.take(shapes, at, &mut place, sink);
                *left -= taken;
                steady += taken as u64;
                if sink.is_full() {
                    break;
                }
            }
        }
        chunks += steady;
        self.framer.pass(*at - first, chunks + dones);
        let done_bytes = dones * DONE_EVENT.len() as u64;
        self.stats.done += dones;
        self.stats.done_bytes += done_bytes;
        self.stats.chunks += chunks;
        self.stats.chunk_bytes += (*at - first) as u64 - done_bytes;
        self.matched += chunks;
        self.steady += steady;
    }

    /// A decoder between two events of a source, behind its beginning. Its places count from there.
    #[must_use]
    pub fn inside(options: Options) -> Self {
        let mut decoder = Self::new(options);
        decoder.framer = Framer::inside(decoder.options.max_event_bytes);
        decoder
    }

    /// Takes the shapes that were learned, for another decoder.
    pub fn take_shapes(&mut self) -> Option<Box<Shapes>> {
        self.shapes.take()
    }

    /// Starts with shapes that were learned elsewhere, under the same options.
    pub fn set_shapes(&mut self, shapes: Option<Box<Shapes>>) {
        self.shapes = shapes;
    }

    /// Does it match events against shapes?
    #[must_use]
    pub fn has_shapes(&self) -> bool {
        self.options.shapes
    }

    /// Takes shapes that others use in turn with this decoder, for a piece. (Not if it has none by choice, or if they were
    /// made under another limit.)
    pub fn lend(&mut self, shapes: Option<Box<Shapes>>) {
        self.shapes = shapes.filter(|shapes| self.options.shapes && shapes.fit(self.options.max_int_digits));
        if let Some(shapes) = &mut self.shapes {
            shapes.resume(self.course);
        }
    }

    /// Gives back what was lent, or what was learned without.
    pub fn take_back(&mut self) -> Option<Box<Shapes>> {
        let shapes = self.shapes.take()?;
        self.course = shapes.course();
        Some(shapes)
    }

    /// Gives back memory that serves only while there is input: between two pieces that may lie far apart.
    pub fn rest(&mut self) {
        self.framer.rest();
    }

    /// Where no event and no known field was seen, but other lines: the first byte of the first of those. ([`TAR`] or
    /// [`ZIP`] of an archive, whatever was seen.)
    #[must_use]
    pub fn foreign(&self) -> Option<u8> {
        self.framer.foreign()
    }

    /// Has an event or a known field been seen?
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.framer.is_known()
    }

    /// Lines that have ended so far.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.framer.lines()
    }

    /// The end of the source: an event that is open.
    pub fn finish_events<S: Sink>(&mut self, sink: &mut S) {
        if let Some(frame) = self.framer.finish(self.options.strict) {
            self.event(&frame, &[], true, sink);
        }
    }

    /// The end of the source.
    pub fn finish<S: Sink>(&mut self, sink: &mut S) {
        self.finish_with(None, sink);
    }

    /// The same; if nothing is an event, more is known of that.
    pub fn finish_with<S: Sink>(&mut self, more: Option<String>, sink: &mut S) {
        self.finish_events(sink);
        if let Some(first) = self.framer.foreign() {
            let mut damage = not_a_stream(first);
            damage.place.offset = self.start;
            damage.place.event = self.framer.earlier_events();
            if let Some(more) = more {
                damage.reason = format!("{}; {more}", damage.reason);
            }
            self.stats.add(&damage);
            sink.damage(&damage);
        }
    }

    /// Begins another source behind the end of one, with the shapes that were learned. Its places and counts go on.
    pub fn restart(&mut self) {
        self.framer.restart();
        self.start = self.framer.consumed();
        self.last = Outcome::KeepAlive;
    }

    /// Decodes the JSON document `wide[..length]`, which stands alone, as the event that comes next. `at` says where it
    /// lies in the input, if it does.
    pub fn document<S: Sink>(
        &mut self,
        wide: &[u8],
        length: usize,
        at: Option<usize>,
        place: Place,
        at_end: bool,
        sink: &mut S,
    ) {
        let place = Place { event: self.framer.events(), ..place };
        self.framer.pass_event();
        if length > self.options.max_event_bytes {
            let reason = format!("the event is larger than {} bytes", self.options.max_event_bytes);
            self.damage(Kind::EventTooLarge, place, None, reason, sink);
            self.count(Outcome::Damage, length as u64);
            return;
        }
        let frame =
            Frame { kind: FrameKind::Event, place, data: Data::Framer, bytes: length as u64, invalid_field: false };
        self.is_document = true;
        let outcome = self.data(&frame, wide, length, at, at_end, sink);
        self.is_document = false;
        self.count(outcome, frame.bytes);
    }

    /// The framer, for who has to know what is open.
    pub(crate) fn framer(&mut self) -> &mut Framer {
        &mut self.framer
    }

    /// Takes the damages that are kept so far; they stay counted.
    pub fn take_damages(&mut self) -> Vec<Damage> {
        std::mem::take(&mut self.stats.damages)
    }

    /// Bytes consumed so far.
    #[must_use]
    pub fn consumed(&self) -> u64 {
        self.framer.consumed()
    }

    /// Events found so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.framer.events()
    }

    /// Takes the JSON document that begins at `start` if it matches a shape, and gives the place behind it. `ends` says of
    /// the place behind a document whether it is one, and where what follows begins.
    #[inline]
    pub fn match_document<S: Sink>(
        &mut self,
        input: &[u8],
        start: usize,
        at: Option<usize>,
        place: Place,
        ends: impl Fn(usize) -> Option<usize>,
        sink: &mut S,
    ) -> Option<usize> {
        let shapes = self.shapes.as_deref_mut()?;
        let last = start.saturating_add(self.options.max_event_bytes);
        let Some(matched) = shapes.find(input, start, |end| if end > last { None } else { ends(end) }) else {
            self.missed = place.offset;
            return None;
        };
        let (template, spans) = (shapes.template(matched), shapes.spans());
        let length = matched.end - start;
        let place = Place { event: self.framer.events(), ..place };
        self.framer.pass_event();
        self.stats.chunks += 1;
        self.stats.chunk_bytes += length as u64;
        self.matched += 1;
        sink.shaped(Shaped { place, text: &input[start..matched.end], at, template, spans });
        Some(matched.behind)
    }

    /// How many damages are kept so far.
    #[must_use]
    pub fn kept_damages(&self) -> usize {
        self.stats.damages.len()
    }

    /// Gives other places to the damages behind the first so many.
    pub fn move_damages(&mut self, from: usize, mut global: impl FnMut(Place) -> Place) {
        for damage in self.stats.damages.iter_mut().skip(from) {
            damage.place = global(damage.place);
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let counts = self.framer.counts();
        let mut stats = self.stats.clone();
        stats.bytes = self.framer.consumed();
        stats.events = self.framer.events();
        stats.comments = counts.comments;
        stats.comment_bytes += counts.comment_bytes;
        stats.skipped_bytes += counts.skipped_bytes;
        stats.damaged_bytes += counts.dropped_bytes;
        stats
    }

    /// How many chunks went which way so far.
    #[must_use]
    pub fn paths(&self) -> Paths {
        Paths { shape: self.matched, steady: self.steady, careful: self.stats.chunks - self.matched }
    }

    /// Counts a damage that a later room found.
    pub fn add_damage(&mut self, damage: &Damage) {
        self.stats.add(damage);
    }

    fn count(&mut self, outcome: Outcome, bytes: u64) {
        let counter = match outcome {
            Outcome::Chunk => &mut self.stats.chunk_bytes,
            Outcome::Done => &mut self.stats.done_bytes,
            Outcome::Error => &mut self.stats.error_bytes,
            Outcome::KeepAlive => &mut self.stats.comment_bytes,
            Outcome::Damage => &mut self.stats.damaged_bytes,
        };
        *counter += bytes;
    }

    fn damage<S: Sink>(&mut self, kind: Kind, place: Place, position: Option<usize>, reason: String, sink: &mut S) {
        let damage = Damage { kind, place, position, reason };
        self.stats.add(&damage);
        sink.damage(&damage);
    }

    #[inline]
    fn event<S: Sink>(&mut self, frame: &Frame, input: &[u8], at_end: bool, sink: &mut S) {
        let outcome = match &frame.data {
            Data::Input(span) if frame.kind == FrameKind::Event => {
                let (start, length) = (span.start, span.len());
                self.data(frame, &input[start..], length, Some(start), at_end, sink)
            }
            _ if frame.kind == FrameKind::TooLarge => {
                let reason = format!("the event is larger than {} bytes", self.options.max_event_bytes);
                self.damage(Kind::EventTooLarge, frame.place, None, reason, sink);
                Outcome::Damage
            }
            _ => {
                let data = self.framer.take_data();
                let outcome = self.data(frame, &data, data.len(), None, at_end, sink);
                self.framer.give_data_back(data);
                outcome
            }
        };
        self.last = outcome;
        self.count(outcome, frame.bytes);
    }

    /// Handles the data `wide[..length]`.
    #[inline]
    fn data<S: Sink>(
        &mut self,
        frame: &Frame,
        wide: &[u8],
        length: usize,
        at: Option<usize>,
        at_end: bool,
        sink: &mut S,
    ) -> Outcome {
        if frame.invalid_field {
            return self.slow_data(frame, &wide[..length], at, at_end, sink);
        }
        if let Some(shapes) = &mut self.shapes
            && frame.place.offset != self.missed
            && let Some(matched) = shapes.find(wide, 0, |end| (end == length).then_some(end))
        {
            self.stats.chunks += 1;
            self.matched += 1;
            let (template, spans) = (shapes.template(matched), shapes.spans());
            sink.shaped(Shaped { place: frame.place, text: &wide[..length], at, template, spans });
            return Outcome::Chunk;
        }
        let nodes = sink.nodes();
        let first_node = nodes.len();
        match chunk::parse(wide, length, self.options.max_int_digits, nodes) {
            Ok(keys) => {
                let text = &wide[..length];
                let learns = keys & (1 << Key::Choices as u8) != 0 && self.options.shapes;
                // A shape would not tell a completion from a chunk.
                if learns && !(self.is_document && is_completion(Doc::new(text, &nodes[first_node..]).root())) {
                    let new = || Box::new(Shapes::new(self.options.max_int_digits));
                    self.shapes.get_or_insert_with(new).learn(text, &nodes[first_node..]);
                }
                self.json(Found { place: frame.place, text, at, raw: None, first_node }, keys, sink)
            }
            Err(_) => {
                nodes.truncate(first_node);
                self.slow_data(frame, &wide[..length], at, at_end, sink)
            }
        }
    }

    /// Handles data that may be no JSON, or not even UTF-8: says exactly what is wrong.
    #[cold]
    fn slow_data<S: Sink>(
        &mut self,
        frame: &Frame,
        data: &[u8],
        at: Option<usize>,
        at_end: bool,
        sink: &mut S,
    ) -> Outcome {
        let place = frame.place;
        let Decoded { text, invalid_at } = decode_utf8(data);
        if invalid_at.is_some() || frame.invalid_field {
            self.damage(Kind::InvalidUtf8, place, invalid_at, "invalid UTF-8 in the event's data".to_owned(), sink);
        }
        match strip(&text) {
            "" => {
                self.stats.keepalives += 1;
                return Outcome::KeepAlive;
            }
            "[DONE]" => {
                self.stats.done += 1;
                sink.done(place);
                return Outcome::Done;
            }
            _ => {}
        }
        let nodes = sink.nodes();
        let first_node = nodes.len();
        match chunk::parse(text.as_bytes(), text.len(), self.options.max_int_digits, nodes) {
            Ok(keys) => {
                let raw = invalid_at.map(|_| data);
                let at = at.filter(|_| raw.is_none());
                self.json(Found { place, text: text.as_bytes(), at, raw, first_node }, keys, sink)
            }
            Err(error) => {
                nodes.truncate(first_node);
                if self.framer.event_type() == "error" {
                    self.server_error(place, shorten(&text), sink, Body::Text(&text));
                    return Outcome::Error;
                }
                let (kind, reason) = explain(error, at_end);
                self.damage(kind, place, Some(error.position), reason, sink);
                Outcome::Damage
            }
        }
    }

    /// Handles an event whose data is JSON.
    #[inline]
    fn json<S: Sink>(&mut self, found: Found<'_>, keys: chunk::KeySet, sink: &mut S) -> Outcome {
        let is_chunk = keys & (1 << Key::Choices as u8) != 0
            || (keys & (1 << Key::Object as u8) != 0
                && names_a_chunk(Doc::new(found.text, &sink.nodes()[found.first_node..]).root()));
        if is_chunk {
            self.stats.chunks += 1;
            if self.is_document && is_completion(Doc::new(found.text, &sink.nodes()[found.first_node..]).root()) {
                sink.completion(found);
                return Outcome::Chunk;
            }
            sink.chunk(found);
            return Outcome::Chunk;
        }
        self.no_chunk(found, sink)
    }

    #[cold]
    fn no_chunk<S: Sink>(&mut self, found: Found<'_>, sink: &mut S) -> Outcome {
        let root = Doc::new(found.text, &sink.nodes()[found.first_node..]).root();
        let is_error = root.get(Key::Error).is_some_and(Value::is_truthy);
        if is_error || self.framer.event_type() == "error" {
            let message = error_message(root);
            self.server_error(found.place, message, sink, Body::Json(found));
            return Outcome::Error;
        }
        let mut reason = format!("a JSON {} that is no chunk", root.kind_name());
        if root.kind() == Type::Object {
            reason.push_str(" (keys: ");
            reason.push_str(&first_keys(root));
            reason.push(')');
        }
        sink.nodes().truncate(found.first_node);
        self.damage(Kind::NotAChunk, found.place, None, reason, sink);
        Outcome::Damage
    }

    fn server_error<S: Sink>(&mut self, place: Place, message: String, sink: &mut S, body: Body<'_>) {
        self.stats.add(&Damage { kind: Kind::ServerError, place, position: None, reason: message });
        sink.server_error(place, body);
    }
}

/// The damage of a source without events, whose first unknown line begins with this byte, or that is an archive.
#[must_use]
pub fn not_a_stream(first: u8) -> Damage {
    let reason = match first {
        b'<' => "no event found; it looks like HTML",
        b'{' | b'[' => "no event found; it looks like JSON, not like server-sent events",
        TAR => "it looks like a tar archive: in a file whose name ends in .tar, .tgz or .tar.gz its logs are read",
        ZIP => "it looks like a zip archive: in a file whose name ends in .zip its logs are read",
        _ => "no event found; this is no event stream",
    };
    let place = Place { offset: 0, line: 1, event: 0 };
    Damage { kind: Kind::NotAStream, place, position: None, reason: reason.into() }
}

/// `[DONE]` as nearly every server sends it.
const DONE_EVENT: &[u8] = b"data: [DONE]\n\n";

/// The place behind the line end and the blank line that begin at `end`, if they do.
#[inline(always)]
pub(crate) fn behind_event(input: &[u8], end: usize) -> Option<usize> {
    let rest = &input[end..];
    if rest.starts_with(b"\n\n") {
        return Some(end + 2);
    }
    rest.starts_with(b"\r\n\r\n").then_some(end + 4)
}

/// Python's `str.strip()`: Unicode white space, and the four separators that Unicode's property leaves out.
fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c))
}

/// Is `object` a string that ends in "chunk"?
pub(crate) fn names_a_chunk(root: Value<'_>) -> bool {
    root.get(Key::Object).is_some_and(|object| object.kind() == Type::String && object.bytes().ends_with(b"chunk"))
}

/// Is it a finished completion, not a chunk of one? (Some servers call their chunks chat.completion, too, and some send
/// a message beside a delta.)
pub(crate) fn is_completion(root: Value<'_>) -> bool {
    let Some(choices) = root.get(Key::Choices).filter(|choices| choices.kind() == Type::Array && choices.is_truthy())
    else {
        return false;
    };
    let mut has_message = root
        .get(Key::Object)
        .is_some_and(|object| object.kind() == Type::String && *object.bytes() == *b"chat.completion");
    for choice in choices.items().filter(|choice| choice.kind() == Type::Object) {
        if choice.get(Key::Delta).is_some() {
            return false;
        }
        has_message |= choice.get_named(b"message").is_some_and(|message| message.kind() == Type::Object);
    }
    has_message
}

/// Up to five keys in the order of their first appearance, for a message.
fn first_keys(root: Value<'_>) -> String {
    let mut names: Vec<String> = Vec::new();
    for (key, _) in root.members() {
        let name = String::from_utf8_lossy(&key.bytes()).into_owned();
        if !names.contains(&name) {
            names.push(name);
        }
        if names.len() == 5 {
            break;
        }
    }
    names.join(", ")
}

/// The human-readable part of a server's error: `error.message`, `error`, `message` or `detail`, else all of it.
fn error_message(root: Value<'_>) -> String {
    let found = root.get(Key::Error).filter(|error| error.is_truthy()).unwrap_or(root);
    let message = [&b"message"[..], b"detail"]
        .into_iter()
        .filter_map(|name| found.get_named(name)?.non_empty())
        .next()
        .or_else(|| found.non_empty())
        .unwrap_or_else(|| root.raw().into());
    shorten(&String::from_utf8_lossy(&message))
}

/// The beginning of a text, for a message.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_LENGTH) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// The kind and the reason of data that is not JSON; at the end of a source it is called truncated.
fn explain(error: JsonError, at_end: bool) -> (Kind, String) {
    let JsonError { kind, position } = error;
    if kind == JsonErrorKind::TooDeep {
        let depth = chunk::MAX_DEPTH;
        (Kind::TooDeep, format!("nested deeper than {depth} levels at byte {position} of the event's data"))
    } else if at_end {
        (Kind::Truncated, format!("the source ends inside an event, at byte {position} of its data: {kind}"))
    } else {
        (Kind::InvalidJson, format!("invalid JSON at byte {position} of the event's data: {kind}"))
    }
}
