//! The log room: logs as they are in, what a decoder would find in the bare streams out, with its place in the log.
//!
//! A log has a *format*: how it holds streams. [`recognise`] says which from its beginning. Server-sent events go to the
//! decoder as they are. JSON lines are walked, a *body* unescaped and given to a decoder as a source of its own, and what
//! that finds gets the place at which it stands in the log. An *exchange* is one request with its response: streams end
//! with it, and ids do not join across exchanges.
//!
//! ```text
//! recognise (scout, path, time)     which format, and where bodies stand
//! early, waiting                    the same of a log that grows, and of its next file
//! lines -> walk (unescape)          whole lines; the body's text, and which byte of it stands where
//! exchanges, chunks, reads, reader  what is a source of its own; places (a sink in front of the sink)
//! ```

mod chunks;
mod early;
mod elements;
mod exchanges;
mod lines;
mod path;
mod places;
mod reader;
mod reads;
mod recognise;
mod scout;
mod time;
mod unescape;
mod waiting;
mod walk;
mod words;

pub use early::{early, needs_more};
pub use lines::MAX_LINE_BYTES;
pub use path::Path;
pub use reader::LinesReader;
pub use recognise::{Format, HEAD_BYTES, Layout, Request, Told, recognise};

use crate::chunk::shape::Shapes;
use crate::decoder::{Decoder, Options, Paths, Sink, Stats};
use crate::error::{Damage, Place};
use places::{Placed, to_the_end};
use reader::{How, Reader};
use waiting::{Decision, Waiting};

/// What is wanted of a log.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What is known of its format.
    pub request: Request,
    /// Members that are kept beside streams.
    pub keep: Vec<Path>,
    /// The longest line.
    pub max_line_bytes: usize,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { request: Request::default(), keep: Vec::new(), max_line_bytes: MAX_LINE_BYTES }
    }
}

impl Wanted {
    /// An event stream, which nobody has to recognise.
    #[must_use]
    pub fn sse() -> Self {
        let told = Told::Format(Format::Sse);
        Self { request: Request { told, ..Request::default() }, ..Self::default() }
    }
}

/// What was learned of one log's events and documents, for the next log: those of server-sent events, and those of what
/// stands in JSON, which know no completions.
#[derive(Default)]
pub struct Learned {
    pub(crate) events: Option<Box<Shapes>>,
    pub(crate) documents: Option<Box<Shapes>>,
}

/// A log while it is decoded. It has the face of a [`Decoder`].
pub struct Log {
    options: Options,
    /// None for an event stream, which nobody has to recognise: live ones are many, and are to be small.
    wanted: Option<Box<Wanted>>,
    layout: Option<Box<Layout>>,
    state: State,
    /// What was counted in the files before.
    before: Option<Box<Stats>>,
}

#[expect(clippy::large_enum_variant, reason = "nearly always it is the large one")]
enum State {
    Known(Reader),
    /// Recognised, after some was held.
    Held(Box<Held>),
    /// Not recognised yet.
    Unknown(Box<Waiting>),
    /// It is not for this: what came so far.
    Foreign(Vec<u8>),
}

/// What was held before the log was recognised.
struct Held {
    waiting: Waiting,
    /// How far it is decoded.
    at: usize,
    reader: Reader,
    /// What was counted in files that end in it.
    before: Stats,
}

impl Log {
    /// At the start of a log.
    #[must_use]
    pub fn new(options: Options, wanted: Wanted) -> Self {
        let is_sse = wanted.request.told == Told::Format(Format::Sse);
        let wanted = (!is_sse).then(|| Box::new(wanted));
        let mut log = Self { options, wanted, layout: None, state: State::Foreign(Vec::new()), before: None };
        log.start();
        log
    }

    /// The log is all there: nothing is gained by recognising it early.
    pub fn be_whole(&mut self) {
        if let State::Unknown(waiting) = &mut self.state {
            waiting.wait();
        }
    }

    fn start(&mut self) {
        let Some(wanted) = &self.wanted else {
            self.state = State::Known(Reader::Plain(Decoder::new(self.options)));
            return;
        };
        let request = &wanted.request;
        let begun = (request.is_told() && request.leaves_nothing()).then(|| recognise(&[], request));
        (self.layout, self.state) = (None, State::Unknown(Box::default()));
        if let Some(layout) = begun {
            self.begin(layout, Waiting::default());
        }
    }

