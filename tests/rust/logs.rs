//! Logs that hold streams in JSON, beside the streams as they are: what is found has to be the same, at the place in the
//! log that it comes from, in however many pieces the log arrives.

#[path = "support.rs"]
mod support;

use chunkwire::chunk::{Doc, Node};
use chunkwire::decoder::{Body, Decoder, Exchange, Found, Options, Paths, Shaped, Sink, Stats};
use chunkwire::error::{Damage, Place};
use chunkwire::log::{Format, Log, Path, Request, Told, Wanted, recognise};
use chunkwire::scan::{How, Outcome, Scan};
use chunkwire::source::{Blocks, Buffer};
use chunkwire::stream::Tracker;
use support::{all_cuts, by, recorded};

/// One thing that was found: what, its text, and its place.
type Item = (&'static str, Vec<u8>, Place);

#[derive(Default)]
struct Seen {
    nodes: Vec<Node>,
    items: Vec<Item>,
    exchanges: Vec<(u64, Vec<Option<Vec<u8>>>)>,
    is_inside: bool,
}

impl Sink for Seen {
    fn nodes(&mut self) -> &mut Vec<Node> {
        &mut self.nodes
    }
    fn chunk(&mut self, found: Found<'_>) {
        let doc = Doc::new(found.text, &self.nodes[found.first_node..]);
        assert_eq!(doc.text(), found.text);
        self.nodes.clear();
        self.items.push(("chunk", found.text.to_vec(), found.place));
    }
    fn shaped(&mut self, shaped: Shaped<'_>) {
        self.items.push(("chunk", shaped.text.to_vec(), shaped.place));
    }
    fn completion(&mut self, found: Found<'_>) {
        self.nodes.clear();
        self.items.push(("completion", found.text.to_vec(), found.place));
    }
    fn begin_exchange(&mut self, exchange: Exchange<'_>) {
        assert!(!std::mem::replace(&mut self.is_inside, true));
        self.exchanges.push((exchange.offset, exchange.kept.to_vec()));
    }
    fn end_exchange(&mut self) {
        assert!(std::mem::replace(&mut self.is_inside, false));
    }
    fn done(&mut self, place: Place) {
        self.items.push(("done", Vec::new(), place));
    }
    fn server_error(&mut self, place: Place, _: Body<'_>) {
        self.nodes.clear();
        self.items.push(("error", Vec::new(), place));
    }
    fn damage(&mut self, damage: &Damage) {
        self.items.push((damage.kind.name(), damage.reason.clone().into_bytes(), damage.place));
    }
}

fn wanted(format: Format, field: &str) -> Wanted {
    let field = (!field.is_empty()).then(|| Path::parse(field).expect("a path"));
    Wanted { request: Request { told: Told::Format(format), field, ..Request::default() }, ..Wanted::default() }
}

fn read_into(pieces: &[&[u8]], wanted: &Wanted, limit: usize, sink: &mut impl Sink) -> (Stats, Paths) {
    let mut log = Log::new(Options::default(), wanted.clone());
    for piece in pieces {
        let mut at = 0;
        while log.decode(piece, &mut at, limit, sink) {}
        assert_eq!(at, piece.len());
    }
    log.finish(sink);
    let stats = log.stats();
    let counted = stats.chunk_bytes + stats.done_bytes + stats.error_bytes + stats.comment_bytes;
    assert_eq!(stats.bytes, counted + stats.skipped_bytes + stats.damaged_bytes + stats.wrapping_bytes);
    (stats, log.paths())
}

fn read(pieces: &[&[u8]], wanted: &Wanted, limit: usize) -> (Seen, Stats, Paths) {
    let mut seen = Seen::default();
    let (stats, paths) = read_into(pieces, wanted, limit, &mut seen);
    assert!(!seen.is_inside);
    (seen, stats, paths)
}

fn plain(source: &[u8]) -> (Seen, Stats) {
    let (mut decoder, mut seen, mut at) = (Decoder::new(Options::default()), Seen::default(), 0);
    while decoder.decode(source, &mut at, 1000, &mut seen) {}
    decoder.finish(&mut seen);
    (seen, decoder.stats())
}

/// A JSON string of a text, as `json.dumps` writes it. What is no UTF-8 stays.
fn quoted(text: &[u8], ascii: bool) -> Vec<u8> {
    let mut out = vec![b'"'];
    let mut push = |text: &str| {
        for one in text.chars() {
            match one {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                one if (one as u32) < 0x20 || (ascii && !one.is_ascii()) => {
                    for unit in one.encode_utf16(&mut [0; 2]) {
                        out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                    }
                }
                one => out.extend_from_slice(one.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    };
    let mut raw = Vec::new();
    for chunk in text.utf8_chunks() {
        push(chunk.valid());
        raw.push(chunk.invalid().to_vec());
    }
    if raw.iter().any(|bytes| !bytes.is_empty()) {
        out.clear();
        out.push(b'"');
        for chunk in text.utf8_chunks() {
            let valid = quoted(chunk.valid().as_bytes(), ascii);
            out.extend_from_slice(&valid[1..valid.len() - 1]);
            out.extend_from_slice(chunk.invalid());
        }
    }
    out.push(b'"');
    out
}

/// Ways to wrap a stream into a line: its field, and the line.
type Wrapping = (&'static str, fn(&[u8]) -> Vec<u8>);

const WRAPPINGS: [Wrapping; 4] = [
    ("response_body", |body| [b"{\"request_id\": 7, \"response_body\": ", &*quoted(body, false), b"}"].concat()),
    ("body", |body| [b"{\"body\":", &*quoted(body, true), b", \"user\": {\"body\": [\"\\\"\"]}}"].concat()),
    ("response.0.body", |body| [b" {\"response\": [{\"body\": ", &*quoted(body, true), b"}]}"].concat()),
    ("log.inner.body", |body| {
        let inner = [b"{\"body\": ", &*quoted(body, false), b"}"].concat();
        let log = [b"{\"inner\": ", &*quoted(&inner, true), b", \"more\": 1}"].concat();
        [b"{\"user\": \"u\", \"log\": ", &*quoted(&log, false), b"}"].concat()
    }),
];

#[test]
fn recorded_streams_are_the_same_in_exchanges() {
    let recorded = recorded();
    for (field, wrap) in WRAPPINGS {
        let (mut log, mut expected, mut offsets) = (Vec::new(), Vec::new(), Vec::new());
        let (mut tracker_rows, mut stats_of_all) = (Vec::new(), Stats::default());
        for (_, stream) in &recorded {
            offsets.push(log.len());
            log.extend_from_slice(&wrap(stream));
            log.push(b'\n');
            let (seen, stats) = plain(stream);
            let base = stats_of_all.events;
            expected.extend(seen.items.into_iter().map(|(what, text, place)| (what, text, base + place.event)));
            stats_of_all.append(stats, |place| place);
            let mut tracker = Tracker::default();
            let (mut decoder, mut at) = (Decoder::new(Options::default()), 0);
            while decoder.decode(stream, &mut at, 1000, &mut tracker) {}
            decoder.finish(&mut tracker);
            let streams = tracker.finish();
            let rows = streams.rows.iter().map(|row| (row.id.clone(), row.chunks, row.status().name(), row.created));
            tracker_rows.extend(rows.collect::<Vec<_>>());
        }
        let wanted = wanted(Format::Exchanges, field);
        let (seen, stats, paths) = read(&[&log], &wanted, 1000);
        assert_eq!(seen.items.len(), expected.len());
        for ((what, text, place), (expected_what, expected_text, event)) in seen.items.iter().zip(&expected) {
            assert_eq!((what, place.event), (expected_what, *event));
            assert_eq!(text, expected_text);
            let line = offsets.partition_point(|&offset| offset <= place.offset as usize);
            assert_eq!(place.line, line as u64);
            let here = &log[place.offset as usize..];
            let is_field = [&b"data:"[..], b"event:", b"id:", b"retry:"].iter().any(|name| here.starts_with(name));
            assert!(is_field || *what == "not_a_stream", "{what} at {:?}", String::from_utf8_lossy(&here[..40]));
        }
        assert_eq!(seen.exchanges.len(), recorded.len());
        assert_eq!(stats.exchanges, recorded.len() as u64);
        assert_eq!(
            (stats.chunks, stats.done, stats.errors),
            (stats_of_all.chunks, stats_of_all.done, stats_of_all.errors)
        );
        assert_eq!((stats.chunk_bytes, stats.comment_bytes), (stats_of_all.chunk_bytes, stats_of_all.comment_bytes));
        // As many match shapes as where the streams stand one behind the other.
        let all = recorded.iter().flat_map(|(_, stream)| [stream, &b"\n\n"[..]].concat()).collect::<Vec<u8>>();
        let (_, _, bare) = read(&[&all], &Wanted::sse(), 1000);
        assert!(paths.shape as f64 > bare.shape as f64 * 0.99, "{paths:?} {bare:?}");
        for size in [1 << 10, 1 << 16, 77_777] {
            let (again, other, _) = read(&by(&log, size), &wanted, 7);
            assert_eq!(again.items, seen.items);
            assert_eq!(other, stats);
        }
        let mut tracker = Tracker::default();
        read_into(&by(&log, 1 << 18), &wanted, 1000, &mut tracker);
        let streams = tracker.finish();
        let rows = streams.rows.iter().map(|row| (row.id.clone(), row.chunks, row.status().name(), row.created));
        assert_eq!(rows.collect::<Vec<_>>(), tracker_rows);
    }
}

#[test]
fn recorded_chunks_are_the_same_without_events() {
    let recorded = recorded();
    let (mut lines, mut array, mut texts) = (Vec::new(), b"[\n".to_vec(), Vec::new());
    for (_, stream) in &recorded {
        for (what, text, _) in plain(stream).0.items {
            // (What stands over several lines, or is no UTF-8, is no line of its own.)
            if what == "chunk" && !text.contains(&b'\n') && std::str::from_utf8(&text).is_ok() {
                lines.extend_from_slice(&text);
                lines.extend_from_slice(if texts.len() % 5 == 0 { b" \r\n" } else { b"\n" });
                array.extend_from_slice(if texts.is_empty() { b"  " } else { b",\n  " });
                array.extend_from_slice(&text);
                texts.push(text);
            }
        }
    }
    array.extend_from_slice(b"\n]\n");
    let one_line = [b"[", &*texts.join(&b", "[..]), b"]"].concat();
    for log in [lines, array, one_line] {
        let wanted = wanted(Format::Chunks, "");
        let (seen, stats, paths) = read(&[&log], &wanted, 1000);
        let found: Vec<_> = seen.items.iter().filter(|item| item.0 != "invalid_utf8").collect();
        assert_eq!(found.len(), texts.len());
        for ((what, text, place), expected) in found.into_iter().zip(&texts) {
            assert!(matches!(*what, "chunk" | "completion"));
            assert_eq!(text, expected);
            assert!(log[place.offset as usize..].starts_with(expected));
            let line = 1 + log[..place.offset as usize].iter().filter(|&&byte| byte == b'\n').count();
            assert_eq!(place.line, line as u64);
        }
        assert_eq!(stats.chunks, texts.len() as u64);
        let share = paths.shape as f64 / stats.chunks as f64;
        assert!(share > 0.8, "{share}");
        for size in [1 << 10, 1 << 16] {
            let (again, other, _) = read(&by(&log, size), &wanted, 7);
            assert_eq!(again.items, seen.items);
            assert_eq!(other, stats);
        }
    }
}

const CHUNK: &str = r#"{"id":"a","choices":[{"index":0,"delta":{"content":"\u00e9 \"x\" \\n"}}]}"#;

#[test]
fn a_small_log_is_the_same_in_any_pieces_and_cut_anywhere() {
    let events = format!("data: {CHUNK}\n\n: ping\n\ndata: {CHUNK}\r\n\r\ndata: [DONE]\n\n");
    let bodies = [
        quoted(events.as_bytes(), false),
        quoted(events.as_bytes(), true),
        CHUNK.as_bytes().to_vec(),
        format!("[{CHUNK}, {CHUNK}]").into_bytes(),
        quoted(format!(" [{CHUNK}, {CHUNK}]").as_bytes(), false),
        b"null".to_vec(),
        b"\"data: \\u0000\\ud800\\ud83d\\ude00\\/\\b\"".to_vec(),
        quoted(format!("data: {}...[truncated 12 bytes]", &CHUNK[..30]).as_bytes(), false),
    ];
    let mut log = b"\xef\xbb\xbf".to_vec();
    for body in &bodies {
        log.extend_from_slice(&[b"{\"user\": \"u\", \"body\": ", &**body, b", \"last\": [1.5e3, true]}\n"].concat());
    }
    let chunks = format!("\n[{CHUNK},\n {CHUNK}]\n{CHUNK}\n\r\n[{CHUNK}]\nnone\ndata: x\n{CHUNK}").into_bytes();
    for (log, wanted) in [
        (log.clone(), wanted(Format::Exchanges, "body")),
        (log, Wanted::default()),
        (chunks.clone(), wanted(Format::Chunks, "")),
        (chunks, Wanted::default()),
    ] {
        let (seen, stats, _) = read(&[&log], &wanted, usize::MAX);
        assert!(stats.chunks >= 4, "{stats:?}");
        for pieces in all_cuts(&log) {
            for limit in [1, 3, usize::MAX] {
                let (again, other, _) = read(&pieces, &wanted, limit);
                assert_eq!(again.items, seen.items);
                assert_eq!(again.exchanges, seen.exchanges);
                assert_eq!(other, stats);
            }
        }
        for end in 0..log.len() {
            let (cut, stats, _) = read(&[&log[..end]], &wanted, usize::MAX);
            let losses = cut.items.iter().filter(|item| item.0 == "truncated").count();
            // All that was whole is kept, in its place.
            let whole = |items: &[Item]| items.iter().filter(|item| item.0 == "chunk").cloned().collect::<Vec<_>>();
            let (before, all) = (whole(&cut.items), whole(&seen.items));
            assert!(before.len() <= all.len() + 1 && losses <= 4, "{end} {losses}");
            for (one, other) in before.iter().zip(&all) {
                assert_eq!(one.1, other.1);
            }
            assert_eq!(stats.bytes, end as u64);
        }
    }
}

#[test]
fn what_is_kept_is_what_the_line_says_last() {
    let log = br#"{"user": "u", "tag": {"a.b": [1, {"c": null}]}, "body": "data: 1", "user": ["last"], "body": "", "log": "{\"x\": 5}"}
{"body": "", "tag": 5}"#;
    let keep = ["user", r"tag.a\.b.1", "log.x", "none"].map(|path| Path::parse(path).expect("a path"));
    let wanted = Wanted { keep: keep.to_vec(), ..wanted(Format::Exchanges, "body") };
    let (seen, ..) = read(&[log], &wanted, 1);
    let some = |text: &str| Some(text.as_bytes().to_vec());
    assert_eq!(seen.items, []);
    assert_eq!(seen.exchanges[0], (0, vec![some("[\"last\"]"), some("{\"c\": null}"), some("5"), None]));
    assert_eq!(seen.exchanges[1].1, [None, None, None, None]);
}

#[test]
fn a_log_may_begin_with_lines_of_white_space() {
    let log = format!("\n \r\n  {{\"body\": {{}}}}\n{{\"body\": {CHUNK}}}\n").into_bytes();
    for pieces in all_cuts(&log) {
        assert_eq!(read(&pieces, &Wanted::default(), usize::MAX).1.chunks, 1);
    }
}

/// A sink that is full from its first item on.
#[derive(Default)]
struct Full(Seen);

impl Sink for Full {
    fn nodes(&mut self) -> &mut Vec<Node> {
        self.0.nodes()
    }
    fn chunk(&mut self, found: Found<'_>) {
        self.0.chunk(found);
    }
    fn done(&mut self, place: Place) {
        self.0.done(place);
    }
    fn server_error(&mut self, place: Place, body: Body<'_>) {
        self.0.server_error(place, body);
    }
    fn damage(&mut self, damage: &Damage) {
        self.0.damage(damage);
    }
    fn is_full(&self) -> bool {
        !self.0.items.is_empty()
    }
}

#[test]
fn the_end_of_a_log_is_told_to_a_sink_that_is_full() {
    let body = quoted(format!("data: {CHUNK}\n\n").repeat(3).as_bytes(), true);
    let exchange = [b"{\"body\": ", &*body, b"}"].concat();
    let exchanges = [&*exchange, b"\n", &exchange].concat();
    let reads = [&b"{\"request_id\": 7, "[..], &exchange[1..], b"\n{\"request_id\": 7, ", &exchange[1..]].concat();
    let chunks = format!("{CHUNK}\n[{CHUNK}, {CHUNK}]\n[{CHUNK}, {CHUNK}]").into_bytes();
    let array = format!("[{CHUNK}, {CHUNK}, {CHUNK}]").into_bytes();
    for (log, count) in [(&exchange, 3), (&exchanges, 6), (&reads, 6), (&chunks, 5), (&array, 3)] {
        for pieces in [by(log, log.len()), by(log, 100), by(log, 1)] {
            let (mut held, mut sink, mut taken) = (Log::new(Options::default(), Wanted::default()), Full::default(), 0);
            for piece in pieces {
                let mut at = 0;
                while held.decode(piece, &mut at, usize::MAX, &mut sink) {
                    taken += std::mem::take(&mut sink).0.items.len();
                }
            }
            held.finish(&mut sink);
            assert_eq!(taken + sink.0.items.len(), count);
        }
    }
}

#[test]
fn a_line_that_is_too_long_is_told_and_not_kept() {
    let long = format!("{{\"body\": \"{}\"}}\n{{\"body\": \"data: {{\\\"choices\\\": []}}\"}}\n", "x".repeat(500));
    let wanted = Wanted { max_line_bytes: 100, ..wanted(Format::Exchanges, "body") };
    for size in [1, 7, 1000] {
        let (seen, stats, _) = read(&by(long.as_bytes(), size), &wanted, 1000);
        let found: Vec<_> = seen.items.iter().map(|item| (item.0, item.2.line)).collect();
        assert_eq!(found, [("event_too_large", 1), ("chunk", 2)]);
        assert_eq!(stats.damaged_bytes, 512);
    }
}

#[test]
fn several_threads_find_what_one_does() {
    let (mut exchanges, mut chunks) = (Vec::new(), Vec::new());
    for (number, (_, stream)) in recorded().iter().enumerate() {
        exchanges.extend_from_slice(&WRAPPINGS[0].1(stream));
        exchanges.extend_from_slice(if number % 7 == 0 { b"\n\n{\"choices\": []}\n" } else { b"\r\n" });
        for (what, text, _) in plain(stream).0.items {
            if what == "chunk" && !text.contains(&b'\n') {
                chunks.extend_from_slice(&[&*text, b"\n"].concat());
            }
        }
    }
    exchanges.extend_from_slice(b"{\"response_body\": \"data: {\\\"choices");
    let path = std::env::temp_dir().join(format!("chunkwire-logs-{}", std::process::id()));
    for (log, wanted) in [(exchanges, wanted(Format::Exchanges, "response_body")), (chunks, wanted(Format::Chunks, ""))]
    {
        let mut tracker = Tracker::default();
        let (stats, _) = read_into(&[&log], &wanted, usize::MAX, &mut tracker);
        let told = |streams: &chunkwire::stream::Streams| {
            let rows = streams.rows.iter();
            rows.map(|row| (row.id.clone(), row.chunks, row.offset, row.status().name())).collect::<Vec<_>>()
        };
        let alone = told(&tracker.finish());
        std::fs::write(&path, &log).expect("a file can be written");
        for part_bytes in [1 << 12, 1 << 16, 1 << 20] {
            let layout = recognise(&log, &wanted.request);
            let blocks = Box::new(Blocks::open(&path, None).expect("it is there"));
            let lines = (wanted.clone(), layout);
            let how = How { part_bytes, lines: Some(lines), ..How::new(Options::default(), 3) };
            let mut scan = Scan::new(blocks, Buffer::default(), how);
            while scan.work() {}
            let Ok(Outcome::Done(done)) = scan.finish() else { panic!("not read") };
            assert_eq!(told(&done.0), alone);
            assert_eq!(done.1, stats);
        }
    }
    let _ = std::fs::remove_file(path);
}

#[test]
fn usage_of_many_chunks_that_are_alike_has_the_place_of_the_last() {
    let event =
        |number| format!(r#"data: {{\"id\":\"u\",\"choices\":[],\"usage\":{{\"total_tokens\":{number}}}}}\n\n"#);
    let log = format!("{{\"n\":1,\"body\":\"{}\"}}\n", (0..60).map(event).collect::<String>());
    let mut tracker = Tracker::default();
    read_into(&[log.as_bytes()], &wanted(Format::Exchanges, "body"), usize::MAX, &mut tracker);
    let [row] = &tracker.finish().rows[..] else { panic!("one stream") };
    let (usage, place) = row.usage.as_ref().expect("it is there");
    let offset = log.rfind("data:").expect("it is there") as u64;
    assert_eq!((&usage[..], *place), (&b"{\"total_tokens\":59}"[..], Place { offset, line: 1, event: 59 }));
    assert_eq!(row.chunks, 60);
}
