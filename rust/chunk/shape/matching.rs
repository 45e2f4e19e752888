//! Matches an event against a template: the event's bytes in, the spans of its holes out, or a miss.
//!
//! A match is a proof. A template's text was accepted by the careful parser; between two holes the event has the same
//! bytes, so the parser would go through the same states; in a hole stands one value of the same sort, read to its end
//! by the same rules and followed by what followed in the template. What is not proved is a miss, never an error.
//!
//! Where a literal differs inside a value, that value is read as if it were a hole: so a new id or a new time of
//! creation does not cost a careful parse.

use super::template::{FLOAT, Part, SlotKind, Span, Template};
use crate::chunk::doc::{ESCAPED, NOT_ASCII, Type};
use crate::chunk::scan::plain_run;
use crate::chunk::{text, token};

/// More constants than these changed at once: that is another shape, or not worth it.
const MAX_CHANGES: usize = 16;

/// How far behind an event memory is asked for, and how much at most. (Half and twice as far are a few percent slower;
/// asking for nothing is half again as slow on a log that lies in memory, for the processor looks no further than a page.)
const AHEAD: usize = 1536;
const MOST_AHEAD: usize = 1024;

/// Where a try failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    /// The place in the input.
    pub place: usize,
    /// How many holes were filled before.
    pub holes: usize,
    /// The place in the structure, and what stands there instead: the same for all events that differ from this shape in
    /// the same way. It says which shape to try next.
    pub point: u64,
}

impl Stop {
    /// All of the template was matched, but it is not the event.
    pub fn behind(template: &Template, input: &[u8], end: usize) -> Self {
        Self::new(end, template.holes(), (template.slots.len(), Self::IN_VALUE), input, end)
    }

    /// A difference so many bytes behind a slot, or in its value. `from` is where what is there instead begins.
    #[cold]
    fn new(place: usize, holes: usize, (slot, behind): (usize, usize), input: &[u8], from: usize) -> Self {
        let instead = word::<4>(input, from).map_or(0, |bytes| u32::from_le_bytes(*bytes));
        Self { place, holes, point: (slot as u64) << 48 | (behind as u64 & 0xffff) << 32 | u64::from(instead) }
    }

    const IN_VALUE: usize = usize::MAX;
}

/// What a try left behind; kept from try to try for its memory.
#[derive(Default)]
pub(super) struct Tried {
    /// The values of the template's holes.
    pub spans: Vec<Span>,
    /// Constants that turned out to vary: their slots in order, and their values.
    pub changes: Vec<(u16, Span)>,
    /// Memory for [`Counting`].
    pub literals: Vec<u8>,
}

/// Matches `input[at..]` up to the end of the template's text; gives the place behind it. `max_digits` is that of the
/// careful parser.
#[inline(always)]
pub(super) fn event(
    template: &Template,
    input: &[u8],
    at: usize,
    max_digits: usize,
    tried: &mut Tried,
) -> Result<usize, Stop> {
    tried.changes.clear();
    tried.spans.resize(template.holes(), Span::default());
    let (text, mut place) = (template.text(), at);
    ask_for(input, at + AHEAD, text.len().min(MOST_AHEAD));
    for (number, part) in template.parts.iter().enumerate() {
        let literal = &text[part.start as usize..part.end as usize];
        place = match behind_literal(literal, input, place) {
            Some(behind) => behind,
            None => changed_literal(template, number, input, at, place, max_digits, &mut tried.changes)?,
        };
        // The last part has no hole behind it.
        let Some(span) = tried.spans.get_mut(number) else { break };
        let found = hole(part.kind, input, place, max_digits);
        let (end, flags) =
            found.ok_or_else(|| Stop::new(place, number, (part.slot.into(), Stop::IN_VALUE), input, place))?;
        *span = Span::new(place - at, end - at, flags);
        place = end;
    }
    Ok(place)
}

/// Matches like [`event`], but nothing may differ except what fills the holes, and nothing is said of a miss: for the
/// next of many events that are alike, which takes half the time.
#[inline(always)]
pub(super) fn again(
    template: &Template,
    input: &[u8],
    at: usize,
    max_digits: usize,
    spans: &mut [Span],
) -> Option<usize> {
    let (text, mut place) = (template.text(), at);
    ask_for(input, at + AHEAD, text.len().min(MOST_AHEAD));
    let (last, parts) = template.parts.split_last()?;
    for (part, span) in parts.iter().zip(spans) {
        place = behind_literal(&text[part.start as usize..part.end as usize], input, place)?;
        let (end, flags) = hole(part.kind, input, place, max_digits)?;
        *span = Span::new(place - at, end - at, flags);
        place = end;
    }
    behind_literal(&text[last.start as usize..last.end as usize], input, place)
}

