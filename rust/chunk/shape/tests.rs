//! Tests of the shapes of a source from inside: what is learned, forgotten, matched and missed.

use super::*;
use crate::chunk::parse;

fn learn(shapes: &mut Shapes, text: &str) {
    let mut nodes = Vec::new();
    parse(text.as_bytes(), text.len(), 0, &mut nodes).expect("JSON");
    shapes.learn(text.as_bytes(), &nodes);
}

fn find(shapes: &mut Shapes, text: &str) -> Option<usize> {
    shapes.find(text.as_bytes(), 0, |end| (end == text.len()).then_some(end)).map(|found| found.end)
}

#[test]
fn shapes_and_their_memory_are_bounded() {
    let mut shapes = Shapes::new(0);
    for round in 0..20_000usize {
        // Every structure comes twice, which is what it takes.
        let number = round / 2;
        let text = format!(r#"{{"choices":[],"x{number}":"{}"}}"#, "y".repeat(number % 20_000));
        shapes.credit = Credit::default();
        learn(&mut shapes, &text);
        assert!(shapes.shapes.len() <= MAX_SHAPES);
        assert!(shapes.memory <= MAX_MEMORY + 2 * MAX_TEXT, "{}", shapes.memory);
        assert_eq!(shapes.numbers.len(), shapes.shapes.len());
    }
    let memory: usize = shapes.shapes.iter().map(|shape| shape.template.memory()).sum();
    assert_eq!(shapes.memory, memory);
    assert!(shapes.shapes.len() > KEPT_AT_ONCE);
}

#[test]
fn memory_is_bounded_when_constants_become_long() {
    let mut shapes = Shapes::new(0);
    let text = |number: usize, value: &str| format!(r#"{{"choices":[],"x{number}":"a","y":"{value}"}}"#);
    for number in 0..KEPT_AT_ONCE {
        learn(&mut shapes, &text(number, "1"));
    }
    for round in 0..200 {
        for number in 0..KEPT_AT_ONCE {
            shapes.credit = Credit::default();
            let value = "z".repeat(MAX_TEXT - 100 - round);
            if find(&mut shapes, &text(number, &value)).is_none() {
                learn(&mut shapes, &text(number, &value));
            }
            let largest = shapes.shapes.iter().map(|shape| shape.template.memory()).max().unwrap_or(0);
            assert!(shapes.memory <= MAX_MEMORY + largest, "{}", shapes.memory);
        }
    }
}

#[test]
fn nothing_is_learned_from_long_texts() {
    let mut shapes = Shapes::new(0);
    let text = |id: &str, content: &str| format!(r#"{{"id":"{id}","choices":["{content}"]}}"#);
    learn(&mut shapes, &text("a", "b"));
    assert!(find(&mut shapes, &text("a", "c")).is_some());
    let memory = shapes.memory;
    let long = "d".repeat(MAX_TEXT);
    assert!(find(&mut shapes, &text("a", &long)).is_some(), "what fills a hole may be long");
    assert!(find(&mut shapes, &text("b", &long)).is_none(), "but other constants may not come with it");
    assert!(find(&mut shapes, &text(&long, "c")).is_none());
    assert_eq!(shapes.memory, memory);
    while !shapes.shapes[0].matches.is_multiple_of(LIFETIME) {
        assert!(find(&mut shapes, &text("a", &long)).is_some());
    }
    assert_eq!(shapes.memory, memory);
    assert!(find(&mut shapes, &text("a", "e")).is_some());
}

#[test]
fn the_structure_is_told_by_all_but_the_values() {
    let of = |text: &str| {
        let mut nodes = Vec::new();
        parse(text.as_bytes(), text.len(), 0, &mut nodes).expect("JSON");
        structure(text.as_bytes(), &nodes)
    };
    let same = [r#"{"a":"","b":1,"c":[true]}"#, r#"{"a":"xyz\n","b":-12.5e3,"c":[true]}"#];
    assert_eq!(of(same[0]), of(same[1]));
    let others = [
        r#"{"a":"","b":1,"c":[false]}"#,
        r#"{"a":"","b":1,"c":[true] }"#,
        r#"{"a":"", "b":1,"c":[true]}"#,
        r#"{"a":"","c":1,"b":[true]}"#,
        r#"{"a":1,"b":1,"c":[true]}"#,
        r#"{"a":"","b":"1","c":[true]}"#,
        r#"{"a":null,"b":1,"c":[true]}"#,
        r#"{"a":"","b":1,"c":[]}"#,
    ];
    for other in others {
        assert_ne!(of(same[0]), of(other), "{other}");
    }
}

#[test]
fn constants_become_holes_when_they_change_soon_and_else_are_replaced() {
    let mut shapes = Shapes::new(0);
    let text = |id: usize, content: &str| format!(r#"{{"id":"{id}","choices":["{content}"]}}"#);
    learn(&mut shapes, &text(1, "a"));
    for round in 0..100 {
        assert!(find(&mut shapes, &text(1, &"b".repeat(round % 7))).is_some());
    }
    assert_eq!(shapes.shapes[0].template.holes(), 1, "the content");
    assert!(find(&mut shapes, &text(22, "c")).is_some());
    assert_eq!(shapes.shapes[0].template.holes(), 1, "the id has changed after a long time");
    assert!(find(&mut shapes, &text(333, "d")).is_some());
    assert_eq!(shapes.shapes[0].template.holes(), 2, "and again soon");
    while shapes.shapes[0].matches < LIFETIME {
        assert!(find(&mut shapes, &text(1, "e")).is_some());
    }
    assert_eq!(shapes.shapes[0].template.holes(), 0, "all is forgotten now and then");
}

#[test]
fn a_constant_that_changes_where_the_source_goes_on_elsewhere_has_not_changed_soon() {
    let text = |id: usize, content: usize| format!(r#"{{"id":"{id}","choices":["{content}"]}}"#);
    for (leaps, holes) in [(true, 1), (false, 2)] {
        let mut shapes = Shapes::new(0);
        learn(&mut shapes, &text(1, 0));
        let several = |shapes: &mut Shapes, id: usize, events: usize| {
            for content in 0..events {
                assert!(find(shapes, &text(id, content)).is_some());
            }
            shapes.shapes[0].template.holes()
        };
        assert_eq!(several(&mut shapes, 1, 100), 1);
        assert_eq!(several(&mut shapes, 2, 10), 1);
        // A thread that reads parts of a file comes from the beginning of a stream into the end of another.
        if leaps {
            shapes.leap();
        }
        assert_eq!(several(&mut shapes, 3, 25), holes);
        assert_eq!(several(&mut shapes, 4, 10), holes);
        assert_eq!(several(&mut shapes, 5, 10), 2, "this is soon");
    }
}

#[test]
fn what_is_not_proved_is_a_miss() {
    let mut shapes = Shapes::new(20);
    learn(&mut shapes, r#"{"a":"x","n":12,"choices":[]}"#);
    for good in [
        r#"{"a":"","n":-0,"choices":[]}"#,
        r#"{"a":"\u00e9\\","n":1.5,"choices":[]}"#,
        "{\"a\":\"\u{e9}\u{1f600}\",\"n\":1e-7,\"choices\":[]}",
    ] {
        assert_eq!(find(&mut shapes, good), Some(good.len()), "{good}");
    }
    for bad in [
        r#"{"a":"x","n":012,"choices":[]}"#,
        r#"{"a":"x","n":1.,"choices":[]}"#,
        r#"{"a":"x","n":1e,"choices":[]}"#,
        r#"{"a":"x","n":-,"choices":[]}"#,
        r#"{"a":"x","n":123456789012345678901,"choices":[]}"#,
        r#"{"a":"x","n":"1","choices":[]}"#,
        r#"{"a":null,"n":1,"choices":[]}"#,
        r#"{"a":"x\","n":1,"choices":[]}"#,
        r#"{"a":"\q","n":1,"choices":[]}"#,
        r#"{"a":"\u12g4","n":1,"choices":[]}"#,
        r#"{"a":"x","n":1,"choices":[]"#,
        r#"{"a":"x","n":1,"choices":[]}}"#,
        "{\"a\":\"\n\",\"n\":1,\"choices\":[]}",
    ] {
        assert_eq!(find(&mut shapes, bad), None, "{bad}");
    }
    let mut invalid = br#"{"a":"xy","n":1,"choices":[]}"#.to_vec();
    invalid[6] = 0xc3;
    assert!(shapes.find(&invalid, 0, |end| (end == invalid.len()).then_some(end)).is_none());
}

#[test]
fn where_shapes_part_is_learned() {
    let mut shapes = Shapes::new(0);
    // More shapes than are guessed, that part at different places, in an order without a rule.
    let text = |kind: usize, id: usize| {
        let [a, b, c] = [kind & 1, kind >> 1 & 1, kind >> 2].map(|bit| if bit == 1 { "null" } else { "{}" });
        format!(r#"{{"id":"i{id}","a":{a},"b":{b},"c":{c},"choices":[]}}"#)
    };
    let mut state = 1usize;
    let mut misses = [0, 0];
    for round in 0..2000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let text = text(state >> 40 & 7, round);
        match find(&mut shapes, &text) {
            Some(end) => assert_eq!(end, text.len()),
            None => {
                misses[usize::from(round >= 200)] += 1;
                learn(&mut shapes, &text);
            }
        }
    }
    assert!(misses[0] >= 8, "each shape has to be learned");
    assert!(misses[1] < 10, "and then they are found from each other, but for {} of 1800", misses[1]);
}

#[test]
fn templates_in_use_do_not_change_and_their_memory_serves_again() {
    let mut shapes = Shapes::new(0);
    let text = |id: usize| format!(r#"{{"id":"{}","choices":["{id}"]}}"#, "i".repeat(id % 50));
    learn(&mut shapes, &text(0));
    // As records do, hold templates for a while, with what they say of the event.
    let mut held = std::collections::VecDeque::new();
    for id in 1..500 {
        for _ in 0..SOON {
            // Only the id changes, and not soon again: so it stays a constant.
            let text = text(id);
            let matched = shapes.find(text.as_bytes(), 0, |end| (end == text.len()).then_some(end)).expect("a match");
            held.push_back((text, shapes.template(matched).clone(), shapes.spans().to_vec()));
        }
        while held.len() > 100 {
            held.pop_front();
        }
        for (text, template, spans) in &held {
            let doc = crate::chunk::Doc::shaped(text.as_bytes(), template, spans);
            let id = doc.root().get(crate::chunk::Key::Id).expect("an id");
            assert!(text.starts_with(&format!("{{\"id\":{}", std::str::from_utf8(id.raw()).expect("ASCII"))));
        }
    }
    let free = shapes.retired.len();
    assert!((1..=32).contains(&free), "{free} templates wait for another use");
}

#[test]
fn plain_chunks_are_told_from_those_that_say_more() {
    let plain = |text: &str| {
        let mut shapes = Shapes::new(0);
        learn(&mut shapes, text);
        let plain = shapes.shapes[0].template.plain();
        plain.map(|plain| plain.indexes.iter().map(Option::is_some).collect::<Vec<_>>())
    };
    let choice = r#"{"index":0,"delta":{"content":"a"},"finish_reason":null}"#;
    assert_eq!(plain(&format!(r#"{{"id":"a","choices":[{choice}],"usage":null}}"#)), Some(vec![true]));
    assert_eq!(plain(&format!(r#"{{"choices":[{choice},{{}}],"id":"a"}}"#)), Some(vec![true, false]));
    assert_eq!(plain(r#"{"id":"a","choices":[]}"#), Some(vec![]));
    for more in [
        r#"{"choices":[]}"#.to_owned(),
        r#"{"id":1,"choices":[]}"#.to_owned(),
        r#"{"id":"a"}"#.to_owned(),
        r#"{"id":"a","choices":[{"index":0,"finish_reason":"stop"}]}"#.to_owned(),
        r#"{"id":"a","choices":[1]}"#.to_owned(),
        format!(r#"{{"id":"a","choices":[{choice}],"error":null}}"#),
        format!(r#"{{"id":"a","choices":[{choice}],"usage":{{}}}}"#),
        format!(r#"{{"id":"a","choices":[{choice}],"cost":1}}"#),
        r#"{"id":"a","choices":[{"index":0,"usage":{"prompt_tokens":1}}]}"#.to_owned(),
    ] {
        assert_eq!(plain(&more), None, "{more}");
    }
}

#[test]
fn a_template_that_changes_has_another_number_and_no_attachment() {
    let mut shapes = Shapes::new(0);
    let text = |id: &str| format!(r#"{{"id":"{id}","choices":[]}}"#);
    learn(&mut shapes, &text("a"));
    let mut numbers = std::collections::HashSet::new();
    for id in ["a", "b", "ccc"] {
        for _ in 0..=SOON {
            assert!(find(&mut shapes, &text(id)).is_some());
        }
        let template = &shapes.shapes[0].template;
        assert_eq!(template.holes(), 0);
        assert!(numbers.insert(template.number()), "constants differ, and so do the numbers");
        assert!(template.attachment().set(Box::new(id.to_owned())).is_ok(), "what was attached went with them");
    }
}

#[test]
fn memory_counts_what_is_kept_for_longer_texts() {
    let mut shapes = Shapes::new(0);
    let text = |number: usize, value: &str| format!(r#"{{"choices":[],"x{number}":"a","y":"{value}"}}"#);
    for number in 0..KEPT_AT_ONCE {
        shapes.credit = Credit::default();
        learn(&mut shapes, &text(number, "1"));
        for value in ["1".to_owned(), "z".repeat(MAX_TEXT - 100), "2".to_owned()] {
            for _ in 0..=SOON {
                shapes.credit = Credit::default();
                if find(&mut shapes, &text(number, &value)).is_none() {
                    learn(&mut shapes, &text(number, &value));
                }
            }
        }
    }
    let kept: usize = shapes.shapes.iter().map(|shape| shape.template.memory()).sum();
    assert_eq!(shapes.memory, kept);
    assert!(kept < KEPT_AT_ONCE * 4096, "{kept} bytes are kept for short texts");
}

#[test]
fn tries_that_cost_more_than_they_save_are_given_up() {
    // Shapes that part at their end, behind a text of which every byte takes long.
    let mut shapes = Shapes::new(0);
    let escapes = "\\n".repeat(125);
    let mut state = 1usize;
    let (mut found, mut rounds) = (0, 0);
    for round in 0..4000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bits = state >> 40;
        let tail: String =
            (0..4).map(|k| format!(r#","k{k}":{}"#, if bits >> k & 1 == 1 { "null" } else { "{}" })).collect();
        let text = format!(r#"{{"choices":[{{"delta":{{"content":"{escapes}{round}"}}}}]{tail}}}"#);
        if find(&mut shapes, &text).is_some() {
            found += 1;
        } else {
            learn(&mut shapes, &text);
        }
        rounds += 1;
    }
    assert!(found < rounds / 2, "{found} of {rounds} events by shape: tries that do not pay go on");
}

#[test]
fn where_few_were_steady_others_have_to_come_first() {
    let mut shapes = Shapes::new(0);
    let text = r#"{"choices":["a"]}"#;
    let wait = |shapes: &mut Shapes| {
        for _ in 0..STEADY {
            assert!(!shapes.is_steady());
            assert!(find(shapes, text).is_some());
        }
        assert!(shapes.is_steady());
    };
    learn(&mut shapes, text);
    wait(&mut shapes);
    for (events, missed) in [(1, false), (STEADY as usize, true), (STEADY as usize, false)] {
        shapes.steady().expect("there is a shape").end(events, missed);
        assert!(shapes.is_steady(), "{events} {missed}");
    }
    for (events, missed) in [(0, false), (0, true), (1, true), (STEADY as usize - 1, true)] {
        shapes.steady().expect("there is a shape").end(events, missed);
        wait(&mut shapes);
    }
}
