//! The framer's slow twin: a whole source in, its events and counts out, by lists of lines and nothing clever.
//!
//! It is the standard's "Interpreting an event stream", word for word, and beside it where each event stands, which
//! bytes went where, and the limit on an event's size.
#![allow(dead_code)] // every test is a crate of its own and uses a part of this

use chunkwire::error::Place;
use chunkwire::event::{Counts, Data, FrameKind, Framer};

/// An event, or one that grew too large (of which only the place matters).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub too_large: bool,
    pub place: Place,
    pub data: Vec<u8>,
    pub event_type: String,
    pub id: String,
    pub retry: Option<u64>,
    pub bytes: u64,
    pub invalid_field: bool,
}

/// All that a framer says of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub frames: Vec<Seen>,
    pub counts: Counts,
    pub consumed: u64,
    pub foreign: Option<u8>,
}

impl Told {
    /// The data of its events.
    pub fn data(&self) -> Vec<&[u8]> {
        self.frames.iter().filter(|frame| !frame.too_large).map(|frame| &frame.data[..]).collect()
    }

    /// All bytes that were counted somewhere.
    pub fn counted(&self) -> u64 {
        let Counts { comment_bytes, skipped_bytes, dropped_bytes, .. } = self.counts;
        self.frames.iter().map(|frame| frame.bytes).sum::<u64>() + comment_bytes + skipped_bytes + dropped_bytes
    }
}

/// What the framer says of a source in these pieces.
pub fn framed(pieces: &[&[u8]], limit: usize, strict: bool) -> Told {
    let mut framer = Framer::new(limit);
    let mut told = Told::default();
    let look = |framer: &Framer, frame: chunkwire::event::Frame, input: &[u8]| {
        if frame.kind == FrameKind::TooLarge {
            assert_eq!(frame.bytes, 0);
            return Seen { too_large: true, place: frame.place, ..Seen::default() };
        }
        Seen {
            too_large: false,
            place: frame.place,
            data: match frame.data {
                Data::Input(span) => input[span].to_vec(),
                Data::Framer => framer.data().to_vec(),
            },
            event_type: framer.event_type().to_owned(),
            id: framer.last_id().to_owned(),
            retry: framer.retry(),
            bytes: frame.bytes,
            invalid_field: frame.invalid_field,
        }
    };
    for input in pieces {
        let mut at = 0;
        loop {
            let frame = framer.next(input, &mut at);
            let late = framer.take_late_bytes();
            if late > 0 {
                told.frames.last_mut().expect("late bytes belong to an event").bytes += late;
            }
            let Some(frame) = frame else { break };
            told.frames.push(look(&framer, frame, input));
        }
        assert_eq!(at, input.len(), "the framer left input");
    }
    if let Some(frame) = framer.finish(strict) {
        told.frames.push(look(&framer, frame, b""));
    }
    told.counts = framer.counts();
    told.consumed = framer.consumed();
    told.foreign = framer.foreign();
    assert_eq!(framer.events(), told.frames.len() as u64);
    told
}

struct Line<'a> {
    start: usize,
    text: &'a [u8],
    /// Behind its terminator.
    end: usize,
    number: u64,
    terminated: bool,
}

fn lines(source: &[u8]) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut start = if source.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    while start < source.len() {
        let mut stop = start;
        while stop < source.len() && source[stop] != b'\n' && source[stop] != b'\r' {
            stop += 1;
        }
        let terminator = match &source[stop..] {
            [b'\r', b'\n', ..] => 2,
            [] => 0,
            _ => 1,
        };
        let (text, end, number) = (&source[start..stop], stop + terminator, lines.len() as u64 + 1);
        lines.push(Line { start, text, end, number, terminated: terminator > 0 });
        start = end;
    }
    lines
}

/// What the twin says of a whole source.
pub fn twin(source: &[u8], limit: usize, strict: bool) -> Told {
    let mut blocks: Vec<(Vec<Line<'_>>, usize, usize, bool)> = Vec::new();
    let (mut open, mut start) = (Vec::new(), 0);
    for line in lines(source) {
        if line.text.is_empty() {
            blocks.push((std::mem::take(&mut open), start, line.end, false));
            start = line.end;
        } else {
            open.push(line);
        }
    }
    if start < source.len() {
        blocks.push((open, start, source.len(), true));
    }

    let mut told = Told { consumed: source.len() as u64, ..Told::default() };
    let (mut id, mut known_fields, mut unknown) = (String::new(), 0, None);
    for (lines, start, end, pending) in blocks {
        let mut seen = Seen::default();
        let mut data: Vec<&[u8]> = Vec::new();
        let mut first = None;
        let (mut comment_bytes, mut skipped_bytes) = (0, 0);
        for line in &lines {
            let joined: usize = data.iter().map(|data| data.len() + 1).sum();
            if joined + line.text.len() > limit {
                seen.too_large = true;
                first = first.or(Some(line));
                break;
            }
            if strict && !line.terminated {
                break;
            }
            let bytes = (line.end - line.start) as u64;
            if line.text[0] == b':' {
                told.counts.comments += 1;
                comment_bytes += bytes;
                continue;
            }
            let (name, value) = match line.text.iter().position(|&byte| byte == b':') {
                Some(colon) => (&line.text[..colon], &line.text[colon + 1..]),
                None => (line.text, &b""[..]),
            };
            let value = value.strip_prefix(b" ").unwrap_or(value);
            match name {
                b"data" => data.push(value),
                b"event" => {
                    seen.event_type = String::from_utf8_lossy(value).into_owned();
                    seen.invalid_field |= std::str::from_utf8(value).is_err();
                }
                b"id" if value.contains(&0) => {}
                b"id" => {
                    id = String::from_utf8_lossy(value).into_owned();
                    seen.invalid_field |= std::str::from_utf8(value).is_err();
                }
                b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                    let digits = std::str::from_utf8(value).expect("digits");
                    seen.retry = Some(digits.parse().unwrap_or(u64::MAX)); // nothing but overflow can go wrong
                }
                b"retry" => {}
                _ => {
                    skipped_bytes += bytes;
                    unknown = unknown.or(Some(line.text.trim_ascii().first().copied().unwrap_or(b' ')));
                    continue;
                }
            }
            known_fields += 1;
            first = first.or(Some(line));
        }
        if pending && strict && !seen.too_large {
            told.counts.skipped_bytes += (end - start) as u64;
            continue;
        }
        told.counts.comment_bytes += comment_bytes;
        told.counts.skipped_bytes += skipped_bytes;
        let bytes = (end - start) as u64 - comment_bytes - skipped_bytes;
        let event = told.frames.len() as u64;
        let place = first.map(|line| Place { offset: line.start as u64, line: line.number, event }).unwrap_or_default();
        if seen.too_large {
            told.counts.dropped_bytes += bytes;
            told.frames.push(Seen { too_large: true, place, ..Seen::default() });
        } else if data.is_empty() {
            told.counts.comment_bytes += bytes;
        } else {
            told.frames.push(Seen { place, data: data.join(&b"\n"[..]), id: id.clone(), bytes, ..seen });
        }
    }
    if known_fields == 0 && told.frames.is_empty() {
        told.foreign = unknown;
    }
    told
}
