//! The decoder: events in, chunks out. It says of every event what it is, and counts every byte.
//!
//! It owns no input and no output: [`Decoder::decode`] takes a piece of the source and a cursor in it, and tells a
//! [`Sink`] what it found, in the order of the source. Batches of records ([`crate::record`]) and usage rows
//! ([`crate::stream`]) are sinks.

mod reason;
mod sink;
mod stats;
mod steady;

pub use reason::not_a_stream;
pub use sink::{Body, Exchange, Found, Shaped, Sink};
pub use stats::{KEPT_DAMAGES, Paths, Stats};

use reason::{error_message, explain, first_keys, shorten};
use steady::Followers;

use crate::chunk::shape::{Around, Course, Shapes};
use crate::chunk::{self, Doc, Key, Type, Value};
use crate::error::{Damage, Kind, Place};
use crate::event::{Data, Decoded, Frame, FrameKind, Framer, decode_utf8};

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
                if self.is_error_event() {
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
        if is_error || self.is_error_event() {
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

    /// Does the event's name say that it is an error? (A document is in no event, though one may be open.)
    fn is_error_event(&self) -> bool {
        !self.is_document && self.framer.event_type() == "error"
    }

    fn server_error<S: Sink>(&mut self, place: Place, message: String, sink: &mut S, body: Body<'_>) {
        self.stats.add(&Damage { kind: Kind::ServerError, place, position: None, reason: message });
        sink.server_error(place, body);
    }
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
