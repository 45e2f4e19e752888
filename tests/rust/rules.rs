//! What an event is: a test for each rule, in their order; an event's bytes in, its name and reason out.

use chunkwire::decoder::Options;
use chunkwire::error::{Damage, Kind, Place};

use super::support::all_cuts;
use super::{Told, check_sums, decode, whole};

/// What a source's events are, in short: `chunk`, `done`, `error: message`, or kind, position and reason of a damage.
fn words(source: &[u8], options: Options) -> Vec<String> {
    let (told, stats) = decode(&[source], options, usize::MAX);
    check_sums(source, &told, &stats);
    let mut errors = stats.damages.iter().filter(|damage| damage.kind == Kind::ServerError);
    told.iter()
        .map(|told| match told {
            Told::Chunk(..) => "chunk".to_owned(),
            Told::Done(_) => "done".to_owned(),
            Told::Error(place, body) => {
                let damage = errors.next().expect("an error is counted");
                assert_eq!((damage.place, damage.position), (*place, None));
                let kind = if body.is_ok() { "error" } else { "text error" };
                format!("{kind}: {}", damage.reason)
            }
            Told::Damage(Damage { kind, position, reason, .. }) => match position {
                Some(position) => format!("{} {position}: {reason}", kind.name()),
                None => format!("{}: {reason}", kind.name()),
            },
        })
        .collect()
}

fn check_words(table: &[(&[u8], &[&str])], options: Options) {
    for (source, expected) in table {
        assert_eq!(words(source, options), *expected, "{}", String::from_utf8_lossy(source));
    }
}

#[test]
fn rule_1_white_space_is_a_keep_alive_whatever_the_event_type() {
    for data in [
        "",
        " ",
        "\t \t",
        "\u{85}",
        "\u{a0}\u{2003}\u{3000}",
        "\u{1c}\u{1d}\u{1e}\u{1f}",
        "\u{b}\u{c}",
        "\ndata:",
        "\n: x\ndata",
    ] {
        for before in ["", "event: error\n", "id: 1\n"] {
            let source = format!("{before}data: {data}\n\n");
            let (told, stats) = whole(source.as_bytes());
            assert_eq!((told, stats.keepalives, stats.events), (vec![], 1, 1), "{source:?}");
            assert_eq!(stats.comment_bytes, source.len() as u64);
        }
    }
}

#[test]
fn rule_1_done_with_any_white_space_whatever_the_event_type() {
    check_words(
        &[
            (b"data: [DONE]\n\n", &["done"]),
            (b"data:[DONE]\n\n", &["done"]),
            (b"data:  \t[DONE] \n\n", &["done"]),
            (b"event: error\ndata: [DONE]\n\n", &["done"]),
            (b"data\ndata: [DONE]\ndata\n\n", &["done"]),
            ("data: \u{3000}\u{1f}[DONE]\u{85}\n\n".as_bytes(), &["done"]),
            (b"data: [DONE]", &["done"]),
            (b"data: [done]\n\n", &["invalid_json 1: invalid JSON at byte 1 of the event's data: Expecting value"]),
            (b"data: [DONE]]\n\n", &["invalid_json 1: invalid JSON at byte 1 of the event's data: Expecting value"]),
            (b"data: [ DONE]\n\n", &["invalid_json 2: invalid JSON at byte 2 of the event's data: Expecting value"]),
            (b"data: \"[DONE]\"\n\n", &["not_a_chunk: a JSON string that is no chunk"]),
            (
                "data: \u{200b}[DONE]\n\n".as_bytes(),
                &["invalid_json 0: invalid JSON at byte 0 of the event's data: Expecting value"],
            ),
        ],
        Options::default(),
    );
}

