//! Streams: a test for each rule by which chunks, `[DONE]`s, errors and damage become rows; usage columns in `usage`.

mod numbers;
mod support;
mod usage;

use chunkwire::decoder::{Decoder, Options, Stats};
use chunkwire::error::Damage;
use chunkwire::stream::Tracker;
use chunkwire::usage::{Coded, Columns, TOKENS};
use proptest::prelude::*;
use support::{by, cases, cut_at, cuts, recorded};

/// One row of the columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) id: Option<String>,
    model: Option<String>,
    pub(crate) created: i64,
    pub(crate) finish_reason: Option<String>,
    pub(crate) status: String,
    pub(crate) chunks: i64,
    pub(crate) offset: i64,
    pub(crate) reported: bool,
    pub(crate) cost: Option<f64>,
    /// In the order of the columns; None where the cell is not valid.
    pub(crate) tokens: Vec<Option<i64>>,
}

/// The rows of a source in these pieces, what was damaged in its usage, and the decoder's counts.
pub(crate) fn read(pieces: &[&[u8]], options: Options) -> (Vec<Row>, Vec<Damage>, Stats) {
    let (mut decoder, mut tracker) = (Decoder::new(options), Tracker::default());
    for piece in pieces {
        let mut at = 0;
        while decoder.decode(piece, &mut at, 1000, &mut tracker) {}
    }
    decoder.finish(&mut tracker);
    let columns = Columns::new(tracker.finish(), options.shapes, 0);
    let rows = (0..columns.chunks.len()).map(|row| row_of(&columns, row)).collect();
    for coded in [&columns.model, &columns.finish_reason, &columns.status] {
        check_categories(coded);
    }
    (rows, columns.damages, decoder.stats())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn row_of(columns: &Columns, row: usize) -> Row {
    let of = |coded: &Coded| usize::try_from(coded.codes[row]).ok().map(|code| text(&coded.categories[code]));
    let token = |column: usize| {
        let (count, valid) = (columns.tokens[column][row], columns.valid[row] >> column & 1 == 1);
        assert!(valid || count == 0, "a cell that is not valid is 0");
        valid.then_some(count)
    };
    Row {
        id: columns.id.get(row).map(text),
        model: of(&columns.model),
        created: columns.created[row],
        finish_reason: of(&columns.finish_reason),
        status: of(&columns.status).expect("every row has a status"),
        chunks: columns.chunks[row],
        offset: columns.offset[row],
        reported: columns.reported[row] != 0,
        cost: (!columns.cost[row].is_nan()).then_some(columns.cost[row]),
        tokens: (0..TOKENS.len()).map(token).collect(),
    }
}

/// Categories stand in the order of the first row that has them, and each is there once.
fn check_categories(coded: &Coded) {
    let mut seen = 0;
    for &code in &coded.codes {
        assert!(code <= seen);
        seen = seen.max(code + 1);
    }
    assert_eq!(seen as usize, coded.categories.len());
    let mut different = coded.categories.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), coded.categories.len());
}

/// The rows of a source, the same whole and byte by byte; every chunk is in one of them.
pub(crate) fn rows_of(source: &str) -> Vec<Row> {
    let found = read(&[source.as_bytes()], Options::default());
    assert_eq!(read(&by(source.as_bytes(), 1), Options::default()), found);
    assert_eq!(read(&[source.as_bytes()], Options { shapes: false, ..Options::default() }), found);
    assert_eq!(found.0.iter().map(|row| row.chunks).sum::<i64>() as u64, found.2.chunks);
    found.0
}

/// The rows in short: id (`-` for none), status and number of chunks.
pub(crate) fn short(source: &str) -> Vec<String> {
    let of = |row: Row| format!("{} {} {}", row.id.as_deref().unwrap_or("-"), row.status, row.chunks);
    rows_of(source).into_iter().map(of).collect()
}

/// An event of this data.
pub(crate) fn event(data: &str) -> String {
    format!("data: {data}\n\n")
}

