//! The careful parser: beside `serde_json` on generated and damaged documents, beside CPython's `json` on its errors.

mod beside;
mod cpython;
mod documents;
mod support;
mod twin;

use beside::same;
use chunkwire::chunk::{Doc, Key, KeySet, MAX_DEPTH, Node, Type, Value, parse};
use chunkwire::error::{JsonError, JsonErrorKind};
use documents::{Writer, damaged, edits, json, json_of};
use proptest::prelude::*;
use support::{cases, recorded};

fn nodes_of(text: &[u8]) -> Result<(Vec<Node>, KeySet), JsonError> {
    let mut nodes = Vec::new();
    let keys = parse(text, text.len(), 0, &mut nodes)?;
    Ok((nodes, keys))
}

fn error_of(text: &str) -> JsonError {
    nodes_of(text.as_bytes()).expect_err(text)
}

/// Verdict and value are those of `serde_json`, wherever it can have them.
fn check_beside_serde(text: &[u8]) {
    match nodes_of(text) {
        Ok((nodes, _)) => beside::check(Doc::new(text, &nodes)),
        Err(error) => {
            let theirs = serde_json::from_slice::<serde_json::Value>(text);
            assert!(theirs.is_err(), "refused by {error:?}: {:?}", String::from_utf8_lossy(text));
            assert!(error.position <= text.len());
        }
    }
}

/// The parser's word on a document is the same with nodes before it and with anything behind it.
fn check_alone(text: &[u8], behind: &[u8]) {
    let wide = [text, behind].concat();
    let mut nodes = vec![];
    assert!(parse(b"[1]", 3, 0, &mut nodes).is_ok());
    let before = nodes.len();
    let found = parse(&wide, text.len(), 0, &mut nodes);
    match nodes_of(text) {
        Ok((expected, keys)) => {
            assert_eq!(found, Ok(keys));
            assert_eq!(nodes[before..], expected);
        }
        Err(error) => assert_eq!(found, Err(error), "{:?}", String::from_utf8_lossy(text)),
    }
}

proptest! {
    #![proptest_config(cases(700))]

    #[test]
    fn documents_are_read_as_they_were_written(json in json(true), seed: u64, behind in prop::collection::vec(any::<u8>(), 0..20)) {
        let text = Writer::write(&json, seed);
        let (nodes, keys) = nodes_of(&text).expect("valid JSON");
        let root = Doc::new(&text, &nodes).root();
        prop_assert_eq!(json_of(root), json);
        let expected = root.members().fold(0, |keys, (key, _)| keys | 1 << key.key() as u8);
        prop_assert_eq!(keys, expected);
        check_keys(root);
        check_alone(&text, &behind);
    }

    #[test]
    fn documents_equal_serde_json(json in json(false), seed: u64) {
        let text = Writer::write(&json, seed);
        let other: serde_json::Value = serde_json::from_slice(&text).expect("valid JSON");
        let (nodes, _) = nodes_of(&text).expect("valid JSON");
        prop_assert!(same(Doc::new(&text, &nodes).root(), &other));
    }

    #[test]
    fn damaged_documents_have_the_verdict_of_serde_json(json in json(true), seed: u64, edits in edits()) {
        check_beside_serde(&damaged(Writer::write(&json, seed), &edits));
    }

    #[test]
    fn what_stands_behind_a_document_does_not_matter(
        json in json(true),
        seed: u64,
        edits in edits(),
        behind in prop_oneof![prop::collection::vec(any::<u8>(), 0..40), "[\"\\\\}\\]u0-9a]{1,30}".prop_map(String::into_bytes)],
    ) {
        check_alone(&damaged(Writer::write(&json, seed), &edits), &behind);
    }

    #[test]
    fn any_few_signs_have_the_verdict_of_serde_json(
        text in prop::collection::vec(prop::sample::select(&b"\"\\{}[]:,-.e01 nulltruefals/\x1f"[..]), 0..12)
    ) {
        check_beside_serde(&text);
    }
}

/// Every key has the number of its name, and looking it up by number and by name finds its last value.
fn check_keys(value: Value<'_>) {
    for (key, _) in value.members() {
        let name = key.bytes();
        assert_eq!(key.key(), Key::from_name(&name));
        let last = value.members().filter(|(other, _)| other.bytes() == name).last().expect("itself").1;
        assert_eq!(value.get_named(&name).map(Value::number), Some(last.number()));
        if key.key() != Key::Unknown {
            assert_eq!(value.get(key.key()).map(Value::number), Some(last.number()));
        }
    }
    value.members().for_each(|(_, value)| check_keys(value));
    value.items().for_each(check_keys);
}

