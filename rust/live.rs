//! Events for a client that has a parser of its own: what is plain is decoded here, and all else is left to that parser.
//!
//! A *plain* block is at most one `data:` line whose text is a JSON object without a truthy `error`, comments, and event
//! types that mean nothing; nearly every block of every server is. Everything else (another line, bytes that are no
//! UTF-8, data that is no JSON, `[DONE]`) is *foreign*: [`Live::decode`] gives the whole block back, and the client's own
//! parser says what it is, with the client's own errors. So this may only accept or decline.
//!
//! It works on whole blocks and keeps no bytes: the caller puts what is left of one read in front of the next.

pub mod framing;

use std::ops::Range;

use memchr::{memchr_iter, memchr2};

use self::framing::{Framing, is_deep};
use crate::chunk::shape::{Course, Shapes};
use crate::chunk::{self, Doc, Key, Type, Value};
use crate::decoder::{Found, Shaped, Sink, behind_event};
use crate::error::Place;

/// What stopped the decoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The limit, or a sink that is full: go on with the same input.
    More,
    /// The rest of the input is the beginning of a block.
    Starved,
    /// This block is for the client's own parser. The input behind it is not decoded yet.
    Foreign(Range<usize>),
}

/// What a block is.
enum Block {
    /// One data line, whose value this is.
    Data(Range<usize>),
    /// Nothing that anybody sees.
    Nothing,
    Foreign,
}

/// The state between two pieces of a stream.
pub struct Live {
    max_digits: usize,
    chunks_only: bool,
    /// Match events against the shapes of earlier ones; false only to test the careful parser alone.
    has_shapes: bool,
    framing: Framing,
    /// Made when there is a chunk to learn from.
    shapes: Option<Box<Shapes>>,
    /// Where the stream stands among shapes that are lent.
    course: Course,
    /// The last block ended with CR: a LF at once belongs to it.
    after_cr: bool,
    /// An id was sent: from then on a client may give out blocks without data.
    has_id: bool,
    /// How many bytes before the next block may begin a pair of line ends: those of the last pair but for its first.
    overlap: usize,
    /// The last block of this input was foreign: so is one now that is nothing, since it comes behind.
    is_behind: bool,
    offset: u64,
    events: u64,
}

impl Live {
    /// At the start of a stream. `max_digits` is that of the careful parser; with `chunks_only` an object without
    /// `choices` is foreign; without `has_shapes` every event goes to the careful parser. Where blocks end at pairs of
    /// line ends, an id changes nothing, what is plain begins with its brace, and a block that is nothing is foreign right
    /// behind one that is.
    #[must_use]
    pub fn new(max_digits: usize, chunks_only: bool, has_shapes: bool, framing: Framing) -> Self {
        Self {
            max_digits,
            chunks_only,
            has_shapes,
            framing,
            shapes: None,
            course: Course::default(),
            after_cr: false,
            has_id: false,
            overlap: 0,
            is_behind: false,
            offset: 0,
            events: 0,
        }
    }

    /// Does it match events against shapes?
    #[must_use]
    pub fn has_shapes(&self) -> bool {
        self.has_shapes
    }

