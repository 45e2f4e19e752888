//! A log of exchanges, one a line, in; what their bodies say out.
//!
//! A line is walked and its body unescaped in one pass; then the body is decoded as a source of its own, and what is
//! found gets the place in the log that it came from. One decoder does that for all, so shapes serve from body to body.

use super::elements::{Elements, Piece, ends_element};
use super::lines::{Line, Lines, Text};
use super::path::Path;
use super::places::{Peek, Placed};
use super::reads::{Piecewise, Reads, Timed, id, time_of};
use super::walk::{Body, Found, Walker};
use super::words::{Stranger, behind_mark, clipping, is_done, is_event_line, skip_space, stranger, trim};
use crate::chunk::MAX_DEPTH;
use crate::chunk::shape::Shapes;
use crate::decoder::{Decoder, Exchange, Options, Paths, Sink, Stats};
use crate::error::{Damage, JsonError, JsonErrorKind, Kind, Place};
use crate::written::Gauge;

/// The state between two pieces of a log.
pub(super) struct Exchanges {
    options: Options,
    walker: Walker,
    field: String,
    max_line_bytes: usize,
    lines: Lines,
    decoder: Decoder,
    /// The shapes of what stands in JSON: they know no completions.
    shapes: Option<Box<Shapes>>,
    found: Found,
    open: Option<Open>,
    exchanges: u64,
    damaged_bytes: u64,
    /// Where a line is but a piece of an exchange.
    reads: Option<Box<Reads>>,
    /// The exchange that is at work, with its id: its decoder is in the place of the one that waits in it.
    piece: Option<(Vec<u8>, Box<Piecewise>)>,
    /// Which of the other members is the id, and which the time, and how many of them come before those to keep.
    id: Option<usize>,
    time: Option<usize>,
    unkept: usize,
    gauge: Gauge,
    /// The log began before.
    is_inside: bool,
    /// The bytes of the files before.
    bytes_before: u64,
}

/// The exchange that is being decoded.
struct Open {
    line: Line,
    /// Where its text begins, behind a byte order mark.
    start: usize,
    error: Option<JsonError>,
    sort: Sort,
    /// Where the body begins in all that the decoder decodes.
    base: u64,
    /// What of the body is not decoded yet.
    at: usize,
    end: usize,
    elements: Elements,
    /// That an array does not end is told of the line.
    is_told: bool,
    /// How many damages were found before.
    damages: usize,
    /// When it was read, in seconds.
    time: Option<f64>,
}

/// What a body is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Nothing,
    Events,
    /// A document; may its end be missing since the body was cut?
    Document(bool),
    /// The same for an array of them.
    Documents(bool),
    /// The line itself is a document.
    Line,
    /// It is something else.
    Other(&'static str),
}

impl Exchanges {
    /// `paths` begins with that of the body.
    pub fn new(options: Options, paths: Vec<Path>, max_line_bytes: usize) -> Self {
        let field = paths[0].to_string();
        let (walker, decoder) = (Walker::new(paths, options.max_int_digits), Decoder::new(options));
        Self {
            options,
            walker,
            field,
            max_line_bytes,
            lines: Lines::new(max_line_bytes),
            decoder,
            shapes: None,
            found: Found::default(),
            open: None,
            exchanges: 0,
            damaged_bytes: 0,
            reads: None,
            piece: None,
            id: None,
            time: None,
            unkept: 0,
            gauge: Gauge::default(),
            is_inside: false,
            bytes_before: 0,
        }
    }

    /// From here on there are lines, without the beginning of a log.
    pub fn inside(mut self) -> Self {
        self.is_inside = true;
        self
    }

    /// How many lines have ended.
    pub fn line_ends(&self) -> u64 {
        self.lines.number() - 1
    }

    /// The same where a line is but a piece: behind the body's path come those of the id and the time, if there are such.
    pub fn in_pieces(mut self, has_id: bool, has_time: bool) -> Self {
        self.reads = Some(Box::default());
        self.id = has_id.then_some(0);
        self.time = has_time.then_some(usize::from(has_id));
        self.unkept = usize::from(has_id) + usize::from(has_time);
        self
    }

