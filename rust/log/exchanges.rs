//! A log of exchanges, one a line, in; what their bodies say out.
//!
//! A line is walked and its body unescaped in one pass; then the body is decoded as a source of its own, and what is
//! found gets the place in the log that it came from. One decoder does that for all, so shapes serve from body to body.

use super::elements::{Elements, Piece, ends_element};
use super::lines::{Line, Lines, Text};
use super::places::Placed;
use super::walk::{Body, Found, Walker};
use super::words::{Stranger, behind_mark, clipping, is_done, is_event_line, skip_space, stranger, trim};
use crate::chunk::MAX_DEPTH;
use crate::chunk::shape::Shapes;
use crate::decoder::{Decoder, Exchange, Paths, Sink, Stats};
use crate::error::{Damage, JsonError, JsonErrorKind, Kind, Place};

/// The state between two pieces of a log.
pub(super) struct Exchanges {
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
    pub fn new(walker: Walker, field: String, max_line_bytes: usize, decoder: Decoder) -> Self {
        Self {
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
        }
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

    pub fn finish<S: Sink>(&mut self, sink: &mut S) {
        if let Some(line) = self.lines.finish() {
            let mut open = self.begin(line, &[], sink);
            while let Some(one) = open {
                open = self.go_on(one, &[], &mut { usize::MAX }, sink);
            }
        }
    }

    pub fn stats(&self) -> Stats {
        let mut stats = self.decoder.stats();
        stats.bytes = self.lines.consumed;
        stats.damaged_bytes += self.damaged_bytes;
        stats.exchanges = self.exchanges;
        stats.count_wrapping();
        stats
    }

    pub fn paths(&self) -> Paths {
        self.decoder.paths()
    }

    pub fn decoder(&mut self) -> &mut Decoder {
        &mut self.decoder
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
        let start = if line.number == 1 { behind_mark(whole) } else { 0 };
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
        let exchange = Exchange { number: self.exchanges, offset, kept: &self.found.others };
        sink.begin_exchange(exchange);
        self.exchanges += 1;
        let body = &self.found.body;
        let (mut at, mut end) = (0, body.len());
        if matches!(self.found.kind, Body::Text | Body::Json | Body::OpenArray) {
            let begin = skip_space(body, behind_mark(body));
            let is_text = self.found.kind == Body::Text;
            if is_text && !matches!(body.get(begin), Some(b'{' | b'[')) {
                sort = Sort::Events;
                end = clipping(body).unwrap_or(end);
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
        let is_told = error.is_some() && self.found.kind == Body::OpenArray;
        Some(Open { line, start, error, sort, base, at, end, elements: Elements::default(), is_told, damages })
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
        let Self { decoder, found, shapes, damaged_bytes, .. } = self;
        let global = |place: Place| {
            let at = found.place((place.offset - base) as usize, text);
            Place { offset: offset + at as u64, line, event: place.event }
        };
        let mut placed = Placed::new(sink, global);
        match open.sort {
            Sort::Events => {
                let before = decoder.events();
                let more = decoder.decode(&body[..open.end], &mut open.at, *left, &mut placed);
                *left = left.saturating_sub((decoder.events() - before) as usize);
                if more {
                    return Some(open);
                }
                placed.truncated = false;
                decoder.finish(&mut placed);
                if open.end < body.len() {
                    if !placed.truncated {
                        let mark = String::from_utf8_lossy(trim(&body[open.end..]));
                        let place = Place { offset: base + open.end as u64, line: 1, event: decoder.events() };
                        let reason = format!("the body was clipped: it ends in '{mark}'");
                        let damage = Damage { kind: Kind::Truncated, place, position: None, reason };
                        decoder.add_damage(&damage);
                        placed.outer_damage(&damage);
                    }
                    *damaged_bytes += (body.len() - open.end) as u64;
                }
            }
            Sort::Document(_) | Sort::Documents(_) | Sort::Line => {
                let plain = decoder.take_shapes();
                decoder.set_shapes(shapes.take());
                let more = Self::documents(decoder, &mut open, body, left, damaged_bytes, &mut placed);
                *shapes = decoder.take_shapes();
                decoder.set_shapes(plain);
                if more {
                    return Some(open);
                }
            }
            Sort::Nothing | Sort::Other(_) => {}
        }
        decoder.move_damages(open.damages, placed.global);
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
        sink.end_exchange();
        self.decoder.restart();
        None
    }

    /// Decodes documents; true if there are more.
    fn documents<S: Sink>(
        decoder: &mut Decoder,
        open: &mut Open,
        body: &[u8],
        left: &mut usize,
        damaged_bytes: &mut u64,
        sink: &mut S,
    ) -> bool {
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
                let is_cut = may_be_cut && !last && !open.elements.end_scalar();
                decoder.document(&body[span.start..], span.len(), None, at, is_cut, sink);
            }
            *left = left.saturating_sub(1);
            if *left == 0 || sink.is_full() {
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
                *damaged_bytes += behind.len() as u64;
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
        let place = Place { offset, line, event: self.decoder.events() };
        let damage = Damage { kind, place, position, reason };
        self.decoder.add_damage(&damage);
        damage
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
