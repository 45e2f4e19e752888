//! The careful parser: an event's data in, its structure as [`Node`]s out, or the reason why it is not JSON.
//!
//! Strict and complete: it accepts exactly what CPython's `json.loads` accepts (`NaN`, `Infinity`, lone surrogates in
//! escapes, duplicate keys) down to [`MAX_DEPTH`], with the same messages and positions where it does not, and it
//! validates every byte, UTF-8 included. It is the reference that faster paths are proved against: they may decline
//! an event, but only this parser may refuse one.
//!
//! Before you change it: `benches/careful.rs` tells what a change costs. It allocates nothing but nodes, and those
//! only until the caller's vector has grown to its usual size.

use super::doc::{ESCAPED, NOT_ASCII, Node, Type};
use super::keys::Key;
use super::scan::plain_run;
use super::text;
use super::token::{self, Number};
use crate::error::{JsonError, JsonErrorKind};

/// How deep containers may be nested. Fixed, so that a document's verdict never depends on thread or engine.
pub const MAX_DEPTH: usize = 512;

/// Which of the known keys the outermost object has: bit `Key as u8`.
pub type KeySet = u64;

/// Reads the JSON document `text[..length]` and appends its nodes.
///
/// `text` may go on behind `length` (the rest of a block): what stands there is never read as part of the document,
/// but lets the scan for quotes load whole registers. `max_digits` bounds the digits of an integer, 0 for no bound
/// (CPython's `sys.get_int_max_str_digits`).
///
/// # Errors
///
/// Why and where the text is not JSON; `nodes` then holds leftovers behind its former length.
#[inline]
pub fn parse(text: &[u8], length: usize, max_digits: usize, nodes: &mut Vec<Node>) -> Result<KeySet, JsonError> {
    let mut cursor = Cursor {
        text: &text[..length],
        wide: text,
        max_digits,
        base: nodes.len(),
        nodes,
        root_keys: 0,
        error: JsonError { kind: JsonErrorKind::Value, position: 0 },
    };
    match cursor.document() {
        Ok(()) => Ok(cursor.root_keys),
        Err(Failed) => Err(cursor.error),
    }
}

/// The error is in the cursor; this only says that there is one, so that results travel in registers.
struct Failed;

type At = Result<usize, Failed>;

struct Cursor<'a> {
    text: &'a [u8],
    wide: &'a [u8],
    max_digits: usize,
    base: usize,
    nodes: &'a mut Vec<Node>,
    root_keys: KeySet,
    error: JsonError,
}

