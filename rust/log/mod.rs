//! The log room: logs as they are in, what a decoder would find in the bare streams out, with its place in the log.
//!
//! A log has a *format*: how it holds streams. [`recognise`] says which from its beginning. Server-sent events go to the
//! decoder as they are. JSON lines are walked, a *body* unescaped and given to a decoder as a source of its own, and what
//! that finds gets the place at which it stands in the log. An *exchange* is one request with its response: streams end
//! with it, and ids do not join across exchanges.
//!
//! ```text
//! recognise (scout, path, time)     which format, and where bodies stand
//! lines -> walk (unescape)          whole lines; the body's text, and which byte of it stands where
//! exchanges, chunks, reads          what is a source of its own; places (a sink in front of the sink)
//! ```

mod chunks;
mod elements;
mod exchanges;
mod lines;
mod path;
mod places;
mod reads;
mod recognise;
mod scout;
mod time;
mod unescape;
mod walk;
mod words;

pub use lines::MAX_LINE_BYTES;
pub use path::Path;
pub use recognise::{Format, HEAD_BYTES, Layout, Request, Told, needs_more, recognise};

use crate::chunk::shape::Shapes;
use crate::decoder::{Decoder, Options, Paths, Sink, Stats};
use crate::error::{Damage, Place};
use chunks::Chunks;
use exchanges::Exchanges;
use places::Placed;

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
    documents: Option<Box<Shapes>>,
}

/// A log while it is decoded. It has the face of a [`Decoder`].
pub struct Log {
    options: Options,
    /// None for an event stream, which nobody has to recognise: live ones are many, and are to be small.
    wanted: Option<Box<Wanted>>,
    layout: Option<Box<Layout>>,
    state: State,
}

#[expect(clippy::large_enum_variant, reason = "nearly always it is the large one")]
enum State {
    Known(Reader),
    /// Recognised, after some was held: what was held, and how far it is decoded.
    Held(Box<(Vec<u8>, usize, Reader)>),
    /// Not recognised yet: what came so far.
    Unknown(Vec<u8>),
    /// It is not for this: what came so far.
    Foreign(Vec<u8>),
}

#[expect(clippy::large_enum_variant, reason = "nearly always it is the large one")]
enum Reader {
    Plain(Decoder),
    Exchanges(Box<Exchanges>),
    Chunks(Box<Chunks>),
}

impl Log {
    /// At the start of a log.
    #[must_use]
    pub fn new(options: Options, wanted: Wanted) -> Self {
        if let Told::Format(Format::Sse) = wanted.request.told {
            let state = State::Known(Reader::Plain(Decoder::new(options)));
            return Self { options, wanted: None, layout: None, state };
        }
        let begun = match wanted.request {
            Request { told: Told::Format(Format::Chunks | Format::Har | Format::Vcr), .. }
            | Request { told: Told::Format(Format::Exchanges), field: Some(_), .. } => {
                Some(recognise(&[], &wanted.request))
            }
            _ => None,
        };
        let mut log = Self { options, wanted: Some(Box::new(wanted)), layout: None, state: State::Unknown(Vec::new()) };
        if let Some(layout) = begun {
            log.begin(layout, Vec::new());
        }
        log
    }

