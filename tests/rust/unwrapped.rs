//! Logs beside what they hold: a case in, the proof out that a log says the same in whatever way it is read.
//!
//! The log in one piece is what the others are compared with: in pieces, with limits, without shapes, recognised, by
//! threads. What was not damaged has to be what a decoder finds in the bodies alone, at the places where they stand.
#![allow(dead_code)] // every user of this takes a part of it

use std::path::PathBuf;

use chunkwire::chunk::{self, Node};
use chunkwire::decoder::{self, Decoder, Exchange, Found, KEPT_DAMAGES, Options, Shaped, Sink, Stats};
use chunkwire::error::{Damage, Kind, Place};
use chunkwire::log::{Format, Log, Request, Told, Wanted, recognise};
use chunkwire::scan::{How, Outcome, Scan};
use chunkwire::source::{Blocks, Buffer};
use chunkwire::stream::{Streams, Tracker};
use chunkwire::usage::Columns;

use crate::wrapped::{Body, Case, Held};

/// Checks a case, and says how many chunks it has.
pub fn check(case: &Case) -> u64 {
    let Case { log, options, wanted, .. } = case;
    let whole = Reading { limit: usize::MAX, full: usize::MAX, pieces: vec![log] };
    let (seen, stats) = whole.read(wanted, *options);
    check_counts(log, &seen, &stats, wanted);
    check_lines(case, &seen);
    let cut = Reading { limit: case.at_once, full: case.full, pieces: case.pieces() };
    same(&cut.read(wanted, *options), &(seen.clone(), stats.clone()));
    same(&cut.read(wanted, Options { shapes: false, ..*options }), &(seen.clone(), stats.clone()));
    if let Some(held) = &case.held {
        check_held(case, held, &seen, &stats);
    }
    let auto = Wanted { request: Request::default(), ..wanted.clone() };
    check_recognised(case, &auto);
    let lines = Wanted { request: Request { told: Told::JsonLines, ..Request::default() }, ..auto };
    check_recognised(case, &lines);
    check_rows(case, wanted);
    stats.chunks
}

/// What a sink was told.
#[derive(Clone, Debug, PartialEq)]
struct Item {
    what: &'static str,
    text: Vec<u8>,
    place: Option<Place>,
    /// The exchange, by its number, where there is one.
    exchange: Option<u64>,
}

#[derive(Clone, Default)]
struct Seen {
    nodes: Vec<Node>,
    items: Vec<Item>,
    damages: Vec<Damage>,
    exchange: Option<u64>,
    /// Which items lie in the input, and where.
    lying: Vec<(usize, usize)>,
    /// So many items are enough.
    enough: usize,
}

impl Seen {
    fn tell(&mut self, what: &'static str, text: impl Into<Vec<u8>>, place: Option<Place>) {
        self.nodes.clear();
        self.items.push(Item { what, text: text.into(), place, exchange: self.exchange });
    }

    fn found(&mut self, what: &'static str, found: Found<'_>) {
        assert!(self.nodes.len() > found.first_node);
        self.lying.extend(found.at.map(|at| (self.items.len(), at)));
        self.tell(what, found.raw.unwrap_or(found.text), Some(found.place));
    }

    fn damaged(&mut self, what: &'static str, damage: &Damage) {
        self.damages.push(damage.clone());
        let text = format!("{}: {} {:?}", damage.kind.name(), damage.reason, damage.position);
        self.tell(what, text, Some(damage.place));
    }

    /// What was found in bodies.
    fn found_items(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| item.place.is_some())
    }
}