    pub fn decode<S: Sink>(&mut self, input: &[u8], at: &mut usize, limit: usize, sink: &mut S) -> bool {
        let mut left = limit;
        loop {
            if let Some(open) = self.open.take() {
                self.open = self.go_on(open, input, &mut left, sink);
                if self.open.is_some() {
                    return true;
                }
            }
            if left == 0 || sink.is_full() {
                return true;
            }
            let Some(line) = self.lines.next(input, at) else { return false };
            left -= 1;
            self.open = self.begin(line, input, sink);
        }
    }

    /// Does a line hold but a piece of an exchange?
    pub fn is_in_pieces(&self) -> bool {
        self.reads.is_some()
    }

    /// The log goes on in another file, and so do the exchanges that are open.
    pub fn turn<S: Sink>(&mut self, sink: &mut S) {
        self.end_line(sink);
        self.bytes_before += self.lines.restart();
    }

    fn end_line<S: Sink>(&mut self, sink: &mut S) {
        if let Some(line) = self.lines.finish() {
            let mut open = self.begin(line, &[], sink);
            while let Some(one) = open {
                open = self.go_on(one, &[], &mut { usize::MAX }, sink);
            }
        }
    }

    pub fn finish<S: Sink>(&mut self, sink: &mut S) {
        self.end_line(sink);
        if let Some(reads) = &mut self.reads {
            for one in reads.take_all() {
                self.end_piece(one, sink);
            }
        }
    }

    pub fn stats(&self) -> Stats {
        let mut stats = self.decoder.stats();
        if let Some(reads) = &self.reads {
            let at_work = std::mem::replace(&mut stats, reads.stats());
            stats.append(at_work, |place| place);
            if let Some((_, waiting)) = &self.piece {
                stats.append(waiting.decoder.stats(), |place| place);
            }
        }
        stats.bytes = self.bytes_before + self.lines.consumed;
        stats.damaged_bytes += self.damaged_bytes;
        stats.exchanges = self.exchanges;
        stats.count_wrapping();
        stats
    }

    pub fn paths(&self) -> Paths {
        let mut paths = self.decoder.paths();
        if let Some(reads) = &self.reads {
            paths += reads.paths();
        }
        paths
    }

    pub fn decoder(&mut self) -> &mut Decoder {
        &mut self.decoder
    }

    /// Takes the shapes of what stands in JSON, for another log.
    pub fn take_shapes(&mut self) -> Option<Box<Shapes>> {
        self.shapes.take()
    }

    /// Starts with such shapes that were learned elsewhere.
    pub fn set_shapes(&mut self, shapes: Option<Box<Shapes>>) {
        self.shapes = shapes;
    }

    /// Reads a line; the exchange that it holds, if it does.
    fn begin<S: Sink>(&mut self, line: Line, input: &[u8], sink: &mut S) -> Option<Open> {
        let held = std::mem::take(&mut self.lines.held);
        let open = self.begin_line(line, input, &held, sink);
        self.lines.held = held;
        open
    }