impl Cursor<'_> {
    fn document(&mut self) -> Result<(), Failed> {
        if self.text.starts_with(b"\xef\xbb\xbf") {
            return Err(self.fail(JsonErrorKind::ByteOrderMark, 0));
        }
        let at = self.skip_space(0);
        let at = self.value(at, 0)?;
        let at = self.skip_space(at);
        if at == self.text.len() { Ok(()) } else { Err(self.fail(JsonErrorKind::Extra, at)) }
    }

    #[cold]
    #[inline(never)]
    fn fail(&mut self, kind: JsonErrorKind, position: usize) -> Failed {
        self.error = JsonError { kind, position };
        Failed
    }

    #[inline(always)]
    fn byte(&self, at: usize) -> u8 {
        token::byte(self.text, at)
    }

    #[inline(always)]
    fn skip_space(&self, mut at: usize) -> usize {
        while matches!(self.byte(at), b' ' | b'\t' | b'\n' | b'\r') {
            at += 1;
        }
        at
    }

    #[inline(always)]
    fn push(&mut self, kind: Type, start: usize, end: usize) {
        self.nodes.push(Node::new(kind, start, end, 0));
    }

    #[inline(always)]
    fn value(&mut self, at: usize, depth: usize) -> At {
        match self.byte(at) {
            b'"' => {
                let (end, flags) = self.string(at + 1)?;
                self.nodes.push(Node::new(Type::String, at + 1, end, flags));
                Ok(end + 1)
            }
            b'{' => self.object(at, depth),
            b'[' => self.array(at, depth),
            b'0'..=b'9' => self.number(at, at),
            b'n' => self.word(at, b"null", Type::Null),
            b't' => self.word(at, b"true", Type::True),
            b'f' => self.word(at, b"false", Type::False),
            b'-' if self.byte(at + 1).is_ascii_digit() => self.number(at, at + 1),
            b'-' => self.word(at, b"-Infinity", Type::NegInfinity),
            b'N' => self.word(at, b"NaN", Type::NaN),
            b'I' => self.word(at, b"Infinity", Type::Infinity),
            _ => Err(self.fail(JsonErrorKind::Value, at)),
        }
    }

    #[inline(always)]
    fn word(&mut self, at: usize, word: &[u8], kind: Type) -> At {
        if self.text[at..].starts_with(word) {
            self.push(kind, at, at + word.len());
            Ok(at + word.len())
        } else {
            Err(self.fail(JsonErrorKind::Value, at))
        }
    }

    /// A number that begins at `start` and whose first digit is at `at`.
    #[inline]
    fn number(&mut self, start: usize, at: usize) -> At {
        let Number { end, kind, digits } = token::number(self.text, at);
        if kind == Type::Int && digits > self.max_digits && self.max_digits != 0 {
            return Err(self.fail(JsonErrorKind::Digits(self.max_digits), start));
        }
        self.push(kind, start, end);
        Ok(end)
    }

    /// The end of the string whose first byte behind the quote is at `start`, and its flags.
    #[inline(always)]
    fn string(&mut self, start: usize) -> Result<(usize, u32), Failed> {
        let (end, not_ascii) = plain_run(self.wide, start);
        if !not_ascii && self.byte(end) == b'"' {
            return Ok((end, 0));
        }
        self.hard_string(start, end, not_ascii)
    }

    /// The rest of a string that is not plain ASCII up to its quote.
    #[inline(never)]
    fn hard_string(&mut self, start: usize, mut end: usize, mut not_ascii: bool) -> Result<(usize, u32), Failed> {
        let mut flags = 0;
        loop {
            if end >= self.text.len() {
                return Err(self.fail(JsonErrorKind::Unterminated, start - 1));
            }
            match self.text[end] {
                b'"' => break,
                b'\\' => {
                    flags |= ESCAPED;
                    end = self.escape(start, end)?;
                }
                _ => return Err(self.fail(JsonErrorKind::Control, end)),
            }
            let (next, more) = plain_run(self.wide, end);
            end = next;
            not_ascii |= more;
        }
        if not_ascii {
            flags |= NOT_ASCII;
            if simdutf8::basic::from_utf8(&self.text[start..end]).is_err() {
                return Err(self.fail(JsonErrorKind::Utf8, start));
            }
        }
        Ok((end, flags))
    }

    /// Behind the escape whose backslash is at `at`.
    #[inline]
    fn escape(&mut self, start: usize, at: usize) -> At {
        let Some(&letter) = self.text.get(at + 1) else {
            return Err(self.fail(JsonErrorKind::Unterminated, start - 1));
        };
        match letter {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(at + 2),
            // CPython asks for one byte more than the four digits: a string that ends there has no quote anyway.
            b'u' => match self.text.get(at + 2..at + 7) {
                Some(digits) if digits[..4].iter().all(u8::is_ascii_hexdigit) => Ok(at + 6),
                _ => Err(self.fail(JsonErrorKind::UnicodeEscape, at + 1)),
            },
            _ => Err(self.fail(JsonErrorKind::Escape, at)),
        }
    }

    /// Opens a container: pushes its node and says where, for `close`.
    #[inline(always)]
    fn open(&mut self, kind: Type, start: usize, depth: usize) -> At {
        if depth >= MAX_DEPTH {
            return Err(self.fail(JsonErrorKind::TooDeep, start));
        }
        let node = self.nodes.len();
        self.push(kind, start, start);
        Ok(node)
    }

    #[inline(always)]
    fn close(&mut self, kind: Type, node: usize, start: usize, end: usize) -> At {
        let size = self.nodes.len() - node;
        self.nodes[node] = Node::new(kind, start, end + 1, size as u32);
        Ok(end + 1)
    }

    fn object(&mut self, start: usize, depth: usize) -> At {
        let node = self.open(Type::Object, start, depth)?;
        let mut at = self.skip_space(start + 1);
        if self.byte(at) == b'}' {
            return self.close(Type::Object, node, start, at);
        }
        loop {
            if self.byte(at) != b'"' {
                return Err(self.fail(JsonErrorKind::Key, at));
            }
            let name = at + 1;
            let (end, flags) = self.string(name)?;
            let key = if flags & ESCAPED == 0 {
                Key::at(self.wide, name, end)
            } else {
                Key::from_name(&text::unescape(&self.text[name..end]))
            };
            self.nodes.push(Node::key(name, end, flags, key));
            if node == self.base {
                self.root_keys |= 1 << key as u8;
            }
            at = self.skip_space(end + 1);
            if self.byte(at) != b':' {
                return Err(self.fail(JsonErrorKind::Colon, at));
            }
            at = self.skip_space(at + 1);
            at = self.value(at, depth + 1)?;
            at = self.skip_space(at);
            match self.byte(at) {
                b',' => at = self.skip_space(at + 1),
                b'}' => return self.close(Type::Object, node, start, at),
                _ => return Err(self.fail(JsonErrorKind::Comma, at)),
            }
        }
    }

    fn array(&mut self, start: usize, depth: usize) -> At {
        let node = self.open(Type::Array, start, depth)?;
        let mut at = self.skip_space(start + 1);
        if self.byte(at) == b']' {
            return self.close(Type::Array, node, start, at);
        }
        loop {
            at = self.value(at, depth + 1)?;
            at = self.skip_space(at);
            match self.byte(at) {
                b',' => at = self.skip_space(at + 1),
                b']' => return self.close(Type::Array, node, start, at),
                _ => return Err(self.fail(JsonErrorKind::Comma, at)),
            }
        }
    }
}