impl Sink for Seen {
    fn nodes(&mut self) -> &mut Vec<Node> {
        &mut self.nodes
    }
    fn chunk(&mut self, found: Found<'_>) {
        self.found("chunk", found);
    }
    fn shaped(&mut self, shaped: Shaped<'_>) {
        self.lying.extend(shaped.at.map(|at| (self.items.len(), at)));
        self.tell("chunk", shaped.text, Some(shaped.place));
    }
    fn completion(&mut self, found: Found<'_>) {
        self.found("completion", found);
    }
    fn begin_exchange(&mut self, exchange: Exchange<'_>) {
        self.exchange = Some(exchange.number);
        let place = Place { offset: exchange.offset, ..Place::default() };
        self.tell("begin", format!("{place:?} {:?}", exchange.kept), None);
    }
    fn go_back(&mut self, number: u64) {
        self.exchange = Some(number);
        self.tell("back", [], None);
    }
    fn keep(&mut self, kept: &[Option<Vec<u8>>]) {
        self.tell("keep", format!("{kept:?}"), None);
    }
    fn time(&mut self, time: Option<f64>) {
        self.tell("time", format!("{time:?}"), None);
    }
    fn content_at(&mut self, time: f64) {
        self.tell("content at", format!("{time:?}"), None);
    }
    fn end_exchange(&mut self) {
        assert!(self.exchange.is_some());
        self.tell("end", [], None);
        self.exchange = None;
    }
    fn done(&mut self, place: Place) {
        self.tell("done", [], Some(place));
    }
    fn server_error(&mut self, place: Place, body: decoder::Body<'_>) {
        match body {
            decoder::Body::Json(found) => self.found("error", found),
            text => self.tell("error", format!("{text:?}"), Some(place)),
        }
    }
    fn damage(&mut self, damage: &Damage) {
        self.damaged("damage", damage);
    }
    fn outer_damage(&mut self, damage: &Damage) {
        self.damaged("outer damage", damage);
    }
    fn stray_damage(&mut self, damage: &Damage) {
        self.damaged("stray damage", damage);
    }
    fn is_full(&self) -> bool {
        self.items.len() >= self.enough
    }
}

/// A way to read a log.
struct Reading<'a> {
    pieces: Vec<&'a [u8]>,
    /// How many events at once, and after how many a sink is full.
    limit: usize,
    full: usize,
}

impl Reading<'_> {
    fn read(&self, wanted: &Wanted, options: Options) -> (Seen, Stats) {
        let mut log = Log::new(options, wanted.clone());
        let (mut seen, mut fed, mut calls) = (Seen::default(), 0, 0);
        for &piece in &self.pieces {
            let mut at = 0;
            loop {
                seen.enough = seen.items.len().saturating_add(self.full);
                let more = log.decode(piece, &mut at, self.limit, &mut seen);
                for (item, at) in seen.lying.drain(..) {
                    let text = &seen.items[item].text;
                    assert!(piece[at..].starts_with(text), "{at} {}", text.escape_ascii());
                }
                calls += 1;
                if !more {
                    break;
                }
            }
            fed += piece.len();
            assert_eq!(at, piece.len());
            if log.foreign().is_none() {
                assert_eq!(log.stats().bytes, fed as u64);
            }
        }
        log.finish(&mut seen);
        assert!(calls <= 8 * fed + 4 * self.pieces.len() + 8, "{calls} calls for {fed} bytes");
        seen.lying.clear();
        (seen, log.stats())
    }
}

fn same((seen, stats): &(Seen, Stats), (expected, expected_stats): &(Seen, Stats)) {
    for (one, other) in seen.items.iter().zip(&expected.items) {
        assert_eq!(one, other, "{} instead of {}", one.text.escape_ascii(), other.text.escape_ascii());
    }
    assert_eq!(seen.items.len(), expected.items.len());
    assert_eq!(seen.damages, expected.damages);
    assert_eq!(stats, expected_stats);
}

/// Every byte and every item is counted once; places lie in the log, in the right lines.
fn check_counts(log: &[u8], seen: &Seen, stats: &Stats, wanted: &Wanted) {
    let count = |what| seen.items.iter().filter(|item| item.what == what).count() as u64;
    assert_eq!(stats.bytes, log.len() as u64);
    let counted = stats.chunk_bytes + stats.done_bytes + stats.error_bytes + stats.comment_bytes;
    assert_eq!(stats.bytes, counted + stats.skipped_bytes + stats.damaged_bytes + stats.wrapping_bytes, "{stats:?}");
    assert_eq!((stats.chunks, stats.done), (count("chunk") + count("completion"), count("done")));
    assert_eq!((stats.exchanges, count("begin")), (count("begin"), count("end")));
    assert_eq!((stats.damaged, stats.errors), (seen.damages.len() as u64, count("error")));
    if stats.damages.len() < KEPT_DAMAGES {
        let kept = stats.damages.iter().filter(|damage| damage.kind != Kind::ServerError);
        assert_eq!(kept.collect::<Vec<_>>(), seen.damages.iter().collect::<Vec<_>>());
    }
    let is_reads = wanted.request.told == Told::Format(Format::Reads);
    let ends: Vec<usize> = (0..log.len()).filter(|&at| log[at] == b'\n').collect();
    let mut last = Place::default();
    for place in seen.found_items().filter_map(|item| item.place) {
        let offset = place.offset as usize;
        assert!(offset <= log.len());
        assert_eq!(place.line, 1 + ends.partition_point(|&end| end < offset) as u64, "{place:?}");
        assert!(place.event >= last.event, "{place:?} behind {last:?}");
        assert!(is_reads || place.line >= last.line, "{place:?} behind {last:?}");
        last = place;
    }
}

