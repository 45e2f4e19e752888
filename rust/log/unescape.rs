//! Strings that hold text of their own: an escaped JSON string in, its text out, and which byte of it stands where.
//!
//! A body of server-sent events is nearly all escapes (`\"` every few bytes), so the run between two of them is no unit
//! of work here: where the machine can, 64 bytes at a time lose their backslashes at once, whatever stands where.
//! `benches/unescape.rs` measures it.

use crate::chunk::{escape, escape_length, plain_run, push_code};
use crate::error::{JsonError, JsonErrorKind};

/// Behind so many bytes of text without a line end a point is kept, so that no search is long.
const FAR: usize = 1 << 12;

/// Which byte of the text stands where in what was escaped. It knows all lines of the text by heart.
#[derive(Clone, Debug, Default)]
pub struct Map {
    /// Bytes of the text, and where they stand, in order: the first of all and of each line, and others.
    points: Vec<(usize, usize)>,
    /// The last point that was asked for.
    last: usize,
    /// The last place that was found, and where it is: most often the next one is near.
    found: (usize, usize),
    /// The text stands there as it is, whatever looks like an escape in it.
    is_copy: bool,
}

impl Map {
    /// That of a text that stands somewhere as it is.
    pub fn straight(&mut self, start: usize) {
        self.points.clear();
        self.points.push((0, start));
        self.last = 0;
        self.found = (0, start);
        self.is_copy = false;
    }

    /// That of a text that is a copy of what stands there, with its escapes.
    pub fn copy(&mut self, start: usize) {
        self.straight(start);
        self.is_copy = true;
    }

    /// Where the text of length `length` from `from` on stands in `escaped`: a place in the text in, one in there out.
    pub fn translate(&mut self, place: usize, escaped: &[u8]) -> usize {
        let points = &self.points;
        if self.is_copy {
            return points.first().map_or(place, |point| point.1 + place);
        }
        if points.get(self.last).is_none_or(|point| point.0 > place) {
            self.last = 0;
        }
        // Most often it is one of the next.
        let mut steps = 8;
        while let Some(next) = points.get(self.last + 1)
            && next.0 <= place
        {
            self.last += 1;
            steps -= 1;
            if steps == 0 {
                self.last = points.partition_point(|point| point.0 <= place).saturating_sub(1);
                break;
            }
        }
        let Some(&(mut text, mut raw)) = points.get(self.last) else { return place };
        if (text..=place).contains(&self.found.0) {
            (text, raw) = self.found;
        }
        while text < place {
            let Some(&byte) = escaped.get(raw) else { break };
            if byte == b'\\' && escape_length(&escaped[raw..]).is_some() {
                let (code, taken) = escape_checked(&escaped[raw + 1..]);
                text += code_length(code);
                raw += 1 + taken;
            } else {
                text += 1;
                raw += 1;
            }
        }
        self.found = (text, raw);
        raw
    }
}

/// How many bytes a code takes in UTF-8.
fn code_length(code: u32) -> usize {
    match code {
        0..0x80 => 1,
        0x80..0x800 => 2,
        0x800..0x1_0000 => 3,
        _ => 4,
    }
}

