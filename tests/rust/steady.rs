//! Events that are alike, one behind the other: that they are taken in turn, and that this changes nothing.

use chunkwire::decoder::{Options, Paths};

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
fn chunks_that_report_usage_are_counted_however_many_holes_they_have() {
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
        let paths = paths::check(&case(log(80, USUAL, text)));
        assert!(paths.steady >= 80 - BEFORE, "{holes}: {paths:?}");
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
