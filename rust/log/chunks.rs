//! A log of chunks without server-sent events in: lines that are one or an array of them, or one array of all; what they
//! are out.
//!
//! All of it is one source: ids tell its streams apart. Chunks are matched against shapes where they lie.

use super::elements::{Elements, Piece, ends_element};
use super::lines::{Line, Lines, Text};
use super::words::{BYTE_ORDER_MARK, behind_mark, is_done, is_event_line, is_space, skip_space, trim};
use crate::decoder::{Decoder, Paths, Sink, Stats};
use crate::error::{Damage, Kind, Place};

const BEHIND: &str = "something stands behind the end of the array";

/// More white space than this is not looked through for the beginning of an array.
const USUAL_HEAD: usize = 1 << 16;

/// The state between two pieces of a log.
pub(super) struct Chunks {
    max_event_bytes: usize,
    max_line_bytes: usize,
    lines: Lines,
    decoder: Decoder,
    state: State,
    /// An array on a line, while its elements are decoded.
    open: Option<Open>,
    damaged_bytes: u64,
    /// The log began before.
    is_inside: bool,
}

enum State {
    /// The first line, while it is white space, behind a byte order mark if there is one.
    Start(Vec<u8>),
    Lines,
    Array(Box<All>),
}

/// The array that began at the start of the log.
#[derive(Default)]
struct All {
    elements: Elements,
    /// It goes on in other lines.
    is_settled: bool,
    /// Bytes and line ends so far.
    consumed: u64,
    line_ends: u64,
    /// The open element, as far as it came in earlier pieces; where it began, and how much of it was too much.
    element: Vec<u8>,
    place: Place,
    more: u64,
    /// Behind the last byte that is no white space.
    last: Place,
    /// What stands behind the array in its last line.
    behind: Option<(Place, u64)>,
}

struct Open {
    line: Line,
    end: usize,
    at: usize,
    elements: Elements,
}

impl Chunks {
    pub fn new(max_event_bytes: usize, max_line_bytes: usize, decoder: Decoder) -> Self {
        Self {
            max_event_bytes,
            max_line_bytes,
            lines: Lines::new(max_line_bytes),
            decoder,
            state: State::Start(Vec::new()),
            open: None,
            damaged_bytes: 0,
            is_inside: false,
        }
    }

    /// From here on there are lines, without a beginning of a log.
    pub fn inside(mut self) -> Self {
        self.state = State::Lines;
        self.is_inside = true;
        self
    }

    pub fn decode<S: Sink>(&mut self, input: &[u8], at: &mut usize, limit: usize, sink: &mut S) -> bool {
        let mut left = limit;
        loop {
            if left == 0 || sink.is_full() {
                return true;
            }
            match &mut self.state {
                State::Start(_) => {
                    if !self.start(input, at) {
                        return false;
                    }
                }
                State::Array(_) => {
                    if !self.array(input, at, &mut left, sink) {
                        return false;
                    }
                }
                State::Lines => {
                    if let Some(open) = self.open.take() {
                        self.open = self.go_on(open, input, &mut left, sink);
                        continue;
                    }
                    if self.lines.is_between() {
                        self.match_lines(input, at, &mut left, sink);
                        if left == 0 || sink.is_full() {
                            return true;
                        }
                    }
                    let Some(line) = self.lines.next(input, at) else { return false };
                    left -= 1;
                    self.open = self.line(line, input, sink);
                }
            }
        }
    }

    pub fn finish<S: Sink>(&mut self, sink: &mut S) {
        if let State::Start(head) = &mut self.state {
            let head = std::mem::take(head);
            self.begin(&head, head.contains(&b'['));
        }
        match std::mem::replace(&mut self.state, State::Lines) {
            State::Start(_) => {}
            State::Lines => {
                if let Some(line) = self.lines.finish() {
                    let mut open = self.line(line, &[], sink);
                    while let Some(one) = open {
                        open = self.go_on(one, &[], &mut { usize::MAX }, sink);
                    }
                }
            }
            State::Array(mut all) => {
                if all.elements.is_open() {
                    all.trim(&self.lines);
                    let is_scalar = all.elements.end_scalar();
                    self.element(&mut all, !is_scalar, sink);
                    if is_scalar {
                        self.lost(Kind::Truncated, all.last, "the source ends inside an array".to_owned(), sink);
                    }
                } else if !all.elements.closed {
                    self.lost(Kind::Truncated, all.last, "the source ends inside an array".to_owned(), sink);
                }
                self.tell_behind(&all, sink);
                self.lines.pass(all.consumed as usize, all.line_ends);
            }
        }
    }