    /// Takes shapes that others use in turn with this stream, for a piece. (Not if it has none by choice, or if they were
    /// made under another limit.)
    pub fn lend(&mut self, shapes: Option<Box<Shapes>>) {
        self.shapes = shapes.filter(|shapes| self.has_shapes && shapes.fit(self.max_digits));
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

    /// How many bytes have been decoded.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Was an id sent, and not taken back?
    #[must_use]
    pub fn has_id(&self) -> bool {
        self.has_id
    }

    /// Decodes whole blocks of `input[*at..]` into the sink, at most `limit` events, and moves `at` behind them.
    pub fn decode<S: Sink>(&mut self, input: &[u8], at: &mut usize, limit: usize, sink: &mut S) -> Step {
        for _ in 0..limit {
            let start = *at;
            let step = self.event(input, at, sink);
            self.offset += (*at - start) as u64;
            if let Some(step) = step {
                return step;
            }
            self.events += 1;
            if sink.is_full() {
                break;
            }
        }
        Step::More
    }

    /// The next event; a step if there is none.
    #[inline]
    fn event<S: Sink>(&mut self, input: &[u8], at: &mut usize, sink: &mut S) -> Option<Step> {
        let first = *at;
        loop {
            if self.after_cr {
                match input.get(*at) {
                    None => return Some(Step::Starved),
                    Some(b'\n') => *at += 1,
                    Some(_) => {}
                }
                self.after_cr = false;
            }
            if self.overlap > 0
                && let Some(empty) = self.overlapping(input, at)
            {
                if self.is_behind {
                    return Some(Step::Foreign(empty));
                }
                continue;
            }
            let place = Place { offset: self.offset + (*at - first) as u64, line: 0, event: self.events };
            if let Some(shapes) = &mut self.shapes
                && input[*at..].starts_with(b"data:")
            {
                let start = *at + 5 + usize::from(input.get(*at + 5) == Some(&b' '));
                if let Some(matched) = shapes.find(input, start, |end| behind_event(input, end)) {
                    let (template, spans) = (shapes.template(matched), shapes.spans());
                    sink.shaped(Shaped { place, text: &input[start..matched.end], at: Some(start), template, spans });
                    *at = matched.behind;
                    if self.framing != Framing::Lines {
                        (self.overlap, self.is_behind) = (matched.behind - matched.end - 1, false);
                    }
                    return None;
                }
            }
            let had_id = self.has_id;
            let found = match self.framing {
                Framing::Lines => self.block(input, *at).map(|(block, end)| (block, end, end)),
                pairs => pairs.end(input, *at).map(|(end, behind)| (block_between(input, *at..end), end, behind)),
            };
            let Some((block, end, behind)) = found else {
                self.has_id = had_id;
                (self.overlap, self.is_behind) = (0, false);
                return Some(Step::Starved);
            };
            let whole = *at..end;
            *at = behind;
            self.overlap = (behind - end).saturating_sub(1);
            match block {
                Block::Nothing if !self.is_behind => {}
                Block::Data(ref data) if self.accept(input, data, place, sink) => {
                    self.is_behind = false;
                    return None;
                }
                _ => {
                    self.is_behind = self.framing != Framing::Lines;
                    return Some(Step::Foreign(whole));
                }
            }
        }
    }

    /// The empty block before a pair of line ends that shares some with the last: a client that goes on behind the first
    /// of them sees one more. Moves `at` behind it.
    fn overlapping(&mut self, input: &[u8], at: &mut usize) -> Option<Range<usize>> {
        let overlap = std::mem::take(&mut self.overlap);
        // The pair ends behind `at`, or it changes nothing.
        input.get(*at).filter(|&&byte| byte == b'\n' || byte == b'\r')?;
        let pair = |start: usize| self.framing.boundary(&input[start..]).map(|length| (start, start + length));
        let (start, end) = (*at - overlap..*at).find_map(pair)?;
        *at = end;
        self.overlap = end - start - 1;
        Some(start..start)
    }

    /// The block that begins at `start`, and the place behind it; None if it does not end.
    fn block(&mut self, input: &[u8], start: usize) -> Option<(Block, usize)> {
        let (mut lines, had_id) = (Lines::default(), self.has_id);
        let mut at = start;
        loop {
            let end = at + memchr2(b'\n', b'\r', &input[at..])?;
            let mut behind = end + 1;
            if input[end] == b'\r' && input.get(behind) == Some(&b'\n') {
                behind += 1;
            }
            if at == end {
                // The LF of a CRLF may come with the next input.
                self.after_cr = input[end] == b'\r' && behind == input.len() && behind == end + 1;
                return Some((lines.block(had_id), behind));
            }
            if let Some(has_id) = lines.add(input, at..end) {
                self.has_id = has_id;
            }
            at = behind;
        }
    }

    /// Gives data to the sink if it is an object without a truthy `error`.
    fn accept<S: Sink>(&mut self, input: &[u8], data: &Range<usize>, place: Place, sink: &mut S) -> bool {
        if data.len() >= chunk::MAX_NODES {
            return false;
        }
        let nodes = sink.nodes();
        let first_node = nodes.len();
        let text = &input[data.clone()];
        let Ok(keys) = chunk::parse(&input[data.start..], data.len(), self.max_digits, nodes) else {
            nodes.truncate(first_node);
            return false;
        };
        let is_odd = self.framing != Framing::Lines && (text[0] != b'{' || is_deep(text));
        let root = Doc::new(text, &nodes[first_node..]).root();
        let has_choices = keys & (1 << Key::Choices as u8) != 0;
        let has_error = keys & (1 << Key::Error as u8) != 0;
        let is_error = has_error && root.get(Key::Error).is_some_and(Value::is_truthy);
        if is_odd || root.kind() != Type::Object || is_error || self.chunks_only && !has_choices {
            nodes.truncate(first_node);
            return false;
        }
        // A shape would not see that an error becomes truthy.
        if self.has_shapes && !has_error && has_choices {
            let new = || Box::new(Shapes::new(self.max_digits));
            self.shapes.get_or_insert_with(new).learn(text, &nodes[first_node..]);
        }
        sink.chunk(Found { place, text, at: Some(data.start), raw: None, first_node });
        true
    }
}

/// What the lines of a block come to.
struct Lines {
    data: Option<Range<usize>>,
    has_type: bool,
    is_plain: bool,
}

impl Default for Lines {
    fn default() -> Self {
        Self { data: None, has_type: false, is_plain: true }
    }
}

impl Lines {
    /// One more line, that is not empty. Was an id sent, or taken back?
    #[inline]
    fn add(&mut self, input: &[u8], at: Range<usize>) -> Option<bool> {
        let line = &input[at.clone()];
        let colon = line.iter().take(6).position(|&byte| byte == b':');
        let value = colon.map_or(line.len(), |colon| colon + 1 + usize::from(line.get(colon + 1) == Some(&b' ')));
        match colon.map_or(line, |colon| &line[..colon]) {
            b"" => self.is_plain &= is_utf8(line),
            b"data" if self.data.is_none() => self.data = Some(at.start + value..at.end),
            b"event" => {
                self.has_type = true;
                // openai wraps what comes under such a type.
                self.is_plain &= !line[value..].starts_with(b"thread.") && is_utf8(line);
            }
            b"id" => {
                self.is_plain = false;
                return (!line[value..].contains(&0)).then_some(value < line.len());
            }
            _ => self.is_plain = false,
        }
        None
    }

