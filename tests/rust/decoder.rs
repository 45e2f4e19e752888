//! The decoder: what each event is, in the order of the rules, and that all counts are the same for every split.

mod rules;
mod support;
mod twin;

use chunkwire::chunk::{Doc, Node};
use chunkwire::decoder::{Body, Decoder, Found, KEPT_DAMAGES, Options, Sink, Stats};
use chunkwire::error::{Damage, Kind, Place};
use chunkwire::record::{Builder, ErrorBody, Item};
use proptest::prelude::*;
use support::{all_cuts, by, cases, cut_at, cuts, recorded, with_line_ends};

/// One thing that the decoder told.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    /// Place, text, and the data as sent where it differs.
    Chunk(Place, String, Option<Vec<u8>>),
    Done(Place),
    /// Place, and the body's JSON or text.
    Error(Place, Result<String, String>),
    Damage(Damage),
}

/// A sink that writes everything down.
#[derive(Default)]
struct Log {
    nodes: Vec<Node>,
    told: Vec<Told>,
    /// Texts that were said to lie in the input, and where.
    in_input: Vec<(usize, Vec<u8>)>,
}

impl Log {
    /// The text of what was found, whose nodes are there and whose place in the input will be checked.
    fn text(&mut self, found: Found<'_>) -> String {
        let root = Doc::new(found.text, &self.nodes[found.first_node..]).root();
        assert_eq!(root.raw().trim_ascii(), found.text.trim_ascii());
        assert_eq!(root.number() + self.nodes[found.first_node..].len(), self.nodes[found.first_node].size());
        if let Some(at) = found.at {
            self.in_input.push((at, found.text.to_vec()));
        }
        String::from_utf8(found.text.to_vec()).expect("the text is UTF-8")
    }
}

impl Sink for Log {
    fn nodes(&mut self) -> &mut Vec<Node> {
        &mut self.nodes
    }

    fn chunk(&mut self, found: Found<'_>) {
        let text = self.text(found);
        self.told.push(Told::Chunk(found.place, text, found.raw.map(Into::into)));
    }

    fn done(&mut self, place: Place) {
        self.told.push(Told::Done(place));
    }

    fn server_error(&mut self, place: Place, body: Body<'_>) {
        let body = match body {
            Body::Json(found) => Ok(self.text(found)),
            Body::Text(text) => Err(text.to_owned()),
        };
        self.told.push(Told::Error(place, body));
    }

    fn damage(&mut self, damage: &Damage) {
        self.told.push(Told::Damage(damage.clone()));
    }
}

/// What the decoder tells of a source in these pieces, at most `at_once` events a call; and its counts.
fn decode(pieces: &[&[u8]], options: Options, at_once: usize) -> (Vec<Told>, Stats) {
    let (mut decoder, mut log) = (Decoder::new(options), Log::default());
    for piece in pieces {
        let mut at = 0;
        while decoder.decode(piece, &mut at, at_once, &mut log) {}
        assert_eq!(at, piece.len());
        for (at, text) in log.in_input.drain(..) {
            assert_eq!(piece[at..at + text.len()], text);
        }
    }
    decoder.finish(&mut log);
    assert!(log.in_input.is_empty(), "nothing lies in an input that is over");
    (log.told, decoder.stats())
}

fn whole(source: &[u8]) -> (Vec<Told>, Stats) {
    decode(&[source], Options::default(), usize::MAX)
}

/// Every byte and every event is counted once.
fn check_sums(source: &[u8], told: &[Told], stats: &Stats) {
    let bytes = stats.chunk_bytes + stats.done_bytes + stats.error_bytes + stats.comment_bytes;
    assert_eq!(bytes + stats.skipped_bytes + stats.damaged_bytes, stats.bytes);
    assert_eq!(stats.bytes, source.len() as u64);
    let count = |wanted: fn(&Told) -> bool| told.iter().filter(|told| wanted(told)).count() as u64;
    assert_eq!(stats.chunks, count(|told| matches!(told, Told::Chunk(..))));
    assert_eq!(stats.done, count(|told| matches!(told, Told::Done(..))));
    assert_eq!(stats.errors, count(|told| matches!(told, Told::Error(..))));
    assert_eq!(stats.damaged, count(|told| matches!(told, Told::Damage(..))));
    let lost =
        count(|told| matches!(told, Told::Damage(damage) if damage.kind.is_loss() && damage.kind != Kind::NotAStream));
    assert_eq!(stats.events, stats.chunks + stats.done + stats.errors + stats.keepalives + lost);
    assert_eq!(stats.damages.len() as u64, (stats.errors + stats.damaged).min(KEPT_DAMAGES as u64));
}

