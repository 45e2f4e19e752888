//! The two ways of an event beside each other: a case in, the proof out that shapes and the careful parser agree.
//!
//! What the careful parser says of the whole source is the truth, and `serde_json` its witness. Decoding with shapes,
//! and decoding the source in pieces either way, has to tell the same: items, every value of every document by every
//! view, damages, counts, and rows of usage.
#![allow(dead_code)] // every user of this takes a part of it

use chunkwire::chunk::shape::Shapes;
use chunkwire::chunk::{Doc, Key, Value};
use chunkwire::decoder::{Decoder, Options, Paths, Sink, Stats};
use chunkwire::record::{Batch, Builder, ErrorBody, Item};
use chunkwire::stream::Tracker;
use chunkwire::usage::Columns;

use crate::beside;
use crate::generated::Case;

/// Checks a case, and says how many chunks of the source, decoded whole with shapes, went which way.
pub fn check(case: &Case) -> Paths {
    let source = &case.source[..];
    let careful = Options { shapes: false, ..case.options };
    let truth = Truth::new(source, careful);
    let pieces = case.pieces();
    let shapes = Options { shapes: true, ..case.options };
    let paths = truth.compare(&[source], shapes, usize::MAX);
    truth.compare(&pieces, shapes, case.at_once);
    truth.compare(&pieces, careful, case.at_once);
    truth.compare_lent(&pieces, shapes, case.at_once, &mut None);
    let rows = Rows::new(&[source], careful, usize::MAX);
    assert_eq!(Rows::new(&[source], shapes, usize::MAX), rows);
    assert_eq!(Rows::new(&pieces, shapes, case.at_once), rows);
    assert_eq!(Rows::new(&pieces, careful, case.at_once), rows);
    paths
}

/// Checks that two decoders of a case that take turns with the same shapes, which learned from whatever came before, tell
/// what the careful parser says.
pub fn check_lent(case: &Case, shapes: &mut Option<Box<Shapes>>) {
    let truth = Truth::new(&case.source, Options { shapes: false, ..case.options });
    truth.compare_lent(&case.pieces(), case.options, case.at_once, shapes);
}

/// Decodes the pieces; `at_end_of_call` is told the piece after every call, and the empty one after the last.
fn decode<'a, S: Sink>(
    pieces: &[&'a [u8]],
    options: Options,
    at_once: usize,
    sink: &mut S,
    mut at_end_of_call: impl FnMut(&mut S, &'a [u8]),
) -> Decoder {
    let mut decoder = Decoder::new(options);
    for piece in pieces {
        let mut at = 0;
        loop {
            let more = decoder.decode(piece, &mut at, at_once, sink);
            at_end_of_call(sink, piece);
            if !more {
                break;
            }
        }
        assert_eq!(at, piece.len());
    }
    decoder.finish(sink);
    at_end_of_call(sink, b"");
    decoder
}

/// What the careful parser found in the whole source.
struct Truth<'a> {
    batches: Vec<Batch<&'a [u8]>>,
    stats: Stats,
}

impl<'a> Truth<'a> {
    fn new(source: &'a [u8], options: Options) -> Self {
        let mut batches = Vec::new();
        let decoder = decode(&[source], options, usize::MAX, &mut Builder::default(), |builder, piece| {
            batches.push(std::mem::take(builder).build(piece));
        });
        assert_eq!(decoder.paths(), Paths { careful: decoder.stats().chunks, ..Paths::default() });
        let truth = Self { batches, stats: decoder.stats() };
        for (batch, item) in truth.items() {
            match item {
                Item::Chunk(record) => beside::check(batch.doc(record)),
                Item::ServerError(error) => {
                    if let ErrorBody::Json(record) = &error.1 {
                        beside::check(batch.doc(record));
                    }
                }
                Item::Damage(_) => {}
            }
        }
        truth
    }

