//! Usage: a test for each rule by which a stream's chunks become its token counts, cost, model and the rest.

use chunkwire::decoder::Options;
use chunkwire::error::{Damage, Kind, Place};
use chunkwire::usage::{TOKEN_COLUMNS, TOKENS};

use super::{DONE, Row, event, first, last, part, read, rows_of, tail};

/// The one row of chunks with these members (JSON) beside their id and no choices.
fn row(chunks: &[&str]) -> Row {
    let source: String = chunks.iter().map(|members| tail(&format!("\"id\":\"a\",{members}"))).collect();
    let mut rows = rows_of(&(source + DONE));
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

/// The row of a stream with this usage object.
fn with(usage: &str) -> Row {
    row(&[&format!("\"usage\":{usage}")])
}

fn damages(source: &str) -> Vec<Damage> {
    read(&[source.as_bytes()], Options::default()).1
}

/// The column of this name in a row.
fn column(row: &Row, name: &str) -> Option<i64> {
    row.tokens[TOKENS.iter().position(|column| column.name == name).expect(name)]
}

#[test]
fn columns_have_their_order() {
    let names: Vec<&str> = TOKENS.iter().map(|column| column.name).collect();
    let expected = "prompt_tokens completion_tokens total_tokens cached_tokens cache_write_tokens reasoning_tokens \
        audio_prompt_tokens audio_completion_tokens accepted_prediction_tokens rejected_prediction_tokens";
    assert_eq!((names.join(" "), names.len()), (expected.to_owned(), TOKEN_COLUMNS));
}

#[test]
fn every_column_has_its_place() {
    let row = with(
        r#"{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,
        "prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":5,"audio_tokens":7},
        "completion_tokens_details":{"reasoning_tokens":6,"audio_tokens":8,"accepted_prediction_tokens":9,
        "rejected_prediction_tokens":10}}"#
            .replace('\n', " ")
            .as_str(),
    );
    assert_eq!(row.tokens, (1..=10).map(Some).collect::<Vec<_>>());
    assert!(row.reported);
    // In the other details, or elsewhere outside, they are nothing.
    let row = with(
        r#"{"completion_tokens_details":{"cached_tokens":4,"cache_write_tokens":5},"cache_write_tokens":1,"audio_tokens":1,
        "prompt_tokens_details":{"reasoning_tokens":6,"accepted_prediction_tokens":9}}"#
            .replace('\n', " ")
            .as_str(),
    );
    assert_eq!((row.tokens, row.reported), (vec![None; TOKEN_COLUMNS], true));
}

#[test]
fn no_usage_is_not_reported() {
    for nothing in
        ["\"usage\":null", "\"usage\":{}", "\"x\":1", "\"x_groq\":{\"usage\":{}}", "\"x_groq\":null", "\"x_groq\":5"]
    {
        let row = row(&[nothing]);
        assert_eq!((row.reported, row.tokens, row.cost), (false, vec![None; TOKEN_COLUMNS], None), "{nothing}");
    }
    assert!(with("{\"unknown\":1}").reported);
}

