//! The beginning of a log in, the values in it out, as far as they go: for recognising it, not for reading it.

use super::unescape::{Map, unescape};
use super::words::{behind_mark, is_space, skip_space};
use crate::chunk::number;

/// So deep it is looked.
pub(super) const MAX_DEPTH: usize = 16;
/// Into so many strings that hold JSON.
const MAX_STRINGS: usize = 3;

/// A value, as far as it goes.
pub(super) enum Seen {
    /// Its text, the object or array that it holds as JSON, and whether it was cut off.
    Text(Vec<u8>, Option<Box<Seen>>, bool),
    Object(Vec<(Vec<u8>, Seen)>, usize),
    Array(Vec<Seen>, usize),
    Number(Vec<u8>),
    Null,
    Bool,
}

impl Seen {
    /// The last member of this name.
    pub fn get(&self, name: &[u8]) -> Option<&Self> {
        match self {
            Self::Object(members, _) => members.iter().find(|(known, _)| known == name).map(|(_, value)| value),
            Self::Text(_, Some(inner), _) => inner.get(name),
            Self::Array(items, _) => items.get(std::str::from_utf8(name).ok()?.parse::<usize>().ok()?),
            _ => None,
        }
    }

    /// Was something in it cut off?
    pub fn is_cut(&self) -> bool {
        match self {
            Self::Text(.., cut) => *cut,
            Self::Object(members, _) => members.iter().any(|(_, value)| value.is_cut()),
            Self::Array(items, _) => items.iter().any(Self::is_cut),
            _ => false,
        }
    }

    /// How many bytes it takes.
    pub fn size(&self) -> usize {
        match self {
            Self::Text(text, ..) => text.len(),
            Self::Object(_, size) | Self::Array(_, size) => *size,
            _ => 0,
        }
    }
}

/// The first value of a text; and where it ends, if it does and is valid.
pub(super) fn first_value(text: &[u8]) -> (Option<Seen>, Option<usize>) {
    let mut scout = Scout { text, at: skip_space(text, behind_mark(text)), cut: false, strings: 0 };
    let seen = scout.value(0);
    (seen, (!scout.cut).then_some(scout.at))
}

struct Scout<'a> {
    text: &'a [u8],
    at: usize,
    /// It was cut off, or is no JSON.
    cut: bool,
    strings: usize,
}

impl Scout<'_> {
    fn byte(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn skip_space(&mut self) {
        self.at = skip_space(self.text, self.at.min(self.text.len()));
    }

    /// None if nothing is there.
    fn value(&mut self, depth: usize) -> Option<Seen> {
        match self.byte() {
            b'"' => {
                let text = self.string();
                let begins = text.get(skip_space(&text, 0)).copied();
                let inner = matches!(begins, Some(b'{' | b'[')) && self.strings < MAX_STRINGS && depth < MAX_DEPTH;
                let inner = inner.then(|| {
                    let at = skip_space(&text, 0);
                    let mut scout = Scout { text: &text, at, cut: false, strings: self.strings + 1 };
                    scout.value(depth).map(Box::new)
                });
                Some(Seen::Text(text, inner.flatten(), self.cut))
            }
            b'{' | b'[' if depth >= 512 => {
                self.cut = true;
                None
            }
            b'{' => Some(self.object(depth)),
            b'[' => Some(self.array(depth)),
            b'-' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => self.scalar(),
            _ => {
                self.cut = true;
                None
            }
        }
    }

    /// A number or a word, if it is whole and valid.
    fn scalar(&mut self) -> Option<Seen> {
        let rest = &self.text[self.at..];
        let is_of_it = |byte: &u8| !b" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f,]}\"[{:".contains(byte);
        let length = rest.iter().position(|byte| !is_of_it(byte)).unwrap_or(rest.len());
        let seen = match &rest[..length] {
            _ if length == rest.len() => None,
            b"NaN" | b"Infinity" | b"-Infinity" => Some(Seen::Number(rest[..length].to_vec())),
            b"null" => Some(Seen::Null),
            b"true" | b"false" => Some(Seen::Bool),
            text => {
                let start = usize::from(text[0] == b'-');
                let is_number = text.get(start).is_some_and(u8::is_ascii_digit) && number(text, start).end == length;
                is_number.then(|| Seen::Number(text.to_vec()))
            }
        };
        self.at += length;
        self.cut |= seen.is_none();
        seen
    }

    fn string(&mut self) -> Vec<u8> {
        let (mut text, start) = (Vec::new(), self.at);
        match unescape(self.text, self.at + 1, &mut text, &mut Map::default()) {
            Ok(end) => self.at = end + 1,
            Err(_) => {
                self.at = self.text.len();
                self.cut = true;
            }
        }
        // (What a string in a string holds has been looked at, and may have lone surrogates by now.)
        let raw = &self.text[start..self.at];
        if self.strings == 0 && std::str::from_utf8(raw).is_err() {
            text.clear();
            let _ = unescape(String::from_utf8_lossy(raw).as_bytes(), 1, &mut text, &mut Map::default());
        }
        text
    }

    fn object(&mut self, depth: usize) -> Seen {
        let start = self.at;
        let mut members: Vec<(Vec<u8>, Seen)> = Vec::new();
        self.at += 1;
        self.skip_space();
        while !self.cut && self.byte() != b'}' {
            if self.byte() != b'"' {
                self.cut = true;
                break;
            }
            let name = self.string();
            self.skip_space();
            if self.cut || self.byte() != b':' {
                self.cut = true;
                break;
            }
            self.at += 1;
            self.skip_space();
            let Some(value) = self.value(depth + 1) else { break };
            if depth < MAX_DEPTH {
                match members.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, known)) => *known = value,
                    None => members.push((name, value)),
                }
            }
            self.behind_value(b'}');
        }
        self.at = (self.at + 1).min(self.text.len());
        Seen::Object(members, self.at - start)
    }

    fn array(&mut self, depth: usize) -> Seen {
        let start = self.at;
        let mut items = Vec::new();
        self.at += 1;
        self.skip_space();
        while !self.cut && self.byte() != b']' {
            let Some(item) = self.value(depth + 1) else { break };
            if depth < MAX_DEPTH {
                items.push(item);
            }
            self.behind_value(b']');
        }
        self.at = (self.at + 1).min(self.text.len());
        Seen::Array(items, self.at - start)
    }

    fn behind_value(&mut self, close: u8) {
        self.skip_space();
        match self.byte() {
            b',' if !self.cut => {
                self.at += 1;
                self.skip_space();
                // A comma before the end is none of JSON's, but nobody is served by a doubt here.
            }
            byte if byte == close => {}
            _ => self.cut = true,
        }
    }
}

/// The lines of a head that have something in them; the last may be cut.
pub(super) fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|&byte| byte == b'\n').filter(|line| !line.iter().all(|&byte| is_space(byte)))
}
