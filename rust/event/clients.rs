//! Events by the rules of two clients' parsers, where those are not the standard's: bytes in any pieces in, the fields
//! of what the client would give out.
//!
//! [`HttpxSse`] is httpx-sse's parser: lines as in the standard, but a byte order mark is part of the first one, a block
//! counts if any of its fields was sent or an id is known, and a `retry` is whatever Python's `int` takes.
//! [`SseClient`] is sseclient-py's: a block ends at two LF, two CR or two CRLF, and nowhere else; it needs data, the
//! input's end ends it too, and all of it must be UTF-8.
//!
//! Both look at every byte once, however the input is cut, and hold no more than the open block.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;

/// How much of a buffer stays between events: little, since many responses may wait at once.
const KEPT_BYTES: usize = 1 << 10;

/// The name and the value of a line, without one space before the value.
fn field(line: &[u8]) -> (&[u8], &[u8]) {
    let colon = memchr::memchr(b':', line).unwrap_or(line.len());
    let value = line.get(colon + 1..).unwrap_or_default();
    (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
}

/// Where the data of httpx-sse's event is.
enum Data {
    Input(Range<usize>),
    Kept,
}

/// httpx-sse's parser, between two pieces of input.
#[derive(Default)]
pub struct HttpxSse {
    /// The line that the last input left open.
    open: Vec<u8>,
    /// The last line ended with CR: a LF at once belongs to it.
    after_cr: bool,
    data: Vec<u8>,
    has_data: bool,
    event: Vec<u8>,
    last_id: Vec<u8>,
    retries: Vec<Vec<u8>>,
    /// An event has been given out: its fields go when the next one begins.
    dispatched: bool,
}

/// An event of httpx-sse's, as bytes. What is no UTF-8 in them counts as U+FFFD.
#[derive(Debug, PartialEq, Eq)]
pub struct HttpxSseEvent<'a> {
    /// Its type; empty where none was sent.
    pub event: &'a [u8],
    /// Its lines of data.
    pub data: &'a [u8],
    /// The last id.
    pub id: &'a [u8],
    /// What was sent as `retry`, in order: the last one that is an integer to Python counts.
    pub retries: &'a [Vec<u8>],
    /// It is an event only if one of the `retries` is an integer.
    pub needs_retry: bool,
}

impl HttpxSse {
    /// The next event of `input[*at..]`; None when all of it is consumed. Pass new input only then.
    #[inline]
    pub fn next<'a>(&'a mut self, input: &'a [u8], at: &mut usize) -> Option<HttpxSseEvent<'a>> {
        let data = self.advance(input, at)?;
        let data = match data {
            Data::Input(span) => &input[span],
            Data::Kept => &self.data,
        };
        Some(HttpxSseEvent {
            event: &self.event,
            data,
            id: &self.last_id,
            retries: &self.retries,
            needs_retry: !self.is_sure(),
        })
    }

    fn is_sure(&self) -> bool {
        self.has_data || !self.event.is_empty() || !self.last_id.is_empty()
    }

    fn advance(&mut self, input: &[u8], at: &mut usize) -> Option<Data> {
        if self.dispatched {
            self.begin_block();
        }
        loop {
            if self.after_cr && *at < input.len() {
                self.after_cr = false;
                *at += usize::from(input[*at] == b'\n');
            }
            let start = *at;
            let rest = &input[start..];
            let Some(end) = memchr2(b'\n', b'\r', rest) else {
                self.open.extend_from_slice(rest);
                *at = input.len();
                return None;
            };
            // Nearly every event: between blocks, a line of data with a blank line behind it.
            if rest[end] == b'\n' && rest.get(end + 1) == Some(&b'\n') && rest.starts_with(b"data:") && self.is_idle() {
                *at += end + 2;
                self.has_data = true;
                self.dispatched = true;
                return Some(Data::Input(start + 5 + usize::from(rest[5] == b' ')..start + end));
            }
            *at += end + 1;
            if rest[end] == b'\r' {
                match input.get(*at) {
                    Some(b'\n') => *at += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            let is_event = if self.open.is_empty() {
                self.line(&rest[..end])
            } else {
                let mut line = std::mem::take(&mut self.open);
                line.extend_from_slice(&rest[..end]);
                let is_event = self.line(&line);
                line.clear();
                line.shrink_to(KEPT_BYTES);
                self.open = line;
                is_event
            };
            if is_event {
                self.dispatched = true;
                return Some(Data::Kept);
            }
        }
    }

    /// Is nothing of a block known, and no line open?
    fn is_idle(&self) -> bool {
        self.open.is_empty() && !self.has_data && self.event.is_empty() && self.retries.is_empty()
    }

    /// Takes a line; true if it ends an event.
    fn line(&mut self, line: &[u8]) -> bool {
        if line.is_empty() {
            return self.is_sure() || !self.retries.is_empty();
        }
        match field(line) {
            (b"data", value) => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            (b"event", value) => self.event = value.to_vec(),
            (b"id", value) if !value.contains(&0) => self.last_id = value.to_vec(),
            (b"retry", value) => self.retries.push(value.to_vec()),
            _ => {}
        }
        false
    }

    fn begin_block(&mut self) {
        self.dispatched = false;
        self.data.clear();
        self.data.shrink_to(KEPT_BYTES);
        self.has_data = false;
        self.event.clear();
        self.retries.clear();
    }
}

/// sseclient-py's parser, between two pieces of input.
#[derive(Default)]
pub struct SseClient {
    /// The open block.
    open: Vec<u8>,
    /// The open block was given out.
    is_given: bool,
}

/// An event of sseclient-py's.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SseClientEvent<'a> {
    /// Its type; empty where none was sent.
    pub event: &'a str,
    /// Its lines of data.
    pub data: Cow<'a, str>,
    /// Its id.
    pub id: Option<&'a str>,
    /// What was sent as `retry`.
    pub retry: Option<&'a str>,
}

impl SseClient {
    /// The next block of `input[*at..]`, for [`SseClient::read`]; None when all of it is consumed. Pass new input only
    /// then.
    #[inline]
    pub fn next<'a>(&'a mut self, input: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
        self.forget();
        let start = *at;
        if !self.find_end(input, at) {
            self.open.extend_from_slice(&input[start..]);
            return None;
        }
        if self.open.is_empty() {
            return Some(&input[start..*at]);
        }
        self.open.extend_from_slice(&input[start..*at]);
        self.is_given = true;
        Some(&self.open)
    }