#[test]
fn an_event_too_large_is_damage_with_its_place() {
    let source = format!("data: [DONE]\n\n: a\nid: 1\ndata: {}\n\ndata: {{\"choices\":[]}}\n\n", "x".repeat(100));
    let options = Options { max_event_bytes: 60, ..Options::default() };
    for pieces in all_cuts(source.as_bytes()) {
        let (told, stats) = decode(&pieces, options, 1);
        check_sums(source.as_bytes(), &told, &stats);
        let place = Place { offset: 18, line: 4, event: 1 };
        let reason = "the event is larger than 60 bytes".to_owned();
        assert_eq!(told[1], Told::Damage(Damage { kind: Kind::EventTooLarge, place, position: None, reason }));
        assert_eq!((told.len(), stats.events, stats.damaged_bytes, stats.comment_bytes), (3, 3, 6 + 107 + 1, 4));
    }
}

#[test]
fn a_late_line_feed_belongs_to_what_it_ends() {
    let counts = |stats: &Stats| {
        [
            stats.chunk_bytes,
            stats.done_bytes,
            stats.error_bytes,
            stats.comment_bytes,
            stats.skipped_bytes,
            stats.damaged_bytes,
        ]
    };
    for (source, class) in [
        (&b"data: {\"choices\":[]}\r\n\r\n"[..], 0),
        (b"data: [DONE]\r\n\r\n", 1),
        (b"data: {\"error\":1}\r\n\r\n", 2),
        (b"data:\r\n\r\n", 3),
        (b": x\r\n", 3),
        (b"retry: 5\r\n\r\n", 3),
        (b"\r\n", 3),
        (b"foo\r\n", 4),
        (b"data: {\r\n\r\n", 5),
    ] {
        let (mut decoder, mut log) = (Decoder::new(Options::default()), Log::default());
        let (last, first) = (source.len() - 1, &source[..source.len() - 1]);
        decoder.decode(first, &mut 0, usize::MAX, &mut log);
        let before = (log.told.len(), counts(&decoder.stats()));
        decoder.decode(&source[last..], &mut 0, usize::MAX, &mut log);
        // A comment and an unknown line are counted when they end; a block with the blank line.
        let mut expected = before;
        expected.1[class] += 1;
        assert_eq!((log.told.len(), counts(&decoder.stats())), expected, "{source:?}");
        // Another CR begins a line of its own.
        let (mut decoder, mut log) = (Decoder::new(Options::default()), Log::default());
        decoder.decode(first, &mut 0, usize::MAX, &mut log);
        decoder.decode(b"\r\n", &mut 0, usize::MAX, &mut log);
        assert_eq!(decoder.stats().bytes, source.len() as u64 + 1);
        decoder.finish(&mut log);
        check_sums(&[first, b"\r\n"].concat(), &log.told, &decoder.stats());
    }
    // Of an event that grew too large, also the line ends behind it.
    let (mut decoder, mut log) = (Decoder::new(Options { max_event_bytes: 8, ..Options::default() }), Log::default());
    for piece in [&b"data: 123456\r"[..], b"\n", b"x\r", b"\n\r", b"\n"] {
        decoder.decode(piece, &mut 0, usize::MAX, &mut log);
    }
    assert_eq!((decoder.stats().damaged_bytes, decoder.stats().bytes), (19, 19));
}

#[test]
fn the_first_thousand_damages_are_kept_and_all_are_counted() {
    let source = b"data: {\n\ndata: {\"error\":1}\n\n".repeat(800);
    let (told, stats) = whole(&source);
    assert_eq!((stats.damaged, stats.errors, stats.damages.len(), KEPT_DAMAGES), (800, 800, 1000, 1000));
    assert_eq!(stats.damages[999].place.event, 999);
    check_sums(&source, &told, &stats);
}

#[test]
fn events_come_as_few_at_once_as_asked() {
    let source = b": x\n\ndata: {\"choices\":[]}\n\ndata: 5\n\n\ndata:\n\ndata: [DONE]\n\n";
    let (mut decoder, mut log, mut at) = (Decoder::new(Options::default()), Log::default(), 0);
    let mut ends = Vec::new();
    while decoder.decode(source, &mut at, 1, &mut log) {
        ends.push((at, log.told.len()));
    }
    assert_eq!(ends, [(27, 1), (36, 2), (44, 2), (58, 3)]);
    for at_once in [1, 2, 3, 1000] {
        assert_eq!(decode(&[source], Options::default(), at_once), whole(source));
    }
}

// --- batches of records