    fn items(&self) -> impl Iterator<Item = (&Batch<&'a [u8]>, &Item)> {
        self.batches.iter().flat_map(|batch| batch.items().iter().map(move |item| (batch, item)))
    }

    /// Two decoders of these pieces, of which one is half of them behind, tell the same.
    fn compare_lent(&self, pieces: &[&[u8]], options: Options, at_once: usize, shapes: &mut Option<Box<Shapes>>) {
        let behind = pieces.len() / 2;
        let mut turns = [0, behind].map(|behind| (Decoder::new(options), Builder::default(), self.items(), behind));
        for turn in 0..=pieces.len() + behind {
            for (decoder, builder, expected, behind) in &mut turns {
                let Some(number) = turn.checked_sub(*behind).filter(|&number| number <= pieces.len()) else { continue };
                let piece = pieces.get(number).copied();
                let mut at = 0;
                loop {
                    decoder.lend(shapes.take());
                    let more = match piece {
                        Some(piece) => decoder.decode(piece, &mut at, at_once, builder),
                        None => {
                            decoder.finish(builder);
                            false
                        }
                    };
                    *shapes = decoder.take_back();
                    let batch = std::mem::take(builder).build(piece.unwrap_or(b""));
                    for item in batch.items() {
                        same_item((&batch, item), expected.next().expect("no more items"));
                    }
                    *builder = batch.recycle();
                    if !more {
                        break;
                    }
                }
                decoder.rest();
            }
        }
        for (decoder, _, mut expected, _) in turns {
            assert!(expected.next().is_none(), "fewer items");
            assert_eq!(decoder.stats(), self.stats);
        }
    }

    /// Decoding these pieces in this way tells the same.
    fn compare(&self, pieces: &[&[u8]], options: Options, at_once: usize) -> Paths {
        let mut expected = self.items();
        let decoder = decode(pieces, options, at_once, &mut Builder::default(), |builder, piece| {
            let batch = std::mem::take(builder).build(piece);
            for item in batch.items() {
                let (other, expected) = expected.next().expect("no more items");
                same_item((&batch, item), (other, expected));
            }
            *builder = batch.recycle();
        });
        assert!(expected.next().is_none(), "fewer items");
        assert_eq!(decoder.stats(), self.stats);
        let paths = decoder.paths();
        assert_eq!(paths.shape + paths.careful, self.stats.chunks);
        assert!(paths.steady <= paths.shape && (options.shapes || paths.shape == 0));
        paths
    }
}