/// Events that were counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// How many.
    pub events: usize,
    /// Where the last of them begins.
    pub last: usize,
    /// The place behind it.
    pub behind: usize,
}

/// Counts events that are alike. What stands around them is compared with their literals, and where their holes are is
/// not written down: that is a third of the time of [`again`].
pub(super) struct Counting<'a> {
    pub template: &'a Template,
    pub around: Around<'a>,
    /// The most bytes that an event and what is around it may have.
    pub max_bytes: usize,
    pub max_digits: usize,
    /// Holds the literals.
    pub memory: &'a mut Vec<u8>,
}

impl Counting<'_> {
    /// Those of more holes are none to count.
    pub const MOST_HOLES: usize = 6;

    /// Counts those from `input[at..]` on, up to `most`.
    pub fn count(self, input: &[u8], at: usize, most: usize) -> Counted {
        match self.template.holes() {
            0 => self.with_holes::<0>(input, at, most),
            1 => self.with_holes::<1>(input, at, most),
            2 => self.with_holes::<2>(input, at, most),
            3 => self.with_holes::<3>(input, at, most),
            4 => self.with_holes::<4>(input, at, most),
            5 => self.with_holes::<5>(input, at, most),
            Self::MOST_HOLES => self.with_holes::<6>(input, at, most),
            _ => Counted { events: 0, last: at, behind: at },
        }
    }

    /// The same, where there are so many holes: then the compiler keeps all that it takes in registers.
    #[inline(never)]
    fn with_holes<const HOLES: usize>(self, input: &[u8], at: usize, most: usize) -> Counted {
        let Self { template, around: Around { opening, closing }, max_bytes, max_digits, memory } = self;
        let mut counted = Counted { events: 0, last: at, behind: at };
        let Some((last, parts)) = template.parts.split_last() else { return counted };
        let Ok(parts) = <&[Part; HOLES]>::try_from(parts) else { return counted };
        memory.clear();
        memory.extend_from_slice(opening);
        memory.extend_from_slice(template.text());
        memory.extend_from_slice(closing);
        // What is around the event belongs to the first literal and to the last.
        let start = |part: &Part| if part.start == 0 { 0 } else { opening.len() + part.start as usize };
        let literals = parts.each_ref().map(|part| &memory[start(part)..opening.len() + part.end as usize]);
        let kinds = parts.each_ref().map(|part| part.kind);
        let last = &memory[start(last)..];
        let ahead = template.text().len().min(MOST_AHEAD);
        while counted.events < most {
            let begin = counted.behind;
            ask_for(input, begin + AHEAD, ahead);
            let mut place = begin;
            for (literal, kind) in literals.iter().zip(kinds) {
                let Some(behind) = behind_literal(literal, input, place) else { return counted };
                let Some((end, _)) = hole(kind, input, behind, max_digits) else { return counted };
                place = end;
            }
            let Some(behind) = behind_literal(last, input, place) else { return counted };
            if behind - begin > max_bytes {
                return counted;
            }
            counted = Counted { events: counted.events + 1, last: begin, behind };
        }
        counted
    }
}

/// What stands before the text of an event, and behind it.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// Before it.
    pub opening: &'a [u8],
    /// Behind it.
    pub closing: &'a [u8],
}

/// The place behind a literal, if it stands here.
#[inline(always)]
fn behind_literal(literal: &[u8], input: &[u8], place: usize) -> Option<usize> {
    let found = input.get(place..place + literal.len())?;
    same(found, literal).then_some(place + literal.len())
}

/// Matches a literal whose bytes differ from the input's; gives the place behind it if only values differ.
#[cold]
#[inline(never)]
fn changed_literal(
    template: &Template,
    number: usize,
    input: &[u8],
    at: usize,
    mut place: usize,
    max_digits: usize,
    changes: &mut Vec<(u16, Span)>,
) -> Result<usize, Stop> {
    let Part { start, end, .. } = template.parts[number];
    let (mut from, end) = (start as usize, end as usize);
    loop {
        let literal = &template.text()[from..end];
        let same = common_prefix(literal, &input[place..]);
        let stopped = place + same;
        if same == literal.len() {
            return Ok(stopped);
        }
        // The value in which they differ, or which goes on where the template's ends.
        let differs = (from + same) as u32;
        let slots = template.slots.partition_point(|slot| slot.start <= differs);
        let before = slots.checked_sub(1).map(|slot| (slot, template.slots[slot]));
        let behind = before.map_or(differs, |(_, slot)| differs.wrapping_sub(slot.end)) as usize;
        let Some((slot, found)) = before.filter(|(_, slot)| {
            !slot.is_hole && differs <= slot.end && slot.start as usize >= from && changes.len() < MAX_CHANGES
        }) else {
            return Err(Stop::new(stopped, number, (slots, behind), input, stopped));
        };
        place += found.start as usize - from;
        let value = hole(found.kind, input, place, max_digits);
        let (behind, flags) = value.ok_or_else(|| Stop::new(stopped, number, (slot, Stop::IN_VALUE), input, place))?;
        let span = Span::new(place - at, behind - at, flags);
        changes.push((slot as u16, span));
        from = found.end as usize;
        place = behind;
    }
}

