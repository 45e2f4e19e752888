//! The framer: finds events in bytes that arrive in any pieces.
//!
//! Push-style and without I/O: [`Framer::next`] takes the input and a cursor in it, and gives the next event or says
//! that it wants more. It looks at every byte once, however the input is cut: what a piece leaves unfinished is kept
//! (the open line in `partial`, the data of finished lines in `data`) and never scanned again. An event of one `data:`
//! line that lies whole in one piece, which is nearly every event, is not copied: its data is a span of the input.
//!
//! Words: a *line* ends at LF, CR or CRLF; a *block* is the lines up to and with a blank one; a block that has a data
//! field is dispatched as an *event*.

use std::ops::Range;

use memchr::memchr2;

use super::lossy::decode_utf8;
use crate::error::Place;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What the framer saw at a block's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// An event.
    Event,
    /// An event that passed the limit; the rest of its block will be dropped.
    TooLarge,
}

/// Where an event's data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// A span of the input that was passed to [`Framer::next`].
    Input(Range<usize>),
    /// In the framer: see [`Framer::data`].
    Framer,
}

/// A dispatched event, or one that grew too large.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Which of the two.
    pub kind: FrameKind,
    /// Where it stands in the source.
    pub place: Place,
    /// Where its data is.
    pub data: Data,
    /// Bytes of its block that are neither comments nor unknown fields.
    pub bytes: u64,
    /// Did the event's type or id hold bytes that are no UTF-8?
    pub invalid_field: bool,
}

/// Bytes and lines that made no event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Comment lines.
    pub comments: u64,
    /// Bytes of comments, and of blocks that were not dispatched.
    pub comment_bytes: u64,
    /// Bytes of unknown fields, and of an end that the standard discards.
    pub skipped_bytes: u64,
    /// Bytes of blocks that grew too large, from where they did.
    pub dropped_bytes: u64,
}

/// To what the bytes of the last line were counted; the LF of a CRLF that was cut belongs there too.
#[derive(Clone, Copy)]
enum Class {
    Block,
    Comment,
    Skipped,
    Dropped,
    /// The last block became an event: its bytes went with the frame.
    Event,
}

/// The state between two pieces of input.
pub struct Framer {
    max_event_bytes: usize,
    /// Bytes consumed so far: the offset of what comes next.
    offset: u64,
    /// Lines that have ended so far.
    lines: u64,
    events: u64,
    counts: Counts,
    /// How much of a byte order mark has been seen, while nothing else has.
    mark: Option<usize>,
    /// The last line ended with CR: a LF at once belongs to it.
    after_cr: bool,
    class: Class,
    /// LFs that came too late for the frame of their block.
    late_bytes: u64,
    /// The line that the last input left open.
    partial: Vec<u8>,
    block: Block,
    /// Data of the open block's finished lines, but for one that is still a span of the input.
    data: Vec<u8>,
    event_type: String,
    last_id: String,
    /// A frame has been given out: its `data`, `event_type` and `retry` are still here, and go when the next one begins.
    dispatched: bool,
    /// The open block passed the limit: drop lines until a blank one. True with content on the open line.
    dropping: Option<bool>,
    known_fields: u64,
    /// Those of earlier sources.
    earlier_events: u64,
    first_unknown: Option<u8>,
    /// So many lines have ended before the first of the source.
    first_line: u64,
}

/// What is known of the open block, but its data.
#[derive(Default)]
struct Block {
    /// Where its first known field stands: offset and line.
    start: Option<(u64, u64)>,
    bytes: u64,
    comment_bytes: u64,
    skipped_bytes: u64,
    data_lines: u64,
    /// Its first data line's value, while it lies in the input.
    span: Option<Range<usize>>,
    retry: Option<u64>,
    invalid_field: bool,
}