    fn begin_line<S: Sink>(&mut self, line: Line, input: &[u8], held: &[u8], sink: &mut S) -> Option<Open> {
        let whole = match &line.text {
            Text::Input(span) => &input[span.clone()],
            Text::Held(length) => &held[..*length],
            Text::TooLong(size) => {
                self.damaged_bytes += size;
                let reason = format!("the line is longer than {} bytes", self.max_line_bytes);
                self.stray(Kind::EventTooLarge, line.offset, line.number, reason, sink);
                return None;
            }
        };
        let start = if line.number == 1 && !self.is_inside { behind_mark(whole) } else { 0 };
        let text = &whole[start..];
        let first = skip_space(text, 0);
        if first == text.len() {
            return None;
        }
        let offset = line.offset + start as u64;
        let error = self.walker.walk(text, &mut self.found).err();
        if error.is_some() && is_event_line(text) {
            let reason = format!("line {} is no JSON; it looks like server-sent events", line.number);
            return self.foreign(text, offset, line.number, reason, sink);
        }
        let mut sort = Sort::Nothing;
        if self.found.kind == Body::Missing && error.is_none() {
            match stranger(text) {
                Some(Stranger::Foreign(what)) => {
                    let reason = format!("line {} has no member {}; it looks like {what}", line.number, self.field);
                    return self.foreign(text, offset, line.number, reason, sink);
                }
                Some(Stranger::Completion) => sort = Sort::Line,
                None => {}
            }
        }
        if self.found.kind == Body::Missing && error.is_some() {
            self.damaged_bytes += text.len() as u64;
        }
        if self.reads.is_some() {
            if sort == Sort::Line {
                self.take_alone(offset, sink);
            } else if !self.take_piece(offset, error.is_some(), sink) {
                if let Some(error) = error {
                    self.damaged_bytes += if self.found.kind == Body::Missing { 0 } else { text.len() as u64 };
                    let (kind, reason) = explain(error, line.ended);
                    let damage = self.lost(kind, offset, line.number, Some(error.position), reason);
                    sink.stray_damage(&damage);
                }
                return None;
            }
        } else {
            sink.begin_exchange(Exchange { number: self.exchanges, offset, kept: &self.found.others });
            self.exchanges += 1;
        }
        let is_between = self.reads.is_none() || self.decoder.framer().is_between_events();
        let body = &self.found.body;
        let (mut at, mut end) = (0, body.len());
        if matches!(self.found.kind, Body::Text | Body::Json | Body::OpenArray) {
            let begin = skip_space(body, behind_mark(body));
            let is_text = self.found.kind == Body::Text;
            if is_text && !(is_between && matches!(body.get(begin), Some(b'{' | b'['))) {
                sort = Sort::Events;
                if self.reads.is_none() {
                    end = clipping(body).unwrap_or(end);
                }
            } else {
                (at, end) = (begin, begin + trim(&body[begin..]).len());
                let is_array = body[at] == b'[' && !is_done(&body[at..end]);
                let may_be_cut = is_text || !line.ended;
                sort = if is_array { Sort::Documents(may_be_cut) } else { Sort::Document(may_be_cut) };
            }
        } else if let Body::Other(what) = self.found.kind {
            sort = Sort::Other(what);
        } else if sort == Sort::Line {
            self.found.body.extend_from_slice(text);
            (at, end) = (first, first + trim(text).len());
        }
        let damages = self.decoder.kept_damages();
        let base = self.decoder.consumed();
        let time = self.time.and_then(|at| time_of(self.found.others[at].as_deref()));
        let is_told = error.is_some() && self.found.kind == Body::OpenArray;
        Some(Open { line, start, error, sort, base, at, end, elements: Elements::default(), is_told, damages, time })
    }

    /// Decodes some of the exchange; gives it back if there is more of it.
    fn go_on<S: Sink>(&mut self, open: Open, input: &[u8], left: &mut usize, sink: &mut S) -> Option<Open> {
        // They are looked at while the decoder and the places are at work.
        let held = std::mem::take(&mut self.lines.held);
        let body = std::mem::take(&mut self.found.body);
        let open = self.go_on_in(open, &body, input, &held, left, sink);
        self.found.body = body;
        self.lines.held = held;
        open
    }