    /// The end of the input: the block that is open, if one is.
    pub fn finish(&mut self) -> Option<&[u8]> {
        self.forget();
        self.is_given = true;
        (!self.open.is_empty()).then_some(&self.open)
    }

    /// Takes the beginning of the open block out, for who reads on instead.
    pub fn take_rest(&mut self) -> Vec<u8> {
        self.forget();
        std::mem::take(&mut self.open)
    }

    fn forget(&mut self) {
        if std::mem::take(&mut self.is_given) {
            self.open.clear();
            self.open.shrink_to(KEPT_BYTES);
        }
    }

    /// Moves `at` behind the open block's end in the input; false if it is not there.
    fn find_end(&self, input: &[u8], at: &mut usize) -> bool {
        let start = *at;
        while let Some(found) = memchr2(b'\n', b'\r', &input[*at..]) {
            let end = *at + found;
            *at = end + 1;
            // A byte of the block, so many before the line end.
            let before = |count: usize| match (end - start).checked_sub(count) {
                Some(place) => Some(input[start + place]),
                None => self.open.len().checked_sub(count - (end - start)).map(|place| self.open[place]),
            };
            let is_end = if input[end] == b'\n' {
                match before(1) {
                    Some(b'\n') => true,
                    Some(b'\r') => before(2) == Some(b'\n') && before(3) == Some(b'\r'),
                    _ => false,
                }
            } else {
                // The CR of a CRLF ends nothing, unless the LF comes with the next input.
                before(1) == Some(b'\r') && input.get(*at) != Some(&b'\n')
            };
            if is_end {
                return true;
            }
        }
        *at = input.len();
        false
    }

    /// The event of a block; None if it has no data, and the first line that is no UTF-8 if one is.
    pub fn read(block: &[u8]) -> Result<Option<SseClientEvent<'_>>, &[u8]> {
        let Ok(text) = simdutf8::basic::from_utf8(block) else {
            let is_invalid = |line: &&[u8]| simdutf8::basic::from_utf8(line).is_err();
            return Err(lines(block).map(|line| &block[line]).find(is_invalid).unwrap_or(block));
        };
        let mut event = SseClientEvent::default();
        let mut data: Option<Cow<'_, str>> = None;
        for line in lines(block) {
            let (name, value) = field(&block[line.clone()]);
            let value = &text[line.end - value.len()..line.end];
            match name {
                b"data" => match &mut data {
                    Some(earlier) => {
                        let earlier = earlier.to_mut();
                        earlier.push('\n');
                        earlier.push_str(value);
                    }
                    None => data = Some(Cow::Borrowed(value)),
                },
                b"event" => event.event = value,
                b"id" => event.id = Some(value),
                b"retry" => event.retry = Some(value),
                _ => {}
            }
        }
        Ok(data.map(|data| SseClientEvent { data, ..event }))
    }
}

/// The lines of a block, without their ends.
fn lines(block: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at;
        let rest = block.get(start..).filter(|rest| !rest.is_empty())?;
        let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        at += end + if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
        Some(start..start + end)
    })
}