    /// At the start of a log that begins with `head`: with all of it, or with as much as [`needs_more`] asks for. This is
    /// decoded like the rest.
    #[must_use]
    pub fn begun(options: Options, wanted: Wanted, head: &[u8]) -> Self {
        let mut log = Self::new(options, wanted);
        if matches!(log.state, State::Unknown(_)) {
            let layout = recognise(head, &log.wanted.get_or_insert_default().request);
            log.begin(layout, Waiting::default());
        }
        log
    }

    /// Starts with what was learned elsewhere, under the same options; only where it is known what the log is.
    pub fn learn(&mut self, learned: &mut Learned) {
        if let State::Known(reader) = &mut self.state {
            reader.learn(learned);
        }
    }

    /// Gives what was learned, for another log.
    pub fn teach(&mut self, learned: &mut Learned) {
        if let State::Known(reader) = &mut self.state {
            reader.teach(learned);
        }
    }

    /// How it is read, once that is known; None for an event stream that nobody had to recognise.
    #[must_use]
    pub fn layout(&self) -> Option<&Layout> {
        self.layout.as_deref()
    }

    /// The format that somebody has to convert first, and the bytes that came so far.
    #[must_use]
    pub fn foreign(&self) -> Option<(Format, &[u8])> {
        match (&self.state, &self.layout) {
            (State::Foreign(head), Some(layout)) => Some((layout.format, head)),
            _ => None,
        }
    }

    /// Decodes `input[*at..]`: see [`Decoder::decode`].
    #[inline]
    pub fn decode<S: Sink>(&mut self, input: &[u8], at: &mut usize, limit: usize, sink: &mut S) -> bool {
        match &mut self.state {
            State::Known(Reader::Plain(decoder)) => decoder.decode(input, at, limit, sink),
            _ => self.decode_other(input, at, limit, sink),
        }
    }

    #[inline(never)]
    fn decode_other<S: Sink>(&mut self, input: &[u8], at: &mut usize, limit: usize, sink: &mut S) -> bool {
        match &mut self.state {
            State::Known(reader) => reader.decode(input, at, limit, sink),
            State::Unknown(waiting) => {
                let request = &self.wanted.get_or_insert_default().request;
                if waiting.held.is_empty()
                    && let Some(decision) = waiting.decide_by(&input[*at..], request)
                {
                    self.start_as(decision, sink);
                    return true;
                }
                waiting.hold(&input[*at..]);
                *at = input.len();
                let Some(decision) = waiting.decide(request) else { return false };
                self.start_as(decision, sink);
                true
            }
            State::Held(held) => {
                let how = How { options: self.options, wanted: self.wanted.as_deref(), layout: self.layout.as_deref() };
                if !held.decode(&how, limit, sink) {
                    self.let_go();
                }
                true
            }
            State::Foreign(head) => {
                if head.len() < HEAD_BYTES {
                    head.extend_from_slice(&input[*at..]);
                    *at = input.len();
                }
                false
            }
        }
    }

    /// What the log begins with, where that was read before: it is recognised by it.
    pub fn look(&mut self, head: &[u8]) {
        if let State::Unknown(waiting) = &mut self.state
            && waiting.held.is_empty()
        {
            waiting.held = head[..head.len().min(HEAD_BYTES)].to_vec();
            waiting.seen = waiting.held.len();
        }
    }

    /// The end of the log.
    pub fn finish<S: Sink>(&mut self, sink: &mut S) {
        self.finish_held(sink);
        if let State::Known(reader) = &mut self.state {
            reader.end(self.layout.as_deref(), sink);
        }
    }

    fn finish_held<S: Sink>(&mut self, sink: &mut S) {
        if let State::Unknown(waiting) = &self.state {
            let decision = waiting.decide_at_end(&self.wanted.get_or_insert_default().request);
            self.start_as(decision, sink);
        }
        self.finish_decoding(sink);
    }

    /// Decodes all that is held.
    fn finish_decoding<S: Sink>(&mut self, sink: &mut S) {
        if let State::Held(held) = &mut self.state {
            let how = How { options: self.options, wanted: self.wanted.as_deref(), layout: self.layout.as_deref() };
            while held.decode(&how, usize::MAX, &mut to_the_end(sink)) {}
            self.let_go();
        }
    }