    pub fn stats(&self) -> Stats {
        let mut stats = self.decoder.stats();
        stats.bytes = self.consumed();
        stats.damaged_bytes += self.damaged_bytes;
        stats.count_wrapping();
        stats
    }

    fn consumed(&self) -> u64 {
        let other = match &self.state {
            State::Start(head) => head.len() as u64,
            State::Lines => 0,
            State::Array(all) => all.consumed,
        };
        self.lines.consumed + other
    }

    /// How many line ends were consumed.
    pub fn line_ends(&self) -> u64 {
        self.lines.number() - 1
    }

    pub fn paths(&self) -> Paths {
        self.decoder.paths()
    }

    pub fn decoder(&mut self) -> &mut Decoder {
        &mut self.decoder
    }

    /// Looks at what comes first: an array may be of all. False if nothing is left.
    fn start(&mut self, input: &[u8], at: &mut usize) -> bool {
        let State::Start(head) = &mut self.state else { return true };
        while let Some(&byte) = input.get(*at) {
            let is_first = self.lines.consumed == 0 && BYTE_ORDER_MARK.starts_with(head);
            let is_mark = is_first && BYTE_ORDER_MARK.get(head.len()) == Some(&byte);
            let begun = head.last().is_some_and(|&last| last == b'[' || is_space(last)) && head.contains(&b'[');
            let begins = byte == b'[' && !begun && (head.is_empty() || head.len() >= 3 || is_space(head[0]));
            let is_known = !(is_mark || is_space(byte) || begins) || head.len() > USUAL_HEAD;
            if is_known {
                // (`[DONE]` is no array.)
                let begins_array = begun && (byte != b'D' || head.contains(&b'\n'));
                let head = std::mem::take(head);
                self.begin(&head, begins_array);
                return true;
            }
            head.push(byte);
            *at += 1;
            if byte == b'\n' && !begun {
                self.lines.pass(head.len(), 1);
                head.clear();
            }
        }
        false
    }

    /// It is known what the log is; `head` was looked at.
    fn begin(&mut self, head: &[u8], begins_array: bool) {
        self.state = State::Lines;
        let Some(start) = head.iter().position(|&byte| byte == b'[').filter(|_| begins_array) else {
            let _ = self.lines.next(head, &mut 0);
            return;
        };
        let mut all = All { consumed: start as u64, ..All::default() };
        let mut at = start;
        all.elements.skip(head, &mut at);
        all.pass(&self.lines, &head[start..]);
        all.is_settled = head.contains(&b'\n');
        self.state = State::Array(Box::new(all));
    }

    /// The way of most lines: those in a row that match a shape.
    #[inline]
    fn match_lines<S: Sink>(&mut self, input: &[u8], at: &mut usize, left: &mut usize, sink: &mut S) {
        let Self { lines, decoder, .. } = self;
        let most = self.max_line_bytes;
        while *left > 0 && input.get(*at) == Some(&b'{') {
            let start = *at;
            let place = Place { offset: lines.consumed, line: lines.number(), event: 0 };
            let ends = |end: usize| if end - start > most { None } else { behind_line(input, end) };
            let Some(behind) = decoder.match_document(input, start, Some(start), place, ends, sink) else { return };
            lines.pass(behind - start, 1);
            *at = behind;
            *left -= 1;
            if sink.is_full() {
                return;
            }
        }
    }

    /// Reads a line; what is left of it, if it is an array.
    fn line<S: Sink>(&mut self, line: Line, input: &[u8], sink: &mut S) -> Option<Open> {
        let held = std::mem::take(&mut self.lines.held);
        let open = self.line_in(line, input, &held, sink);
        self.lines.held = held;
        open
    }

    fn line_in<S: Sink>(&mut self, line: Line, input: &[u8], held: &[u8], sink: &mut S) -> Option<Open> {
        let (whole, lies_at) = match &line.text {
            Text::Input(span) => (&input[span.clone()], Some(span.start)),
            Text::Held(length) => (&held[..*length], None),
            Text::TooLong(size) => {
                self.damaged_bytes += size;
                let reason = format!("the line is longer than {} bytes", self.max_line_bytes);
                let place = Place { offset: line.offset, line: line.number, event: 0 };
                self.lost(Kind::EventTooLarge, place, reason, sink);
                return None;
            }
        };
        let mark = if line.number == 1 && !self.is_inside { behind_mark(whole) } else { 0 };
        let start = skip_space(whole, mark);
        let text = trim(&whole[start..]);
        if text.is_empty() {
            return None;
        }
        let place = Place { offset: line.offset + start as u64, line: line.number, event: 0 };
        if is_event_line(text) {
            self.damaged_bytes += text.len() as u64;
            let reason = format!("line {} is no JSON; it looks like server-sent events", line.number);
            self.lost(Kind::WrongFormat, place, reason, sink);
            return None;
        }
        let end = start + text.len();
        if text[0] == b'[' && !is_done(text) {
            return Some(Open { line, end, at: start, elements: Elements::default() });
        }
        let at = lies_at.map(|at| at + start);
        // (What follows in the input is never read as part of it, but lets the parser load whole registers.)
        let wide = lies_at.map_or(&whole[start..], |at| &input[at + start..]);
        self.decoder.document(wide, text.len(), at, place, !line.ended, sink);
        None
    }

