//! A line of JSON in, the values out to which some paths lead; every byte of it is validated on the way.
//!
//! Its verdict is that of [`parse`](crate::chunk::parse), down to the message; but nothing is kept of what nobody asked
//! for, and the body is unescaped in the same pass.

use super::path::Path;
use super::unescape::{Map, unescape};
use crate::chunk::{MAX_DEPTH, Number, Type, escape_length, number, plain_run};
use crate::error::{JsonError, JsonErrorKind};

/// Through so many strings that hold JSON a path may lead.
const MAX_STRINGS: usize = 3;

/// What stands where the path of the body leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Body {
    /// Nothing.
    #[default]
    Missing,
    /// `null`.
    Null,
    /// A string, as far as it is valid.
    Text,
    /// An object or an array.
    Json,
    /// An array that does not end.
    OpenArray,
    /// Another value: what it is, in JSON's words.
    Other(&'static str),
}

/// What was found in a line. It keeps its memory for the next.
#[derive(Default)]
pub(super) struct Found {
    /// What the body is.
    pub kind: Body,
    /// Its text.
    pub body: Vec<u8>,
    map: Map,
    /// Where its value begins, in the text that holds it.
    start: usize,
    /// The strings through which the path led, from the inside.
    chain: Vec<(Vec<u8>, Map)>,
    /// The values of the other paths, as sent.
    pub others: Vec<Option<Vec<u8>>>,
    /// Is it whole?
    pub whole: bool,
    /// How many bodies were found: the last one counts.
    bodies: usize,
    spare: Option<Vec<u8>>,
}

/// What is kept of a body's memory for the next.
const USUAL_BODY: usize = 4 << 20;

impl Found {
    fn clear(&mut self, others: usize) {
        self.clear_body();
        self.body.shrink_to(USUAL_BODY);
        self.others.clear();
        self.others.resize(others, None);
    }

    fn clear_body(&mut self) {
        self.kind = Body::Missing;
        self.whole = true;
        self.body.clear();
        self.map.straight(0);
        for (text, _) in self.chain.drain(..) {
            self.spare = Some(text);
        }
    }

    /// Where a byte of the body stands in the line.
    pub fn place(&mut self, at: usize, line: &[u8]) -> usize {
        let at = self.map.translate(at, self.chain.first().map_or(line, |(text, _)| text));
        self.outwards(at, line)
    }

    /// Where its value begins in the line.
    pub fn start(&mut self, line: &[u8]) -> usize {
        self.outwards(self.start, line)
    }

    /// Where a byte of the text that holds the body stands in the line.
    fn outwards(&mut self, mut at: usize, line: &[u8]) -> usize {
        for number in 0..self.chain.len() {
            let (inner, outer) = self.chain.split_at_mut(number + 1);
            at = inner[number].1.translate(at, outer.first().map_or(line, |(text, _)| text));
        }
        at
    }
}

/// A path of which so many names are behind.
type Active = (usize, usize);

/// Walks lines.
pub(super) struct Walker {
    /// The first is that of the body.
    paths: Vec<Path>,
    all: Vec<Active>,
    /// Does a name have what stands for broken UTF-8?
    is_lossy: bool,
    max_digits: usize,
}

impl Walker {
    pub fn new(paths: Vec<Path>, max_digits: usize) -> Self {
        let all = (0..paths.len()).map(|path| (path, 0)).collect();
        let has_broken = |name: &[u8]| name.windows(3).any(|bytes| bytes == "\u{fffd}".as_bytes());
        let is_lossy = paths.iter().flat_map(Path::names).any(|name| has_broken(name));
        Self { paths, all, is_lossy, max_digits }
    }

    /// Finds what the paths lead to in a line that is to be an object.
    pub fn walk(&self, line: &[u8], found: &mut Found) -> Result<(), JsonError> {
        found.clear(self.paths.len() - 1);
        let mut walk = Walk { walker: self, text: line, strings: 0, found };
        walk.document(&self.all)
    }
}

struct Walk<'a> {
    walker: &'a Walker,
    text: &'a [u8],
    /// In how many strings the text is.
    strings: usize,
    found: &'a mut Found,
}

type At = Result<usize, JsonError>;

#[cold]
fn fail(kind: JsonErrorKind, position: usize) -> JsonError {
    JsonError { kind, position }
}

