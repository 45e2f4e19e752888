//! Strings that hold text of their own: an escaped JSON string in, its text out, and which byte of it stands where.
//!
//! A body of server-sent events is nearly all escapes (`\"` every few bytes), so the run between two of them is no unit
//! of work here: where the machine can, 64 bytes at a time lose their backslashes at once, whatever stands where.
//! `benches/logs.rs` measures it.

use crate::chunk::{escape, escape_length, plain_run, push_code};
use crate::error::{JsonError, JsonErrorKind};

/// Behind so many bytes of text without a line end a point is kept, so that no search is long.
const FAR: usize = 1 << 12;

/// Which byte of the text stands where in what was escaped. It knows by heart where lines begin, but for empty ones.
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
    if escaped.len() - at >= 64 {
        if wide::has_avx512() {
            // SAFETY: the machine has what it needs.
            return unsafe { wide::blocks_512(escaped, at, text, points) };
        }
        if wide::has_avx2() {
            // SAFETY: the machine has what it needs.
            return unsafe { wide::blocks(escaped, at, text, points) };
        }
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
            Some(&byte @ (b'n' | b'r')) => {
                text.push(if byte == b'n' { b'\n' } else { b'\r' });
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
    use std::arch::is_x86_feature_detected as has;
    use std::arch::x86_64::{
        __m128i, __m256i, __m512i, _mm_loadl_epi64, _mm_shuffle_epi8, _mm_storel_epi64, _mm256_cmpeq_epi8,
        _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_set1_epi8, _mm512_cmpeq_epi8_mask,
        _mm512_cmplt_epu8_mask, _mm512_loadu_si512, _mm512_mask_cmpeq_epi8_mask, _mm512_mask_permutexvar_epi8,
        _mm512_maskz_compress_epi8, _mm512_permutexvar_epi8, _mm512_set1_epi8, _mm512_storeu_si512,
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

    /// The backslashes that begin an escape, and the bytes that are escaped; `carry` is 1 if the first of all is.
    /// (simdjson's way: a subtraction carries from the first backslash of each run to its end.)
    #[inline(always)]
    pub(super) fn escapes(backslashes: u64, carry: u64) -> (u64, u64) {
        let may_begin = backslashes & !carry;
        let both = (may_begin << 1 | ODD).wrapping_sub(may_begin) ^ ODD;
        (both & backslashes, both ^ (backslashes | carry))
    }

    /// So many bytes are unescaped between two looks at what is far: see [`keep_near`](super::keep_near).
    const STRETCH: usize = super::FAR;

    /// What is to be done with a block.
    struct Work {
        /// The bytes to keep, and those of them that are the letters of an escape.
        kept: u64,
        letters: u64,
        /// How many bytes of the block are done.
        done: usize,
        /// 1 if the last of them is the backslash of an escape, of which nothing was kept.
        carry: u64,
        /// Behind them comes what is not known here.
        stops: bool,
    }

    /// What is to be done with a block where `known` are the bytes that may be escaped. The closing quote, a control
    /// character, or an escape that is not known stops.
    #[inline(always)]
    fn work(backslashes: u64, quotes: u64, controls: u64, known: u64, carry: u64) -> Work {
        let (begins, letters) = escapes(backslashes, carry);
        let odd = letters & !known;
        let stop = quotes & !letters | controls | odd;
        if stop == 0 {
            return Work { kept: !begins, letters, done: 64, carry: begins >> 63, stops: false };
        }
        let done = stop.trailing_zeros();
        let before = (1 << done) - 1;
        let (kept, letters) = (before & !begins, before & letters);
        Work { kept, letters, done: done as usize, carry: odd >> done & 1, stops: true }
    }

    /// Keeps a point behind each line end that no other follows; the bits of `line_ends` are their letters. The first byte
    /// of the block stands at `at`; its text begins at `text`.
    #[inline(always)]
    fn keep_lines(points: &mut Vec<(usize, usize)>, line_ends: u64, kept: u64, text: usize, at: usize) {
        let mut left = line_ends & !(line_ends >> 2);
        while left != 0 {
            let until = left ^ (left - 1);
            points.push((text + (kept & until).count_ones() as usize, at + until.count_ones() as usize));
            left &= left - 1;
        }
    }

    /// The loop of both kernels: unescapes blocks up to what stops it, or to where fewer than 64 bytes are left, and gives
    /// the place of that. `$load` makes a block of 64 bytes, and tells of them what [`work`] asks for but the carry;
    /// `$store` writes 64 bytes, of which those that are kept come first, and gives the letters that became `\n`.
    macro_rules! all_blocks {
        ($escaped:ident, $at:ident, $text:ident, $points:ident, $load:expr, $store:expr) => {{
            // Nothing grows when it is unescaped; a block is stored as 64 bytes, whatever is dropped of it.
            $text.reserve($escaped.len() - $at + 64);
            let (mut carry, mut stops) = (0, false);
            while !stops && $escaped.len() - $at >= 64 {
                super::keep_near($points, $text.len(), $at - carry as usize);
                let stretch = &$escaped[$at..$escaped.len().min($at + STRETCH)];
                let begin = $text.len();
                let to = $text.as_mut_ptr();
                let mut length = begin;
                for block in stretch.as_chunks::<64>().0 {
                    let (block, [backslashes, quotes, controls, known]) = $load(block);
                    let work = work(backslashes, quotes, controls, known, carry);
                    // SAFETY: there is room for all that is left, and 64 bytes more.
                    let line_ends = unsafe { $store(block, &work, to.add(length)) };
                    keep_lines($points, line_ends, work.kept, length, $at);
                    length += work.kept.count_ones() as usize;
                    $at += work.done;
                    carry = work.carry;
                    if work.stops {
                        stops = true;
                        break;
                    }
                }
                // SAFETY: so many bytes were written.
                unsafe { $text.set_len(length) };
            }
            // An escape that is not known, or is cut, is left with its backslash.
            $at - carry as usize
        }};
    }

    /// Is there what [`blocks`] needs?
    #[inline(always)]
    pub(super) fn has_avx2() -> bool {
        has!("avx2") && has!("popcnt") && has!("bmi1")
    }

    /// Is there what [`blocks_512`] needs?
    #[inline(always)]
    pub(super) fn has_avx512() -> bool {
        let bytes = has!("avx512f") && has!("avx512bw") && has!("avx512vbmi") && has!("avx512vbmi2");
        bytes && has!("popcnt") && has!("bmi1") && has!("bmi2")
    }

    #[target_feature(enable = "avx2,popcnt,bmi1")]
    pub(super) fn blocks(escaped: &[u8], mut at: usize, text: &mut Vec<u8>, points: &mut Vec<(usize, usize)>) -> usize {
        let load = |block: &[u8; 64]| {
            // SAFETY: both halves lie in the block, and the load wants no alignment.
            let halves = unsafe {
                let halves = block.as_ptr().cast::<__m256i>();
                [_mm256_loadu_si256(halves), _mm256_loadu_si256(halves.add(1))]
            };
            let mask = |low: __m256i, high: __m256i| {
                let [low, high] = [low, high].map(|half| u64::from(_mm256_movemask_epi8(half).cast_unsigned()));
                low | high << 32
            };
            let equal = |byte: u8| {
                let byte = _mm256_set1_epi8(byte.cast_signed());
                mask(_mm256_cmpeq_epi8(halves[0], byte), _mm256_cmpeq_epi8(halves[1], byte))
            };
            let last = _mm256_set1_epi8(0x1f);
            let [low, high] = halves.map(|half| _mm256_cmpeq_epi8(_mm256_min_epu8(half, last), half));
            let (backslashes, quotes, ends) = (equal(b'\\'), equal(b'"'), equal(b'n') | equal(b'r'));
            let known = backslashes | quotes | ends | equal(b'/');
            ((*block, ends), [backslashes, quotes, mask(low, high), known])
        };
        let store = |(block, ends): ([u8; 64], u64), work: &Work, start: *mut u8| {
            let mut to = start;
            for group in 0..8 {
                let dropped = (!work.kept >> (8 * group)) as usize & 0xff;
                // SAFETY: the group lies in the block; the table's rows have 8 bytes; groups before this one have moved
                // `to` by at most 8 bytes each, and from `start` on there are 64.
                unsafe {
                    let bytes = _mm_loadl_epi64(block.as_ptr().add(8 * group).cast::<__m128i>());
                    let kept = _mm_loadl_epi64(KEPT[dropped].as_ptr().cast::<__m128i>());
                    _mm_storel_epi64(to.cast::<__m128i>(), _mm_shuffle_epi8(bytes, kept));
                    to = to.add(8 - dropped.count_ones() as usize);
                }
            }
            let (ends, mut line_ends) = (ends & work.letters, 0);
            let mut left = ends;
            while left != 0 {
                let bit = left & left.wrapping_neg();
                left ^= bit;
                let is_new_line = block[bit.trailing_zeros() as usize] == b'n';
                line_ends |= if is_new_line { bit } else { 0 };
                let place = (work.kept & (bit - 1)).count_ones() as usize;
                // SAFETY: the place is one of the 64.
                unsafe { start.add(place).write(if is_new_line { b'\n' } else { b'\r' }) };
            }
            line_ends
        };
        all_blocks!(escaped, at, text, points, load, store)
    }

    /// By the last six bits of a byte, the letter of the escape that may have them, and what it stands for.
    const fn letters(of: usize) -> [u8; 64] {
        const LETTERS: [[u8; 2]; 5] = [[b'"', b'"'], [b'\\', b'\\'], [b'/', b'/'], [b'n', b'\n'], [b'r', b'\r']];
        // (None of them has these bits: nothing that has them is known.)
        let mut table = [b'\\'; 64];
        let mut one = 0;
        while one < LETTERS.len() {
            table[LETTERS[one][0] as usize & 63] = LETTERS[one][of];
            one += 1;
        }
        table
    }

    /// The same where the machine can drop bytes by itself.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2,popcnt,bmi1,bmi2")]
    pub(super) fn blocks_512(
        escaped: &[u8],
        mut at: usize,
        text: &mut Vec<u8>,
        points: &mut Vec<(usize, usize)>,
    ) -> usize {
        // SAFETY: 64 bytes can be read from where 64 bytes are, and the load wants no alignment.
        let read = |bytes: &[u8; 64]| unsafe { _mm512_loadu_si512(bytes.as_ptr().cast::<__m512i>()) };
        let splat = |byte: u8| _mm512_set1_epi8(byte.cast_signed());
        let (letters, meanings) = (read(&const { letters(0) }), read(&const { letters(1) }));
        let load = |block: &[u8; 64]| {
            let block = read(block);
            let masks = [
                _mm512_cmpeq_epi8_mask(block, splat(b'\\')),
                _mm512_cmpeq_epi8_mask(block, splat(b'"')),
                _mm512_cmplt_epu8_mask(block, splat(0x20)),
                _mm512_cmpeq_epi8_mask(block, _mm512_permutexvar_epi8(block, letters)),
            ];
            (block, masks)
        };
        let store = |block: __m512i, work: &Work, start: *mut u8| {
            let text = _mm512_mask_permutexvar_epi8(block, work.letters, block, meanings);
            let kept = _mm512_maskz_compress_epi8(work.kept, text);
            // SAFETY: from `start` on there are 64 bytes, and the store wants no alignment.
            unsafe { _mm512_storeu_si512(start.cast::<__m512i>(), kept) };
            _mm512_mask_cmpeq_epi8_mask(work.letters, text, splat(b'\n'))
        };
        all_blocks!(escaped, at, text, points, load, store)
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

    type Kernel = fn(&[u8], usize, &mut Vec<u8>, &mut Vec<(usize, usize)>) -> usize;

    /// Those of this machine.
    fn kernels() -> Vec<(&'static str, Kernel)> {
        let mut kernels: Vec<(&str, Kernel)> = vec![("portable", portable)];
        #[cfg(target_arch = "x86_64")]
        {
            if wide::has_avx2() {
                // SAFETY: the machine has what it needs.
                kernels.push(("AVX2", |escaped, at, text, points| unsafe { wide::blocks(escaped, at, text, points) }));
            }
            if wide::has_avx512() {
                // SAFETY: the machine has what it needs.
                kernels.push(("AVX-512", |escaped, at, text, points| unsafe {
                    wide::blocks_512(escaped, at, text, points)
                }));
            }
        }
        kernels
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
            for (name, kernel) in kernels() {
                let (mut other, mut points) = (Vec::new(), vec![(0, 1)]);
                let at = kernel(&escaped, 1, &mut other, &mut points);
                assert_eq!(other, expected[..other.len()], "{name}");
                assert_eq!(at, from.get(other.len()).copied().unwrap_or(at), "{name}");
                let is_known = match escaped.get(at..) {
                    None | Some([] | [b'"' | 0..0x20, ..]) => false,
                    Some([b'\\', next, ..]) => b"\"\\/nr".contains(next),
                    Some([b'\\']) => false,
                    Some(_) => true,
                };
                assert!(!is_known || (name != "portable" && at + 65 > escaped.len()), "{name} stops at {at}");
                let mut map = Map { points, last: 0, found: (0, 1), is_copy: false };
                for place in (0..other.len()).filter(|&place| is_begin(place)) {
                    assert_eq!(map.translate(place, &escaped), from[place], "{name}");
                }
            }
        }
    }
}