    /// Behind the end, at the start of another log. The counts go on.
    pub fn restart<S: Sink>(&mut self, sink: &mut S) {
        let stats = self.stats();
        let shapes = self.plain().and_then(Decoder::take_shapes);
        self.before = Some(Box::new(stats));
        self.start();
        if let Some(decoder) = self.plain() {
            decoder.set_shapes(shapes);
        }
        sink.next_source();
    }

    /// This file ends, and the log goes on in another one, whose places are counted anew: exchanges that were read in
    /// pieces go on as well.
    pub fn turn<S: Sink>(&mut self, sink: &mut S) {
        if let State::Unknown(waiting) = &mut self.state {
            let Some(decision) = waiting.turn(&self.wanted.get_or_insert_default().request) else { return };
            self.start_as(decision, sink);
        }
        self.finish_decoding(sink);
        let how = How { options: self.options, wanted: self.wanted.as_deref(), layout: self.layout.as_deref() };
        match &mut self.state {
            State::Unknown(_) | State::Foreign(_) | State::Held(_) => return,
            State::Known(reader) => {
                if let Some(stats) = reader.turn(&how, sink) {
                    self.before.get_or_insert_default().append(stats, |place| place);
                }
            }
        }
        let is_named = self.wanted.as_ref().is_none_or(|wanted| matches!(wanted.request.told, Told::Format(_)));
        if !is_named
            && let Some(layout) = &self.layout
            && let State::Known(reader) = std::mem::replace(&mut self.state, State::Foreign(Vec::new()))
        {
            self.state = State::Unknown(Box::new(Waiting::behind(Layout::clone(layout), reader)));
        }
    }

