//! Where blocks end, for clients that have rules of their own: bytes in, the place of a block's end out.
//!
//! The standard ends a block at an empty line. Some clients look for two line ends in a row instead, in the bytes that
//! came so far, and go on behind the first of them: then what a block is depends on where reads end, pairs may overlap,
//! and so they have to be found as these clients find them.

use memchr::memchr2;

/// How a client finds the end of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// At an empty line.
    Lines,
    /// At two line ends in a row, each LF, CR or CRLF: the most that has come by then.
    AnyPair,
    /// At two line ends of the same kind in a row.
    SamePair,
}

impl Framing {
    /// The first block that ends in `input[from..]`: where its text ends, and the place behind it.
    #[inline]
    #[must_use]
    pub fn end(self, input: &[u8], from: usize) -> Option<(usize, usize)> {
        let mut at = from;
        loop {
            at += memchr2(b'\n', b'\r', input.get(at..)?)?;
            if let Some(length) = self.boundary(&input[at..]) {
                return Some((at, at + length));
            }
            at += 1;
        }
    }

    /// From where a block is to be searched for its end if nothing was found in so many bytes of it.
    #[must_use]
    pub fn resume(length: usize) -> usize {
        length.saturating_sub(LONGEST - 1)
    }

    /// The length of the boundary that `rest` begins with.
    #[must_use]
    pub fn boundary(self, rest: &[u8]) -> Option<usize> {
        let known: &[&[u8]] = match self {
            Self::Lines => return None,
            Self::AnyPair => &[b"\r\n\r\n", b"\r\n\r", b"\r\n\n", b"\r\r\n", b"\n\r\n", b"\r\r", b"\n\r", b"\n\n"],
            Self::SamePair => &[b"\r\n\r\n", b"\n\n", b"\r\r"],
        };
        known.iter().find(|known| rest.starts_with(known)).map(|known| known.len())
    }
}

/// The longest boundary.
const LONGEST: usize = 4;

/// More levels than this are left to the client: those that write what they read once more have limits of their own.
const MAX_DEPTH: usize = 64;

/// Is JSON nested more deeply than any client is sure to take?
#[must_use]
pub fn is_deep(text: &[u8]) -> bool {
    let opens = |&&byte: &&u8| byte == b'{' || byte == b'[';
    if text.iter().filter(opens).count() <= MAX_DEPTH {
        return false;
    }
    let (mut depth, mut is_text, mut is_escaped) = (0usize, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            b'{' | b'[' if !is_text => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return true;
                }
            }
            b'}' | b']' if !is_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}