/// Unescapes the string of `escaped` whose first byte behind the quote is at `start` into `text`, and gives the place of
/// its closing quote. Bytes that are no UTF-8 stay what they are; surrogates without a partner become three bytes.
///
/// # Errors
///
/// Why and where it is no string; `text` then has what stands before.
pub fn unescape(escaped: &[u8], start: usize, text: &mut Vec<u8>, map: &mut Map) -> Result<usize, JsonError> {
    text.clear();
    map.straight(start);
    let mut at = start;
    loop {
        at = blocks(escaped, at, text, &mut map.points);
        // (A kernel of its own would not pay: what is left is an odd escape, or the end.)
        let (end, _) = plain_run(&escaped[..escaped.len().min(at + 64)], at);
        text.extend_from_slice(&escaped[at..end]);
        keep_near(&mut map.points, text.len(), end);
        at = end;
        let Some(&byte) = escaped.get(at) else {
            return Err(JsonError { kind: JsonErrorKind::Unterminated, position: start - 1 });
        };
        match byte {
            b'"' => return Ok(at),
            b'\\' => {
                let rest = &escaped[at..];
                // CPython asks for one byte more than the digits.
                if escape_length(rest).is_none_or(|length| length == 6 && rest.len() == 6) {
                    return Err(bad_escape(rest, start, at));
                }
                let (code, taken) = escape_checked(&rest[1..]);
                push_code(text, code);
                at += 1 + taken;
                if matches!(code, 0x0a | 0x0d) {
                    map.points.push((text.len(), at));
                }
            }
            0..0x20 => return Err(JsonError { kind: JsonErrorKind::Control, position: at }),
            _ => {}
        }
    }
}

/// The code of a valid escape. A second one belongs to it only if that is valid too.
fn escape_checked(rest: &[u8]) -> (u32, usize) {
    if rest[0] == b'u' && (rest.len() < 12 || escape_length(&rest[5..]).is_none()) {
        return escape(&rest[..5]);
    }
    escape(rest)
}

/// What is wrong with the escape that `rest` begins with: see [`parse`](crate::chunk::parse).
#[cold]
fn bad_escape(rest: &[u8], start: usize, at: usize) -> JsonError {
    match rest.get(1) {
        None => JsonError { kind: JsonErrorKind::Unterminated, position: start - 1 },
        Some(b'u') => JsonError { kind: JsonErrorKind::UnicodeEscape, position: at + 1 },
        Some(_) => JsonError { kind: JsonErrorKind::Escape, position: at },
    }
}

/// Unescapes as many whole blocks as it can, up to what it does not know: gives the place of that.
#[inline]
fn blocks(escaped: &[u8], at: usize, text: &mut Vec<u8>, points: &mut Vec<(usize, usize)>) -> usize {
    #[cfg(target_arch = "x86_64")]
    if escaped.len() - at >= 64 && is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
        // SAFETY: the machine has both.
        return unsafe { wide::blocks(escaped, at, text, points) };
    }
    portable(escaped, at, text, points)
}

/// Keeps a point here if the last one is far.
#[inline(always)]
fn keep_near(points: &mut Vec<(usize, usize)>, text: usize, at: usize) {
    if points.last().is_none_or(|last| last.0 + FAR < text) {
        points.push((text, at));
    }
}

/// The plain runs and plain escapes, one behind the other: for machines without a kernel of their own.
fn portable(escaped: &[u8], mut at: usize, text: &mut Vec<u8>, points: &mut Vec<(usize, usize)>) -> usize {
    loop {
        let (end, _) = plain_run(escaped, at);
        text.extend_from_slice(&escaped[at..end]);
        at = end;
        keep_near(points, text.len(), at);
        if escaped.get(at) != Some(&b'\\') {
            return at;
        }
        match escaped.get(at + 1) {
            Some(&byte @ (b'"' | b'\\' | b'/')) => text.push(byte),
            Some(b'n') => {
                text.push(b'\n');
                points.push((text.len(), at + 2));
            }
            _ => return at,
        }
        at += 2;
    }
}

