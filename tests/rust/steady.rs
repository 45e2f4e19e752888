//! Events that are alike, one behind the other: that they are taken in turn, and that this changes nothing.

use chunkwire::chunk::{Doc, Node};
use chunkwire::decoder::{Body, Decoder, Found, Options, Paths, Shaped, Sink};
use chunkwire::error::{Damage, Place};
use chunkwire::stream::Tracker;

use crate::generated::{Case, SIGNS};
use crate::paths;

/// So many events come before they are sure to be steady: those by which a hole is learned, and those that are waited for.
const BEFORE: u64 = 24;

fn case(source: Vec<u8>) -> Case {
    Case { source, cuts: vec![], at_once: usize::MAX, options: Options::default() }
}

fn chunk(content: &str) -> String {
    format!(
        r#"{{"id":"chatcmpl-1","created":1719000000,"model":"m","choices":[{{"index":0,"delta":{{"content":"{content}"}}}}]}}"#
    )
}

/// Some texts, from the plain to the odd.
fn content(number: usize) -> &'static str {
    ["Hello", " world", "", r#"\"q\""#, "é", r"\n", "a longer text than one register holds", "😊"][number % 8]
}

fn log(events: usize, (before, behind): (&str, &str), text: impl Fn(usize) -> String) -> Vec<u8> {
    (0..events).map(|number| [before, &text(number), behind].concat()).collect::<String>().into_bytes()
}

const USUAL: (&str, &str) = ("data: ", "\n\n");

#[test]
fn events_that_are_alike_are_taken_in_turn() {
    for around in [USUAL, ("data:", "\n\n"), ("data: ", "\r\n\r\n")] {
        let Paths { shape, steady, careful } =
            paths::check(&case(log(100, around, |number| chunk(content(number * 7)))));
        assert_eq!((shape + careful, careful), (100, 1), "{around:?}");
        assert!(steady >= 100 - BEFORE, "{around:?}: {steady}");
    }
}

#[test]
fn more_than_a_shape_lives_for_are_taken_in_turn() {
    let paths = paths::check(&case(log(9000, USUAL, |number| chunk(content(number)))));
    assert!(paths.steady >= 9000 - 4 * BEFORE, "{paths:?}");
}