#[test]
fn every_place_of_a_special_byte_in_a_string() {
    for length in 0..50 {
        for at in 0..=length {
            for special in [
                &b"\""[..],
                b"\\n",
                b"\\",
                b"\\u00e9",
                b"\\ud83d\\ude0a",
                b"\x1f",
                b"\n",
                b"\x7f",
                b"\xc3\xa9",
                b"\xc3",
                b"\x80",
            ] {
                let filler = vec![b'x'; length];
                let text = [b"{\"".as_slice(), &filler[..at], special, &filler[at..], b"\":1}"].concat();
                check_beside_serde(&text);
                check_alone(&text, b"\"\\\x80 \":1}");
                check_alone(&text[..text.len() - 4], b"\":1}");
            }
        }
    }
}

#[test]
fn recorded_documents_equal_serde_json() {
    for (_, source) in recorded() {
        for data in twin::framed(&[&source], 1 << 40, false).data() {
            check_beside_serde(data);
            check_alone(data, b"\n\ndata: {\"id\":\"");
            if let Ok((nodes, _)) = nodes_of(data) {
                check_keys(Doc::new(data, &nodes).root());
            }
        }
    }
}

// --- where json.loads and serde_json differ, this is json.loads

#[test]
fn words_that_are_no_json_are_read_as_python_reads_them() {
    let text = b"[NaN,Infinity,-Infinity]";
    let (nodes, _) = nodes_of(text).expect("json.loads takes them");
    let kinds: Vec<Type> = Doc::new(text, &nodes).root().items().map(Value::kind).collect();
    assert_eq!(kinds, [Type::NaN, Type::Infinity, Type::NegInfinity]);
    assert!(serde_json::from_slice::<serde_json::Value>(text).is_err());
    for refused in ["-NaN", "nan", "inf", "infinity", "-infinity", "+Infinity", "NaN1", "-", "-Infinit"] {
        error_of(refused);
    }
}