/// A chunk of these members (JSON, or nothing) and one choice.
fn chunk(members: &str, delta: &str, finish: &str) -> String {
    let comma = if members.is_empty() { "" } else { "," };
    event(&format!(r#"{{{members}{comma}"choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}"#))
}

fn named(id: &str) -> String {
    format!(r#""id":"{id}""#)
}

/// The first chunk of a stream: it says who speaks.
pub(crate) fn first(id: &str) -> String {
    chunk(&named(id), r#"{"role":"assistant","content":""}"#, "null")
}

/// A chunk inside a stream.
pub(crate) fn part(id: &str) -> String {
    chunk(&named(id), r#"{"content":"x"}"#, "null")
}

/// The chunk in which a stream finishes.
pub(crate) fn last(id: &str) -> String {
    chunk(&named(id), "{}", "\"stop\"")
}

/// A chunk without choices.
pub(crate) fn tail(members: &str) -> String {
    event(&format!(r#"{{{members},"choices":[]}}"#))
}

pub(crate) const DONE: &str = "data: [DONE]\n\n";
const ERROR: &str = "data: {\"error\":{\"message\":\"m\"}}\n\n";
const BROKEN: &str = "data: {\"choices\":[\n\n";

fn whole(id: &str) -> String {
    first(id) + &part(id) + &last(id) + DONE
}

// --- where a stream begins and ends

#[test]
fn done_ends_a_stream() {
    assert_eq!(short(""), [""; 0]);
    assert_eq!(short(": comment\n\ndata:\n\nretry: 1\n\n"), [""; 0]);
    assert_eq!(short(&whole("a")), ["a complete 3"]);
    assert_eq!(short(&(whole("a") + &whole("b"))), ["a complete 3", "b complete 3"]);
    assert_eq!(short(&(whole("a") + &whole("a"))), ["a complete 3", "a complete 3"]);
    assert_eq!(short(&(first("a") + DONE)), ["a complete 1"]);
}

#[test]
fn another_id_behind_a_finish_begins_a_stream() {
    assert_eq!(short(&(first("a") + &last("a") + &part("b") + &last("b"))), ["a no_done 2", "b no_done 2"]);
    assert_eq!(short(&(first("a") + &last("a") + &part("a"))), ["a no_done 3"]);
    assert_eq!(short(&(first("a") + &last("a") + &last("a") + DONE)), ["a complete 3"]);
}

#[test]
fn a_chunk_without_an_id_belongs_to_the_current_stream() {
    for id in ["\"id\":null", "\"id\":\"\"", "\"id\":5", "\"id\":[\"b\"]", "\"id\":{}", ""] {
        let nameless = chunk(id, r#"{"role":"assistant"}"#, "null");
        assert_eq!(short(&(first("a") + &nameless + &last("a") + DONE)), ["a complete 3"], "{id}");
        assert_eq!(short(&(nameless.clone() + &nameless + DONE)), ["- complete 2"], "{id}");
        assert_eq!(short(&(whole("a") + &nameless)), ["a complete 3", "- truncated 1"], "{id}");
    }
}

#[test]
fn a_chunk_behind_done_without_id_and_choices_belongs_to_what_ended() {
    let usage = r#""usage":{"prompt_tokens":1}"#;
    for choices in ["", ",\"choices\":null", ",\"choices\":[]"] {
        for id in ["", ",\"id\":null"] {
            let trailing = event(&format!("{{\"object\":\"chunk\",{usage}{id}{choices}}}"));
            let source = whole("a") + &trailing + &whole("b") + &trailing + &trailing;
            assert_eq!(short(&source), ["a complete 4", "b complete 5"]);
        }
        // An empty id is one that was sent: the first chunk of Azure.
        let trailing = event(&format!("{{\"object\":\"chunk\",{usage},\"id\":\"\"{choices}}}"));
        assert_eq!(short(&(whole("a") + &trailing)), ["a complete 3", "- truncated 1"]);
    }
    assert_eq!(short(&(whole("a") + &chunk("", "{}", "null"))), ["a complete 3", "- truncated 1"]);
    // Once another stream has begun there, nothing can come late any more.
    let trailing = event("{\"choices\":[]}");
    assert_eq!(short(&(whole("a") + ERROR + &trailing)), ["a complete 3", "- error 1"]);
    assert_eq!(short(&trailing), ["- truncated 1"]);
}

#[test]
fn a_chunk_behind_done_with_the_same_id_and_no_choices_belongs_to_what_ended() {
    assert_eq!(short(&(whole("a") + &tail(&named("a")) + &whole("b"))), ["a complete 4", "b complete 3"]);
    assert_eq!(short(&(whole("a") + &tail(&named("b")))), ["a complete 3", "b truncated 1"]);
    assert_eq!(short(&(whole("a") + &part("a"))), ["a complete 3", "a truncated 1"]);
    // Only the last one that ended.
    assert_eq!(
        short(&(whole("a") + &whole("b") + &tail(&named("a")))),
        ["a complete 3", "b complete 3", "a truncated 1"]
    );
}

#[test]
fn a_chunk_behind_done_belongs_to_what_ended_even_if_another_stream_has_begun() {
    let trailing = tail(r#""id":"a","usage":{"prompt_tokens":1}"#);
    let rows = rows_of(&(whole("a") + &first("b") + &trailing + &last("b") + DONE));
    let found: Vec<_> = rows.iter().map(|row| (row.id.as_deref(), row.chunks, row.tokens[0])).collect();
    assert_eq!(found, [(Some("a"), 4, Some(1)), (Some("b"), 2, None)]);
}

#[test]
fn a_stream_without_an_id_takes_the_first_that_comes() {
    let azure = event(r#"{"id":"","model":"","choices":[],"prompt_filter_results":[]}"#);
    assert_eq!(short(&(azure.clone() + &whole("a") + &azure + &whole("b"))), ["a complete 4", "b complete 4"]);
    let nameless = chunk("", "{}", "\"stop\"");
    assert_eq!(short(&(nameless.clone() + &part("a"))), ["- no_done 1", "a truncated 1"]);
    let row = &rows_of(&(event(r#"{"id":"","choices":[]}"#) + &first("a")))[0];
    assert_eq!((row.id.as_deref(), row.offset, row.chunks), (Some("a"), 0, 2));
}

#[test]
fn open_ids_tell_interleaved_streams_apart() {
    let source =
        first("a") + &first("b") + &part("a") + &part("b") + &part("b") + &last("a") + DONE + &last("b") + DONE;
    assert_eq!(short(&source), ["a complete 3", "b complete 4"]);
    // The escaped id is the same id.
    assert_eq!(short(&(first("a") + &chunk(r#""id":"\u0061""#, "{}", "\"stop\"") + DONE)), ["a complete 2"]);
}

#[test]
fn an_id_that_changes_inside_a_stream_does_not_end_it() {
    assert_eq!(short(&(first("a") + &part("b") + &part("c") + &last("d") + DONE)), ["a complete 4"]);
    let role = |role: &str| chunk(&named("b"), &format!("{{\"role\":{role}}}"), "\"stop\"");
    for no_role in ["\"\"", "null", "5"] {
        assert_eq!(short(&(first("a") + &role(no_role) + DONE)), ["a complete 2"], "{no_role}");
    }
    // A role begins a message, and the stream before it broke off.
    assert_eq!(short(&(first("a") + &role("\"assistant\"") + DONE)), ["a truncated 1", "b complete 1"]);
    // An error ends a stream.
    assert_eq!(short(&(first("a") + ERROR + &last("b") + DONE)), ["a error 1", "b complete 1"]);
    // Chunks with no choices have no role either.
    assert_eq!(short(&(first("a") + &tail(&named("b")) + &last("b") + DONE)), ["a complete 3"]);
}

#[test]
fn parts_become_streams_when_the_old_id_comes_again() {
    let source = first("a") + &part("b") + &part("a") + &last("b") + DONE + &last("a") + DONE;
    assert_eq!(short(&source), ["a complete 3", "b complete 2"]);
    // Only the parts of the stream whose id came again.
    assert_eq!(short(&(first("a") + &part("b") + &part("c") + &part("b"))), ["a truncated 3", "c truncated 1"]);
    assert_eq!(short(&(first("a") + &part("b") + &part("c") + &part("a"))), ["a truncated 2", "b truncated 2"]);
}

#[test]
fn a_stream_and_its_parts_add_up() {
    let of = |members: &str, finish: &str| chunk(members, "{}", finish);
    let source = of(r#""id":"a","model":"m","created":5,"cost":1"#, "null")
        + &of(r#""id":"b","model":"n","created":6,"usage":{"prompt_tokens":1}"#, "null")
        + &of(r#""id":"c","usage":{"total_tokens":2}"#, "\"length\"")
        + DONE;
    let rows = rows_of(&source);
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!((row.id.as_deref(), row.model.as_deref(), row.created), (Some("a"), Some("m"), 5));
    assert_eq!(
        (row.finish_reason.as_deref(), &row.status[..], row.chunks, row.offset),
        (Some("length"), "complete", 3, 0)
    );
    assert_eq!((row.tokens[0], row.tokens[2], row.cost), (None, Some(2), Some(1.0)));
    // The flags of a part are the stream's.
    assert_eq!(short(&(first("a") + &part("b") + ERROR)), ["a error 2"]);
    assert_eq!(short(&(first("a") + &part("b") + BROKEN)), ["a malformed 2"]);
    assert_eq!(short(&(first("a") + &part("b") + "data: {\"choi")), ["a truncated 2"]);
}

// --- [DONE]

#[test]
fn done_ends_the_current_stream_if_that_has_finished_or_failed() {
    // Both have finished; the current one is meant.
    let source = first("a") + &first("b") + &last("a") + &last("b") + DONE + &part("b");
    assert_eq!(short(&source), ["a no_done 2", "b complete 2", "b truncated 1"]);
    let source = first("a") + &first("b") + &last("a") + &part("b") + ERROR + DONE + &part("b");
    assert_eq!(short(&source), ["a no_done 2", "b error 2", "b truncated 1"]);
}

#[test]
fn done_comes_late_where_streams_are_interleaved() {
    let source = first("a") + &first("b") + &last("a") + &part("b") + DONE + &last("b") + DONE;
    assert_eq!(short(&source), ["a complete 2", "b complete 3"]);
    // The one that has waited longest.
    let source = first("a") + &first("b") + &first("c") + &last("b") + &last("a") + &part("c") + DONE;
    assert_eq!(short(&(source.clone() + &part("a"))), ["a no_done 3", "b complete 2", "c truncated 2"]);
    assert_eq!(short(&(source + &part("c") + DONE)), ["a complete 2", "b complete 2", "c truncated 3"]);
}

#[test]
fn done_does_not_come_very_late() {
    // One unfinished stream is open: up to 2 * 1 + 2 items lie between.
    let late = |items: &str| short(&(first("a") + &first("b") + &last("a") + items + DONE));
    let three = part("b").repeat(3);
    assert_eq!(late(&three), ["a complete 2", "b truncated 4"]);
    assert_eq!(late(&part("b").repeat(4)), ["a no_done 2", "b complete 5"]);
    // Keep-alives and comments are no items, damage is one.
    assert_eq!(late(&(three.clone() + "data:\n\n: x\n\nretry: 5\n\n")), ["a complete 2", "b truncated 4"]);
    assert_eq!(late(&(three.clone() + &event("5"))), ["a no_done 2", "b complete 4"]);
    assert_eq!(late(&(three + BROKEN)), ["a no_done 2", "b malformed 4"]);
    // With two more it is longer.
    let source = first("a") + &first("b") + &first("c") + &last("a");
    assert_eq!(short(&(source.clone() + &part("b").repeat(5) + DONE))[0], "a complete 2");
    assert_eq!(short(&(source + &part("b").repeat(6) + DONE))[0], "a no_done 2");
}

#[test]
fn done_ends_the_current_stream_else() {
    assert_eq!(short(&(first("a") + &first("b") + DONE + &part("a") + DONE)), ["a complete 2", "b complete 1"]);
}

#[test]
fn done_alone_is_an_empty_stream_if_there_is_no_other() {
    assert_eq!(short(DONE), ["- empty 0"]);
    assert_eq!(short(&DONE.repeat(3)), ["- empty 0"]);
    assert_eq!(short(&(whole("a") + DONE + DONE)), ["a complete 3"]);
    assert_eq!(short(&(DONE.to_owned() + &whole("a"))), ["- empty 0", "a complete 3"]);
    assert_eq!(rows_of(&(": x\n\n".to_owned() + DONE))[0].offset, 5);
    // It ended nothing to which a chunk could belong.
    assert_eq!(short(&(DONE.to_owned() + &event("{\"choices\":[]}"))), ["- empty 0", "- truncated 1"]);
}

// --- errors and damage

#[test]
fn an_error_is_the_current_streams_once() {
    assert_eq!(short(&(first("a") + ERROR)), ["a error 1"]);
    assert_eq!(short(&(first("a") + ERROR + ERROR)), ["a error 1", "- error 0"]);
    assert_eq!(short(ERROR), ["- error 0"]);
    assert_eq!(short("event: error\ndata: oops\n\n"), ["- error 0"]);
    assert_eq!(short(&(whole("a") + ERROR)), ["a complete 3", "- error 0"]);
    assert_eq!(short(&(first("a") + ERROR + DONE + &whole("b"))), ["a error 1", "b complete 3"]);
    assert_eq!(rows_of(&(whole("a") + ERROR))[1].offset, whole("a").len() as i64);
}

#[test]
fn an_error_beside_choices_is_its_streams() {
    let with = |error: &str| event(&format!("{{\"id\":\"a\",\"choices\":[],\"error\":{error}}}"));
    assert_eq!(short(&(first("a") + &with("{\"message\":\"m\"}") + DONE)), ["a error 2"]);
    for nothing in ["null", "{}", "\"\"", "false"] {
        assert_eq!(short(&(first("a") + &with(nothing) + DONE)), ["a complete 2"]);
    }
}

#[test]
fn lost_events_are_the_current_streams() {
    let deep = event(&"[".repeat(600));
    for lost in [BROKEN, &deep, "data: oops\n\n"] {
        assert_eq!(short(&(first("a") + lost + &last("a") + DONE)), ["a malformed 2"]);
        assert_eq!(short(&(whole("a") + lost + &whole("b"))), ["a complete 3", "b malformed 3"]);
        assert_eq!(short(&(lost.to_owned() + lost)), ["- malformed 0"]);
    }
    let options = Options { max_event_bytes: 100, ..Options::default() };
    let source = format!("{}data: {}\n\n", first("a"), "x".repeat(200));
    let (rows, ..) = read(&[source.as_bytes()], options);
    assert_eq!((rows.len(), &rows[0].status[..]), (1, "malformed"));
}

#[test]
fn an_event_that_the_end_cuts_off_makes_its_stream_truncated() {
    assert_eq!(short(&(first("a") + &last("a") + "data: {\"id\"")), ["a truncated 2"]);
    assert_eq!(short("data: {\"id\""), ["- truncated 0"]);
    assert_eq!(short(&(whole("a") + "data: {\"id\"")), ["a complete 3", "- truncated 0"]);
    assert_eq!(short(&(first("a") + BROKEN + "data: {\"id\"")), ["a malformed 1"]);
    assert_eq!(short(&(whole("a") + "data: [DONE]")), ["a complete 3"]);
}

#[test]
fn other_damage_is_no_streams() {
    let not_utf_8 = b"id: \xff\n";
    for (before, behind) in [(event("5"), ""), (event("{\"type\":\"ping\"}"), ""), (String::new(), "<p>\n")] {
        assert_eq!(short(&(first("a") + &before + &last("a") + DONE + behind)), ["a complete 2"]);
    }
    let source = [not_utf_8, first("a").as_bytes(), last("a").as_bytes(), DONE.as_bytes()].concat();
    let (rows, _, stats) = read(&[&source], Options::default());
    assert_eq!((rows.len(), &rows[0].status[..], stats.damaged), (1, "complete", 1));
}

#[test]
fn a_source_of_damage_and_nothing_else_has_one_malformed_row() {
    let rows = rows_of(&(": hi\n\n".to_owned() + &event("5") + &event("6")));
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!((&row.id, &row.status[..], row.chunks, row.offset, row.reported), (&None, "malformed", 0, 6, false));
    assert_eq!(short("<html>\n"), ["- malformed 0"]);
    assert_eq!(short(&(event("5") + &whole("a"))), ["a complete 3"]);
    // What was decoded all the same is no loss.
    let (rows, _, stats) = read(&[b"event: \xff\ndata:\n\n"], Options::default());
    assert_eq!((rows, stats.damaged), (vec![], 1));
}

// --- status

#[test]
fn statuses_in_their_order() {
    let cut = "data: {\"id\"";
    for (source, expected) in [
        (first("a") + ERROR + BROKEN + cut, "a error 1"),
        (first("a") + &last("a") + BROKEN + cut, "a malformed 2"),
        (first("a") + &last("a") + BROKEN + DONE, "a malformed 2"),
        (first("a") + &last("a") + cut, "a truncated 2"),
        (DONE.to_owned(), "- empty 0"),
        (first("a") + DONE, "a complete 1"),
        (first("a") + &last("a"), "a no_done 2"),
        (first("a") + &part("a"), "a truncated 2"),
        (tail("\"id\":\"a\""), "a truncated 1"),
        // An error that [DONE] follows is no empty stream.
        (ERROR.to_owned() + DONE, "- error 0"),
    ] {
        assert_eq!(short(&source), [expected]);
    }
}

/// A chunk with these choices: index and finish reason, as JSON.
fn choices(of: &[(&str, &str)]) -> String {
    let choice = |&(index, finish): &(&str, &str)| format!(r#"{{"index":{index},"finish_reason":{finish}}}"#);
    let list: Vec<String> = of.iter().map(choice).collect();
    event(&format!(r#"{{"id":"a","choices":[{}]}}"#, list.join(",")))
}

#[test]
fn a_stream_has_finished_when_every_choice_has() {
    let (go, stop) = ("null", "\"stop\"");
    for (chunks, status) in [
        (vec![choices(&[("0", stop)]), choices(&[("1", stop)])], "no_done"),
        (vec![choices(&[("0", stop), ("1", go)])], "truncated"),
        (vec![choices(&[("0", go), ("1", go)]), choices(&[("1", stop)]), choices(&[("0", stop)])], "no_done"),
        (vec![choices(&[("0", go), ("7", go)]), choices(&[("0", stop)])], "truncated"),
        (vec![choices(&[("0", "\"\"")])], "truncated"),
        (vec![choices(&[("0", "true")])], "truncated"),
        (vec![choices(&[("62", go), ("63", stop)])], "truncated"),
        (vec![choices(&[("63", go)]), choices(&[("63", stop)])], "no_done"),
    ] {
        assert_eq!(rows_of(&chunks.concat())[0].status, status, "{chunks:?}");
    }
}

#[test]
fn an_index_that_is_none_counts_as_0() {
    for index in ["null", "\"1\"", "true", "-1", "1.5", "[1]", "{}"] {
        let source = choices(&[("0", "\"stop\""), (index, "null")]);
        assert_eq!(rows_of(&source)[0].status, "no_done", "{index}");
    }
    let source = event(r#"{"id":"a","choices":[{"finish_reason":"stop"},{}]}"#);
    assert_eq!(rows_of(&source)[0].status, "no_done");
}

#[test]
fn index_63_stands_for_all_that_are_larger() {
    let (go, stop) = ("null", "\"stop\"");
    for large in ["64", "1000", "9223372036854775807", "64.0"] {
        assert_eq!(rows_of(&choices(&[("0", stop), (large, go)]))[0].status, "truncated", "{large}");
        assert_eq!(rows_of(&choices(&[("63", go), (large, stop)]))[0].status, "no_done", "{large}");
    }
    // A float without a fraction is an index like any other; what no int64 holds is none.
    assert_eq!(rows_of(&choices(&[("0", stop), ("1.0", go)]))[0].status, "truncated");
    assert_eq!(rows_of(&choices(&[("0", stop), ("9223372036854775808", go)]))[0].status, "no_done");
}

#[test]
fn what_is_no_choice_is_not_seen() {
    for other in ["null", "5", "\"x\"", "[]", "[{\"finish_reason\":\"stop\"}]"] {
        let source = event(&format!(r#"{{"id":"a","choices":[{other},{{"index":1,"finish_reason":"stop"}}]}}"#));
        assert_eq!(short(&source), ["a no_done 1"], "{other}");
        let source = event(&format!(r#"{{"id":"a","choices":{other}}}"#));
        assert_eq!(short(&source).len(), 1);
    }
    assert_eq!(short(&event(r#"{"id":"a","choices":{"0":{"finish_reason":"stop"}}}"#)), ["a truncated 1"]);
}

// --- many streams

#[test]
fn eight_interleaved_streams_are_told_apart() {
    let id = |stream: usize| format!("s{stream}");
    let mut source: String = (0..8).map(|stream| first(&id(stream))).collect();
    // Stream k has k parts; its [DONE] comes when the others have sent one more.
    for round in 0..8 {
        source += &last(&id(round));
        for stream in round + 1..8 {
            source += &part(&id(stream));
        }
        source += DONE;
    }
    let expected: Vec<String> = (0..8).map(|stream| format!("s{stream} complete {}", stream + 2)).collect();
    assert_eq!(short(&source), expected);
}

#[test]
fn at_most_4096_streams_are_open() {
    let id = |stream: usize| format!("s{stream}");
    let mut source: String = (0..4096).map(|stream| first(&id(stream))).collect();
    source += &part("s0");
    let (rows, ..) = read(&[source.as_bytes()], Options::default());
    assert_eq!((rows.len(), rows[0].chunks), (4096, 2));
    // One more, and the 2048 that were silent longest are closed: s1 to s2048.
    source += &first("new");
    for stream in [1, 2048, 2049, 0, 4095] {
        source += &first(&id(stream));
    }
    source += &first("new");
    let (rows, ..) = read(&[source.as_bytes()], Options::default());
    let chunks: Vec<i64> = [0, 1, 2048, 2049, 4095, 4096].map(|row| rows[row].chunks).to_vec();
    assert_eq!(chunks, [3, 1, 1, 2, 2, 2]);
    let again: Vec<_> = rows[4097..].iter().map(|row| (row.id.as_deref(), row.chunks)).collect();
    assert_eq!(again, [(Some("s1"), 1), (Some("s2048"), 1)]);
    assert!(rows.iter().all(|row| row.status == "truncated"), "closed is not done");
}

/// Streams of so many parts each, in an order of the seed's choice; each [DONE] directly behind its stream.
fn interleaved(parts: &[usize], mut seed: u64) -> (String, Vec<String>) {
    let id = |stream: usize| format!("id-{stream}");
    let mut left: Vec<(usize, usize)> = parts.iter().enumerate().map(|(stream, &parts)| (stream, parts + 2)).collect();
    let (mut source, mut begun) = (String::new(), Vec::new());
    while !left.is_empty() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = (seed >> 33) as usize % left.len();
        let (stream, more) = left[at];
        if !begun.contains(&stream) {
            begun.push(stream);
            source += &first(&id(stream));
        } else if more > 1 {
            source += &part(&id(stream));
        } else {
            source += &last(&id(stream));
            source += &tail(&format!(r#""id":"id-{stream}","usage":{{"total_tokens":{stream}}}"#));
            source += DONE;
            left.swap_remove(at);
            continue;
        }
        left[at].1 -= 1;
    }
    let expected = begun.iter().map(|&stream| format!("id-{stream} complete {} {stream}", parts[stream] + 3)).collect();
    (source, expected)
}

const BLOCKS: &[&str] = &[
    "data: {\"id\":\"a\",\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n",
    "data: {\"id\":\"a\",\"choices\":[{\"delta\":{}}]}\n\n",
    "data: {\"id\":\"a\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"id\":\"b\",\"model\":\"m\",\"choices\":[{\"index\":1,\"delta\":{\"role\":\"assistant\"}}]}\n\n",
    "data: {\"id\":\"b\",\"choices\":[{\"index\":1,\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":1}}\n\n",
    "data: {\"id\":\"c\",\"choices\":[{}],\"cost\":0.5}\n\n",
    "data: {\"id\":\"\",\"choices\":[]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"total_tokens\":5.5}}\n\n",
    "data: {\"choices\":[{\"delta\":{}}],\"usage\":5}\n\n",
    "data: [DONE]\n\n",
    "data: [DONE]\n\n",
    "data: {\"error\":1}\n\n",
    "data: {\n\n",
    "data: 5\n\n",
    "data:\n\n",
];

/// A chunk of a stream whose model and time are known: what goes on with it is taken at a glance.
fn plain(id: &str, role: bool, index: usize, finish: &str) -> String {
    let role = if role { r#""role":"assistant","# } else { "" };
    event(&format!(
        r#"{{"id":"{id}","created":5,"model":"m","choices":[{{"index":{index},"delta":{{{role}"content":"x"}},"finish_reason":{finish}}}]}}"#
    ))
}

#[test]
fn chunks_that_go_on_with_their_stream_say_which_choices_there_are() {
    let four = plain("a", false, 0, "null").repeat(4);
    let source = format!("{four}{}{}", plain("a", false, 1, "null"), plain("a", false, 0, "\"stop\""));
    assert_eq!(short(&source), ["a truncated 6"], "choice 1 did not finish");
    let source = format!("{source}{}", plain("a", false, 1, "\"stop\""));
    assert_eq!(short(&source), ["a no_done 7"]);
}

#[test]
fn ids_are_compared_after_unescaping() {
    // The id of the first stream reads as that of the second is written.
    let source = plain("\\\\u0061", true, 0, "null").repeat(4) + &plain("\\u0061", true, 0, "null").repeat(4);
    assert_eq!(short(&source), ["\\u0061 truncated 4", "a truncated 4"]);
}

#[test]
fn one_stream_whose_id_changes_says_nothing_of_later_ones() {
    let changing = plain("a", true, 0, "null") + &plain("b", false, 0, "null").repeat(3);
    let later = (0..50).map(|number| {
        let id = format!("c{number}");
        first(&id) + &plain(&id, false, 0, "null").repeat(5) + &plain(&id, false, 0, "\"stop\"") + DONE
    });
    let source = changing + &plain("b", false, 0, "\"stop\"") + DONE + &later.collect::<String>();
    let expected = (0..50).map(|number| format!("c{number} complete 7"));
    let expected: Vec<_> = ["a complete 5".to_owned()].into_iter().chain(expected).collect();
    assert_eq!(short(&source), expected);
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn interleaved_streams_are_complete(parts in prop::collection::vec(0usize..6, 1..9), seed: u64) {
        let (source, expected) = interleaved(&parts, seed);
        let of = |row: Row| {
            let total = row.tokens[2].expect("reported");
            format!("{} {} {} {total}", row.id.unwrap_or_default(), row.status, row.chunks)
        };
        prop_assert_eq!(rows_of(&source).into_iter().map(of).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn rows_are_the_same_for_every_split_and_hold_every_chunk(
        blocks in prop::collection::vec(prop::sample::select(BLOCKS), 0..20), cuts in cuts()
    ) {
        let source = blocks.concat();
        let expected = rows_of(&source);
        prop_assert!(expected.is_sorted_by_key(|row| row.offset));
        prop_assert_eq!(read(&cut_at(source.as_bytes(), &cuts), Options::default()).0, expected);
    }
}

#[test]
fn recorded_streams_give_the_same_rows_for_every_split() {
    for (path, source) in recorded() {
        let expected = read(&[&source], Options::default());
        assert_eq!(expected.0.iter().map(|row| row.chunks).sum::<i64>() as u64, expected.2.chunks);
        for size in [1, 1000] {
            assert!(read(&by(&source, size), Options::default()) == expected, "{} by {size}", path.display());
        }
    }
}