/// 64 bytes at once.
#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::{
        __m128i, __m256i, _mm_loadl_epi64, _mm_shuffle_epi8, _mm_storel_epi64, _mm256_cmpeq_epi8, _mm256_loadu_si256,
        _mm256_min_epu8, _mm256_movemask_epi8, _mm256_set1_epi8,
    };

    /// For each mask of bytes to drop, where the others are.
    static KEPT: [[u8; 8]; 256] = kept();

    const fn kept() -> [[u8; 8]; 256] {
        let mut table = [[0x80; 8]; 256];
        let mut mask = 0;
        while mask < 256 {
            let (mut place, mut left) = (0, 0);
            while place < 8 {
                if mask >> place & 1 == 0 {
                    table[mask][left] = place as u8;
                    left += 1;
                }
                place += 1;
            }
            mask += 1;
        }
        table
    }

    /// Bits 1, 3, 5, ...
    const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;

    /// The backslashes that begin an escape, and the bytes behind them, of those that are a run's first, third, ...
    /// (simdjson's way: a subtraction carries from the first of each run to its end.)
    #[inline(always)]
    pub(super) fn escapes(backslashes: u64) -> (u64, u64) {
        let behind = backslashes << 1;
        let both = (behind | ODD).wrapping_sub(backslashes) ^ ODD;
        (both & backslashes, both ^ backslashes)
    }

    #[inline(always)]
    fn below(bit: u32) -> u64 {
        if bit >= 64 { u64::MAX } else { (1 << bit) - 1 }
    }

    /// Unescapes blocks of 64 bytes, up to the closing quote, a control character or an escape other than `\"`, `\\`,
    /// `\/` and `\n`, or to where fewer are left; gives the place of that. Keeps a point behind each `\n`.
    #[target_feature(enable = "avx2,popcnt")]
    pub(super) fn blocks(escaped: &[u8], mut at: usize, text: &mut Vec<u8>, points: &mut Vec<(usize, usize)>) -> usize {
        // Nothing grows when it is unescaped; each group of 8 bytes is stored as 8.
        text.reserve(escaped.len() - at + 64);
        while let Some(block) = escaped.get(at..).and_then(<[u8]>::first_chunk::<64>) {
            // SAFETY: both halves lie in the block, and the load wants no alignment.
            let halves = unsafe {
                let halves = block.as_ptr().cast::<__m256i>();
                [_mm256_loadu_si256(halves), _mm256_loadu_si256(halves.add(1))]
            };
            let equal = |byte: u8| {
                let mask = |half| {
                    let equal = _mm256_cmpeq_epi8(half, _mm256_set1_epi8(byte.cast_signed()));
                    u64::from(_mm256_movemask_epi8(equal).cast_unsigned())
                };
                mask(halves[0]) | mask(halves[1]) << 32
            };
            let control = {
                let mask = |half| {
                    let control = _mm256_cmpeq_epi8(_mm256_min_epu8(half, _mm256_set1_epi8(0x1f)), half);
                    u64::from(_mm256_movemask_epi8(control).cast_unsigned())
                };
                mask(halves[0]) | mask(halves[1]) << 32
            };
            let (backslashes, quotes) = (equal(b'\\'), equal(b'"'));
            let (begins, escaped_bytes) = escapes(backslashes);
            let line_ends = equal(b'n') & escaped_bytes;
            let odd = escaped_bytes & !(quotes | backslashes | line_ends | equal(b'/'));
            // An escape that is not known is left with its backslash, as is one that is cut.
            let stop = (quotes & !escaped_bytes) | control | odd >> 1 | begins & 1 << 63;
            let length = stop.trailing_zeros();
            let drops = begins;
            let first = text.len();
            super::keep_near(points, first, at);
            // SAFETY: there is room for all that is left, and 64 bytes more.
            let mut to = unsafe { text.as_mut_ptr().add(first) };
            for group in 0..8 {
                let mask = (drops >> (8 * group)) as usize & 0xff;
                // SAFETY: the group lies in the block; what is stored is at most 64 bytes from the first on, which are
                // there; the table's rows have 8 bytes.
                unsafe {
                    let bytes = _mm_loadl_epi64(block.as_ptr().add(8 * group).cast::<__m128i>());
                    let kept = _mm_loadl_epi64(KEPT[mask].as_ptr().cast::<__m128i>());
                    _mm_storel_epi64(to.cast::<__m128i>(), _mm_shuffle_epi8(bytes, kept));
                    to = to.add(8 - mask.count_ones() as usize);
                }
            }
            let kept = below(length) & !drops;
            // SAFETY: so many bytes were stored.
            unsafe { text.set_len(first + kept.count_ones() as usize) };
            let mut left = line_ends & below(length);
            while left != 0 {
                let bit = left.trailing_zeros();
                left &= left - 1;
                let place = first + (kept & below(bit)).count_ones() as usize;
                text[place] = b'\n';
                points.push((place + 1, at + bit as usize + 1));
            }
            at += length as usize;
            if stop != 0 && stop != 1 << 63 {
                break;
            }
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One byte at a time.
    fn slow(escaped: &[u8], start: usize) -> (Vec<u8>, Vec<usize>) {
        let (mut text, mut from, mut at) = (Vec::new(), Vec::new(), start);
        while at < escaped.len() && escaped[at] != b'"' && escaped[at] >= 0x20 {
            let before = text.len();
            let first = at;
            if escaped[at] == b'\\' {
                if escape_length(&escaped[at..]).is_none_or(|length| length == 6 && at + 6 == escaped.len()) {
                    break;
                }
                let (code, taken) = escape_checked(&escaped[at + 1..]);
                push_code(&mut text, code);
                at += 1 + taken;
            } else {
                text.push(escaped[at]);
                at += 1;
            }
            from.resize(from.len() + text.len() - before, first);
        }
        (text, from)
    }

    #[test]
    fn all_ways_give_the_same_text_and_places() {
        let pieces: [&[u8]; 22] = [
            b"a",
            b"bcdefgh",
            b"data: {",
            b"\\\"",
            b"\\\\",
            b"\\n",
            b"\\n\\n",
            b"\\/",
            b"\\r",
            b"\\t",
            b"\\b",
            b"\\u0000",
            b"\\u00e9",
            b"\\ud83d\\ude00",
            b"\\ud83d",
            b"\\ude00",
            b"\xc3\xa9",
            b"n",
            b"\\\\n",
            b"\\\\\\\"",
            b"\\u000a",
            b"0123456789012345678901234567890123456789012345678901234567890123456789",
        ];
        let ends: [&[u8]; 9] = [b"\"", b"\", \"x\": 1}", b"", b"\\", b"\\u12", b"\\x", b"\x01", b"\\u", b"\\ud800\\u1"];
        let mut state = 7u32;
        let mut random = move |below: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize % below
        };
        for round in 0..20_000 {
            let mut escaped = vec![b'"'];
            for _ in 0..random(60) {
                escaped.extend_from_slice(pieces[random(if round % 2 == 0 { 9 } else { pieces.len() })]);
            }
            let last = random(ends.len());
            escaped.extend_from_slice(ends[last]);
            let (expected, from) = slow(&escaped, 1);
            let (mut text, mut map) = (Vec::new(), Map::default());
            let end = unescape(&escaped, 1, &mut text, &mut map);
            assert_eq!(text, expected, "{}", String::from_utf8_lossy(&escaped));
            let parsed = crate::chunk::parse(&escaped, escaped.len(), 0, &mut Vec::new());
            if let (Err(error), Err(parsed)) = (&end, &parsed)
                && parsed.kind != JsonErrorKind::Utf8
            {
                assert_eq!(error, parsed, "{}", String::from_utf8_lossy(&escaped));
            }
            assert_eq!(end.is_ok(), last < 2);
            let is_begin = |place: usize| place == 0 || from[place - 1] != from[place];
            for place in (0..from.len()).filter(|&place| is_begin(place)) {
                assert_eq!(map.translate(place, &escaped), from[place]);
            }
            for place in (0..from.len()).rev().filter(|&place| is_begin(place)) {
                assert_eq!(map.translate(place, &escaped), from[place]);
            }
            let (mut other, mut points) = (Vec::new(), Vec::new());
            let at = portable(&escaped, 1, &mut other, &mut points);
            assert_eq!(other, expected[..other.len()]);
            assert!(matches!(escaped.get(at), None | Some(b'"' | b'\\' | 0..0x20)));
        }
    }
}