    /// Is it not recognised yet?
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Unknown(_))
    }

    /// What is not recognised yet, as if nothing followed: decodes what is whole of it; gives its counts.
    pub fn peek<S: Sink>(&self, sink: &mut S) -> Option<Stats> {
        let (State::Unknown(waiting), Some(wanted)) = (&self.state, &self.wanted) else { return None };
        if waiting.before.is_some() || waiting.held.is_empty() {
            return None;
        }
        let Decision::New(layout) = waiting.decide_at_end(&wanted.request) else { return None };
        let reader = Reader::new(self.options, wanted, &layout)?;
        let Waiting { held, seen, turns, .. } = &**waiting;
        let waiting = Waiting { held: held.clone(), seen: *seen, turns: turns.clone(), ..Waiting::default() };
        let mut held = Held { at: waiting.seen, waiting, reader, before: Stats::default() };
        let how = How { options: self.options, wanted: Some(wanted), layout: Some(&layout) };
        while held.decode(&how, usize::MAX, sink) {}
        let mut stats = self.before.as_deref().cloned().unwrap_or_default();
        stats.append(held.before, |place| place);
        stats.append(held.reader.stats(), |place| place);
        Some(stats)
    }

    /// Nothing more comes but damage: true if something was held. Call [`Log::decode`] with nothing then, until that says
    /// that there is no more: what stands before the damage comes before it.
    pub fn settle(&mut self) -> bool {
        // (A log that goes on in other files is none that can be damaged like this.)
        if let State::Unknown(waiting) = &mut self.state
            && let Decision::New(layout) = waiting.decide_at_end(&self.wanted.get_or_insert_default().request)
            && waiting.before.is_none()
        {
            let waiting = std::mem::take(&mut **waiting);
            self.begin(layout, waiting);
        }
        matches!(self.state, State::Held(_))
    }

    /// What was held is decoded: the rest is decoded as it comes.
    fn let_go(&mut self) {
        match std::mem::replace(&mut self.state, State::Foreign(Vec::new())) {
            State::Held(held) => {
                self.count_before(held.before);
                self.state = State::Known(held.reader);
            }
            other => self.state = other,
        }
    }

    /// Counts what was counted in files that have ended.
    fn count_before(&mut self, stats: Stats) {
        if stats != Stats::default() {
            self.before.get_or_insert_default().append(stats, |place| place);
        }
    }

    /// Begins to decode as was decided.
    fn start_as<S: Sink>(&mut self, decision: Decision, sink: &mut S) {
        let State::Unknown(mut waiting) = std::mem::replace(&mut self.state, State::Foreign(Vec::new())) else {
            return;
        };
        match (decision, waiting.before.take()) {
            (Decision::GoOn, Some(before)) => {
                let (layout, reader) = *before;
                self.hold(reader, *waiting);
                self.layout = Some(Box::new(layout));
            }
            (Decision::GoOn, None) => {}
            (Decision::New(layout), before) => {
                if let Some((old, mut reader)) = before.map(|before| *before) {
                    // (Its files have ended but for exchanges that were read in pieces.)
                    reader.end(Some(&old), sink);
                    self.count_before(reader.stats());
                }
                self.begin(layout, *waiting);
            }
        }
    }

    /// Begins to decode, with what was held.
    fn begin(&mut self, layout: Layout, waiting: Waiting) {
        match Reader::new(self.options, self.wanted.get_or_insert_default(), &layout) {
            None => self.state = State::Foreign(waiting.held),
            Some(reader) => self.hold(reader, waiting),
        }
        self.layout = Some(Box::new(layout));
    }

    fn hold(&mut self, reader: Reader, waiting: Waiting) {
        self.state = if waiting.held.len() == waiting.seen && waiting.turns.is_empty() {
            State::Known(reader)
        } else {
            State::Held(Box::new(Held { at: waiting.seen, waiting, reader, before: Stats::default() }))
        };
    }

    /// The decoder of a log that is an event stream: only such are lent shapes.
    fn plain(&mut self) -> Option<&mut Decoder> {
        match &mut self.state {
            State::Known(Reader::Plain(decoder)) => Some(decoder),
            _ => None,
        }
    }

    /// See [`Decoder::has_shapes`].
    #[must_use]
    pub fn has_shapes(&self) -> bool {
        matches!(&self.state, State::Known(Reader::Plain(decoder)) if decoder.has_shapes())
    }

    /// See [`Decoder::lend`].
    pub fn lend(&mut self, shapes: Option<Box<Shapes>>) {
        if let Some(decoder) = self.plain() {
            decoder.lend(shapes);
        }
    }

    /// See [`Decoder::take_back`].
    pub fn take_back(&mut self) -> Option<Box<Shapes>> {
        self.plain()?.take_back()
    }

    /// See [`Decoder::rest`].
    pub fn rest(&mut self) {
        if let Some(decoder) = self.plain() {
            decoder.rest();
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = match &self.state {
            State::Known(reader) => reader.stats(),
            State::Held(held) => {
                let mut stats = held.before.clone();
                let here = held.reader.stats();
                let left = (held.waiting.held.len() - held.at) as u64;
                stats.append(Stats { bytes: here.bytes + left, ..here }, |place| place);
                stats
            }
            State::Unknown(waiting) => waiting.stats(),
            State::Foreign(head) => Stats { bytes: head.len() as u64, ..Stats::default() },
        };
        if let Some(before) = &self.before {
            let here = std::mem::replace(&mut stats, Stats::clone(before));
            stats.append(here, |place| place);
        }
        stats
    }

    /// How many chunks went which way so far.
    #[must_use]
    pub fn paths(&self) -> Paths {
        match &self.state {
            State::Known(reader) => reader.paths(),
            State::Held(held) => held.reader.paths(),
            State::Unknown(_) | State::Foreign(_) => Paths::default(),
        }
    }

    /// Counts a damage that a later room found.
    pub fn add_damage(&mut self, damage: &Damage) {
        match &mut self.state {
            State::Known(reader) => reader.decoder().add_damage(damage),
            State::Held(held) => held.reader.decoder().add_damage(damage),
            State::Unknown(_) => self.before.get_or_insert_default().add(damage),
            State::Foreign(_) => {}
        }
    }
}

impl Held {
    /// Decodes some of it; false if nothing is left. (What was held goes, and nobody is to point into it.)
    fn decode<S: Sink>(&mut self, how: &How<'_>, limit: usize, sink: &mut S) -> bool {
        let Waiting { held, turns, .. } = &mut self.waiting;
        let end = turns.first().copied().unwrap_or(held.len());
        if self.reader.decode(&held[..end], &mut self.at, limit, &mut Placed::new(sink, |place: Place| place)) {
            return true;
        }
        if turns.is_empty() {
            return false;
        }
        turns.remove(0);
        if let Some(stats) = self.reader.turn(how, sink) {
            self.before.append(stats, |place| place);
        }
        true
    }
}
