//! Events for a client that has a parser of its own: what is plain is decoded here, and all else is left to that parser.
//!
//! A *plain* block is at most one `data:` line whose text is a JSON object without a truthy `error`, comments, and event
//! types that mean nothing; nearly every block of every server is. Everything else (another line, bytes that are no
//! UTF-8, data that is no JSON, `[DONE]`) is *foreign*: [`Live::decode`] gives the whole block back, and the client's own
//! parser says what it is, with the client's own errors. So this may only accept or decline.
//!
//! It works on whole blocks and keeps no bytes: the caller puts what is left of one read in front of the next.

use std::ops::Range;

use memchr::memchr2;

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
    /// Made when there is a chunk to learn from.
    shapes: Option<Box<Shapes>>,
    /// Where the stream stands among shapes that are lent.
    course: Course,
    /// The last block ended with CR: a LF at once belongs to it.
    after_cr: bool,
    /// An id was sent: from then on a client may give out blocks without data.
    has_id: bool,
    offset: u64,
    events: u64,
}

impl Live {
    /// At the start of a stream. `max_digits` is that of the careful parser; with `chunks_only` an object without
    /// `choices` is foreign; without `has_shapes` every event goes to the careful parser.
    #[must_use]
    pub fn new(max_digits: usize, chunks_only: bool, has_shapes: bool) -> Self {
        Self {
            max_digits,
            chunks_only,
            has_shapes,
            shapes: None,
            course: Course::default(),
            after_cr: false,
            has_id: false,
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
            let place = Place { offset: self.offset + (*at - first) as u64, line: 0, event: self.events };
            if let Some(shapes) = &mut self.shapes
                && input[*at..].starts_with(b"data:")
            {
                let start = *at + 5 + usize::from(input.get(*at + 5) == Some(&b' '));
                if let Some(matched) = shapes.find(input, start, |end| behind_event(input, end)) {
                    let (template, spans) = (shapes.template(matched), shapes.spans());
                    sink.shaped(Shaped { place, text: &input[start..matched.end], at: Some(start), template, spans });
                    *at = matched.behind;
                    return None;
                }
            }
            let had_id = self.has_id;
            let Some((block, end)) = self.block(input, *at) else {
                self.has_id = had_id;
                return Some(Step::Starved);
            };
            let whole = *at..end;
            *at = end;
            match block {
                Block::Nothing => {}
                Block::Data(ref data) if self.accept(input, data, place, sink) => return None,
                Block::Data(_) | Block::Foreign => return Some(Step::Foreign(whole)),
            }
        }
    }

    /// The block that begins at `start`, and the place behind it; None if it does not end.
    fn block(&mut self, input: &[u8], start: usize) -> Option<(Block, usize)> {
        let (mut data, mut is_plain, mut has_type, had_id) = (None, true, false, self.has_id);
        let mut at = start;
        loop {
            let end = at + memchr2(b'\n', b'\r', &input[at..])?;
            let mut behind = end + 1;
            if input[end] == b'\r' && input.get(behind) == Some(&b'\n') {
                behind += 1;
            }
            let line = &input[at..end];
            if line.is_empty() {
                // The LF of a CRLF may come with the next input.
                self.after_cr = input[end] == b'\r' && behind == input.len() && behind == end + 1;
                let block = match data {
                    Some(data) if is_plain => Block::Data(data),
                    None if is_plain && !has_type && !had_id => Block::Nothing,
                    _ => Block::Foreign,
                };
                return Some((block, behind));
            }
            let colon = line.iter().take(6).position(|&byte| byte == b':');
            let value = colon.map_or(line.len(), |colon| colon + 1 + usize::from(line.get(colon + 1) == Some(&b' ')));
            match colon.map_or(line, |colon| &line[..colon]) {
                b"" => is_plain &= is_utf8(line),
                b"data" if data.is_none() => data = Some(at + value..end),
                b"event" => {
                    has_type = true;
                    // openai wraps what comes under such a type.
                    is_plain &= !line[value..].starts_with(b"thread.") && is_utf8(line);
                }
                b"id" => {
                    is_plain = false;
                    if !line[value..].contains(&0) {
                        self.has_id = value < line.len();
                    }
                }
                _ => is_plain = false,
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
        let root = Doc::new(text, &nodes[first_node..]).root();
        let has_choices = keys & (1 << Key::Choices as u8) != 0;
        let has_error = keys & (1 << Key::Error as u8) != 0;
        let is_error = has_error && root.get(Key::Error).is_some_and(Value::is_truthy);
        if root.kind() != Type::Object || is_error || self.chunks_only && !has_choices {
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
