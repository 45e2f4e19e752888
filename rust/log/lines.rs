//! Blocks of a log in, its lines out, each with its place; one that is too long is told, and not kept.

use std::ops::Range;

/// How long a line may be.
pub const MAX_LINE_BYTES: usize = 256 << 20;

/// What is kept of the memory of a line that was put together.
const USUAL_LINE: usize = 4 << 20;

/// Where a line's text is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// In the input.
    Input(Range<usize>),
    /// In [`Lines::held`], so many bytes.
    Held(usize),
    /// Nowhere: so many bytes were too many.
    TooLong(u64),
}

/// A line, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub text: Text,
    /// Where it begins in the log.
    pub offset: u64,
    /// From 1.
    pub number: u64,
    /// Did an end of its own end it, not the source?
    pub ended: bool,
}

/// The state between two blocks. A line ends at LF; a CR before it belongs to the end.
pub(super) struct Lines {
    max: usize,
    /// Bytes so far.
    pub consumed: u64,
    number: u64,
    /// The open line, or the last one that crossed blocks.
    pub held: Vec<u8>,
    /// The bytes of the open line.
    size: u64,
    /// The line in `held` was given out.
    given: bool,
}

impl Lines {
    pub fn new(max: usize) -> Self {
        Self { max, consumed: 0, number: 0, held: Vec::new(), size: 0, given: false }
    }

    /// The next line that ends in this input; None if all of it is consumed.
    #[inline]
    pub fn next(&mut self, input: &[u8], at: &mut usize) -> Option<Line> {
        self.forget();
        let rest = &input[*at..];
        let Some(length) = memchr::memchr(b'\n', rest) else {
            self.hold(rest);
            self.consumed += rest.len() as u64;
            *at = input.len();
            return None;
        };
        let (start, offset) = (*at, self.consumed - self.size);
        *at += length + 1;
        self.consumed += length as u64 + 1;
        self.number += 1;
        let text = if self.size == 0 && length <= self.max + 1 {
            let length = length - usize::from(rest[..length].ends_with(b"\r"));
            if length > self.max { Text::TooLong(length as u64) } else { Text::Input(start..start + length) }
        } else {
            self.hold(&rest[..length]);
            let length = self.size as usize - usize::from(self.held.ends_with(b"\r"));
            self.give(length)
        };
        Some(Line { text, offset, number: self.number, ended: true })
    }

    /// The end of the source: the line that it leaves open.
    pub fn finish(&mut self) -> Option<Line> {
        self.forget();
        if self.size == 0 {
            return None;
        }
        self.number += 1;
        let offset = self.consumed - self.size;
        let text = self.give(self.size as usize);
        Some(Line { text, offset, number: self.number, ended: false })
    }

    /// Another source begins, whose places are counted anew; gives how many bytes this one has.
    pub fn restart(&mut self) -> u64 {
        self.number = 0;
        std::mem::take(&mut self.consumed)
    }

    /// Is no line open?
    pub fn is_between(&self) -> bool {
        self.size == 0
    }

    /// Takes note of whole lines that were found without this.
    pub fn pass(&mut self, bytes: usize, lines: u64) {
        self.consumed += bytes as u64;
        self.number += lines;
    }

    /// The number of the next line.
    pub fn number(&self) -> u64 {
        self.number + 1
    }

    fn give(&mut self, length: usize) -> Text {
        self.size = 0;
        self.given = true;
        if length > self.max { Text::TooLong(length as u64) } else { Text::Held(length) }
    }

    fn forget(&mut self) {
        if std::mem::take(&mut self.given) {
            self.held.clear();
            self.held.shrink_to(USUAL_LINE);
        }
    }

    fn hold(&mut self, piece: &[u8]) {
        self.size += piece.len() as u64;
        // (Perhaps with a CR.)
        if self.size > self.max as u64 + 1 {
            self.held = Vec::new();
        } else {
            self.held.extend_from_slice(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(log: &[u8], cut: usize, max: usize) -> Vec<(Option<Vec<u8>>, u64, u64, bool)> {
        let (mut lines, mut found) = (Lines::new(max), Vec::new());
        let mut take = |line: Line, input: &[u8], held: &[u8]| {
            let text = match line.text {
                Text::Input(span) => Some(input[span].to_vec()),
                Text::Held(length) => Some(held[..length].to_vec()),
                Text::TooLong(_) => None,
            };
            found.push((text, line.offset, line.number, line.ended));
        };
        for input in log.chunks(cut) {
            let mut at = 0;
            while let Some(line) = lines.next(input, &mut at) {
                take(line, input, &lines.held);
            }
            assert_eq!(at, input.len());
        }
        if let Some(line) = lines.finish() {
            take(line, &[], &lines.held);
        }
        assert_eq!(lines.consumed, log.len() as u64);
        found
    }

    #[test]
    fn lines_are_the_same_however_they_come() {
        let log = b"one\r\n\n{\"two\": 2}\n\r\nthree\rfour\r\r\nfive, the last one\r";
        for max in [3, 4, 5, 10, 11, 100] {
            let whole = lines(log, log.len(), max);
            assert_eq!(whole.len(), 6);
            assert_eq!(whole[0], (Some(b"one".to_vec()), 0, 1, true));
            assert_eq!(whole[4].0, (max >= 11).then(|| b"three\rfour\r".to_vec()));
            assert_eq!(whole[5].0, (max >= 19).then(|| b"five, the last one\r".to_vec()));
            for cut in 1..log.len() {
                assert_eq!(lines(log, cut, max), whole, "{cut} {max}");
            }
        }
    }
}