#[test]
fn lone_surrogates_survive() {
    for (text, expected) in [
        (r#""\ud83d""#, &b"\xed\xa0\xbd"[..]),
        (r#""\ude0a""#, b"\xed\xb8\x8a"),
        (r#""\ude0a\ud83d""#, b"\xed\xb8\x8a\xed\xa0\xbd"),
        (r#""\ud83d\ud83d\ude0a""#, b"\xed\xa0\xbd\xf0\x9f\x98\x8a"),
        (r#""\ud83dx\ude0a""#, b"\xed\xa0\xbdx\xed\xb8\x8a"),
        (r#""\ud83d\n""#, b"\xed\xa0\xbd\n"),
        (r#""\ud83d\u0041""#, b"\xed\xa0\xbdA"),
    ] {
        let (nodes, _) = nodes_of(text.as_bytes()).expect("json.loads takes them");
        assert_eq!(&*Doc::new(text.as_bytes(), &nodes).root().bytes(), expected, "{text}");
        assert!(serde_json::from_str::<serde_json::Value>(text).is_err());
    }
}

#[test]
fn numbers_above_f64_are_infinite() {
    for (text, number) in [("1e400", f64::INFINITY), ("-1e400", f64::NEG_INFINITY), ("1e309", f64::INFINITY)] {
        let (nodes, _) = nodes_of(text.as_bytes()).expect("json.loads takes them");
        let root = Doc::new(text.as_bytes(), &nodes).root();
        assert_eq!((root.number_value(), root.integer(), root.is_truthy()), (Some(number), None, true));
        assert!(serde_json::from_str::<serde_json::Value>(text).is_err());
    }
}

#[test]
fn more_than_128_levels_are_read() {
    let text = "[".repeat(200) + &"]".repeat(200);
    assert!(nodes_of(text.as_bytes()).is_ok());
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_err());
}

// --- errors

#[test]
fn errors_are_those_of_cpython() {
    assert!(cpython::ERRORS.len() >= 140);
    for &(text, message, position) in cpython::ERRORS {
        let error = error_of(text);
        assert_eq!((error.kind.to_string().as_str(), error.position), (message, position), "{text:?}");
        check_alone(text.as_bytes(), b"\"]}01");
    }
}

#[test]
fn bytes_that_are_no_utf_8_are_refused_where_they_stand() {
    for text in [
        &b"\"\xff\""[..],
        b"[\"a\",\"\xe5\x8c\"]",
        b"{\"\xed\xa0\x80\":1}",
        b"\"\\n\xc0\xaf\"",
        b"\"0123456789abcdefg\xf0\x9f\"",
    ] {
        assert_eq!(nodes_of(text).expect_err("no UTF-8").kind, JsonErrorKind::Utf8, "{text:?}");
    }
    assert_eq!(nodes_of(b"[\xff]"), Err(JsonError { kind: JsonErrorKind::Value, position: 1 }));
    assert_eq!(nodes_of(b"\"\xff"), Err(JsonError { kind: JsonErrorKind::Unterminated, position: 0 }));
}

/// Runs a test on a thread with little stack. Without optimisation a level takes several times as much of it.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    let size = if cfg!(debug_assertions) { 2 << 20 } else { 256 << 10 };
    std::thread::Builder::new().stack_size(size).spawn(test).expect("a thread").join().expect("the test passes");
}

/// Brackets that open and close `depth` containers around `inner`.
fn nested(depth: usize, inner: &str, is_object: impl Fn(usize) -> bool) -> String {
    let mut text: String = (0..depth).map(|level| if is_object(level) { "{\"a\":" } else { "[" }).collect();
    text += inner;
    text.extend((0..depth).rev().map(|level| if is_object(level) { '}' } else { ']' }));
    text
}

#[test]
fn the_limit_on_depth_is_512_on_every_thread() {
    on_a_small_stack(|| {
        let shapes: [fn(usize) -> bool; 4] = [|_| false, |_| true, |level| level % 2 == 0, |level| level % 2 == 1];
        for shape in shapes {
            for inner in ["1", "\"x\"", "null"] {
                assert!(nodes_of(nested(512, inner, shape).as_bytes()).is_ok());
                let text = nested(513, inner, shape);
                let position = text.rfind(if shape(512) { "{\"a\":" } else { "[" }).expect("a bracket");
                assert_eq!(error_of(&text), JsonError { kind: JsonErrorKind::TooDeep, position });
            }
            // Empty containers are levels as well.
            for empty in ["[]", "{}"] {
                assert!(nodes_of(nested(511, empty, shape).as_bytes()).is_ok());
                assert_eq!(error_of(&nested(512, empty, shape)).kind, JsonErrorKind::TooDeep);
            }
            // Inside members that nobody asks for, too.
            for (before, behind) in
                [("{\"choices\":[],\"x\":", "}"), ("{\"a\":{},\"b\":[[]],\"unknown\":", ",\"c\":1}"), ("[[],{},", "]")]
            {
                let fits = format!("{before}{}{behind}", nested(511, "1", shape));
                assert!(nodes_of(fits.as_bytes()).is_ok());
                let deep = format!("{before}{}{behind}", nested(512, "1", shape));
                assert_eq!(error_of(&deep).kind, JsonErrorKind::TooDeep);
            }
        }
        // Very deep, and never closed.
        assert_eq!(error_of(&"[".repeat(1 << 20)), JsonError { kind: JsonErrorKind::TooDeep, position: MAX_DEPTH });
        assert_eq!(error_of(&"{\"a\":".repeat(1 << 18)).position, 5 * MAX_DEPTH);
        // Depth, not the number of containers.
        assert!(nodes_of(format!("[{}]", vec!["[[]]"; 2000].join(",")).as_bytes()).is_ok());
    });
}

#[test]
fn the_first_trouble_in_the_text_decides() {
    on_a_small_stack(|| {
        let deep = "[".repeat(600);
        for (text, kind, position) in [
            (format!("[1 2,{deep}"), JsonErrorKind::Comma, 3),
            (format!("{}x{deep}", "[".repeat(512)), JsonErrorKind::Value, 512),
            (format!("{}{{", "[".repeat(512)), JsonErrorKind::TooDeep, 512),
            (format!("{}[", "[".repeat(512)), JsonErrorKind::TooDeep, 512),
            ("[".repeat(512), JsonErrorKind::Value, 512),
            (format!("{}\"{{", "[".repeat(512)), JsonErrorKind::Unterminated, 512),
            (format!("[{deep}\"\\x"), JsonErrorKind::TooDeep, 512),
            (format!("{{\"a\":1,{deep}"), JsonErrorKind::Key, 7),
        ] {
            assert_eq!(error_of(&text), JsonError { kind, position });
        }
    });
}

#[test]
fn the_limit_on_digits_is_on_integers_only() {
    let limited = |text: &str, limit| parse(text.as_bytes(), text.len(), limit, &mut Vec::new()).map(|_| ());
    let digits = |count| "7".repeat(count);
    let fails = |limit, position| Err(JsonError { kind: JsonErrorKind::Digits(limit), position });
    assert_eq!(limited(&digits(4300), 4300), Ok(()));
    assert_eq!(limited(&digits(4301), 4300), fails(4300, 0));
    assert_eq!(limited(&format!("-{}", digits(4300)), 4300), Ok(()));
    assert_eq!(limited(&format!("[1, -{}]", digits(4301)), 4300), fails(4300, 4));
    assert_eq!(limited(&format!("{{\"unknown\":[{{\"a\":{}}}]}}", digits(11)), 10), fails(10, 17));
    assert_eq!(limited(&format!("{}.5", digits(4301)), 4300), Ok(()));
    assert_eq!(limited(&format!("{}e5", digits(4301)), 4300), Ok(()));
    assert_eq!(limited(&format!("0.{}", digits(5000)), 4300), Ok(()));
    assert_eq!(limited(&format!("1e{}", digits(5000)), 4300), Ok(()));
    assert_eq!(limited(&format!("\"{}\"", digits(5000)), 4300), Ok(()));
    assert_eq!(limited(&digits(100_000), 0), Ok(()));
    assert_eq!(JsonErrorKind::Digits(640).to_string(), "integer of more than 640 digits");
}

// --- views

/// A view of a document of one value.
fn with_root<T>(text: &str, look: impl Fn(Value<'_>) -> T) -> T {
    let (nodes, _) = nodes_of(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error:?}"));
    look(Doc::new(text.as_bytes(), &nodes).root())
}

#[test]
fn strings_are_unescaped() {
    for (text, expected) in [
        (r#""""#, ""),
        (r#""plain é 😊""#, "plain é 😊"),
        (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
        (r#""a\nb\\nc""#, "a\nb\\nc"),
        (r#""\u0041\u00e9\u5317\u0000""#, "Aé北\0"),
        (r#""\u00E9\u00e9\uABCD\uabcd""#, "éé\u{abcd}\u{abcd}"),
        (r#""\ud83d\ude0a\uD83D\uDE0A""#, "😊😊"),
        (r#""\ud800\udc00\udbff\udfff""#, "\u{10000}\u{10ffff}"),
        (r#""\ud7ff\ue000""#, "\u{d7ff}\u{e000}"),
        (r#""é\u0301北\n😊""#, "é\u{301}北\n😊"),
        (r#""\\u0041""#, "\\u0041"),
    ] {
        assert_eq!(with_root(text, |root| String::from_utf8(root.bytes().into_owned()).expect("UTF-8")), expected);
        assert_eq!(serde_json::from_str::<String>(text).expect("a string"), expected);
        let (escaped, ascii) = (text.contains('\\'), text.is_ascii());
        assert_eq!(with_root(text, |root| (root.is_escaped(), root.is_ascii())), (escaped, ascii), "{text}");
        assert_eq!(with_root(text, |root| (root.raw().to_vec(), root.text().len())), (text.into(), text.len() - 2));
    }
}

#[test]
fn escaped_keys_are_the_same_keys() {
    let text = br#"{"id":1,"\u0069d":2,"choi\u0063es":[],"x":3,"\u0078":4}"#;
    let (nodes, keys) = nodes_of(text).expect("valid JSON");
    let root = Doc::new(text, &nodes).root();
    assert_eq!(root.get(Key::Id).and_then(Value::integer), Some(2));
    assert_eq!(root.get_named(b"x").and_then(Value::integer), Some(4));
    assert!(root.get(Key::Choices).is_some() && root.get(Key::Usage).is_none() && root.get_named(b"y").is_none());
    assert_eq!(keys, 1 << Key::Id as u8 | 1 << Key::Choices as u8 | 1 << Key::Unknown as u8);
}

#[test]
fn keys_of_inner_objects_are_not_the_outermost_ones() {
    for text in ["{\"x\":{\"choices\":[]}}", "[{\"choices\":[]}]", "\"choices\"", "{\"x\":[{\"choices\":{\"id\":1}}]}"]
    {
        assert_eq!(nodes_of(text.as_bytes()).expect("valid JSON").1 & 1 << Key::Choices as u8, 0, "{text}");
    }
}

#[test]
fn integers() {
    for (text, expected) in [
        ("0", Some(0)),
        ("-0", Some(0)),
        ("7", Some(7)),
        ("9223372036854775807", Some(i64::MAX)),
        ("9223372036854775808", None),
        ("-9223372036854775808", Some(i64::MIN)),
        ("-9223372036854775809", None),
        ("99999999999999999999999999", None),
        ("1.0", Some(1)),
        ("-0.0", Some(0)),
        ("1.5", None),
        ("1e3", Some(1000)),
        ("1E+3", Some(1000)),
        ("15e-1", None),
        ("10e-1", Some(1)),
        ("1e-400", Some(0)),
        ("1e400", None),
        ("9223372036854774784.0", Some(9_223_372_036_854_774_784)),
        ("9223372036854775807.0", None),
        ("-9223372036854775808.0", Some(i64::MIN)),
        ("-9223372036854777856.0", None),
        ("NaN", None),
        ("Infinity", None),
        ("true", None),
        ("null", None),
        ("\"5\"", None),
        ("[5]", None),
        ("{}", None),
    ] {
        assert_eq!(with_root(text, |root| root.integer()), expected, "{text}");
    }
}

#[test]
fn number_values() {
    for (text, expected) in [
        ("0", Some(0.0)),
        ("-2.5e-3", Some(-0.0025)),
        ("0.1", Some(0.1)),
        ("123456789012345678901234567890", Some(1.234_567_890_123_456_8e29)),
        ("2.2250738585072011e-308", Some(2.225_073_858_507_201e-308)),
        ("1e-400", Some(0.0)),
        ("Infinity", Some(f64::INFINITY)),
        ("-Infinity", Some(f64::NEG_INFINITY)),
        ("\"1\"", None),
        ("true", None),
        ("null", None),
        ("[]", None),
    ] {
        assert_eq!(with_root(text, |root| root.number_value()), expected, "{text}");
    }
    assert!(with_root("NaN", |root| root.number_value()).is_some_and(f64::is_nan));
}

#[test]
fn truth_is_pythons() {
    for text in ["null", "false", "0", "-0", "0.0", "-0.0", "0e5", "1e-400", "\"\"", "[]", "{}", "[ ]", "{\n}"] {
        assert!(!with_root(text, |root| root.is_truthy()), "{text}");
    }
    for text in [
        "true",
        "1",
        "-1",
        "0.1",
        "1e400",
        "NaN",
        "Infinity",
        "-Infinity",
        "\"0\"",
        "\" \"",
        "\"\\u0000\"",
        "[0]",
        "[[]]",
        "{\"\":0}",
    ] {
        assert!(with_root(text, |root| root.is_truthy()), "{text}");
    }
}

#[test]
fn content_is_the_first_choices_as_sent() {
    for (text, expected) in [
        (r#"{"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"}}]}"#, Some("\"a\"")),
        (r#"{"choices":[{"delta":{"content":[{"x":1}]}}]}"#, Some("[{\"x\":1}]")),
        (r#"{"choices":[{"delta":{"content":null}}]}"#, Some("null")),
        (r#"{"choices":[{"delta":{"content":"a","content":"b"}}]}"#, Some("\"b\"")),
        (r#"{"choices":[{"delta":{}}]}"#, None),
        (r#"{"choices":[{"delta":"content"}]}"#, None),
        (r#"{"choices":[null,{"delta":{"content":"a"}}]}"#, None),
        (r#"{"choices":[]}"#, None),
        (r#"{"choices":{"delta":{"content":"a"}}}"#, None),
        (r#"{}"#, None),
    ] {
        let (nodes, _) = nodes_of(text.as_bytes()).expect("valid JSON");
        let content = Doc::new(text.as_bytes(), &nodes).content().map(|content| content.raw().to_vec());
        assert_eq!(content, expected.map(|expected| expected.as_bytes().to_vec()), "{text}");
    }
}