type Found<'a, 'b> = (&'a Batch<&'b [u8]>, &'a Item);

fn same_item((batch, item): Found<'_, '_>, (other, expected): Found<'_, '_>) {
    match (item, expected) {
        (Item::Chunk(one), Item::Chunk(two)) => {
            assert_eq!((one.offset, batch.raw(one)), (two.offset, other.raw(two)));
            same_document(batch.doc(one), other.doc(two));
        }
        (Item::ServerError(one), Item::ServerError(two)) => {
            assert_eq!(one.0, two.0);
            match (&one.1, &two.1) {
                (ErrorBody::Json(one), ErrorBody::Json(two)) => {
                    assert_eq!((one.offset, batch.raw(one)), (two.offset, other.raw(two)));
                    same_document(batch.doc(one), other.doc(two));
                }
                (ErrorBody::Text(one), ErrorBody::Text(two)) => assert_eq!(one, two),
                _ => panic!("{one:?} instead of {two:?}"),
            }
        }
        (Item::Damage(one), Item::Damage(two)) => assert_eq!(one, two),
        _ => panic!("{item:?} instead of {expected:?}"),
    }
}

fn same_document(doc: Doc<'_>, other: Doc<'_>) {
    assert_eq!(doc.text(), other.text());
    same_value(doc, doc.root(), other, other.root());
    assert_eq!(doc.content().map(Value::number), other.content().map(Value::number));
}

/// The value's number, and where its bytes stand in its document.
fn place(doc: Doc<'_>, value: Value<'_>) -> (usize, usize, usize) {
    (value.number(), value.text().as_ptr().addr() - doc.text().as_ptr().addr(), value.text().len())
}

/// Two values are the same by every view that there is.
fn same_value(doc: Doc<'_>, value: Value<'_>, other_doc: Doc<'_>, other: Value<'_>) {
    assert_eq!((value.kind(), place(doc, value)), (other.kind(), place(other_doc, other)));
    assert_eq!((value.kind_name(), value.raw()), (other.kind_name(), other.raw()));
    assert_eq!((value.is_null(), value.is_truthy()), (other.is_null(), other.is_truthy()));
    assert_eq!(value.number_value().map(f64::to_bits), other.number_value().map(f64::to_bits));
    assert_eq!((value.integer(), value.non_empty()), (other.integer(), other.non_empty()));
    if value.kind_name() == "string" {
        assert_eq!((value.is_escaped(), value.is_ascii()), (other.is_escaped(), other.is_ascii()));
        assert_eq!(value.bytes(), other.bytes());
    }
    assert_eq!(value.items().count(), other.items().count());
    for (item, other) in value.items().zip(other.items()) {
        same_value(doc, item, other_doc, other);
    }
    assert_eq!(value.members().count(), other.members().count());
    for ((key, member), (other_key, other_member)) in value.members().zip(other.members()) {
        assert_eq!((key.key(), place(doc, key)), (other_key.key(), place(other_doc, other_key)));
        assert_eq!(
            (key.kind(), key.is_escaped(), key.is_ascii()),
            (other_key.kind(), other_key.is_escaped(), other_key.is_ascii())
        );
        assert_eq!(key.bytes(), other_key.bytes());
        same_value(doc, member, other_doc, other_member);
    }
    // Looked up, a member is the last one of its key.
    for number in 1..=u8::MAX {
        let key = Key::from_number(number);
        if key == Key::Unknown {
            break;
        }
        let last = other.members().filter(|(name, _)| name.key() == key).last().map(|(_, member)| member.number());
        assert_eq!(value.get(key).map(Value::number), last, "{key:?}");
    }
    for (key, _) in other.members() {
        let name = key.bytes();
        assert_eq!(value.get_named(&name).map(Value::number), other.get_named(&name).map(Value::number));
    }
}

/// What is told of the streams of a source, as far as a user sees it.
#[derive(Debug, PartialEq)]
struct Rows {
    rows: Vec<String>,
    columns: Vec<String>,
    texts: Vec<String>,
    damages: String,
    stats: Stats,
}

impl Rows {
    fn new(pieces: &[&[u8]], options: Options, at_once: usize) -> Self {
        let mut tracker = Tracker::default();
        let decoder = decode(pieces, options, at_once, &mut tracker, |_, _| {});
        let streams = tracker.finish();
        let rows = streams.rows.iter().map(|row| {
            let usage = row.usage.as_ref().map(|(raw, place)| (raw.escape_ascii().to_string(), *place));
            format!("{usage:?} {:?} {}", row.status(), row.chunks)
        });
        let rows = rows.collect();
        let columns = Columns::new(streams, options.shapes, 0);
        let texts = [&columns.model, &columns.finish_reason, &columns.status];
        Self {
            rows,
            columns: vec![
                format!("{:?}", columns.tokens),
                format!("{:?}", columns.valid),
                format!("{:?}", columns.reported),
                format!("{:?}", columns.cost),
                format!("{:?}", columns.created),
                format!("{:?}", columns.chunks),
                format!("{:?}", columns.offset),
                format!("{:?}", (columns.id.bytes, columns.id.ends)),
            ],
            texts: texts.iter().map(|coded| format!("{:?} {:?}", coded.codes, coded.categories)).collect(),
            damages: format!("{:?}", columns.damages),
            stats: decoder.stats(),
        }
    }
}