    fn go_on_in<S: Sink>(
        &mut self,
        mut open: Open,
        body: &[u8],
        input: &[u8],
        held: &[u8],
        left: &mut usize,
        sink: &mut S,
    ) -> Option<Open> {
        let text = match &open.line.text {
            Text::Input(span) => &input[span.clone()],
            Text::Held(length) => &held[..*length],
            Text::TooLong(_) => return None,
        };
        let text = &text[open.start..];
        let (offset, line, base) = (open.line.offset + open.start as u64, open.line.number, open.base);
        let Self { decoder, found, shapes, damaged_bytes, reads, piece, gauge, .. } = self;
        let open_time = open.time;
        let other_events = reads.as_ref().map_or(0, |reads| reads.other_events);
        let begun = piece.as_ref().map(|(_, piece)| piece);
        let mut global = |place: Place| {
            let event = place.event + other_events;
            if place.offset < base
                && let Some(piece) = begun
            {
                return Place { event, ..piece.place(place) };
            }
            let at = found.place((place.offset - base) as usize, text);
            Place { offset: offset + at as u64, line, event }
        };
        let more = {
            let mut placed = Placed::new(sink, &mut global);
            let mut work = Work { decoder, shapes, damaged_bytes, open: &mut open, body, left, ends: reads.is_none() };
            match open_time {
                None => work.some(&mut placed),
                Some(time) => work.some(&mut Timed { sink: &mut placed, gauge, time }),
            }
        };
        decoder.move_damages(open.damages, &mut global);
        open.damages = decoder.kept_damages();
        if more {
            return Some(open);
        }
        // (Where no text came, what is open stands where it stood.)
        if reads.is_some()
            && open.sort == Sort::Events
            && !body.is_empty()
            && let Some((_, one)) = piece
        {
            let global = |place: u64| {
                let at = found.place((place - base) as usize, text);
                Place { offset: offset + at as u64, line, event: 0 }
            };
            one.look(decoder, base, global);
        }
        if let Sort::Other(what) = open.sort {
            let offset = offset + self.found.start(text) as u64;
            let reason = format!("line {line}: {} is a JSON {what}, expected text", self.field);
            let damage = self.lost(Kind::WrongFormat, offset, line, None, reason);
            sink.damage(&damage);
        }
        if let Some(error) = open.error {
            let (kind, reason) = explain(error, open.line.ended);
            let damage = self.lost(kind, offset, line, Some(error.position), reason);
            sink.outer_damage(&damage);
        } else if !self.found.whole {
            let reason = format!("line {line}: the JSON around {} breaks off", self.field);
            let damage = self.lost(Kind::Truncated, offset, line, None, reason);
            sink.outer_damage(&damage);
        }
        if self.reads.is_some() {
            self.put_piece(sink);
        } else {
            sink.end_exchange();
            self.decoder.restart();
        }
        None
    }

    /// Puts the exchange that a line is of to work; false if it is not known which that is, of a line that is broken.
    fn take_piece<S: Sink>(&mut self, offset: u64, is_broken: bool, sink: &mut S) -> bool {
        let others = &self.found.others;
        let known = self.id.and_then(|at| id(others[at].as_deref()));
        if self.id.is_some() && known.is_none() && is_broken {
            return false;
        }
        let now = self.time.and_then(|at| time_of(others[at].as_deref()));
        let Some(reads) = &mut self.reads else { return false };
        let key = known.unwrap_or_default();
        let mut one = match reads.take(&key) {
            Some(one) => {
                sink.go_back(one.number);
                one
            }
            None => self.begin_piece(offset, sink),
        };
        one.now = now;
        self.work_on(key, one, sink);
        true
    }

    /// The same for a line that is an exchange by itself, whatever its id: a finished completion has no pieces.
    fn take_alone<S: Sink>(&mut self, offset: u64, sink: &mut S) {
        let mut one = self.begin_piece(offset, sink);
        one.is_alone = true;
        self.work_on(Vec::new(), one, sink);
    }

    fn begin_piece<S: Sink>(&mut self, offset: u64, sink: &mut S) -> Box<Piecewise> {
        let one = Reads::begin(self.options, self.exchanges, offset, self.found.others.len() - self.unkept);
        self.exchanges += 1;
        sink.begin_exchange(Exchange { number: one.number, offset, kept: Reads::kept(&one) });
        one
    }

    /// Puts this one to work.
    fn work_on<S: Sink>(&mut self, key: Vec<u8>, mut one: Box<Piecewise>, sink: &mut S) {
        let Some(reads) = &mut self.reads else { return };
        // What was found outside all exchanges comes before what is found in this.
        reads.add_damages(self.decoder.take_damages());
        if Reads::keep(&mut one, &self.found.others[self.unkept..]) {
            sink.keep(Reads::kept(&one));
        }
        sink.time(one.now);
        reads.other_events = reads.events - one.decoder.events();
        one.decoder.set_shapes(self.decoder.take_shapes());
        std::mem::swap(&mut self.decoder, &mut one.decoder);
        self.piece = Some((key, one));
    }

