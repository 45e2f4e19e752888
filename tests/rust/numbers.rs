//! The number of each chunk's stream: what it is, and that it stays the same where ended streams are forgotten.

use chunkwire::chunk::Node;
use chunkwire::decoder::{Body, Decoder, Found, Options, Shaped, Sink};
use chunkwire::error::{Damage, Place};
use chunkwire::numbers::{Numbered, Numbers};
use chunkwire::record::{Builder, Item};
use chunkwire::stream::Tracker;
use proptest::prelude::*;

use crate::support::{by, cases};
use crate::{BLOCKS, chunk, event, named, read};

/// A tracker that is asked for the number of every chunk, and may forget after everything that it is told.
struct Asked {
    tracker: Tracker,
    forgets: bool,
    numbers: Vec<u64>,
}

impl Asked {
    fn told(&mut self) {
        if self.forgets {
            self.tracker.forget(|_| false);
        }
    }
}

impl Sink for Asked {
    fn nodes(&mut self) -> &mut Vec<Node> {
        self.tracker.nodes()
    }

    fn chunk(&mut self, found: Found<'_>) {
        self.tracker.chunk(found);
        self.numbers.push(self.tracker.number());
        self.told();
    }

    fn shaped(&mut self, shaped: Shaped<'_>) {
        self.tracker.shaped(shaped);
        self.numbers.push(self.tracker.number());
        self.told();
    }

    fn done(&mut self, place: Place) {
        self.tracker.done(place);
        self.told();
    }

    fn server_error(&mut self, place: Place, body: Body<'_>) {
        self.tracker.server_error(place, body);
        self.told();
    }

    fn damage(&mut self, damage: &Damage) {
        self.tracker.damage(damage);
        self.told();
    }
}

fn asked(source: &str, forgets: bool) -> Vec<u64> {
    let mut asked = Asked { tracker: Tracker::for_numbers(), forgets, numbers: Vec::new() };
    let mut decoder = Decoder::new(Options::default());
    let mut at = 0;
    while decoder.decode(source.as_bytes(), &mut at, usize::MAX, &mut asked) {}
    decoder.finish(&mut asked);
    asked.numbers
}

/// The numbers as batches have them.
fn in_batches(source: &str, size: usize) -> Vec<u64> {
    let (mut decoder, mut numbers) = (Decoder::new(Options::default()), Numbers::default());
    let (mut builder, mut marks, mut found) = (Builder::default(), Vec::new(), Vec::new());
    for piece in by(source.as_bytes(), size).into_iter().chain([&b""[..]]) {
        let mut at = 0;
        let mut sink = Numbered { builder: &mut builder, marks: &mut marks, numbers: &mut numbers };
        if piece.is_empty() {
            decoder.finish(&mut sink);
        } else {
            while decoder.decode(piece, &mut at, usize::MAX, &mut sink) {}
        }
        assert_eq!(marks.len(), builder.len());
        let batch = std::mem::take(&mut builder).build(piece);
        let items = batch.items().iter().zip(marks.drain(..));
        found.extend(items.filter(|(item, _)| matches!(item, Item::Chunk(_))).map(|(_, mark)| mark.stream as u64));
    }
    found
}

/// The numbers, the same in every way to get them.
fn numbers(source: &str) -> Vec<u64> {
    let numbers = asked(source, false);
    assert_eq!(asked(source, true), numbers);
    assert_eq!(in_batches(source, source.len().max(1)), numbers);
    assert_eq!(in_batches(source, 7), numbers);
    numbers
}

fn of(id: &str) -> String {
    chunk(&named(id), r#"{"content":"x"}"#, "null")
}

fn first_of(id: &str) -> String {
    chunk(&named(id), r#"{"role":"assistant"}"#, "null")
}

#[test]
fn streams_are_numbered_as_they_begin() {
    let source = [first_of("a"), first_of("b"), of("a"), of("b"), event("[DONE]"), first_of("c"), of("a")].concat();
    assert_eq!(numbers(&source), [0, 1, 0, 1, 2, 0]);
}

#[test]
fn a_part_has_the_number_of_its_stream() {
    assert_eq!(
        numbers(&[first_of("a"), of("b"), of("c"), of("c"), event("[DONE]"), first_of("d")].concat()),
        [0, 0, 0, 0, 1]
    );
}

#[test]
fn a_part_that_turns_out_to_be_a_stream_gets_the_next_number() {
    // c continues b, which continues a, until a comes again: then b and c are one stream. It is known from there on.
    let source = [first_of("a"), of("b"), of("c"), first_of("d"), of("a"), of("c"), first_of("e"), of("b"), of("c")];
    assert_eq!(numbers(&source.concat()), [0, 0, 0, 1, 0, 2, 3, 2, 4]);
}

#[test]
fn rows_without_chunks_have_numbers_too() {
    let source = [event("[DONE]"), event(r#"{"error":1}"#), event("[DONE]"), event("{"), first_of("a")].concat();
    let rows = read(&[source.as_bytes()], Options::default()).0;
    let row = rows.iter().position(|row| row.id.as_deref() == Some("a")).expect("a row");
    assert_eq!(numbers(&source), [row as u64]);
}

#[test]
fn what_is_silent_for_long_stays_where_it_was() {
    // More parts in a row than can be open: the first are closed, and what is between two open ones is forgotten.
    let mut source: String = first_of("a");
    for number in 0..9000 {
        source += &of(&format!("p{number}"));
        if number % 50 == 49 {
            source += &of("p7").replace("\"p7\"", &format!("\"p{}\"", number / 2));
        }
    }
    assert_eq!(asked(&source, true), asked(&source, false));
    let source: String = (0..70_000).map(|number| first_of(&format!("s{number}")) + &event("[DONE]")).collect();
    assert_eq!(in_batches(&source, 1 << 20), (0..70_000).collect::<Vec<_>>());
}

#[test]
fn forgetting_nothing_is_fine() {
    let mut tracker = Tracker::default();
    tracker.forget(|_| false);
    assert!(tracker.finish().rows.is_empty());
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn numbers_are_the_same_where_streams_are_forgotten(
        blocks in prop::collection::vec(prop::sample::select(BLOCKS), 0..40),
        ids in prop::collection::vec((0usize..5, 0usize..4), 0..40)
    ) {
        numbers(&blocks.concat());
        let part = |(id, kind): &(usize, usize)| match kind {
            0 => first_of(&format!("i{id}")),
            1 if *id == 0 => event("[DONE]"),
            1 => chunk(&named(&format!("i{id}")), "{}", "\"stop\""),
            _ => of(&format!("i{id}")),
        };
        numbers(&ids.iter().map(part).collect::<String>());
    }
}