#[test]
fn the_last_usage_wins_whole() {
    let running = row(&[
        r#""usage":{"prompt_tokens":9,"total_tokens":9,"prompt_tokens_details":{"cached_tokens":9},"cost":9}"#,
        r#""usage":{"prompt_tokens":0,"completion_tokens":2}"#,
        r#""usage":null"#,
        r#""usage":{}"#,
        r#""x":1"#,
    ]);
    assert_eq!(running.tokens[..4], [Some(0), Some(2), None, None]);
    assert_eq!(running.cost, None);
    // Also behind [DONE], and the last of two equal keys.
    let source =
        first("a") + &last("a") + DONE + &tail(r#""id":"a","usage":{"prompt_tokens":1},"usage":{"prompt_tokens":2}"#);
    assert_eq!(rows_of(&source)[0].tokens[0], Some(2));
    assert_eq!(with(r#"{"prompt_tokens":1,"\u0070rompt_tokens":2}"#).tokens[0], Some(2));
}

#[test]
fn usage_is_found_where_servers_put_it() {
    let usage = |count: u32| format!("\"usage\":{{\"prompt_tokens\":{count}}}");
    let chunk = |members: &[String]| event(&format!("{{\"id\":\"a\",{}}}", members.join(",")));
    let groq = format!("\"x_groq\":{{\"id\":\"x\",{}}}", usage(2));
    let choices = format!("\"choices\":[{{{}}},{{{}}},{{\"usage\":{{}}}},{{\"usage\":5}},{{}}]", usage(3), usage(4));
    let found = |members: &[String]| rows_of(&chunk(members))[0].tokens[0];
    assert_eq!(found(std::slice::from_ref(&choices)), Some(4));
    assert_eq!(found(&[choices.clone(), groq.clone()]), Some(2));
    assert_eq!(found(&[choices.clone(), groq.clone(), usage(1)]), Some(1));
    for nothing in ["null", "{}", "5"] {
        assert_eq!(found(&[choices.clone(), groq.clone(), format!("\"usage\":{nothing}")]), Some(2));
        assert_eq!(found(&[choices.clone(), format!("\"x_groq\":{{\"usage\":{nothing}}}")]), Some(4));
    }
    // Beside a choice, too; and a later one elsewhere wins.
    assert_eq!(found(&["\"choices\":[{\"index\":0}]".to_owned(), usage(5)]), Some(5));
    let source = chunk(&["\"choices\":[]".to_owned(), usage(6)]) + &chunk(&[choices]);
    assert_eq!(rows_of(&source)[0].tokens[0], Some(4));
}

#[test]
fn cached_tokens_have_a_second_place() {
    for (usage, expected) in [
        (r#"{"prompt_cache_hit_tokens":5}"#, Some(5)),
        (r#"{"prompt_tokens_details":{"cached_tokens":4},"prompt_cache_hit_tokens":5}"#, Some(4)),
        (r#"{"prompt_tokens_details":{"cached_tokens":0},"prompt_cache_hit_tokens":5}"#, Some(0)),
        (r#"{"prompt_tokens_details":{"cached_tokens":null},"prompt_cache_hit_tokens":5}"#, Some(5)),
        (r#"{"prompt_tokens_details":null,"prompt_cache_hit_tokens":5}"#, Some(5)),
        (r#"{"prompt_tokens_details":[],"prompt_cache_hit_tokens":5}"#, Some(5)),
        (r#"{"prompt_tokens_details":{"cached_tokens":"x"},"prompt_cache_hit_tokens":5}"#, None),
    ] {
        assert_eq!(column(&with(usage), "cached_tokens"), expected, "{usage}");
    }
}

#[test]
fn integers_and_floats_without_a_fraction_are_counts() {
    for (value, expected) in [
        ("7", Some(7)),
        ("-7", Some(-7)),
        ("7.0", Some(7)),
        ("7e2", Some(700)),
        ("9223372036854775807", Some(i64::MAX)),
        ("-9223372036854775808", Some(i64::MIN)),
        ("9223372036854775808", None),
        ("9.3e18", None),
        ("7.5", None),
        ("1e400", None),
        ("NaN", None),
        ("true", None),
        ("\"7\"", None),
        ("[7]", None),
        ("{}", None),
        ("null", None),
    ] {
        let usage = format!("{{\"total_tokens\":{value},\"prompt_tokens\":1}}");
        assert_eq!(with(&usage).tokens[..3], [Some(1), None, expected], "{value}");
        let damages = damages(&tail(&format!("\"usage\":{usage}")));
        assert_eq!(damages.len(), usize::from(expected.is_none() && value != "null"), "{value}");
    }
}

#[test]
fn a_cell_of_another_type_is_damage_with_its_path() {
    let before = first("a");
    for (usage, path, found) in [
        (r#"{"prompt_tokens":"5"}"#, "prompt_tokens", "string"),
        (r#"{"total_tokens":1.5}"#, "total_tokens", "number"),
        (r#"{"completion_tokens":true}"#, "completion_tokens", "boolean"),
        (r#"{"prompt_cache_hit_tokens":[]}"#, "prompt_cache_hit_tokens", "array"),
        (r#"{"prompt_tokens_details":{"audio_tokens":{}}}"#, "prompt_tokens_details.audio_tokens", "object"),
        (r#"{"completion_tokens_details":{"audio_tokens":""}}"#, "completion_tokens_details.audio_tokens", "string"),
    ] {
        let source = before.clone() + &tail(&format!("\"id\":\"a\",\"usage\":{usage}")) + &part("a") + DONE;
        let place = Place { offset: before.len() as u64, line: 3, event: 1 };
        let reason = format!("usage.{path} is a JSON {found}, expected an integer");
        assert_eq!(damages(&source), [Damage { kind: Kind::WrongType, place, position: None, reason }]);
        assert_eq!(rows_of(&source)[0].status, "complete");
    }
}

#[test]
fn only_the_usage_that_counts_is_judged() {
    let source = tail(r#""id":"a","usage":{"prompt_tokens":"x"}"#) + &tail(r#""id":"a","usage":{"prompt_tokens":1}"#);
    assert_eq!(damages(&source), []);
}

#[test]
fn usage_that_is_no_object_is_damage() {
    for (usage, found) in [
        ("5", "number"),
        ("\"x\"", "string"),
        ("[]", "array"),
        ("[{}]", "array"),
        ("false", "boolean"),
        ("NaN", "number"),
    ] {
        let source = first("a")
            + &tail(&format!("\"id\":\"a\",\"usage\":{usage}"))
            + &tail(r#""id":"a","usage":{"prompt_tokens":1}"#);
        let place = Place { offset: first("a").len() as u64, line: 3, event: 1 };
        let reason = format!("usage is a JSON {found}");
        assert_eq!(damages(&source), [Damage { kind: Kind::WrongType, place, position: None, reason }]);
        assert_eq!(rows_of(&source)[0].tokens[0], Some(1));
    }
    assert_eq!(damages(&(tail("\"usage\":null") + &tail("\"usage\":{}") + &tail("\"x_groq\":{\"usage\":5}"))), []);
}

#[test]
fn costs_are_numbers_or_in_objects() {
    for (cost, expected) in [
        ("0.25", Some(0.25)),
        ("0", Some(0.0)),
        ("-1", Some(-1.0)),
        ("3e-5", Some(3e-5)),
        ("{\"total_cost\":0.5,\"usd\":1}", Some(0.5)),
        ("{\"usd\":1.5,\"input\":2}", Some(1.5)),
        ("{\"total_cost\":null,\"usd\":1.5}", Some(1.5)),
        ("{\"total_cost\":\"x\",\"usd\":1.5}", Some(1.5)),
        ("{\"total_cost\":true}", None),
        ("{}", None),
        ("[1]", None),
        ("null", None),
        ("true", None),
        ("\"x\"", None),
    ] {
        assert_eq!(with(&format!("{{\"cost\":{cost}}}")).cost, expected, "{cost}");
        assert_eq!(row(&[&format!("\"cost\":{cost}")]).cost, expected, "{cost} beside usage");
    }
}

#[test]
fn a_cost_beside_usage_counts_where_usage_has_none() {
    assert_eq!(row(&[r#""cost":1,"usage":{"prompt_tokens":1}"#]).cost, Some(1.0));
    assert_eq!(row(&[r#""cost":1,"usage":{"cost":2}"#]).cost, Some(2.0));
    assert_eq!(row(&[r#""usage":{"cost":2}"#, r#""cost":1"#]).cost, Some(2.0));
    assert_eq!(row(&[r#""usage":{"cost":null}"#, r#""cost":{"usd":1}"#]).cost, Some(1.0));
    // The last one.
    assert_eq!(row(&[r#""cost":1"#, r#""cost":{"usd":3}"#, r#""cost":null"#, r#""x":1"#]).cost, Some(3.0));
    assert_eq!(row(&[r#""usage":{"cost":5}"#, r#""usage":{"prompt_tokens":1}"#, r#""cost":1"#]).cost, Some(1.0));
}

#[test]
fn a_cost_beside_usage_may_be_a_number_in_a_string() {
    for (cost, expected) in [
        ("0.125", Some(0.125)),
        ("2", Some(2.0)),
        ("-1e-3", Some(-0.001)),
        ("", None),
        ("free", None),
        ("1 USD", None),
        ("nan", None),
        ("inf", None),
    ] {
        assert_eq!(row(&[&format!("\"cost\":\"{cost}\"")]).cost, expected, "{cost}");
    }
}

#[test]
fn a_cost_in_usage_is_no_string() {
    assert_eq!(with(r#"{"cost":"0.5"}"#).cost, None);
}

#[test]
fn the_model_is_the_first_that_is_not_empty() {
    let source = [r#""model":"""#, r#""model":null"#, r#""model":5"#, r#""model":"\u0061b""#, r#""model":"c""#];
    assert_eq!(row(&source).model.as_deref(), Some("ab"));
    assert_eq!(row(&source[..3]).model, None);
}

#[test]
fn created_is_the_first_integer_that_is_not_0() {
    for (values, expected) in [
        (&["5", "6"][..], 5),
        (&["0", "6"], 6),
        (&["0.0", "7.0", "8"], 7),
        (&["null", "\"5\"", "true", "5.5", "NaN", "[5]", "-9"], -9),
        (&["99999999999999999999", "1e30"], 0),
        (&[], 0),
    ] {
        let chunks: Vec<String> = values.iter().map(|value| format!("\"created\":{value}")).collect();
        let mut members: Vec<&str> = chunks.iter().map(String::as_str).collect();
        members.push("\"x\":1");
        assert_eq!(row(&members).created, expected, "{values:?}");
    }
}

#[test]
fn the_finish_reason_is_the_last_of_the_first_choice() {
    let finish = |choices: &[(u32, &str)]| {
        let of = |&(index, reason): &(u32, &str)| format!(r#"{{"index":{index},"finish_reason":{reason}}}"#);
        let list: Vec<String> = choices.iter().map(of).collect();
        event(&format!(r#"{{"id":"a","choices":[{}]}}"#, list.join(",")))
    };
    for (source, expected) in [
        (finish(&[(0, "\"stop\"")]), Some("stop")),
        (finish(&[(0, "\"stop\"")]) + &finish(&[(0, "\"length\"")]), Some("length")),
        (finish(&[(0, "\"stop\"")]) + &finish(&[(0, "null")]) + &finish(&[(0, "\"\"")]), Some("stop")),
        (finish(&[(1, "\"a\""), (0, "\"b\""), (2, "\"c\"")]), Some("b")),
        (finish(&[(2, "\"a\"")]) + &finish(&[(1, "\"b\"")]) + &finish(&[(2, "\"c\"")]), Some("b")),
        (finish(&[(0, "null"), (1, "\"b\"")]), Some("b")),
        (finish(&[(0, "5")]), None),
    ] {
        assert_eq!(rows_of(&source)[0].finish_reason.as_deref(), expected, "{source}");
    }
}

#[test]
fn rows_have_the_place_of_their_first_event() {
    let source = String::from("\u{feff}: hi\n\n") + &first("a") + &first("b") + &part("a");
    let offsets: Vec<i64> = rows_of(&source).iter().map(|row| row.offset).collect();
    assert_eq!(offsets, [9, 9 + first("a").len() as i64]);
}

#[test]
fn texts_that_repeat_are_kept_once() {
    let source: String = ["m", "n", "m", "o", "n"]
        .iter()
        .enumerate()
        .map(|(number, model)| tail(&format!(r#""id":"{number}","model":"{model}""#)) + DONE)
        .collect();
    let models: Vec<String> = rows_of(&source).into_iter().filter_map(|row| row.model).collect();
    assert_eq!(models, ["m", "n", "m", "o", "n"]);
}

#[test]
fn objects_that_are_built_alike_are_read_alike() {
    // The same structure again and again, with values of every length: most of these match the shape of one before.
    let values = [
        "0",
        "-0",
        "7",
        "-7",
        "12",
        "999999999999999999",
        "-999999999999999999",
        "1000000000000000000",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "1.0",
        "2.5",
        "1e3",
        "-1E2",
    ];
    let usage = |first: &str, second: &str| {
        let details = format!(r#"{{"cached_tokens":{second},"audio_tokens":null}}"#);
        let counts = format!(r#""prompt_tokens":{first},"completion_tokens":3,"total_tokens":{second}"#);
        format!(r#"{{{counts},"prompt_tokens_details":{details},"cost":{first}}}"#)
    };
    let mut source = String::new();
    let mut expected = Vec::new();
    for (number, (first, second)) in values.iter().flat_map(|&first| values.map(|second| (first, second))).enumerate() {
        let usage = usage(first, second);
        source += &tail(&format!("\"id\":\"s{number}\",\"usage\":{usage}"));
        source += DONE;
        expected.push(with(&usage));
    }
    let rows = rows_of(&source);
    assert_eq!(rows.len(), expected.len());
    for (row, alone) in rows.iter().zip(&expected) {
        assert_eq!((&row.tokens, row.cost, row.reported), (&alone.tokens, alone.cost, alone.reported));
    }
}
