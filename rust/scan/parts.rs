//! The parts of a file: where one begins in, its bytes out, from the start of an event to the end of one.
//!
//! A plain file is read by all threads at once. Where a part ends depends on the bytes alone: at the first end of an event
//! at or behind its target. So the threads need not tell each other, and each reads what it decodes into its own cache.
//! Anything else is read by one thread at a time, and what is behind the end of a part begins the next one.

use memchr::memmem;

use super::Failure;
use crate::error::Broken;
use crate::source::{AHEAD_BYTES, Blocks, Buffer, Positioned};

/// If so many bytes hold no end of an event, they are not split.
const LONGEST_PART: usize = 8 << 20;
/// Where in the end of a part the end of an event is looked for first, and how much of the next one is read with a part.
const NEAR: usize = 1 << 14;
const BEHIND: usize = 1 << 12;
/// A system may copy slowly between places that are aligned differently, so offsets are aligned like memory.
const ALIGNMENT: u64 = 64;

/// A part that nobody has taken yet.
#[derive(Clone, Copy, Default)]
pub(super) struct Claim {
    pub number: usize,
    /// It begins at the first start of an event at or behind this offset.
    pub at: u64,
}

impl Claim {
    /// The part behind it.
    pub fn next(self, part_bytes: usize) -> Self {
        Self { number: self.number + 1, at: self.at + part_bytes as u64 }
    }

    /// Do others have to hear where this part ended? They do at the end of the file, and where they would begin inside
    /// it.
    pub fn is_news(self, part: &Part, part_bytes: usize) -> bool {
        part.is_last || part.end > self.next(part_bytes).next(part_bytes).at
    }
}

/// Whole events.
pub(super) struct Part {
    pub buffer: Buffer,
    /// Where it ends in a file that is read at once.
    pub end: u64,
    /// How many bytes of the file were read for it: packed ones, if it is packed.
    pub read: u64,
    pub is_last: bool,
    /// A compressed source broke off behind it, and why.
    pub broken: Option<Broken>,
}

/// How a file is read.
pub(super) enum Parts {
    /// By all threads at once.
    AtOnce(Positioned, Ends),
    /// By one at a time.
    InTurn(Box<Reading>),
}

/// What is left of a file that is read in turn.
pub(super) struct Reading {
    blocks: Box<Blocks>,
    ends: Ends,
    /// What was read behind the last part.
    rest: Buffer,
    /// How many packed bytes were read.
    packed: u64,
}

impl Parts {
    /// `head` was read of the blocks.
    pub fn new(blocks: Box<Blocks>, head: Buffer, ends: Ends) -> Self {
        match blocks.into_positioned() {
            Ok(file) => Self::AtOnce(file, ends),
            Err(blocks) => Self::InTurn(Box::new(Reading { blocks, ends, rest: head, packed: 0 })),
        }
    }
}

/// The part that begins at or behind `at`, and has about so many bytes. `spare` is memory to use.
pub(super) fn at_once(
    file: &Positioned,
    ends: Ends,
    at: u64,
    part_bytes: usize,
    mut buffer: Buffer,
) -> Result<Part, Failure> {
    // What stands before decides whether an event begins here.
    let first = at.saturating_sub(ALIGNMENT) / ALIGNMENT * ALIGNMENT;
    let from = (at - first) as usize;
    let mut room = from + part_bytes + BEHIND;
    let (mut start, mut ended) = ((at == 0).then_some(0), false);
    buffer.begin(&[], room);
    let end = loop {
        buffer.grow(room);
        let offset = first + buffer.len() as u64;
        let more = file.read(buffer.room(room), offset).map_err(Failure::Io)?;
        buffer.fill(more);
        ended |= more < room;
        start = start.or_else(|| start_of_event(&buffer, from, ends));
        // An event that begins behind the target of this part is of the next.
        let end = start.and_then(|start| start_of_event(&buffer, start.max(from + part_bytes), ends));
        match end {
            Some(end) => break Some(end),
            None if ended => break None,
            None if buffer.len() > from + part_bytes + LONGEST_PART => return Err(Failure::NoParts),
            None => room = buffer.len(),
        }
    };
    let length = buffer.len();
    buffer.truncate(end.unwrap_or(length));
    buffer.skip(start.unwrap_or(length));
    let (read, end, is_last) = (buffer.len() as u64, first + end.unwrap_or(length) as u64, end.is_none());
    Ok(Part { buffer, end, read, is_last, broken: None })
}