    /// Decodes elements of an array on a line; gives it back if there are more.
    fn go_on<S: Sink>(&mut self, mut open: Open, input: &[u8], left: &mut usize, sink: &mut S) -> Option<Open> {
        let held = std::mem::take(&mut self.lines.held);
        let more = self.elements(&mut open, input, &held, left, sink);
        self.lines.held = held;
        more.then_some(open)
    }

    fn elements<S: Sink>(
        &mut self,
        open: &mut Open,
        input: &[u8],
        held: &[u8],
        left: &mut usize,
        sink: &mut S,
    ) -> bool {
        let (text, lies_at) = match &open.line.text {
            Text::Input(span) => (&input[span.start..span.start + open.end], Some(span.start)),
            _ => (&held[..open.end], None),
        };
        let (offset, line) = (open.line.offset, open.line.number);
        let place = |at: usize| Place { offset: offset + at as u64, line, event: 0 };
        while open.elements.skip(text, &mut open.at) {
            let start = open.at;
            let at = lies_at.map(|at| at + start);
            let ends = |end| ends_element(text, end);
            if let Some(end) = self.decoder.match_document(text, start, at, place(start), ends, sink) {
                open.at = end;
            } else if let Some(Piece { span, last, .. }) = open.elements.next(text, &mut open.at) {
                let is_cut = !last && !open.elements.end_scalar() && !open.line.ended;
                self.decoder.document(&text[start..], span.len(), at, place(start), is_cut, sink);
            }
            *left = left.saturating_sub(1);
            if *left == 0 || sink.is_full() {
                return true;
            }
        }
        if open.elements.closed {
            let behind = skip_space(text, open.at);
            if behind < text.len() {
                self.damaged_bytes += (text.len() - behind) as u64;
                self.lost(Kind::InvalidJson, place(behind), BEHIND.to_owned(), sink);
            }
        } else if !open.elements.is_open() {
            let (kind, reason) = if open.line.ended {
                (Kind::InvalidJson, "the array has no end")
            } else {
                (Kind::Truncated, "the source ends inside an array")
            };
            self.lost(kind, place(text.len()), reason.to_owned(), sink);
        }
        false
    }

    /// Decodes elements of the array of all; false if the input is consumed.
    fn array<S: Sink>(&mut self, input: &[u8], at: &mut usize, left: &mut usize, sink: &mut S) -> bool {
        let State::Array(mut all) = std::mem::replace(&mut self.state, State::Lines) else { return true };
        let (goes_on, more) = self.array_in(&mut all, input, at, left, sink);
        if goes_on {
            self.state = State::Array(all);
        } else {
            self.tell_behind(&all, sink);
            self.lines.pass(all.consumed as usize, all.line_ends);
        }
        more
    }

    /// Does the array go on, and is there more in the input?
    fn array_in<S: Sink>(
        &mut self,
        all: &mut All,
        input: &[u8],
        at: &mut usize,
        left: &mut usize,
        sink: &mut S,
    ) -> (bool, bool) {
        loop {
            // The first line, and the one in which it ends, are looked at by themselves.
            let by_line = !all.is_settled || all.elements.closed;
            let line_end = if by_line { memchr::memchr(b'\n', &input[*at..]).map(|end| *at + end) } else { None };
            let text = &input[..line_end.unwrap_or(input.len())];
            while !all.elements.closed {
                let from = *at;
                let found = all.elements.skip(text, at);
                all.pass(&self.lines, &text[from..*at]);
                if !found {
                    break;
                }
                self.array_element(all, text, at, sink);
                *left -= 1;
                if *left == 0 || sink.is_full() {
                    return (true, true);
                }
            }
            if !all.is_settled && line_end.is_some() && all.elements.in_string {
                // It breaks off: the next line is another.
                all.trim(&self.lines);
                self.element(all, false, sink);
                if all.elements.end_scalar() {
                    self.lost(Kind::InvalidJson, all.last, "the array has no end".to_owned(), sink);
                }
                all.elements.clear();
                all.elements.closed = true;
            } else if !all.is_settled && line_end.is_some() && !all.elements.closed {
                all.is_settled = true;
                continue;
            }
            if all.elements.closed && !by_line {
                continue;
            }
            if all.elements.closed {
                let from = *at;
                *at = text.len();
                all.see_behind(&self.lines, &text[from..]);
            }
            let Some(end) = line_end else { return (true, false) };
            *at = end + 1;
            all.pass(&self.lines, b"\n");
            all.is_settled = true;
            if all.elements.closed {
                return (false, true);
            }
        }
    }