/// A line of exchanges is broken where the careful parser says so, and for the same reason.
fn check_lines(case: &Case, seen: &Seen) {
    if case.wanted.request.told != Told::Format(Format::Exchanges) {
        return;
    }
    let mut offset = 0;
    for line in case.log.split_inclusive(|&byte| byte == b'\n') {
        let text = line.strip_suffix(b"\n").map_or(line, |text| text.strip_suffix(b"\r").unwrap_or(text));
        let mark = if offset == 0 && text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let (start, end) = (offset + mark, offset + line.len());
        offset = end;
        let text = &text[mark..];
        let is_event = [&b"data:"[..], b":", b"event:", b"id:", b"retry:"].iter().any(|name| text.starts_with(name));
        let is_long = text.len() + mark > case.wanted.max_line_bytes;
        let is_empty = text.iter().all(|byte| b" \t\r\n".contains(byte));
        if is_empty || is_event || is_long || std::str::from_utf8(text).is_err() {
            continue;
        }
        let verdict = chunk::parse(text, text.len(), case.options.max_int_digits, &mut Vec::new());
        let of_line = |damage: &&Damage| damage.position.is_some() && damage.place.offset == start as u64;
        let told = seen.damages.iter().filter(of_line).map(|damage| (damage.position, &damage.reason));
        let told: Vec<_> = told.filter(|(_, reason)| reason.contains("line")).collect();
        match verdict {
            Ok(_) => assert!(told.is_empty(), "{told:?} of {}", text.escape_ascii()),
            Err(error) => {
                assert_eq!(told.len(), 1, "{error:?} of {}", text.escape_ascii());
                assert_eq!(told[0].0, Some(error.position), "{error:?}");
            }
        }
    }
}

/// What was put into the log is what it says, at the places where it stands.
fn check_held(case: &Case, held: &[Held], seen: &Seen, stats: &Stats) {
    let is_chunks = case.wanted.request.told == Told::Format(Format::Chunks);
    if !is_chunks {
        assert_eq!(stats.exchanges, held.len() as u64);
    }
    for (number, held) in held.iter().enumerate() {
        let found = seen.found_items().filter(|item| item.exchange == (!is_chunks).then_some(number as u64));
        match &held.body {
            Body::Unknown => {}
            Body::Events(source) => {
                let begin = source.strip_prefix(b"\xef\xbb\xbf").unwrap_or(source).trim_ascii_start();
                let is_document = matches!(begin.first(), Some(b'{' | b'['));
                let may_be_clipped = source.windows(9).any(|word| word == b"truncated");
                if !is_document && !may_be_clipped {
                    check_events(source, &held.places, case, found);
                }
            }
            // (The limit is that of a line where there is one.)
            Body::Documents(_) if case.options.max_event_bytes < 1 << 20 => {}
            Body::Documents(texts) => check_documents(texts, &held.places, case.options, found),
        }
    }
}

fn check_events<'a>(source: &[u8], places: &[usize], case: &Case, found: impl Iterator<Item = &'a Item>) {
    let (mut decoder, mut plain) = (Decoder::new(case.options), Seen { enough: usize::MAX, ..Seen::default() });
    while decoder.decode(source, &mut 0, usize::MAX, &mut plain) {}
    decoder.finish(&mut plain);
    let mut found = found.filter(|item| !item.what.contains("outer"));
    for expected in plain.found_items() {
        let item = found.next().unwrap_or_else(|| panic!("no {expected:?} of {}", source.escape_ascii()));
        assert_eq!((item.what, &item.text), (expected.what, &expected.text));
        let (place, inside) = (item.place.expect("a place"), expected.place.expect("a place").offset as usize);
        let stands = places[inside];
        assert_eq!(
            place.offset,
            stands as u64,
            "{} at {inside} of {}",
            item.text.escape_ascii(),
            source.escape_ascii()
        );
    }
    assert_eq!(found.next(), None);
}