impl Framer {
    /// A framer at the start of a source. An event may have `max_event_bytes` bytes: its data and its open line.
    #[must_use]
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            max_event_bytes,
            offset: 0,
            lines: 0,
            events: 0,
            counts: Counts::default(),
            mark: Some(0),
            after_cr: false,
            class: Class::Comment,
            late_bytes: 0,
            partial: Vec::new(),
            block: Block::default(),
            data: Vec::new(),
            event_type: String::new(),
            last_id: String::new(),
            dispatched: false,
            dropping: None,
            known_fields: 0,
            earlier_events: 0,
            first_unknown: None,
            first_line: 0,
        }
    }

    /// A framer between two blocks of a source, behind its beginning. Its places count from there.
    #[must_use]
    pub fn inside(max_event_bytes: usize) -> Self {
        Self { mark: None, first_line: u64::MAX, ..Self::new(max_event_bytes) }
    }

    /// How many bytes an event may have.
    #[must_use]
    pub fn max_event_bytes(&self) -> usize {
        self.max_event_bytes
    }

    /// The next event of `input[*at..]`; None when all of it is consumed. Pass new input only then.
    #[inline]
    pub fn next(&mut self, input: &[u8], at: &mut usize) -> Option<Frame> {
        if self.dispatched {
            self.forget_event();
        }
        if self.mark.is_some() {
            self.skip_mark(input, at);
        }
        loop {
            if self.after_cr && *at < input.len() {
                self.finish_crlf(input, at);
            }
            let rest = &input[*at..];
            let Some(end) = memchr2(b'\n', b'\r', rest) else {
                return self.keep_open_line(input, at);
            };
            if let Some(frame) = self.whole_event(rest, *at, end) {
                *at += frame.bytes as usize;
                return Some(frame);
            }
            let start = *at;
            *at += end + 1;
            if rest[end] == b'\r' {
                self.after_cr = true;
                // Look ahead now, so that the line knows its whole length; only at the input's end it is late.
                if input.get(*at) == Some(&b'\n') {
                    *at += 1;
                    self.after_cr = false;
                }
            }
            if let Some(frame) = self.line(input, start, start + end, *at) {
                return Some(frame);
            }
        }
    }

    /// Is the next byte the first of a block, and nothing of another kept? Then an event may be found without the
    /// framer, if it is told by [`Framer::pass`].
    #[inline]
    pub fn is_between_blocks(&mut self) -> bool {
        if self.dispatched {
            self.forget_event();
        }
        let block = &self.block;
        block.bytes + block.comment_bytes + block.skipped_bytes == 0
            && self.partial.is_empty()
            && self.dropping.is_none()
            && self.mark.is_none()
            && !self.after_cr
    }

    /// Gives back the memory of buffers that are empty, and most of what others do not fill.
    pub fn rest(&mut self) {
        if self.dispatched {
            self.forget_event();
        }
        for buffer in [&mut self.data, &mut self.partial] {
            if buffer.capacity() > 2 * buffer.len() {
                buffer.shrink_to_fit();
            }
        }
    }

    /// The place of an event that begins here, between blocks.
    #[inline]
    #[must_use]
    pub fn place(&self) -> Place {
        Place { offset: self.offset, line: self.lines + 1, event: self.events }
    }

    /// Takes note of events that were found without the framer, between blocks: each one `data:` line and a blank one,
    /// of `bytes` bytes together.
    #[inline]
    pub fn pass(&mut self, bytes: usize, events: u64) {
        if events > 0 {
            self.offset += bytes as u64;
            self.lines += 2 * events;
            self.events += events;
            self.known_fields += events;
            self.class = Class::Event;
        }
    }

    /// Takes note of an event that came without a frame, and is none of what is framed.
    pub fn pass_event(&mut self) {
        self.events += 1;
        // (It says nothing of what the lines are.)
        self.earlier_events += 1;
    }

    /// How many events came before this source.
    #[must_use]
    pub fn earlier_events(&self) -> u64 {
        self.earlier_events
    }

    /// Begins another source behind the end of one. Its places and counts go on.
    pub fn restart(&mut self) {
        self.mark = Some(0);
        self.after_cr = false;
        self.class = Class::Comment;
        self.late_bytes = 0;
        self.partial.clear();
        self.block = Block::default();
        self.data.clear();
        self.event_type.clear();
        self.last_id.clear();
        self.dispatched = false;
        self.dropping = None;
        self.known_fields = 0;
        self.earlier_events = self.events;
        self.first_unknown = None;
        self.first_line = self.lines;
    }

    /// Is no line and no block open?
    #[must_use]
    pub fn is_between_events(&self) -> bool {
        let block = &self.block;
        block.bytes + block.comment_bytes + block.skipped_bytes == 0
            && self.partial.is_empty()
            && self.dropping.is_none()
            && self.mark.is_none_or(|seen| seen == 0)
    }

    /// The open line, as far as it has come.
    #[must_use]
    pub fn open_line(&self) -> &[u8] {
        &self.partial
    }

    /// Drops the end of the open line, behind so many bytes, as if it had never come.
    pub fn cut_off(&mut self, length: usize) {
        self.offset -= self.partial.len().saturating_sub(length) as u64;
        self.partial.truncate(length);
    }

    /// Where the open block's first known field begins, or else the open line.
    #[must_use]
    pub fn open_place(&self) -> Option<u64> {
        let line = (!self.partial.is_empty()).then(|| self.offset - self.partial.len() as u64);
        self.block.start.map(|(offset, _)| offset).or(line)
    }

    /// The way of nearly every event: between blocks, a `data:` line with a blank line behind it, both ended by LF.
    #[inline]
    fn whole_event(&mut self, rest: &[u8], at: usize, end: usize) -> Option<Frame> {
        let idle = self.block.bytes == 0 && self.partial.is_empty() && self.dropping.is_none();
        if !(idle && rest.starts_with(b"data:") && rest[end] == b'\n' && rest.get(end + 1) == Some(&b'\n')) {
            return None;
        }
        if end > self.max_event_bytes || self.block.comment_bytes != 0 || self.block.skipped_bytes != 0 {
            return None;
        }
        let start = 5 + usize::from(rest[5] == b' ');
        let place = self.place();
        self.pass(end + 2, 1);
        self.dispatched = true;
        Some(Frame {
            kind: FrameKind::Event,
            place,
            data: Data::Input(at + start..at + end),
            bytes: end as u64 + 2,
            invalid_field: false,
        })
    }

    /// The end of the source: what the last block's missing end would have given. `strict` discards it, as the
    /// standard says; else it is an event like any other.
    pub fn finish(&mut self, strict: bool) -> Option<Frame> {
        if self.dispatched {
            self.forget_event();
        }
        if let Some(seen) = self.mark.take() {
            self.partial.extend_from_slice(&BYTE_ORDER_MARK[..seen]);
        }
        self.after_cr = false;
        let open = self.partial.len() as u64;
        if self.dropping.take().is_some() {
            return None;
        }
        if strict {
            self.counts.skipped_bytes += open + self.block.bytes + self.block.comment_bytes;
            self.counts.comment_bytes -= self.block.comment_bytes;
            self.partial.clear();
            self.block = Block::default();
            return None;
        }
        if open > 0 {
            let line = std::mem::take(&mut self.partial);
            self.offset -= open; // it was counted when it was kept
            let frame = self.field_line(&line, None, open);
            self.offset += open;
            if frame.is_some() {
                return frame;
            }
        }
        self.end_block(0)
    }

    /// The data of the last event, where it is not in the input.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Takes [`Framer::data`] out, for who needs it while the framer is borrowed; give the buffer back.
    #[must_use]
    pub fn take_data(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.data)
    }

    /// Takes the buffer of [`Framer::take_data`] back.
    pub fn give_data_back(&mut self, data: Vec<u8>) {
        self.data = data;
    }

    /// The last event's type; empty where none was sent.
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// The last event id.
    #[must_use]
    pub fn last_id(&self) -> &str {
        &self.last_id
    }

    /// The reconnection time in milliseconds that the last event's block set.
    #[must_use]
    pub fn retry(&self) -> Option<u64> {
        self.block.retry
    }

    /// Bytes consumed so far.
    #[must_use]
    pub fn consumed(&self) -> u64 {
        self.offset
    }

    /// Lines that have ended so far.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Events given out so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// What made no event so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Bytes that belong to the event given out last but came behind it: the LF of a CRLF that was cut. Taken once.
    #[inline]
    pub fn take_late_bytes(&mut self) -> u64 {
        std::mem::take(&mut self.late_bytes)
    }

    /// Where no event, no known field, but other lines were seen: the first of those lines' first byte. [`TAR`] or [`ZIP`],
    /// whatever was seen, where the first line of all is the head of an archive: then there may be events all the same,
    /// for most of what is in one may be packed by nothing.
    #[must_use]
    pub fn foreign(&self) -> Option<u8> {
        self.first_unknown.filter(|&first| first == TAR || first == ZIP || !self.is_known())
    }

    /// Has an event or a known field been seen?
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.known_fields > 0 || self.events > self.earlier_events
    }

    fn forget_event(&mut self) {
        self.dispatched = false;
        self.data.clear();
        // A buffer that one huge event grew goes back; the usual ones stay.
        self.data.shrink_to(1 << 16);
        self.event_type.clear();
        self.block.retry = None;
    }

    #[cold]
    fn skip_mark(&mut self, input: &[u8], at: &mut usize) {
        while let (Some(seen), Some(&byte)) = (self.mark, input.get(*at)) {
            if byte != BYTE_ORDER_MARK[seen] {
                self.mark = None;
                self.partial.extend_from_slice(&BYTE_ORDER_MARK[..seen]);
                return;
            }
            *at += 1;
            self.offset += 1;
            self.mark = Some(seen + 1);
            if seen + 1 == BYTE_ORDER_MARK.len() {
                self.mark = None;
                self.block.bytes += BYTE_ORDER_MARK.len() as u64;
            }
        }
    }

    #[cold]
    fn finish_crlf(&mut self, input: &[u8], at: &mut usize) {
        self.after_cr = false;
        if input[*at] != b'\n' {
            return;
        }
        *at += 1;
        self.offset += 1;
        match self.class {
            Class::Block => self.block.bytes += 1,
            Class::Comment => {
                self.counts.comment_bytes += 1;
                if self.block.comment_bytes > 0 {
                    self.block.comment_bytes += 1;
                }
            }
            Class::Skipped => {
                self.counts.skipped_bytes += 1;
                self.block.skipped_bytes += 1;
            }
            Class::Dropped => self.counts.dropped_bytes += 1,
            Class::Event => self.late_bytes += 1,
        }
    }

    /// Consumes the rest of the input, which has no line end: keeps it, unless it is being dropped or too large.
    #[cold]
    fn keep_open_line(&mut self, input: &[u8], at: &mut usize) -> Option<Frame> {
        let rest = &input[*at..];
        *at = input.len();
        self.offset += rest.len() as u64;
        if let Some(content) = &mut self.dropping {
            *content |= !rest.is_empty();
            self.counts.dropped_bytes += rest.len() as u64;
            return None;
        }
        if let Some(span) = self.block.span.take() {
            self.data.extend_from_slice(&input[span]);
        }
        if self.passes_limit(self.partial.len() + rest.len(), 0) {
            let length = self.partial.len() + rest.len();
            self.partial = Vec::new();
            self.dropping = Some(true);
            return Some(self.too_large(length as u64, self.offset - length as u64));
        }
        self.partial.extend_from_slice(rest);
        None
    }

    fn passes_limit(&self, line: usize, span: usize) -> bool {
        let earlier = if self.block.data_lines > 0 { self.data.len() + span + 1 } else { 0 };
        earlier + line > self.max_event_bytes
    }

    /// Handles the complete line `input[start..end]` (with what earlier input kept of it), whose terminator ends at
    /// `next`; gives the event that it ends.
    fn line(&mut self, input: &[u8], start: usize, end: usize, next: usize) -> Option<Frame> {
        let length = (next - start) as u64;
        let frame = self.complete_line(input, start, end, length);
        self.offset += length;
        self.lines += 1;
        frame
    }

    /// The work of `line`, while offset and line number still are those of its beginning.
    fn complete_line(&mut self, input: &[u8], start: usize, end: usize, length: u64) -> Option<Frame> {
        if let Some(content) = self.dropping {
            self.counts.dropped_bytes += length;
            self.class = Class::Dropped;
            self.dropping = (content || end > start).then_some(false);
            return None;
        }
        if !self.partial.is_empty() {
            self.partial.extend_from_slice(&input[start..end]);
            let mut line = std::mem::take(&mut self.partial);
            let kept = (line.len() - (end - start)) as u64;
            self.offset -= kept; // it was counted when it was kept
            let frame = self.field_line(&line, None, length + kept);
            self.offset += kept;
            line.clear();
            line.shrink_to(1 << 16);
            self.partial = line;
            frame
        } else if end == start {
            self.end_block(length)
        } else {
            self.field_line(&input[start..end], Some((input, start)), length)
        }
    }

    /// Handles a line that is not blank and takes `length` bytes with its end; gives the event that passed the limit.
    /// `place` says which input it lies in, and where.
    fn field_line(&mut self, line: &[u8], place: Option<(&[u8], usize)>, length: u64) -> Option<Frame> {
        let span = self.block.span.as_ref().map_or(0, ExactSizeIterator::len);
        if self.passes_limit(line.len(), span) {
            let frame = self.too_large(length, self.offset);
            self.dropping = Some(false);
            self.class = Class::Dropped;
            return Some(frame);
        }
        if line[0] == b':' {
            self.class = Class::Comment;
            self.counts.comments += 1;
            self.counts.comment_bytes += length;
            self.block.comment_bytes += length;
            return None;
        }
        let colon = memchr::memchr(b':', line);
        let name = &line[..colon.unwrap_or(line.len())];
        let value = colon.map_or(line.len(), |colon| colon + 1);
        let value = value + usize::from(line.get(value) == Some(&b' '));
        match name {
            b"data" => self.data_field(line, value, place),
            b"event" => {
                let decoded = decode_utf8(&line[value..]);
                self.block.invalid_field |= decoded.invalid_at.is_some();
                self.event_type.clear();
                self.event_type.push_str(&decoded.text);
            }
            b"id" => {
                if !line[value..].contains(&0) {
                    let decoded = decode_utf8(&line[value..]);
                    self.block.invalid_field |= decoded.invalid_at.is_some();
                    self.last_id.clear();
                    self.last_id.push_str(&decoded.text);
                }
            }
            b"retry" => {
                let digits = &line[value..];
                if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
                    self.block.retry = Some(digits.iter().fold(0, |number: u64, digit| {
                        number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
                    }));
                }
            }
            _ => {
                self.class = Class::Skipped;
                self.counts.skipped_bytes += length;
                self.block.skipped_bytes += length;
                if self.first_unknown.is_none() {
                    let archive = if self.lines == self.first_line { archive(line) } else { None };
                    let first = || line.trim_ascii().first().copied().unwrap_or(b' ');
                    self.first_unknown = Some(archive.unwrap_or_else(first));
                }
                return None;
            }
        }
        self.known_fields += 1;
        self.class = Class::Block;
        self.block.bytes += length;
        if self.block.start.is_none() {
            self.block.start = Some((self.offset, self.lines + 1));
        }
        None
    }

    fn data_field(&mut self, line: &[u8], value: usize, place: Option<(&[u8], usize)>) {
        if self.block.data_lines > 0 {
            if let (Some(span), Some((input, _))) = (self.block.span.take(), place) {
                self.data.extend_from_slice(&input[span]);
            }
            self.data.push(b'\n');
            self.data.extend_from_slice(&line[value..]);
        } else if let Some((_, start)) = place {
            self.block.span = Some(start + value..start + line.len());
        } else {
            self.data.extend_from_slice(&line[value..]);
        }
        self.block.data_lines += 1;
    }

    /// Ends the block with a blank line of `length` bytes (0 at the end of the source); gives its event, if it has one.
    fn end_block(&mut self, length: u64) -> Option<Frame> {
        let block = std::mem::take(&mut self.block);
        let bytes = block.bytes + length;
        if block.data_lines == 0 {
            self.class = Class::Comment;
            self.counts.comment_bytes += bytes;
            self.event_type.clear();
            return None;
        }
        let (offset, line) = block.start.unwrap_or_default();
        self.class = Class::Event;
        self.dispatched = true;
        self.block.retry = block.retry;
        self.events += 1;
        Some(Frame {
            kind: FrameKind::Event,
            place: Place { offset, line, event: self.events - 1 },
            data: block.span.map_or(Data::Framer, Data::Input),
            bytes,
            invalid_field: block.invalid_field,
        })
    }

    /// The open block has passed the limit at a line that begins at `offset` and of which `length` bytes are read.
    #[cold]
    fn too_large(&mut self, length: u64, offset: u64) -> Frame {
        let block = std::mem::take(&mut self.block);
        let (offset, line) = block.start.unwrap_or((offset, self.lines + 1));
        self.counts.dropped_bytes += block.bytes + length;
        self.class = Class::Dropped;
        self.data = Vec::new();
        self.event_type.clear();
        self.events += 1;
        Frame {
            kind: FrameKind::TooLarge,
            place: Place { offset, line, event: self.events - 1 },
            data: Data::Framer,
            bytes: 0,
            invalid_field: false,
        }
    }
}

/// What [`Framer::foreign`] says of archives: no line begins with these.
pub const TAR: u8 = b'\n';
/// See there.
pub const ZIP: u8 = b'\r';

/// Is the first line of a source the head of an archive?
fn archive(line: &[u8]) -> Option<u8> {
    let is_tar = line.get(257..262) == Some(b"ustar");
    if is_tar { Some(TAR) } else { line.starts_with(b"PK\x03\x04").then_some(ZIP) }
}