impl Walk<'_> {
    fn document(&mut self, active: &[Active]) -> Result<(), JsonError> {
        if self.text.starts_with(b"\xef\xbb\xbf") {
            return Err(fail(JsonErrorKind::ByteOrderMark, 0));
        }
        let at = self.skip_space(0);
        let at = match self.byte(at) {
            b'{' => self.object(at, 0, active)?,
            _ => self.value(at, 0)?,
        };
        let at = self.skip_space(at);
        if at == self.text.len() { Ok(()) } else { Err(fail(JsonErrorKind::Extra, at)) }
    }

    #[inline(always)]
    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn skip_space(&self, mut at: usize) -> usize {
        while matches!(self.byte(at), b' ' | b'\t' | b'\n' | b'\r') {
            at += 1;
        }
        at
    }

    /// Skips a value.
    fn value(&mut self, at: usize, depth: usize) -> At {
        match self.byte(at) {
            b'"' => Ok(self.string(at + 1)? + 1),
            b'{' => self.object(at, depth, &[]),
            b'[' => self.array(at, depth, &[]),
            b'0'..=b'9' => self.number(at, at),
            b'n' => self.word(at, b"null"),
            b't' => self.word(at, b"true"),
            b'f' => self.word(at, b"false"),
            b'-' if self.byte(at + 1).is_ascii_digit() => self.number(at, at + 1),
            b'-' => self.word(at, b"-Infinity"),
            b'N' => self.word(at, b"NaN"),
            b'I' => self.word(at, b"Infinity"),
            _ => Err(fail(JsonErrorKind::Value, at)),
        }
    }

    fn word(&self, at: usize, word: &[u8]) -> At {
        if self.text[at..].starts_with(word) { Ok(at + word.len()) } else { Err(fail(JsonErrorKind::Value, at)) }
    }

    fn number(&self, start: usize, at: usize) -> At {
        let Number { end, kind, digits } = number(self.text, at);
        let max = self.walker.max_digits;
        if kind == Type::Int && digits > max && max != 0 {
            return Err(fail(JsonErrorKind::Digits(max), start));
        }
        Ok(end)
    }

    /// The closing quote of a string that begins at `start`. It may hold bytes that are no UTF-8.
    #[inline]
    fn string(&self, start: usize) -> At {
        let mut at = start;
        loop {
            (at, _) = plain_run(self.text, at);
            match self.text.get(at) {
                Some(b'"') => return Ok(at),
                Some(b'\\') => match escape_length(&self.text[at..]) {
                    // CPython asks for one byte more than the digits.
                    Some(length) if length == 2 || at + 6 < self.text.len() => at += length,
                    _ => return Err(self.bad_escape(start, at)),
                },
                Some(_) => return Err(fail(JsonErrorKind::Control, at)),
                None => return Err(fail(JsonErrorKind::Unterminated, start - 1)),
            }
        }
    }

    #[cold]
    fn bad_escape(&self, start: usize, at: usize) -> JsonError {
        match self.text.get(at + 1) {
            None => fail(JsonErrorKind::Unterminated, start - 1),
            Some(b'u') => fail(JsonErrorKind::UnicodeEscape, at + 1),
            Some(_) => fail(JsonErrorKind::Escape, at),
        }
    }

    fn object(&mut self, start: usize, depth: usize, active: &[Active]) -> At {
        if depth >= MAX_DEPTH {
            return Err(fail(JsonErrorKind::TooDeep, start));
        }
        let mut at = self.skip_space(start + 1);
        if self.byte(at) == b'}' {
            return Ok(at + 1);
        }
        loop {
            if self.byte(at) != b'"' {
                return Err(fail(JsonErrorKind::Key, at));
            }
            let name = at + 1;
            let end = self.string(name)?;
            at = self.skip_space(end + 1);
            if self.byte(at) != b':' {
                return Err(fail(JsonErrorKind::Colon, at));
            }
            at = self.skip_space(at + 1);
            at = match self.led_to(&self.text[name..end], active) {
                Some(next) => self.wanted(at, depth + 1, &next)?,
                None => self.value(at, depth + 1)?,
            };
            at = self.skip_space(at);
            match self.byte(at) {
                b',' => at = self.skip_space(at + 1),
                b'}' => return Ok(at + 1),
                _ => return Err(fail(JsonErrorKind::Comma, at)),
            }
        }
    }

    fn array(&mut self, start: usize, depth: usize, active: &[Active]) -> At {
        if depth >= MAX_DEPTH {
            return Err(fail(JsonErrorKind::TooDeep, start));
        }
        let mut at = self.skip_space(start + 1);
        if self.byte(at) == b']' {
            return Ok(at + 1);
        }
        let mut item = 0;
        loop {
            let next: Vec<Active> = active
                .iter()
                .filter(|&&(path, behind)| index(&self.walker.paths[path].names()[behind]) == Some(item))
                .map(|&(path, behind)| (path, behind + 1))
                .collect();
            at = if next.is_empty() { self.value(at, depth + 1)? } else { self.wanted(at, depth + 1, &next)? };
            item += 1;
            at = self.skip_space(at);
            match self.byte(at) {
                b',' => at = self.skip_space(at + 1),
                b']' => return Ok(at + 1),
                _ => return Err(fail(JsonErrorKind::Comma, at)),
            }
        }
    }

    /// The paths that lead through a key, given as sent.
    #[inline]
    fn led_to(&self, key: &[u8], active: &[Active]) -> Option<Vec<Active>> {
        if active.is_empty() {
            return None;
        }
        let lossy = self.walker.is_lossy.then(|| String::from_utf8_lossy(key));
        let key = lossy.as_ref().map_or(key, |key| key.as_bytes());
        let paths = &self.walker.paths;
        let filter = |key: &[u8]| {
            let mut next = Vec::new();
            for &(path, behind) in active {
                if *paths[path].names()[behind] == *key {
                    next.push((path, behind + 1));
                }
            }
            (!next.is_empty()).then_some(next)
        };
        if memchr::memchr(b'\\', key).is_none() {
            return filter(key);
        }
        let mut text = Vec::new();
        let quoted = [b"\"", key, b"\""].concat();
        unescape(&quoted, 1, &mut text, &mut Map::default()).ok().and_then(|_| filter(&text))
    }

    /// Reads a value to which paths lead.
    fn wanted(&mut self, at: usize, depth: usize, active: &[Active]) -> At {
        let ends = |&&(path, behind): &&Active| self.walker.paths[path].names().len() == behind;
        let ended: Vec<usize> = active.iter().filter(ends).map(|&(path, _)| path).collect();
        let further: Vec<Active> = active.iter().filter(|one| !ends(one)).copied().collect();
        let begins = match self.byte(at) {
            b'"' => true,
            b'{' | b'[' => depth < MAX_DEPTH,
            _ => self.value(at, depth).is_ok(),
        };
        if !begins {
            return self.value(at, depth);
        }
        // Of members that come twice the last one counts that has a value, also if it is another thing.
        for &(path, _) in active {
            match path.checked_sub(1) {
                None => self.found.clear_body(),
                Some(other) => self.found.others[other] = None,
            }
        }
        let is_body = ended.contains(&0);
        let end = match self.byte(at) {
            b'"' if is_body => {
                let Found { body, map, kind, bodies, start, .. } = &mut *self.found;
                *kind = Body::Text;
                *start = at;
                *bodies += 1;
                unescape(self.text, at + 1, body, map).map(|end| end + 1)
            }
            b'"' if !further.is_empty() && self.strings < MAX_STRINGS => return self.through(at, &ended, &further),
            b'{' => self.object(at, depth, &further),
            b'[' => self.array(at, depth, &further),
            _ => self.value(at, depth),
        };
        if is_body {
            self.found.whole = end.is_ok();
            self.take_body(at, &end);
        }
        let end = end?;
        self.take(at, end, &ended);
        Ok(end)
    }

    fn take(&mut self, at: usize, end: usize, ended: &[usize]) {
        for other in ended.iter().filter_map(|path| path.checked_sub(1)) {
            self.found.others[other] = Some(self.text[at..end].to_vec());
        }
    }

    /// Takes a body that is no string.
    fn take_body(&mut self, at: usize, end: &At) {
        let Found { body, map, kind, bodies, start, .. } = &mut *self.found;
        let (first, until) = (self.text.get(at), *end.as_ref().unwrap_or(&self.text.len()));
        *kind = match (first, end) {
            (Some(b'"'), _) => return,
            (Some(b'{' | b'['), Ok(_)) => Body::Json,
            (Some(b'['), Err(_)) => Body::OpenArray,
            (Some(b'n'), Ok(_)) => Body::Null,
            (Some(b't' | b'f'), Ok(_)) => Body::Other("boolean"),
            (Some(_), Ok(_)) => Body::Other("number"),
            // An object that does not end says nothing.
            (Some(b'{'), Err(error)) if error.position > at || error.kind == JsonErrorKind::Unterminated => Body::Null,
            _ => return,
        };
        *start = at;
        *bodies += 1;
        if matches!(kind, Body::Json | Body::OpenArray) {
            let until = match end {
                Err(error) if error.kind != JsonErrorKind::Unterminated => error.position.max(at),
                _ => until,
            };
            body.extend_from_slice(&self.text[at..until.min(self.text.len())]);
            map.copy(at);
        }
    }

    /// Reads a string to which paths lead, and through which others lead further: what it holds may be JSON. (If that
    /// breaks off, what stands before counts.)
    fn through(&mut self, at: usize, ended: &[usize], further: &[Active]) -> At {
        let (mut text, mut map) = (self.found.spare.take().unwrap_or_default(), Map::default());
        let result = unescape(self.text, at + 1, &mut text, &mut map);
        let before = self.found.bodies;
        let mut walk = Walk { walker: self.walker, text: &text, strings: self.strings + 1, found: self.found };
        let _ = walk.inner(further);
        if self.found.bodies > before && self.found.kind != Body::Missing {
            self.found.chain.push((text, map));
        } else {
            self.found.spare = Some(text);
        }
        let end = result? + 1;
        self.take(at, end, ended);
        Ok(end)
    }

    fn inner(&mut self, active: &[Active]) -> At {
        let at = self.skip_space(0);
        match self.byte(at) {
            b'{' => self.object(at, 0, active),
            b'[' => self.array(at, 0, active),
            b'"' if self.strings < MAX_STRINGS => self.through(at, &[], active),
            _ => Ok(at),
        }
    }
}

/// The place in an array that a name stands for.
fn index(name: &[u8]) -> Option<usize> {
    if name.is_empty() || !name.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(name).ok()?.parse().ok()
}