    /// With an id, a block without data may mean something.
    fn block(self, has_id: bool) -> Block {
        match self.data {
            Some(data) if self.is_plain => Block::Data(data),
            None if self.is_plain && !self.has_type && !has_id => Block::Nothing,
            _ => Block::Foreign,
        }
    }
}

/// The block that is the bytes between two boundaries.
fn block_between(input: &[u8], bounds: Range<usize>) -> Block {
    let (mut lines, mut at) = (Lines::default(), bounds.start);
    while at < bounds.end {
        let end = memchr2(b'\n', b'\r', &input[at..bounds.end]).map_or(bounds.end, |found| at + found);
        if at < end {
            lines.add(input, at..end);
        }
        at = end + 1;
    }
    lines.block(false)
}

/// Does a document hold a lone surrogate, which no Unicode text can? The search for an escape of one comes first: few
/// documents have any.
#[must_use]
pub fn has_lone_surrogate(doc: Doc<'_>) -> bool {
    let text = doc.text();
    memchr_iter(b'\\', text).any(|at| matches!(text.get(at + 1..at + 3), Some([b'u', b'd' | b'D'])))
        && (0..doc.nodes().len()).map(|number| doc.value(number)).any(|value| {
            matches!(value.kind(), Type::Key | Type::String)
                && value.is_escaped()
                && str::from_utf8(&value.bytes()).is_err()
        })
}

/// Does the block end that `input` begins with? `line` is where its open line begins, and moves on, so that no byte is
/// looked at twice: `from` is where the last look ended.
#[must_use]
pub fn ends_block(input: &[u8], line: &mut usize, from: usize) -> bool {
    let mut at = from;
    while let Some(found) = memchr2(b'\n', b'\r', &input[at..]) {
        let end = at + found;
        let is_half = input[end] == b'\n' && end > 0 && input[end - 1] == b'\r';
        if end == *line && !is_half {
            return true;
        }
        at = end + 1;
        *line = at;
    }
    false
}

fn is_utf8(line: &[u8]) -> bool {
    line.is_ascii() || simdutf8::basic::from_utf8(line).is_ok()
}