/// Asks for memory that is read soon: so many bytes, or a few hundred if that is more.
#[inline(always)]
fn ask_for(input: &[u8], from: usize, length: usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: this is a hint, which reads nothing and may name any address, also one behind the input.
        let ask = |line: usize| unsafe { _mm_prefetch::<_MM_HINT_T0>(input.as_ptr().wrapping_add(from + line).cast()) };
        // Most events are this short; then there is no loop.
        (0..448).step_by(64).for_each(ask);
        if length > 448 {
            (448..length).step_by(64).for_each(ask);
        }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = (input, from, length);
}

/// Are the bytes of two slices of one length the same? (Short ones are compared here: a call costs more than that.)
#[inline(always)]
fn same(one: &[u8], other: &[u8]) -> bool {
    if let (8..=16, Some(first), Some(last)) = (one.len(), one.first_chunk::<8>(), one.last_chunk::<8>()) {
        return Some(first) == other.first_chunk() && Some(last) == other.last_chunk();
    }
    if let (17..=32, Some(first), Some(last)) = (one.len(), one.first_chunk::<16>(), one.last_chunk::<16>()) {
        return Some(first) == other.first_chunk() && Some(last) == other.last_chunk();
    }
    one == other
}

/// How many bytes are the same from the start.
#[inline]
fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    let mut same = 0;
    while let (Some(one), Some(other)) = (word::<16>(one, same), word::<16>(other, same)) {
        if one != other {
            break;
        }
        same += 16;
    }
    if let (Some(one), Some(other)) = (word::<8>(one, same), word::<8>(other, same)) {
        let differ = u64::from_le_bytes(*one) ^ u64::from_le_bytes(*other);
        if differ != 0 {
            return same + differ.trailing_zeros() as usize / 8;
        }
        same += 8;
    }
    same + one[same..].iter().zip(&other[same..]).take_while(|(one, other)| one == other).count()
}

#[inline]
fn word<const N: usize>(bytes: &[u8], at: usize) -> Option<&[u8; N]> {
    bytes.get(at..).and_then(<[u8]>::first_chunk::<N>)
}

/// The end of the value at `at`, and its flags.
#[inline(always)]
fn hole(kind: SlotKind, input: &[u8], at: usize, max_digits: usize) -> Option<(usize, u32)> {
    match kind {
        SlotKind::Text => {
            let (end, not_ascii) = plain_run(input, at);
            if !not_ascii && input.get(end) == Some(&b'"') {
                Some((end, 0))
            } else {
                hard_text(input, at, end, not_ascii)
            }
        }
        SlotKind::Number => number(input, at, max_digits),
    }
}

/// The rest of a string that is not plain ASCII up to its quote.
#[inline(never)]
fn hard_text(input: &[u8], start: usize, mut end: usize, mut not_ascii: bool) -> Option<(usize, u32)> {
    let mut flags = 0;
    loop {
        match input.get(end)? {
            b'"' => break,
            b'\\' => {
                flags |= ESCAPED;
                end += text::escape_length(&input[end..])?;
            }
            _ => return None,
        }
        let (next, more) = plain_run(input, end);
        end = next;
        not_ascii |= more;
    }
    if not_ascii {
        flags |= NOT_ASCII;
        simdutf8::basic::from_utf8(&input[start..end]).ok()?;
    }
    Some((end, flags))
}

fn number(input: &[u8], at: usize, max_digits: usize) -> Option<(usize, u32)> {
    let first = at + usize::from(token::byte(input, at) == b'-');
    if !token::byte(input, first).is_ascii_digit() {
        return None;
    }
    let number = token::number(input, first);
    match number.kind {
        Type::Float => Some((number.end, FLOAT)),
        _ if max_digits != 0 && number.digits > max_digits => None,
        _ => Some((number.end, 0)),
    }
}