    /// Lets the exchange that is at work wait again.
    fn put_piece<S: Sink>(&mut self, sink: &mut S) {
        let (Some((key, mut one)), Some(reads)) = (self.piece.take(), &mut self.reads) else { return };
        reads.add_damages(self.decoder.take_damages());
        reads.events = reads.other_events + self.decoder.events();
        reads.other_events = reads.events;
        one.decoder.set_shapes(self.decoder.take_shapes());
        std::mem::swap(&mut self.decoder, &mut one.decoder);
        let ended = if one.is_alone { Some(one) } else { reads.put(key, one) };
        if let Some(ended) = ended {
            self.end_piece(ended, sink);
        }
    }

    /// Ends an exchange that came in pieces.
    fn end_piece<S: Sink>(&mut self, mut one: Box<Piecewise>, sink: &mut S) {
        let Some(reads) = &mut self.reads else { return };
        reads.add_damages(self.decoder.take_damages());
        sink.go_back(one.number);
        let others = reads.events - one.decoder.events();
        let mut decoder = std::mem::replace(&mut one.decoder, Decoder::new(self.options));
        let mark = one.clipped.map(|(length, place)| {
            let line = decoder.framer().open_line();
            let text = line.get(length..).unwrap_or_default().to_vec();
            decoder.framer().cut_off(length);
            (String::from_utf8_lossy(trim(&text)).into_owned(), text.len() as u64, place)
        });
        let mut global = |place: Place| Place { event: place.event + others, ..one.place(place) };
        let mut placed = Placed::new(sink, &mut global);
        match one.now {
            None => decoder.finish(&mut placed),
            Some(time) => decoder.finish(&mut Timed { sink: &mut placed, gauge: &mut self.gauge, time }),
        }
        let truncated = placed.truncated;
        decoder.move_damages(0, &mut global);
        if let Some((mark, size, place)) = mark {
            self.damaged_bytes += size;
            if !truncated {
                let place = Place { event: others + decoder.events(), ..place };
                let reason = format!("the body was clipped: it ends in '{mark}'");
                let damage = Damage { kind: Kind::Truncated, place, position: None, reason };
                decoder.add_damage(&damage);
                sink.outer_damage(&damage);
            }
        }
        sink.end_exchange();
        reads.events = others + decoder.events();
        reads.other_events = reads.events;
        reads.end(decoder);
    }

    /// A line that is of another format.
    fn foreign<S: Sink>(&mut self, text: &[u8], offset: u64, line: u64, reason: String, sink: &mut S) -> Option<Open> {
        self.damaged_bytes += text.len() as u64;
        self.stray(Kind::WrongFormat, offset, line, reason, sink);
        None
    }

    /// Damage outside all exchanges.
    fn stray<S: Sink>(&mut self, kind: Kind, offset: u64, line: u64, reason: String, sink: &mut S) {
        let damage = self.lost(kind, offset, line, None, reason);
        sink.stray_damage(&damage);
    }

    /// Counts damage that is no event; `offset` and `line` are those of the log.
    fn lost(&mut self, kind: Kind, offset: u64, line: u64, position: Option<usize>, reason: String) -> Damage {
        let others = self.reads.as_ref().map_or(0, |reads| reads.other_events);
        let place = Place { offset, line, event: others + self.decoder.events() };
        let damage = Damage { kind, place, position, reason };
        self.decoder.add_damage(&damage);
        damage
    }
}

/// What it takes to decode a body.
struct Work<'a> {
    decoder: &'a mut Decoder,
    shapes: &'a mut Option<Box<Shapes>>,
    damaged_bytes: &'a mut u64,
    open: &'a mut Open,
    body: &'a [u8],
    left: &'a mut usize,
    /// Does the exchange end with it?
    ends: bool,
}