/// The first place at or behind `from` that is behind one of the ends: a blank line, nearly always.
fn start_of_event(bytes: &[u8], from: usize, ends: Ends) -> Option<usize> {
    let mut window = 1 << 10;
    loop {
        let until = from.saturating_add(window).min(bytes.len());
        let found = ends.iter().filter_map(|&end| {
            let first = from.saturating_sub(end.len());
            Some(first + memmem::find(bytes.get(first..until)?, end)? + end.len())
        });
        match found.min() {
            Some(place) => return Some(place),
            None if until == bytes.len() => return None,
            None => window *= 2,
        }
    }
}

/// A blank line ended by LF or CRLF behind a line that LF ends. Others (CR alone) are not looked for.
pub(super) const EVENT_ENDS: Ends = &[b"\n\n", b"\n\r\n"];
/// The end of a line.
pub(super) const LINE_ENDS: Ends = &[b"\n"];

/// Behind what a part may begin.
pub(super) type Ends = &'static [&'static [u8]];

impl Reading {
    /// See [`Blocks::is_light`].
    pub fn is_light(&self) -> bool {
        self.blocks.is_light()
    }

    /// The next part, of about so many bytes. `buffer` is memory to use.
    pub fn part(&mut self, part_bytes: usize, mut buffer: Buffer) -> Result<Part, Failure> {
        let part_bytes = part_bytes.min(AHEAD_BYTES);
        let room = part_bytes.max(1 << 12);
        // What was read behind the last part is copied, so that its memory stays with the thread that has it in its cache.
        buffer.begin(&self.rest, room + NEAR);
        let (mut broken, mut ended) = (None, false);
        let end = loop {
            if buffer.len() >= part_bytes
                && let Some(end) = last_end_of_event(&buffer, part_bytes, self.ends)
            {
                break end;
            }
            if buffer.len() > part_bytes.max(LONGEST_PART) {
                return Err(Failure::NoParts);
            }
            buffer.grow(room);
            match buffer.read(room, |memory| self.blocks.read(memory)) {
                Ok(more) => ended = more == 0,
                Err(error) => {
                    broken = Some(Broken::of(error).map_err(Failure::Io)?);
                    ended = true;
                }
            }
            if ended {
                break buffer.len();
            }
        };
        self.rest.begin(&buffer[end..], 0);
        buffer.truncate(end);
        let before = std::mem::replace(&mut self.packed, self.blocks.packed_bytes().unwrap_or_default());
        let read = if self.packed > 0 { self.packed - before } else { buffer.len() as u64 };
        Ok(Part { buffer, end: 0, read, is_last: ended, broken })
    }
}

/// The end of an event, behind its blank line, at or behind `least`; the last one if the bytes are about as many, else
/// the first.
fn last_end_of_event(bytes: &[u8], least: usize, ends: Ends) -> Option<usize> {
    if bytes.len() > 2 * least {
        return start_of_event(bytes, least, ends);
    }
    let near = bytes.len().saturating_sub(NEAR);
    for from in [near, 0] {
        for &end in ends {
            if let Some(place) = memmem::rfind(&bytes[from..], end) {
                return Some(from + place + end.len());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_edge_to_edge_and_begin_behind_blank_lines() {
        let path = std::env::temp_dir().join(format!("chunkwire-parts-{}", std::process::id()));
        let mut state = 5u32;
        for round in 0..200 {
            let mut source = Vec::new();
            for _ in 0..round * 2 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                match state >> 29 {
                    0 => source.extend_from_slice(b"\n\n"),
                    1 => source.extend_from_slice(b"\r\n\r\n"),
                    2 => source.extend_from_slice(b"\n\r\n"),
                    3 => source.push(b"\r\n"[state as usize >> 28 & 1]),
                    _ => source.extend(std::iter::repeat_n(b'x', (state >> 16) as usize % 90)),
                }
            }
            std::fs::write(&path, &source).expect("a file can be written");
            for part_bytes in [1, 7, 64, 200, 5000] {
                let blocks = Box::new(Blocks::open(&path, None).expect("it is there"));
                let Parts::AtOnce(file, ends_of) = Parts::new(blocks, Buffer::default(), EVENT_ENDS) else {
                    panic!("it is a file")
                };
                let (mut claim, mut found, mut ends) = (Claim::default(), Vec::new(), Vec::new());
                loop {
                    let Ok(part) = at_once(&file, ends_of, claim.at, part_bytes, Buffer::default()) else {
                        panic!("not read")
                    };
                    found.extend_from_slice(&part.buffer);
                    if part.is_last {
                        break;
                    }
                    assert!(found.ends_with(b"\n\n") || found.ends_with(b"\n\r\n"));
                    ends.push(part.end);
                    // Now and then a thread does not know yet where the part before ends.
                    claim = claim.next(part_bytes);
                    if claim.number % 3 == 0 {
                        claim.at = claim.at.max(part.end);
                    }
                }
                assert_eq!(found, source);
                assert!(ends.is_sorted());
            }
        }
        let _ = std::fs::remove_file(path);
    }
}