#[test]
fn few_events_are_not_worth_it() {
    let source =
        log(100, USUAL, |number| if number % 5 == 4 { r#"{"choices":[]}"#.into() } else { chunk(content(number)) });
    assert_eq!(paths::check(&case(source)).steady, 0);
}

#[test]
fn chunks_that_report_usage_are_taken_in_turn_however_many_holes_they_have() {
    for holes in 1..9 {
        let text = |number: usize| {
            let members: Vec<String> = (1..holes).map(|hole| format!(r#""h{hole}":{}"#, number * hole)).collect();
            let usage = format!(r#"{{"prompt_tokens":7,"completion_tokens":{number},{}"z":0}}"#, {
                let mut members = members.join(",");
                members.extend((!members.is_empty()).then_some(','));
                members
            });
            format!(r#"{{"id":"u","created":1,"model":"m","usage":{usage},"choices":[{{"delta":{{}}}}]}}"#)
        };
        let case = case(log(80, USUAL, text));
        let (paths, mut tracker) = (paths::check(&case), Tracker::default());
        assert!(paths.steady >= 80 - BEFORE, "{holes}: {paths:?}");
        // Of so many holes they are counted for rows, of more they are not.
        assert_eq!(decode(&case, &mut tracker).paths(), paths, "{holes}");
    }
}

#[test]
fn chunks_that_say_how_their_stream_goes_are_told_one_by_one() {
    let text = |number: usize| {
        format!(r#"{{"id":"t","created":{},"model":"m","choices":[{{"delta":{{"content":"x"}}}}]}}"#, number / 3)
    };
    let paths = paths::check(&case(log(80, USUAL, text)));
    assert!(paths.steady >= 80 - BEFORE, "{paths:?}");
    // Costs are reported by each chunk.
    let text = |number: usize| {
        format!(
            r#"{{"id":"t","model":"m","cost":0.{number},"usage":{{"total_tokens":{number}}},"choices":[{{"delta":{{}}}}]}}"#
        )
    };
    let paths = paths::check(&case(log(80, USUAL, text)));
    assert!(paths.steady >= 80 - BEFORE, "{paths:?}");
    // Each is damage.
    let text = |number: usize| format!(r#"{{"id":"t","model":"m","usage":{number},"choices":[{{"delta":{{}}}}]}}"#);
    let paths = paths::check(&case(log(80, USUAL, text)));
    assert!(paths.steady >= 80 - BEFORE, "{paths:?}");
}

#[test]
fn they_end_wherever_they_are_asked_to() {
    let source = log(60, USUAL, |number| chunk(content(number)));
    for at_once in 1..40 {
        paths::check(&Case { at_once, ..case(source.clone()) });
    }
    for cut in 0..source.len() / 60 + 2 {
        paths::check(&Case { cuts: vec![source.len() / 2 + cut], ..case(source.clone()) });
    }
}

#[test]
fn one_that_is_too_long_is_damage_among_them() {
    for longer in 60..140 {
        let long = "x".repeat(longer);
        let source = log(50, USUAL, |number| chunk(if number == 40 { &long } else { content(number) }));
        paths::check(&Case { options: Options { max_event_bytes: 200, ..Options::default() }, ..case(source) });
    }
}

#[test]
fn one_that_differs_in_a_byte_ends_them() {
    let alike = log(26, USUAL, |number| chunk(content(number)));
    let event = log(1, USUAL, |_| chunk("Hello"));
    let signs = SIGNS.iter().step_by(7);
    for (at, &sign) in (0..event.len()).flat_map(|at| signs.clone().map(move |sign| (at, sign))) {
        let mut other = event.clone();
        other[at] = sign;
        paths::check(&case([&alike[..], &other, &event].concat()));
        other.remove(at);
        paths::check(&case([&alike[..], &other, &event].concat()));
        other.truncate(at);
        paths::check(&case([&alike[..], &other].concat()));
    }
}

/// A sink to which all chunks that are alike are the same.
#[derive(Default)]
struct Counter {
    nodes: Vec<Node>,
    chunks: usize,
    repeated: usize,
    told: Vec<Told>,
}

/// How many chunks there were then, and the place and the text of the last, with its content.
type Told = (usize, Place, Vec<u8>, Option<Vec<u8>>);

impl Counter {
    fn add(&mut self, count: usize, place: Place, doc: Doc<'_>) {
        self.chunks += count;
        let content = doc.content().map(|content| content.bytes().into_owned());
        self.told.push((self.chunks, place, doc.text().to_vec(), content));
    }
}

impl Sink for Counter {
    fn nodes(&mut self) -> &mut Vec<Node> {
        &mut self.nodes
    }

    fn chunk(&mut self, found: Found<'_>) {
        let nodes = std::mem::take(&mut self.nodes);
        self.add(1, found.place, Doc::new(found.text, &nodes));
    }

    fn shaped(&mut self, shaped: Shaped<'_>) {
        self.add(1, shaped.place, shaped.doc());
    }

    fn counts(&self, _: &chunkwire::chunk::shape::Template) -> bool {
        true
    }

    fn repeated(&mut self, count: u64, last: Shaped<'_>) {
        assert!(count > 0);
        self.repeated += count as usize;
        self.add(count as usize, last.place, last.doc());
    }

    fn done(&mut self, _: Place) {}

    fn server_error(&mut self, _: Place, _: Body<'_>) {
        self.nodes.clear();
    }

    fn damage(&mut self, _: &Damage) {}
}

fn decode(case: &Case, sink: &mut impl Sink) -> Decoder {
    let mut decoder = Decoder::new(case.options);
    for piece in case.pieces() {
        let mut at = 0;
        let mut more = true;
        while more {
            let before = decoder.events();
            more = decoder.decode(piece, &mut at, case.at_once, sink);
            assert!(decoder.events() - before <= case.at_once as u64);
        }
    }
    decoder.finish(sink);
    decoder
}

/// Checks that counting says nothing but what the careful parser says of each, and gives how many were counted.
fn check_counted(case: &Case) -> usize {
    let (mut truth, mut counter) = (Counter::default(), Counter::default());
    let careful = decode(&Case { options: Options { shapes: false, ..case.options }, ..case.clone() }, &mut truth);
    let decoder = decode(case, &mut counter);
    assert_eq!(decoder.stats(), careful.stats());
    assert_eq!(counter.chunks, truth.chunks);
    for told in &counter.told {
        assert_eq!(told, &truth.told[told.0 - 1]);
    }
    counter.repeated
}

#[test]
fn those_that_are_counted_are_as_many_as_there_are() {
    for around in [USUAL, ("data:", "\n\n"), ("data: ", "\r\n\r\n"), ("data:", "\r\n\r\n")] {
        let source = log(100, around, |number| chunk(content(number * 7)));
        assert!(check_counted(&case(source)) >= 100 - BEFORE as usize, "{around:?}");
    }
    // None of them has a hole.
    assert!(check_counted(&case(log(100, USUAL, |_| chunk("Hello")))) >= 80);
    assert!(check_counted(&case(log(9000, USUAL, |number| chunk(content(number))))) >= 8900);
}

#[test]
fn what_stands_between_those_that_are_counted_stays_what_it_is() {
    let others = [
        "data: [DONE]\n\n",
        ": a comment\n\n",
        "data: {broken\n\n",
        "event: error\ndata: {\"error\":\"e\"}\n\n",
        "data: {\"choices\":[]}\n\n",
        "data: {\"choices\":[]}\r\n\r\n",
        "\n",
        "data:\n\n",
    ];
    for other in others {
        for every in [1, 2, 14, 20] {
            let mut source = log(40, USUAL, |number| chunk(content(number)));
            for number in 0..80 {
                source.extend(log(1, USUAL, |_| chunk(content(number))));
                if number % every == 0 {
                    source.extend_from_slice(other.as_bytes());
                }
            }
            assert!(check_counted(&case(source.clone())) > 0, "{other:?}");
            paths::check(&case(source));
        }
    }
    // Framings by turns.
    let mut source = log(40, USUAL, |number| chunk(content(number)));
    for number in 0..200 {
        let around = [USUAL, ("data:", "\n\n"), ("data: ", "\r\n\r\n"), ("data:  ", "\n\n"), ("data: ", " \n\n")];
        source.extend(log(1, around[number / 3 % 5], |_| chunk(content(number))));
    }
    assert!(check_counted(&case(source)) > 0);
}

#[test]
fn counting_ends_wherever_it_is_asked_to() {
    let source = log(60, USUAL, |number| chunk(content(number)));
    for at_once in 1..40 {
        check_counted(&Case { at_once, ..case(source.clone()) });
    }
    for cut in 0..source.len() / 60 + 2 {
        check_counted(&Case { cuts: vec![source.len() / 2 + cut], ..case(source.clone()) });
    }
    for end in source.len() - 200..source.len() {
        check_counted(&case(source[..end].to_vec()));
    }
}

#[test]
fn what_may_not_be_is_not_counted() {
    for longer in (60..140).chain([40_000]) {
        let long = "x".repeat(longer);
        let source = log(50, USUAL, |number| chunk(if number == 40 { &long } else { content(number) }));
        check_counted(&case(source.clone()));
        check_counted(&Case { options: Options { max_event_bytes: 200, ..Options::default() }, ..case(source) });
    }
    let number =
        |number: usize| format!(r#"{{"n":{},"choices":[]}}"#, if number % 40 == 39 { 123_456 } else { number });
    let options = Options { max_int_digits: 5, ..Options::default() };
    assert!(check_counted(&Case { options, ..case(log(200, USUAL, number)) }) > 100);
}

#[test]
fn holes_at_the_ends_of_the_text_are_counted() {
    for holes in 1..9 {
        let text = |number: usize| {
            let members: Vec<String> = (0..holes).map(|hole| format!("[\"{}\"]", content(number + hole))).collect();
            format!(r#"{{"{{":{number},"choices":[{{"delta":{{"content":"x"}}}},{}]}}"#, members.join(","))
        };
        let counted = check_counted(&case(log(100, USUAL, text)));
        // (The number is one more.)
        assert_eq!(counted > 0, holes < 6, "{holes}: {counted}");
        assert!(counted == 0 || counted >= 100 - BEFORE as usize, "{holes}: {counted}");
    }
}

/// A sink that five chunks fill.
#[derive(Default)]
struct Small(Counter);

impl Sink for Small {
    fn nodes(&mut self) -> &mut Vec<Node> {
        self.0.nodes()
    }

    fn chunk(&mut self, found: Found<'_>) {
        self.0.chunk(found);
    }

    fn shaped(&mut self, shaped: Shaped<'_>) {
        self.0.shaped(shaped);
    }

    fn is_full(&self) -> bool {
        self.0.chunks >= 5
    }

    fn done(&mut self, _: Place) {}

    fn server_error(&mut self, _: Place, _: Body<'_>) {}

    fn damage(&mut self, _: &Damage) {}
}

#[test]
fn a_sink_that_is_full_is_told_no_more() {
    let source = log(60, USUAL, |number| chunk(content(number)));
    let (mut decoder, mut at, mut small) = (Decoder::new(Options::default()), 0, Small::default());
    for number in 0..12 {
        assert!(decoder.decode(&source, &mut at, usize::MAX, &mut small), "{number}");
        assert_eq!(std::mem::take(&mut small).0.chunks, 5, "{number}");
    }
    assert_eq!(at, source.len());
}