#[test]
fn rule_2_what_is_no_json_is_damage_or_the_text_of_an_error() {
    let deep = "[".repeat(513);
    let table = [
        (
            "data: {",
            "invalid_json 1: invalid JSON at byte 1 of the event's data: Expecting property name enclosed in double quotes",
        ),
        (
            "data: {\"choices\":[]",
            "invalid_json 13: invalid JSON at byte 13 of the event's data: Expecting ',' delimiter",
        ),
        ("data: {\"choices\":[]} x", "invalid_json 15: invalid JSON at byte 15 of the event's data: Extra data"),
        (
            "data: \u{feff}{}",
            "invalid_json 0: invalid JSON at byte 0 of the event's data: Unexpected UTF-8 BOM (decode using utf-8-sig)",
        ),
        (
            "data: [\"\u{e9}\u{1f60a}\", x]",
            "invalid_json 11: invalid JSON at byte 11 of the event's data: Expecting value",
        ),
        (
            "data: {\"a\":\ndata: \"b\ndata: c\"}",
            "invalid_json 8: invalid JSON at byte 8 of the event's data: Invalid control character at",
        ),
        ("data: \u{a0}{}", "invalid_json 0: invalid JSON at byte 0 of the event's data: Expecting value"),
        ("event: error\ndata: it broke", "text error: it broke"),
        ("event: error\ndata: it\ndata: broke {", "text error: it\nbroke {"),
        (
            "event: errors\ndata: it broke",
            "invalid_json 0: invalid JSON at byte 0 of the event's data: Expecting value",
        ),
        (
            "event: error\nevent: x\ndata: it broke",
            "invalid_json 0: invalid JSON at byte 0 of the event's data: Expecting value",
        ),
    ];
    for (block, expected) in table {
        assert_eq!(words(format!("{block}\n\n").as_bytes(), Options::default()), [expected], "{block}");
    }
    let told = words(format!("data: {{\"x\":{deep}\n\n").as_bytes(), Options::default());
    assert_eq!(told, ["too_deep 516: nested deeper than 512 levels at byte 516 of the event's data"]);
    let told = words(format!("event: error\ndata: {deep}\n\n").as_bytes(), Options::default());
    assert!(told.len() == 1 && told[0].starts_with("text error: [[["), "{told:?}");
}

#[test]
fn rule_2_integers_have_a_limit_on_digits() {
    let chunk = |digits: usize| format!("data: {{\"choices\":[],\"x\":-{}}}\n\n", "7".repeat(digits));
    let options = Options { max_int_digits: 640, ..Options::default() };
    assert_eq!(words(chunk(640).as_bytes(), options), ["chunk"]);
    let refused = "invalid_json 18: invalid JSON at byte 18 of the event's data: integer of more than 640 digits";
    assert_eq!(words(chunk(641).as_bytes(), options), [refused]);
    assert_eq!(words(chunk(4300).as_bytes(), Options::default()), ["chunk"]);
    assert!(words(chunk(4301).as_bytes(), Options::default())[0].ends_with("integer of more than 4300 digits"));
    let unlimited = Options { max_int_digits: 0, ..Options::default() };
    assert_eq!(words(chunk(10_000).as_bytes(), unlimited), ["chunk"]);
}

#[test]
fn rule_3_choices_or_an_object_that_ends_in_chunk() {
    for data in [
        r#"{"choices":[]}"#,
        r#"{"choices":null}"#,
        r#"{"choices":0,"error":{"message":"m"}}"#,
        r#"{"choi\u0063es":[]}"#,
        r#"{"error":"e","choices":[]}"#,
        r#"{"object":"chat.completion.chunk"}"#,
        r#"{"object":"chunk","error":{"message":"m"}}"#,
        r#"{"object":"chun\u006b"}"#,
        r#"{"object":"x","object":"chunk"}"#,
        r#" {"choices":[NaN,-Infinity,"\ud83d"]} "#,
    ] {
        assert_eq!(words(format!("data: {data}\n\n").as_bytes(), Options::default()), ["chunk"], "{data}");
        let under_error = format!("event: error\ndata: {data}\n\n");
        assert_eq!(words(under_error.as_bytes(), Options::default()), ["chunk"], "{data}");
    }
    for data in [
        r#"{"object":"chunks"}"#,
        r#"{"object":"Chunk"}"#,
        r#"{"object":["chunk"]}"#,
        r#"{"object":null}"#,
        r#"{"object":"chunk","object":"x"}"#,
        r#"{"Choices":[]}"#,
        r#"{"x":{"choices":[],"object":"chunk"}}"#,
        r#"[{"choices":[]}]"#,
        r#""chunk""#,
    ] {
        let told = words(format!("data: {data}\n\n").as_bytes(), Options::default());
        assert!(told.len() == 1 && told[0].starts_with("not_a_chunk: "), "{data}: {told:?}");
    }
}