impl Work<'_> {
    /// Decodes some of it; true if there is more.
    fn some<S: Peek>(&mut self, sink: &mut S) -> bool {
        match self.open.sort {
            Sort::Events => self.events(sink),
            Sort::Document(_) | Sort::Documents(_) | Sort::Line => {
                let plain = self.decoder.take_shapes();
                self.decoder.set_shapes(self.shapes.take());
                let more = self.documents(sink);
                *self.shapes = self.decoder.take_shapes();
                self.decoder.set_shapes(plain);
                more
            }
            Sort::Nothing | Sort::Other(_) => false,
        }
    }

    fn events<S: Peek>(&mut self, sink: &mut S) -> bool {
        let Self { decoder, open, body, left, .. } = self;
        let before = decoder.events();
        let more = decoder.decode(&body[..open.end], &mut open.at, **left, sink);
        **left = left.saturating_sub((decoder.events() - before) as usize);
        if more || !self.ends {
            return more;
        }
        sink.forget_truncated();
        decoder.finish(sink);
        if open.end < body.len() {
            if !sink.saw_truncated() {
                let mark = String::from_utf8_lossy(trim(&body[open.end..]));
                let place = Place { offset: open.base + open.end as u64, line: 1, event: decoder.events() };
                let reason = format!("the body was clipped: it ends in '{mark}'");
                let damage = Damage { kind: Kind::Truncated, place, position: None, reason };
                decoder.add_damage(&damage);
                sink.outer_damage(&damage);
            }
            *self.damaged_bytes += (body.len() - open.end) as u64;
        }
        false
    }

    /// Decodes documents; true if there are more.
    fn documents<S: Sink>(&mut self, sink: &mut S) -> bool {
        let Self { decoder, open, body, left, damaged_bytes, .. } = self;
        let base = open.base;
        let place = |at: usize, decoder: &Decoder| Place { offset: base + at as u64, line: 1, event: decoder.events() };
        let (may_be_cut, is_array) = match open.sort {
            Sort::Document(may_be_cut) => (may_be_cut, false),
            Sort::Documents(may_be_cut) => (may_be_cut, true),
            _ => (false, false),
        };
        if !is_array {
            let at = place(open.at, decoder);
            decoder.document(&body[open.at..], open.end - open.at, None, at, may_be_cut, sink);
            return false;
        }
        let text = &body[..open.end];
        while open.elements.skip(text, &mut open.at) {
            let (start, at) = (open.at, place(open.at, decoder));
            if let Some(end) = decoder.match_document(text, start, None, at, |end| ends_element(text, end), sink) {
                open.at = end;
            } else if let Some(Piece { span, last, .. }) = open.elements.next(text, &mut open.at) {
                let is_cut = !last && !open.elements.end_scalar() && may_be_cut;
                decoder.document(&body[span.start..], span.len(), None, at, is_cut, sink);
            }
            **left = left.saturating_sub(1);
            if **left == 0 || sink.is_full() {
                return true;
            }
        }
        let mut lost = |kind, at: usize, reason: &str| {
            let damage = Damage { kind, place: place(at, decoder), position: None, reason: reason.to_owned() };
            decoder.add_damage(&damage);
            sink.damage(&damage);
        };
        if open.elements.closed {
            let behind = trim(&text[open.at..]);
            if !behind.is_empty() {
                lost(Kind::InvalidJson, skip_space(text, open.at), "something stands behind the end of the array");
                **damaged_bytes += behind.len() as u64;
            }
        } else if !open.elements.is_open() && !open.is_told {
            if may_be_cut {
                lost(Kind::Truncated, text.len(), "the source ends inside an array");
            } else {
                lost(Kind::InvalidJson, text.len(), "the array has no end");
            }
        }
        false
    }
}

/// Why a line is no JSON; at the end of a source it is called truncated.
pub(super) fn explain(error: JsonError, ended: bool) -> (Kind, String) {
    let JsonError { kind, position } = error;
    if kind == JsonErrorKind::TooDeep {
        (Kind::TooDeep, format!("nested deeper than {MAX_DEPTH} levels at byte {position} of the line"))
    } else if ended {
        (Kind::InvalidJson, format!("invalid JSON at byte {position} of the line: {kind}"))
    } else {
        (Kind::Truncated, format!("the source ends inside a line, at byte {position} of it: {kind}"))
    }
}