    /// Takes an element, or as much of it as there is.
    fn array_element<S: Sink>(&mut self, all: &mut All, text: &[u8], at: &mut usize, sink: &mut S) {
        let start = *at;
        if !all.elements.is_open() {
            all.place = all.here(&self.lines);
            let ends = |end| ends_element(text, end);
            if let Some(end) = self.decoder.match_document(text, start, Some(start), all.place, ends, sink) {
                *at = end;
                all.pass(&self.lines, &text[start..end]);
                return;
            }
        }
        let Some(Piece { span, first, last }) = all.elements.next(text, at) else { return };
        all.pass(&self.lines, &text[span.clone()]);
        if first && last {
            self.decoder.document(&text[start..], span.len(), Some(start), all.place, false, sink);
            return;
        }
        // (One byte more says that it is too large.)
        let room = (self.max_event_bytes + 1).saturating_sub(all.element.len());
        let kept = span.len().min(room);
        all.element.extend_from_slice(&text[start..start + kept]);
        all.more += (span.len() - kept) as u64;
        if last {
            self.element(all, false, sink);
        }
    }

    /// Decodes the element that was put together.
    fn element<S: Sink>(&mut self, all: &mut All, at_end: bool, sink: &mut S) {
        let element = std::mem::take(&mut all.element);
        self.decoder.document(&element, element.len(), None, all.place, at_end, sink);
        self.damaged_bytes += std::mem::take(&mut all.more);
    }

    fn tell_behind<S: Sink>(&mut self, all: &All, sink: &mut S) {
        if let Some((place, size)) = all.behind {
            self.damaged_bytes += size;
            self.lost(Kind::InvalidJson, place, BEHIND.to_owned(), sink);
        }
    }

    /// Damage that is no event.
    fn lost<S: Sink>(&mut self, kind: Kind, place: Place, reason: String, sink: &mut S) {
        let place = Place { event: self.decoder.events(), ..place };
        let damage = Damage { kind, place, position: None, reason };
        self.decoder.add_damage(&damage);
        sink.damage(&damage);
    }
}

/// The place behind the line of which nothing is left from `end` on but white space.
#[inline(always)]
fn behind_line(input: &[u8], mut end: usize) -> Option<usize> {
    loop {
        match input.get(end)? {
            b'\n' => return Some(end + 1),
            b' ' | b'\t' | b'\r' => end += 1,
            _ => return None,
        }
    }
}

impl All {
    /// Where the next byte stands.
    fn here(&self, lines: &Lines) -> Place {
        Place { offset: lines.consumed + self.consumed, line: lines.number() + self.line_ends, event: 0 }
    }

    /// Takes note of bytes that were looked at.
    fn pass(&mut self, lines: &Lines, bytes: &[u8]) {
        if let Some(last) = bytes.iter().rposition(|&byte| !is_space(byte)) {
            let ends = memchr::memchr_iter(b'\n', &bytes[..last]).count() as u64;
            let here = self.here(lines);
            self.last = Place { offset: here.offset + last as u64 + 1, line: here.line + ends, event: 0 };
        }
        self.consumed += bytes.len() as u64;
        self.line_ends += memchr::memchr_iter(b'\n', bytes).count() as u64;
    }

    /// Takes note of what stands behind the array.
    fn see_behind(&mut self, lines: &Lines, bytes: &[u8]) {
        let text = trim(bytes);
        if !text.is_empty() {
            let here = self.here(lines);
            let offset = here.offset + skip_space(bytes, 0) as u64;
            let first = self.behind.map_or(Place { offset, ..here }, |(place, _)| place);
            let end = offset + text.len() as u64;
            self.behind = Some((first, end - first.offset));
        }
        self.consumed += bytes.len() as u64;
    }

    /// Drops the white space behind the open element.
    fn trim(&mut self, lines: &Lines) {
        let space = self.here(lines).offset - self.last.offset;
        let more = space.min(self.more);
        self.more -= more;
        self.element.truncate(self.element.len() - (space - more) as usize);
    }
}
