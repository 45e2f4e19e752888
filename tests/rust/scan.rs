//! Scans: a file read by several threads, against the decoder over the whole.

use std::io::Write;
use std::path::PathBuf;

use chunkwire::decoder::{Decoder, Options, Stats};
use chunkwire::scan::{How, Outcome, Scan};
use chunkwire::source::{Blocks, Buffer};
use chunkwire::stream::{Measured, Streams, Tracker};
use chunkwire::usage::Columns;

/// A file in the system's folder for such, gone with the value.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("chunkwire-scan-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).expect("a file can be written");
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn whole(source: &[u8]) -> (Streams, Stats) {
    let options = Options { shapes: false, ..Options::default() };
    let (mut decoder, mut tracker) = (Decoder::new(options), Tracker::default());
    while decoder.decode(source, &mut 0, usize::MAX, &mut tracker) {}
    decoder.finish(&mut tracker);
    (tracker.finish(), decoder.stats())
}

/// The outcome, and how many parts the caller's thread took; alone it takes all.
fn scan(name: &str, source: &[u8], threads: usize, part_bytes: usize) -> (Outcome, usize) {
    let file = Temporary::new(name, source);
    let blocks = Box::new(Blocks::open(&file.0, None).expect("it is there"));
    let mut scan = Scan::new(blocks, Buffer::default(), How { part_bytes, ..How::new(Options::default(), threads) });
    let mut parts = 0;
    while scan.work() {
        parts += 1;
    }
    (scan.finish().expect("it can be read"), parts)
}

/// All that a caller can see of the streams.
fn seen(streams: Streams) -> String {
    let columns = Columns::new(streams, true, 0);
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        columns.tokens,
        columns.valid,
        columns.reported,
        columns.cost,
        columns.created,
        columns.chunks,
        columns.offset,
        (columns.id.bytes, columns.id.ends),
        (columns.model.codes, columns.model.categories),
        (columns.status.codes, columns.status.categories),
        (columns.time_to_first_token, columns.usage.bytes, columns.usage.ends),
        columns.damages,
    )
}

fn log(line_end: &str) -> Vec<u8> {
    let mut log = String::new();
    for stream in 0..40 {
        for token in 0..30 {
            let finish = if token == 29 { "\"stop\"" } else { "null" };
            log += &format!(
                "data: {{\"id\":\"s{stream}\",\"model\":\"m{}\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"t{token}\"}},\
                 \"finish_reason\":{finish}}}]}}\n\n",
                stream % 3
            );
        }
        log +=
            [": a comment\n\n", "data: {broken\n\n", "event: error\ndata: {\"error\":\"e\"}\n\n", "x: y\n"][stream % 4];
        log += &format!(
            "data: {{\"id\":\"s{stream}\",\"choices\":[],\"usage\":{{\"total_tokens\":{stream}}}}}\n\ndata: [DONE]\n\n"
        );
    }
    log += "data: {\"id\":\"last\"";
    log.replace('\n', line_end).into_bytes()
}

#[test]
fn parts_give_what_the_whole_gives() {
    for (name, line_end) in [("lf", "\n"), ("crlf", "\r\n")] {
        let source = log(line_end);
        let (streams, stats) = whole(&source);
        let expected = (seen(streams), stats);
        for threads in 1..4 {
            for part_bytes in [1, 100, 5000, 1 << 20] {
                let (outcome, parts) = scan(name, &source, threads, part_bytes);
                let Outcome::Done(done) = outcome else { panic!("not split") };
                assert_eq!((seen(done.0), done.1), expected, "{threads} threads, {part_bytes} bytes");
                if threads == 1 {
                    assert!(parts > source.len() / part_bytes.max(400) / 2, "{parts} parts of {part_bytes}");
                }
            }
        }
    }
}

#[test]
fn a_source_without_the_end_of_an_event_has_no_parts() {
    let source = vec![b'x'; 20 << 20];
    assert!(matches!(scan("long", &source, 2, 1 << 18).0, Outcome::NoParts));
}

#[test]
fn an_empty_source_is_one_part() {
    let Outcome::Done(done) = scan("empty", b"", 2, 1 << 18).0 else { panic!("not split") };
    assert_eq!(done.1, Stats::default());
}

#[test]
fn what_was_written_is_measured_by_all_in_the_same_way() {
    let source = log("\n");
    let (mut decoder, mut measured) = (Decoder::new(Options::default()), Measured::default());
    while decoder.decode(&source, &mut 0, usize::MAX, &mut measured) {}
    decoder.finish(&mut measured);
    let alone = Columns::new(measured.into_tracker().finish(), true, 0);
    // 30 tokens a stream: "t0" to "t9" and "t10" to "t29". The last stream is broken off.
    let whole: Vec<_> =
        alone.content_deltas.iter().zip(&alone.text_bytes).filter(|measured| *measured == (&30, &80)).collect();
    assert_eq!(whole.len(), 40);
    for (threads, part_bytes) in [(1, 1), (2, 100), (3, 5000)] {
        let file = Temporary::new(&format!("measured-{threads}"), &source);
        let blocks = Box::new(Blocks::open(&file.0, None).expect("it is there"));
        let how = How { part_bytes, measures: true, ..How::new(Options::default(), threads) };
        let mut scan = Scan::new(blocks, Buffer::default(), how);
        while scan.work() {}
        let Ok(Outcome::Done(done)) = scan.finish() else { panic!("not split") };
        let columns = Columns::new(done.0, true, 0);
        assert_eq!(columns.content_deltas, alone.content_deltas);
        assert_eq!(columns.text_bytes, alone.text_bytes);
    }
}