#[test]
fn rule_4_a_true_error_is_the_servers() {
    for (data, expected) in [
        (r#"{"error":{"message":"m","code":5}}"#, "error: m"),
        (r#"{"error":{"message":"","detail":"d"}}"#, "error: d"),
        (r#"{"error":"e","message":"m"}"#, "error: e"),
        (r#"{"error":{"message":"\u0041\ud83d\ude0a"}}"#, "error: A😊"),
        (r#"{"error":null,"error":"e"}"#, "error: e"),
        (r#"{"id":1,"error":"e"}"#, "error: e"),
    ] {
        assert_eq!(words(format!("data: {data}\n\n").as_bytes(), Options::default()), [expected], "{data}");
    }
    // Without a message the server's words are shown, whatever they are.
    for data in
        [r#"{"error":true}"#, r#"{"error":[0]}"#, r#"{"error":1e-300}"#, r#"{"error":NaN}"#, r#"{"error":{"x":1}}"#]
    {
        let told = words(format!("data: {data}\n\n").as_bytes(), Options::default());
        assert!(told.len() == 1 && told[0].starts_with("error: "), "{data}: {told:?}");
    }
    for value in ["null", "false", "0", "-0.0", "\"\"", "[]", "{}", "\"e\",\"error\":null"] {
        let told = words(format!("data: {{\"error\":{value}}}\n\n").as_bytes(), Options::default());
        assert_eq!(told, ["not_a_chunk: a JSON object that is no chunk (keys: error)"]);
    }
}

#[test]
fn rule_5_any_json_of_an_error_event_is_the_servers() {
    for (data, expected) in [
        (r#"{"message":"m"}"#, "error: m"),
        (r#"{"detail":"d"}"#, "error: d"),
        (r#""it broke""#, "error: it broke"),
        ("null", "error: null"),
        ("[1,2]", "error: [1,2]"),
        ("5", "error: 5"),
        ("{}", "error: {}"),
        (r#"{"error":null,"message":"m"}"#, "error: m"),
    ] {
        assert_eq!(
            words(format!("event: error\ndata: {data}\n\n").as_bytes(), Options::default()),
            [expected],
            "{data}"
        );
        assert_eq!(
            words(format!("data: {data}\nevent:error\n\n").as_bytes(), Options::default()),
            [expected],
            "{data}"
        );
    }
    // The type is gone with its event, dispatched or not.
    let told = words(b"event: error\n\ndata: 5\n\nevent: error\ndata: 5\n\ndata: 5\n\n", Options::default());
    assert_eq!(
        told,
        ["not_a_chunk: a JSON number that is no chunk", "error: 5", "not_a_chunk: a JSON number that is no chunk"]
    );
}

#[test]
fn rule_6_the_rest_is_no_chunk() {
    for (data, found) in [
        ("{}", "object that is no chunk (keys: )"),
        (r#"{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6}"#, "object that is no chunk (keys: a, b, c, d, e)"),
        (r#"{"a":1,"b":2,"a":3,"\u0061":4,"c":5,"d":6}"#, "object that is no chunk (keys: a, b, c, d)"),
        ("[]", "array that is no chunk"),
        ("\"x\"", "string that is no chunk"),
        ("-1.5e3", "number that is no chunk"),
        ("NaN", "number that is no chunk"),
        ("-Infinity", "number that is no chunk"),
        ("true", "boolean that is no chunk"),
        ("false", "boolean that is no chunk"),
        ("null", "null that is no chunk"),
    ] {
        for end in ["\n\n", ""] {
            let told = words(format!("data: {data}{end}").as_bytes(), Options::default());
            assert_eq!(told, [format!("not_a_chunk: a JSON {found}")]);
        }
    }
}

#[test]
fn bytes_that_are_no_utf_8_are_counted_once_and_before_other_damage() {
    let told = |source: &[u8]| words(source, Options::default());
    let utf8 = |position: &str| format!("invalid_utf8{position}: invalid UTF-8 in the event's data");
    assert_eq!(told(b"data: {\"choices\":[\"\xff\xfe\"]}\n\n"), [utf8(" 13"), "chunk".to_owned()]);
    assert_eq!(told(b"data: {\"choices\":[],\ndata: \"x\":\"\xe5\x8c\"}\n\n"), [utf8(" 20"), "chunk".to_owned()]);
    let damage = "invalid_json 7: invalid JSON at byte 7 of the event's data: Expecting value".to_owned();
    assert_eq!(told(b"data: [\"\xff\",]\n\n"), [utf8(" 2"), damage]);
    let damage =
        "invalid_json 1: invalid JSON at byte 1 of the event's data: Expecting property name enclosed in double quotes";
    assert_eq!(told(b"data: {\xff}\n\n"), [utf8(" 1"), damage.to_owned()]);
    assert_eq!(told(b"data: \"\xff\"\n\n"), [utf8(" 1"), "not_a_chunk: a JSON string that is no chunk".to_owned()]);
    assert_eq!(told(b"data: {\"error\":\"\xff\"}\n\n"), [utf8(" 10"), "error: \u{fffd}".to_owned()]);
    // In the type and the id there is no position to tell.
    assert_eq!(told(b"event: \xff\ndata: {\"choices\":[]}\n\n"), [utf8(""), "chunk".to_owned()]);
    assert_eq!(told(b"id: \xff\ndata: [DONE]\n\n"), [utf8(""), "done".to_owned()]);
    assert_eq!(told(b"id: \xff\nevent: \xff\ndata:\n\n"), [utf8("")]);
    assert_eq!(told(b"event: \xff\ndata: {\"choices\":\"\xff\"}\n\n"), [utf8(" 12"), "chunk".to_owned()]);
    // What is not of an event is not looked at.
    assert_eq!(told(b": \xff\nfoo: \xff\nid: \xff\0\nretry: \xff\ndata: {\"choices\":[]}\n\n"), ["chunk"]);
}

#[test]
fn the_data_of_a_chunk_that_is_no_utf_8_is_kept_as_sent() {
    let source = b"data: {\"choices\":[],\"x\":\"a\xff\xf0\x9fb\"}\n\n";
    for pieces in all_cuts(source) {
        let (told, _) = decode(&pieces, Options::default(), 1);
        let Told::Chunk(_, text, raw) = &told[1] else { panic!("{told:?}") };
        assert_eq!(text, "{\"choices\":[],\"x\":\"a\u{fffd}\u{fffd}b\"}");
        assert_eq!(raw.as_deref(), Some(&source[6..source.len() - 2]));
    }
}

#[test]
fn what_the_end_cuts_off_is_truncated() {
    let deep = "[".repeat(600);
    for (source, loose) in [
        ("data: {\"choices\":[]}", "chunk"),
        ("data: {\"choices\":[]}\n", "chunk"),
        ("data: {\"choices\":[]}\n: open", "chunk"),
        ("data: {\"choices\":\ndata: []}", "chunk"),
        ("data: [DONE]", "done"),
        ("event: error\ndata: it bro", "text error: it bro"),
        ("data: {\"error\":\"e\"}", "error: e"),
        (
            "data: {\"choices\":[",
            "truncated 12: the source ends inside an event, at byte 12 of its data: Expecting value",
        ),
        (
            "data: {\"choices\":[\n",
            "truncated 12: the source ends inside an event, at byte 12 of its data: Expecting value",
        ),
        ("data: [DO", "truncated 1: the source ends inside an event, at byte 1 of its data: Expecting value"),
        (
            "data: {\"a",
            "truncated 1: the source ends inside an event, at byte 1 of its data: Unterminated string starting at",
        ),
        ("data: 5", "not_a_chunk: a JSON number that is no chunk"),
    ] {
        assert_eq!(words(source.as_bytes(), Options::default()), [loose], "{source}");
        let strict = Options { strict: true, ..Options::default() };
        let (told, stats) = decode(&[source.as_bytes()], strict, 1);
        assert_eq!((told, stats.skipped_bytes, stats.events), (vec![], source.len() as u64, 0));
    }
    let told = words(format!("data: {deep}").as_bytes(), Options::default());
    assert_eq!(told, ["too_deep 512: nested deeper than 512 levels at byte 512 of the event's data"]);
}

#[test]
fn a_strict_end_skips_the_open_block_and_nothing_else() {
    let source = b"data: {\"choices\":[]}\n\n: a\nfoo\ndata: {\"choices\":[]}\n: b\n";
    let (told, stats) = decode(&[source], Options { strict: true, ..Options::default() }, 1);
    assert_eq!((told.len(), stats.chunks, stats.comments), (1, 1, 2));
    assert_eq!((stats.chunk_bytes, stats.skipped_bytes, stats.comment_bytes), (22, source.len() as u64 - 22, 0));
    check_sums(source, &told, &stats);
}

#[test]
fn what_is_no_stream_is_said_so() {
    let damage = |guess: &str| vec![format!("not_a_stream: no event found; {guess}")];
    let (html, json) = ("it looks like HTML", "it looks like JSON, not like server-sent events");
    for (source, expected) in [
        (&b"<!DOCTYPE html>\n<p>502\n"[..], damage(html)),
        (b"\n\n  <html>", damage(html)),
        (b"{\"error\":{\"message\":\"no\"}}", damage(json)),
        (b"\t[1]\n{}\n", damage(json)),
        (b"<p>\n{", damage(html)),
        (b"502 Bad Gateway", damage("this is no event stream")),
        (b"   \n", damage("this is no event stream")),
        (b": comment\n\nfoo: 1\n", damage("this is no event stream")),
        (b"foo\n\nretry: 5\n", vec![]),
        (b"foo\n\nevent: x\n\n", vec![]),
        (b"foo\n\ndata:\n\n", vec![]),
        (b": comment\n", vec![]),
        (b"\n\n", vec![]),
        (b"\xef\xbb\xbf", vec![]),
        (b"", vec![]),
    ] {
        assert_eq!(words(source, Options::default()), expected, "{source:?}");
        let (_, stats) = whole(source);
        for damage in &stats.damages {
            assert_eq!((damage.place, damage.position), (Place { offset: 0, line: 1, event: 0 }, None));
            assert_eq!(stats.damaged_bytes, 0);
        }
    }
}