    /// At the start of a log that begins with `head`: with all of it, or with [`HEAD_BYTES`] at least. These are decoded
    /// like the others.
    #[must_use]
    pub fn begun(options: Options, wanted: Wanted, head: &[u8]) -> Self {
        let mut log = Self::new(options, wanted);
        if matches!(log.state, State::Unknown(_)) {
            let layout = recognise(head, &log.wanted.get_or_insert_default().request);
            log.begin(layout, Vec::new());
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
            State::Unknown(held) => {
                let request = &self.wanted.get_or_insert_default().request;
                if held.is_empty() && !needs_more(&input[*at..], request) {
                    let layout = recognise(&input[*at..], request);
                    self.begin(layout, Vec::new());
                    return true;
                }
                held.extend_from_slice(&input[*at..]);
                *at = input.len();
                if needs_more(held, request) {
                    return false;
                }
                self.recognise_held();
                true
            }
            State::Held(held) => {
                let (head, done, reader) = &mut **held;
                // (What was held goes, and nobody is to point into it.)
                if !reader.decode(head, done, limit, &mut Placed::new(sink, |place: Place| place)) {
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

    /// The end of the log.
    pub fn finish<S: Sink>(&mut self, sink: &mut S) {
        if matches!(self.state, State::Unknown(_)) {
            self.recognise_held();
        }
        if let State::Held(held) = &mut self.state {
            let (head, done, reader) = &mut **held;
            while reader.decode(head, done, usize::MAX, &mut Placed::new(sink, |place: Place| place)) {}
            self.let_go();
        }
        match &mut self.state {
            State::Known(Reader::Plain(decoder)) => {
                let more = self.layout.as_ref().filter(|layout| layout.is_strange).map(|layout| {
                    let names = layout.why.starts_with("no member");
                    layout.why.clone() + if names { "; field= (--field) names the one that does" } else { "" }
                });
                decoder.finish_with(more, sink);
            }
            State::Known(reader) => reader.finish(sink),
            State::Held(_) | State::Unknown(_) | State::Foreign(_) => {}
        }
    }

    /// Nothing more comes but damage: true if something was held. Call [`Log::decode`] with nothing then, until that says
    /// that there is no more: what stands before the damage comes before it.
    pub fn settle(&mut self) -> bool {
        self.recognise_held();
        matches!(self.state, State::Held(_))
    }

    /// What was held is decoded: the rest is decoded as it comes.
    fn let_go(&mut self) {
        if let State::Held(held) = std::mem::replace(&mut self.state, State::Unknown(Vec::new())) {
            self.state = State::Known(held.2);
        }
    }

    fn recognise_held(&mut self) {
        if let State::Unknown(head) = &mut self.state {
            let head = std::mem::take(head);
            let layout = recognise(&head, &self.wanted.get_or_insert_default().request);
            self.begin(layout, head);
        }
    }

    /// Begins to decode; `head` was held.
    fn begin(&mut self, layout: Layout, head: Vec<u8>) {
        self.state = match Reader::new(self.options, self.wanted.get_or_insert_default(), &layout) {
            None => State::Foreign(head),
            Some(reader) if head.is_empty() => State::Known(reader),
            Some(reader) => State::Held(Box::new((head, 0, reader))),
        };
        self.layout = Some(Box::new(layout));
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
        match &self.state {
            State::Known(reader) => reader.stats(),
            State::Held(held) => {
                let mut stats = held.2.stats();
                stats.bytes = held.0.len() as u64;
                stats
            }
            State::Unknown(head) | State::Foreign(head) => Stats { bytes: head.len() as u64, ..Stats::default() },
        }
    }

    /// How many chunks went which way so far.
    #[must_use]
    pub fn paths(&self) -> Paths {
        match &self.state {
            State::Known(reader) => reader.paths(),
            State::Held(held) => held.2.paths(),
            State::Unknown(_) | State::Foreign(_) => Paths::default(),
        }
    }

    /// Counts a damage that a later room found.
    pub fn add_damage(&mut self, damage: &Damage) {
        self.recognise_held();
        match &mut self.state {
            State::Known(reader) => reader.decoder().add_damage(damage),
            State::Held(held) => held.2.decoder().add_damage(damage),
            State::Unknown(_) | State::Foreign(_) => {}
        }
    }
}

/// A part of a log of lines that each stand for themselves, while it is decoded.
pub struct LinesReader(Reader);

impl LinesReader {
    /// None if the lines of such a log do not stand for themselves. Is it `inside` of the log, not its beginning?
    #[must_use]
    pub fn new(options: Options, wanted: &Wanted, layout: &Layout, inside: bool) -> Option<Self> {
        Some(Self(match Reader::new(options, wanted, layout)? {
            Reader::Chunks(log) => Reader::Chunks(if inside { Box::new(log.inside()) } else { log }),
            Reader::Exchanges(log) if layout.format == Format::Exchanges => {
                Reader::Exchanges(if inside { Box::new(log.inside()) } else { log })
            }
            Reader::Plain(_) | Reader::Exchanges(_) => return None,
        }))
    }

    /// See [`Log::decode`].
    pub fn decode<S: Sink>(&mut self, input: &[u8], at: &mut usize, limit: usize, sink: &mut S) -> bool {
        self.0.decode(input, at, limit, sink)
    }

    /// The end of the log.
    pub fn finish<S: Sink>(&mut self, sink: &mut S) {
        self.0.finish(sink);
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.stats()
    }

    /// How many lines have ended.
    #[must_use]
    pub fn line_ends(&self) -> u64 {
        match &self.0 {
            Reader::Plain(decoder) => decoder.lines(),
            Reader::Exchanges(log) => log.line_ends(),
            Reader::Chunks(log) => log.line_ends(),
        }
    }

    /// Counts a damage that a later room found.
    pub fn add_damage(&mut self, damage: &Damage) {
        self.0.decoder().add_damage(damage);
    }

    /// See [`Log::learn`].
    pub fn learn(&mut self, learned: &mut Learned) {
        self.0.learn(learned);
    }

    /// See [`Log::teach`].
    pub fn teach(&mut self, learned: &mut Learned) {
        self.0.teach(learned);
    }
}

impl Reader {
    /// None if somebody has to convert it first.
    fn new(options: Options, wanted: &Wanted, layout: &Layout) -> Option<Self> {
        let decoder = Decoder::new(options);
        let most = wanted.max_line_bytes;
        Some(match layout.format {
            Format::Sse => Self::Plain(decoder),
            Format::Chunks => Self::Chunks(Box::new(Chunks::new(options.max_event_bytes, most, decoder))),
            Format::Exchanges | Format::Reads => {
                let is_reads = layout.format == Format::Reads;
                let (id, time) =
                    (layout.id_field.clone().filter(|_| is_reads), layout.time_field.clone().filter(|_| is_reads));
                let (has_id, has_time) = (id.is_some(), time.is_some());
                let first = std::iter::once(layout.field.clone().unwrap_or_default());
                let paths = first.chain(id).chain(time).chain(wanted.keep.iter().cloned()).collect();
                let log = Exchanges::new(options, paths, most);
                let log = if is_reads { log.in_pieces(options, has_id, has_time) } else { log };
                Self::Exchanges(Box::new(log))
            }
            Format::Har | Format::Vcr => return None,
        })
    }

    fn decode<S: Sink>(&mut self, input: &[u8], at: &mut usize, limit: usize, sink: &mut S) -> bool {
        match self {
            Self::Plain(decoder) => decoder.decode(input, at, limit, sink),
            Self::Exchanges(log) => log.decode(input, at, limit, sink),
            Self::Chunks(log) => log.decode(input, at, limit, sink),
        }
    }

    fn finish<S: Sink>(&mut self, sink: &mut S) {
        match self {
            Self::Plain(decoder) => decoder.finish(sink),
            Self::Exchanges(log) => log.finish(sink),
            Self::Chunks(log) => log.finish(sink),
        }
    }

    fn learn(&mut self, learned: &mut Learned) {
        match self {
            Self::Plain(decoder) => decoder.set_shapes(learned.events.take()),
            Self::Exchanges(log) => {
                log.decoder().set_shapes(learned.events.take());
                log.set_shapes(learned.documents.take());
            }
            Self::Chunks(log) => log.decoder().set_shapes(learned.documents.take()),
        }
    }

    fn teach(&mut self, learned: &mut Learned) {
        match self {
            Self::Plain(decoder) => learned.events = decoder.take_shapes(),
            Self::Exchanges(log) => {
                learned.events = log.decoder().take_shapes();
                learned.documents = log.take_shapes();
            }
            Self::Chunks(log) => learned.documents = log.decoder().take_shapes(),
        }
    }

    fn stats(&self) -> Stats {
        match self {
            Self::Plain(decoder) => decoder.stats(),
            Self::Exchanges(log) => log.stats(),
            Self::Chunks(log) => log.stats(),
        }
    }

    fn paths(&self) -> Paths {
        match self {
            Self::Plain(decoder) => decoder.paths(),
            Self::Exchanges(log) => log.paths(),
            Self::Chunks(log) => log.paths(),
        }
    }

    fn decoder(&mut self) -> &mut Decoder {
        match self {
            Self::Plain(decoder) => decoder,
            Self::Exchanges(log) => log.decoder(),
            Self::Chunks(log) => log.decoder(),
        }
    }
}
