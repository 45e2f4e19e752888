//! An array of JSON in, its elements out, one by one, whatever is wrong in some of them.
//!
//! An element ends where its brackets are closed. A string ends at the end of its line at the latest, since none can hold
//! that; so an array may come line by line.

use std::ops::Range;

use memchr::memchr3;

use super::words::is_space;

/// The state between two pieces of an array.
#[derive(Debug, Default)]
pub(super) struct Elements {
    /// Was its beginning seen, and its end?
    begun: bool,
    pub closed: bool,
    depth: usize,
    /// Is a string open?
    pub in_string: bool,
    /// The last byte was a backslash in a string that begins an escape.
    escaped: bool,
    /// What the open element is.
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Container,
    Scalar,
}

/// A piece of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub span: Range<usize>,
    /// Does the element begin with it?
    pub first: bool,
    /// Does it end with it?
    pub last: bool,
}

impl Elements {
    /// Is an element open?
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Ends an open element that is no object or array, if there is one: at the end of a line it is all that there is.
    pub fn end_scalar(&mut self) -> bool {
        let is_scalar = self.open == Some(Open::Scalar);
        if is_scalar {
            (self.open, self.in_string, self.escaped) = (None, false, false);
        }
        is_scalar
    }

    /// Forgets what was seen.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Where the next element of `text[*at..]` begins, if there is one: then [`Elements::next`] gives it, or
    /// [`Elements::pass`] is told its end.
    pub fn skip(&mut self, text: &[u8], at: &mut usize) -> bool {
        while !self.closed && self.open.is_none() && *at < text.len() {
            match text[*at] {
                b'[' if !self.begun => self.begun = true,
                b']' => self.closed = true,
                b',' => {}
                byte if is_space(byte) => {}
                _ => return true,
            }
            *at += 1;
        }
        self.open.is_some() && *at < text.len()
    }

    /// The next piece of an element, of `text[*at..]`, and moves `at` behind it.
    pub fn next(&mut self, text: &[u8], at: &mut usize) -> Option<Piece> {
        if !self.skip(text, at) {
            return None;
        }
        let start = *at;
        let first = self.open.is_none();
        if first {
            self.open = Some(if matches!(text[start], b'{' | b'[') { Open::Container } else { Open::Scalar });
        }
        let end = match self.open {
            Some(Open::Container) => self.end_of_container(text, start),
            _ => self.end_of_scalar(text, start, first),
        };
        *at = end.unwrap_or(text.len());
        if end.is_some() {
            self.open = None;
        }
        Some(Piece { span: start..*at, first, last: end.is_some() })
    }

    fn end_of_container(&mut self, text: &[u8], mut at: usize) -> Option<usize> {
        while at < text.len() {
            if self.in_string {
                at = self.end_of_string(text, at)?;
                continue;
            }
            match text[at] {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
            at += 1;
        }
        None
    }

    /// Behind the string that is open. (The end of its line is none of it.)
    fn end_of_string(&mut self, text: &[u8], mut at: usize) -> Option<usize> {
        loop {
            if std::mem::take(&mut self.escaped) && text.get(at).is_some_and(|&byte| byte != b'\n') {
                at += 1;
            }
            at += memchr3(b'"', b'\\', b'\n', text.get(at..)?)?;
            if text[at] != b'\\' {
                self.in_string = false;
                return Some(at + usize::from(text[at] == b'"'));
            }
            at += 1;
            self.escaped = true;
            if at == text.len() {
                return None;
            }
        }
    }

    fn end_of_scalar(&mut self, text: &[u8], mut at: usize, first: bool) -> Option<usize> {
        if self.in_string || (first && text[at] == b'"') {
            if !std::mem::replace(&mut self.in_string, true) {
                at += 1;
            }
            return self.end_of_string(text, at);
        }
        let end = text[at..].iter().position(|&byte| is_space(byte) || matches!(byte, b',' | b']'))?;
        Some(at + end)
    }
}

/// The end of an element, if there is one: where the next byte is none of it.
#[inline]
pub(super) fn ends_element(text: &[u8], end: usize) -> Option<usize> {
    text.get(end).is_some_and(|&byte| byte == b',' || byte == b']' || is_space(byte)).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(text: &[u8], cut: usize) -> (Vec<Vec<u8>>, bool, bool) {
        let (mut elements, mut found) = (Elements::default(), Vec::<Vec<u8>>::new());
        for piece in text.chunks(cut) {
            let mut at = 0;
            while let Some(Piece { span, first, .. }) = elements.next(piece, &mut at) {
                if first {
                    found.push(Vec::new());
                }
                found.last_mut().expect("one").extend_from_slice(&piece[span]);
            }
        }
        (found, elements.closed, elements.is_open())
    }

    #[test]
    fn elements_are_the_same_however_they_come() {
        for (text, expected, closed, open) in [
            (&b"[]"[..], &[][..], true, false),
            (
                b"[ {\"a\": \"}]\\\"[\"} , [1,[2]],\n3,\"x,]\\\\\", null ] behind",
                &[&b"{\"a\": \"}]\\\"[\"}"[..], b"[1,[2]]", b"3", b"\"x,]\\\\\"", b"null"],
                true,
                false,
            ),
            (b"[{\"a\":1},{\"b\": [", &[b"{\"a\":1}", b"{\"b\": ["], false, true),
            (b"[{\"a\":\"x\n\"},{\"b\":2}]", &[b"{\"a\":\"x\n\"},{\"b\":2}]"], false, true),
            (b"[{},", &[b"{}"], false, false),
            (b"[x\"\"\",1]", &[b"x\"\"\"", b"1"], true, false),
            (b"[\"x\n, \"y\\\n, 1]", &[b"\"x", b"\"y\\", b"1"], true, false),
        ] {
            for cut in 1..=text.len() {
                let (found, is_closed, is_open) = elements(text, cut);
                assert_eq!(found, expected, "{cut}");
                assert_eq!((is_closed, is_open), (closed, open), "{cut} {:?}", String::from_utf8_lossy(text));
            }
        }
    }
}