#[test]
fn a_batch_holds_what_was_found_in_its_order() {
    let source = b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\ndata: [DONE]\n\n\
        event: error\ndata: oops\n\ndata: {\"error\":{\"message\":\"m\"}}\n\ndata: {\"choices\":\ndata: [\"\xff\"]}\n\n";
    for size in [source.len(), 1, 13] {
        let mut decoder = Decoder::new(Options::default());
        let mut found = Vec::new();
        let mut builder = Builder::default();
        for piece in by(source, size) {
            let mut at = 0;
            loop {
                let more = decoder.decode(piece, &mut at, 2, &mut builder);
                let empty = builder.is_empty();
                let batch = builder.build(piece);
                assert_eq!(empty, batch.items().is_empty());
                for item in batch.items() {
                    found.push(match item {
                        Item::Chunk(record) => {
                            let root = batch.doc(record).root();
                            let content = batch.doc(record).content().map(|content| content.text().to_vec());
                            (record.offset, root.kind_name(), content.unwrap_or_else(|| batch.raw(record).to_vec()))
                        }
                        Item::ServerError(error) => match &error.1 {
                            ErrorBody::Json(record) => (error.0.offset, "json", batch.doc(record).text().to_vec()),
                            ErrorBody::Text(text) => (error.0.offset, "text", text.clone().into_bytes()),
                        },
                        Item::Damage(damage) => (damage.place.offset, damage.kind.name(), vec![]),
                    });
                }
                builder = batch.recycle();
                if !more {
                    break;
                }
            }
        }
        let expected = [
            (0, "object", b"a".to_vec()),
            (47, "invalid_json", vec![]),
            (69, "text", b"oops".to_vec()),
            (94, "json", b"{\"error\":{\"message\":\"m\"}}".to_vec()),
            (127, "object", b"{\"choices\":\n[\"\xff\"]}".to_vec()),
        ];
        assert_eq!(found, expected, "by {size}");
    }
}

// --- any split

const BLOCKS: &[&[u8]] = &[
    b"data: {\"id\":\"a\",\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n",
    b"data: {\"id\":\"a\",\ndata: \"choices\":[]}\n\n",
    "data: {\"choices\":[\"\u{e9}\u{1f60a}\"]}\n\n".as_bytes(),
    b"data: {\"choices\":[\"\xf0\x9f\"]}\n\n",
    b"data: [DONE]\n\n",
    b"data: {\"error\":{\"message\":\"m\"}}\n\n",
    b"event: error\ndata: oops\n\n",
    b"event: error\ndata: {}\n\n",
    b"id: \xff\ndata: 5\n\n",
    b"data: {\"choices\":[}\n\n",
    b"data:\n\n",
    b": comment\n\n",
    b": comment\ndata: {\"object\":\"chunk\"}\n\n",
    b"foo: bar\n",
    b"retry: 5\n\n",
    b"\n",
    b"\xef\xbb\xbf",
    b"data: [1, 2",
    b"<html>\n\n",
];

fn source() -> impl Strategy<Value = Vec<u8>> {
    let block = (prop::sample::select(BLOCKS), 0..4).prop_map(|(block, end)| match end {
        0 => with_line_ends(block).pop().expect("CRLF"),
        1 => with_line_ends(block).swap_remove(1),
        _ => block.to_vec(),
    });
    let edit = (any::<prop::sample::Index>(), prop::sample::select(&b"\n\r{}\"\xff:0"[..]));
    (prop::collection::vec(block, 0..12), prop::collection::vec(edit, 0..3)).prop_map(|(blocks, edits)| {
        let mut source = blocks.concat();
        for (at, byte) in edits {
            if !source.is_empty() {
                let at = at.index(source.len());
                source[at] = byte;
            }
        }
        source
    })
}

proptest! {
    #![proptest_config(cases(1200))]

    #[test]
    fn what_is_told_and_counted_is_the_same_for_every_split(
        source in source(),
        cuts in cuts(),
        strict: bool,
        max_event_bytes in prop_oneof![Just(1usize << 26), 10usize..60],
    ) {
        let options = Options { strict, max_event_bytes, ..Options::default() };
        let expected = decode(&[&source], options, usize::MAX);
        check_sums(&source, &expected.0, &expected.1);
        prop_assert_eq!(expected.1.events, twin::twin(&source, max_event_bytes, strict).frames.len() as u64);
        for pieces in [by(&source, 1), by(&source, 2), cut_at(&source, &cuts)] {
            prop_assert_eq!(&decode(&pieces, options, 3), &expected);
        }
    }
}

#[test]
fn recorded_streams_are_told_and_counted_the_same_for_every_split() {
    for (path, source) in recorded() {
        let expected = whole(&source);
        check_sums(&source, &expected.0, &expected.1);
        for size in [1, 100, 4096] {
            assert!(decode(&by(&source, size), Options::default(), 100) == expected, "{} by {size}", path.display());
        }
    }
}

/// A batch is bounded by its nodes, too: a few large events fill it long before their number does.
#[test]
fn a_batch_of_large_events_is_soon_full() {
    let event = format!("data: {{\"choices\":[{}0]}}\n\n", "0,".repeat(1 << 17));
    let source = event.repeat(3);
    let (mut decoder, mut at) = (Decoder::new(Options::default()), 0);
    for number in 1..=3 {
        let mut batch = Builder::default();
        assert!(decoder.decode(source.as_bytes(), &mut at, 1000, &mut batch));
        assert_eq!((batch.build(source.as_bytes()).items().len(), at), (1, number * event.len()));
    }
    assert!(!decoder.decode(source.as_bytes(), &mut at, 1000, &mut Builder::default()));
}