fn check_documents<'a>(texts: &[Vec<u8>], places: &[usize], options: Options, found: impl Iterator<Item = &'a Item>) {
    let mut found = found.filter(|item| matches!(item.what, "chunk" | "completion" | "error"));
    for (text, &place) in texts.iter().zip(places) {
        let source = [b"data: ", &**text, b"\n\n"].concat();
        let (mut decoder, mut plain) = (Decoder::new(options), Seen { enough: usize::MAX, ..Seen::default() });
        while decoder.decode(&source, &mut 0, usize::MAX, &mut plain) {}
        for expected in plain.found_items().filter(|item| matches!(item.what, "chunk" | "error")) {
            let item = found.next().unwrap_or_else(|| panic!("no {}", text.escape_ascii()));
            assert_eq!((&item.text, item.what == "error"), (&expected.text, expected.what == "error"));
            assert_eq!(item.place.expect("a place").offset, place as u64);
        }
    }
    assert_eq!(found.next(), None);
}

/// A log of which is said what was recognised is the same.
fn check_recognised(case: &Case, wanted: &Wanted) {
    let whole = Reading { limit: usize::MAX, full: usize::MAX, pieces: vec![&case.log] };
    let cut = Reading { limit: case.at_once, full: case.full, pieces: case.pieces() };
    let found = whole.read(wanted, case.options);
    same(&cut.read(wanted, case.options), &found);
    let layout = recognise(&case.log, &wanted.request);
    if layout.is_strange || matches!(layout.format, Format::Har | Format::Vcr) {
        return;
    }
    let told = Told::Format(layout.format);
    let (field, id_field, time_field) = (layout.field, layout.id_field, layout.time_field);
    let named = Wanted { request: Request { told, field, id_field, time_field }, ..wanted.clone() };
    same(&whole.read(&named, case.options), &found);
    same(&cut.read(&named, case.options), &found);
    if layout.format != Format::Sse {
        check_counts(&case.log, &found.0, &found.1, &named);
    }
}

/// A file in the system's folder for such, gone with the value.
struct Temporary(PathBuf);

impl Temporary {
    fn new(bytes: &[u8]) -> Self {
        let name = format!("chunkwire-logs-{}-{:?}", std::process::id(), std::thread::current().id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).expect("a file can be written");
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The rows of usage are the same in pieces, and by threads.
fn check_rows(case: &Case, wanted: &Wanted) {
    let rows = |pieces: &[&[u8]], limit| {
        let (mut log, mut tracker) = (Log::new(case.options, wanted.clone()), Tracker::default());
        for piece in pieces {
            let mut at = 0;
            while log.decode(piece, &mut at, limit, &mut tracker) {}
        }
        log.finish(&mut tracker);
        (told(tracker.finish()), log.stats())
    };
    let alone = rows(&[&case.log], usize::MAX);
    assert_eq!(rows(&case.pieces(), case.at_once), alone);
    let layout = recognise(&case.log, &wanted.request);
    let (Some((threads, part_bytes)), true) = (case.scan, layout.is_split(&case.log)) else { return };
    if matches!(layout.format, Format::Sse) {
        return;
    }
    let file = Temporary::new(&case.log);
    let blocks = Box::new(Blocks::open(&file.0, None).expect("it is there"));
    if !blocks.is_plain() {
        return;
    }
    let how = How { part_bytes, lines: Some((wanted.clone(), layout)), ..How::new(case.options, threads) };
    let mut scan = Scan::new(blocks, Buffer::default(), how);
    while scan.work() {}
    if let Outcome::Done(done) = scan.finish().expect("it can be read") {
        assert_eq!((told(done.0), done.1), alone);
    }
}

/// All that a caller can see of the streams.
fn told(streams: Streams) -> String {
    let rows = streams.rows.iter().map(|row| {
        let usage = row.usage.as_ref().map(|(raw, place)| (raw.escape_ascii().to_string(), *place));
        let times = (row.first_content, row.last_content, row.began);
        format!("{usage:?} {:?} {} {times:?} {}", row.status(), row.chunks, row.offset)
    });
    let rows: Vec<String> = rows.collect();
    let columns = Columns::new(streams, true, 0);
    format!(
        "{rows:#?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:#?}",
        (columns.tokens, columns.valid, columns.reported, columns.cost),
        (columns.created, columns.chunks, columns.offset),
        (columns.id.bytes, columns.id.ends),
        (columns.model.codes, columns.model.categories),
        (columns.finish_reason.codes, columns.finish_reason.categories),
        (columns.status.codes, columns.status.categories),
        columns.time_to_first_token,
        columns.damages,
    )
}