#[test]
fn of_usage_in_every_chunk_the_last_counts() {
    // Of so many, those in the middle are taken in turn.
    for chunks in [10, 50] {
        check_usage_in_every_chunk(chunks);
    }
}

fn check_usage_in_every_chunk(chunks: usize) {
    let tails: [fn(usize) -> String; 10] = [
        |token| format!("\"usage\":{{\"completion_tokens\":{token}}}"),
        |token| format!("\"usage\":{{\"completion_tokens\":{token},\"cost\":0.{token}}},\"cost\":{token}"),
        |token| {
            format!(
                "\"cost\":{},\"usage\":{{\"completion_tokens\":{token}}}",
                if (3..7).contains(&token) { "1" } else { "1e999" }
            )
        },
        |token| {
            format!(
                "\"cost\":\"{}\",\"usage\":{{\"total_tokens\":{token}}}",
                if (3..7).contains(&token) { "1" } else { "?" }
            )
        },
        |token| {
            format!(
                "\"timings\":{{\"prompt_ms\":{}}},\"usage\":{{\"a\":{token}}}",
                if (3..7).contains(&token) { "1" } else { "1e999" }
            )
        },
        |token| format!("\"x_groq\":{{\"usage\":{{\"completion_tokens\":{token}}}}}"),
        |token| format!("\"usage\":{{}},\"x_groq\":{{\"usage\":{{\"completion_tokens\":{token}}}}}"),
        |token| format!("\"usage\":{token}"),
        |token| format!("\"usage\":\"{token}\""),
        |token| format!("\"usage\":{{\"completion_tokens\":{}}}", ["null", "{}", "1", "[2]"][token % 4]),
    ];
    let mut log = String::new();
    for stream in 0..60 {
        let chunk = |choices: &str, token: usize| {
            let (id, model) = (["\"s\"", "\"\"", "null"][stream / 10 % 3], stream % 3);
            let id = if id == "\"s\"" { format!("\"s{stream}\"") } else { id.to_owned() };
            let tail = tails[stream % 10](token);
            format!("data: {{\"id\":{id},\"model\":\"m{model}\",\"created\":1,\"choices\":[{choices}],{tail}}}\n\n")
        };
        for token in 0..chunks {
            log += &chunk(
                &format!("{{\"index\":0,\"delta\":{{\"content\":\"t{token}\"}},\"finish_reason\":null}}"),
                token,
            );
        }
        if stream % 2 == 0 {
            log += &chunk("{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}", chunks);
            log += "data: [DONE]\n\n";
        }
        // Of the stream that has ended, or of one that goes on.
        for token in chunks + 1..chunks + 5 {
            log += &chunk("", token);
        }
    }
    let source = log.into_bytes();
    let (streams, stats) = whole(&source);
    let expected = (seen(streams), stats);
    for threads in 1..4 {
        for part_bytes in [1, 300, 1000, 3000, 20_000, 1 << 20] {
            let Outcome::Done(done) = scan(&format!("usage-{chunks}"), &source, threads, part_bytes).0 else {
                panic!("not split")
            };
            assert_eq!((seen(done.0), done.1), expected, "{threads} threads, {part_bytes} bytes");
        }
    }
}

fn gzip(source: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(source).expect("memory");
    gzip.finish().expect("memory")
}

#[test]
fn packed_parts_give_what_the_whole_gives() {
    // More than a part of a packed file ever has, of short events.
    let source = log("\n").repeat(4);
    let zstd = zstd::encode_all(&source[..], 1).expect("memory");
    let members: Vec<u8> = source.chunks(30_000).flat_map(gzip).collect();
    let (streams, stats) = whole(&source);
    let expected = (seen(streams), stats);
    for (name, packed) in [("gzip", gzip(&source)), ("members", members), ("zstd", zstd)] {
        for threads in [1, 2, 3, 8, 16] {
            for part_bytes in [100, 5000, 1 << 20] {
                let Outcome::Done(done) = scan(name, &packed, threads, part_bytes).0 else { panic!("not split") };
                assert_eq!((seen(done.0), done.1), expected, "{name}, {threads} threads, {part_bytes} bytes");
            }
        }
        let broken = &packed[..packed.len() / 2];
        let Outcome::Done(alone) = scan(name, broken, 1, 1 << 20).0 else { panic!("not split") };
        let alone = (seen(alone.0), alone.1);
        assert!(alone.1.damages.iter().any(|damage| damage.reason.contains("ends before its end mark")));
        for threads in [2, 8] {
            let Outcome::Done(done) = scan(name, broken, threads, 5000).0 else { panic!("not split") };
            assert_eq!((seen(done.0), done.1), alone, "{name}, {threads} threads");
        }
    }
}

#[test]
fn a_packed_event_may_be_longer_than_a_part() {
    let event = |bytes: usize| {
        let text = "x".repeat(bytes);
        format!("data: {{\"id\":\"a\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
    };
    let few: String =
        [3 << 20, 10, 700_000, 1 << 19, 7 << 20].map(|bytes| event(bytes) + &event(9).repeat(999)).concat();
    let expected = whole(few.as_bytes());
    let expected = (seen(expected.0), expected.1);
    let (few, one) = (few.into_bytes(), event(9 << 20).into_bytes());
    let zstd = [&few, &one].map(|source| zstd::encode_all(&source[..], 1).expect("memory"));
    for (name, [few, one]) in [("long-gzip", [gzip(&few), gzip(&one)]), ("long-zstd", zstd)] {
        for threads in [1, 2, 3] {
            let Outcome::Done(done) = scan(name, &few, threads, 1 << 20).0 else { panic!("not split") };
            assert_eq!((seen(done.0), done.1), expected, "{name}, {threads} threads");
            assert!(matches!(scan(name, &one, threads, 1 << 20).0, Outcome::NoParts));
        }
    }
}
