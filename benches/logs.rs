//! What it costs that streams stand in JSON lines: `cargo bench --bench logs`.
//!
//! Each log is made from a corpus (see `corpora.rs`) and read from warm memory in blocks: usage of all streams, of the
//! corpus as it is, of the same in escaped bodies of JSON lines, and of its chunks as lines. Prints GB/s of log, and the
//! share of the chunks that shapes took. They run in turns, and the best of the rounds counts.
#![allow(clippy::print_stdout)]

mod corpora;

use std::time::{Duration, Instant};

use chunkwire::decoder::Options;
use chunkwire::log::{Log, Path, Request, Told, Wanted};
use chunkwire::stream::Tracker;
use corpora::{Corpus, Event, Order, Random, Source};

const SIZE: usize = 64 << 20;
const BLOCK: usize = 256 << 10;
const ROUNDS: usize = 7;
const EVENTS_A_BODY: usize = 300;

/// Streams of OpenAI's sort.
fn streams() -> Source {
    Box::new(|random: &mut Random| {
        let id = random.letters(29);
        let event = |delta: String, finish: &str| {
            let text = format!(
                "data: {{\"id\":\"chatcmpl-{id}\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\
                 \"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\",\"system_fingerprint\":\
                 \"fp_0123456789\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\
                 \"finish_reason\":{finish}}}],\"usage\":null}}\n\n"
            );
            Event { bytes: text.into_bytes(), counts: corpora::Counts { chunks: 1, content: 0 } }
        };
        let mut events = vec![event("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}".to_owned(), "null")];
        for _ in 0..EVENTS_A_BODY {
            let (content, _) = corpora::word(random);
            events.push(event(format!("{{\"content\":{content}}}"), "null"));
        }
        events.push(event("{}".to_owned(), "\"stop\""));
        events.push(Event { bytes: b"data: [DONE]\n\n".to_vec(), counts: corpora::Counts::default() });
        events
    })
}

fn escaped(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    serde_json::to_string(&*text).expect("a text").into_bytes()
}

fn exchanges(log: &[u8]) -> Vec<u8> {
    let end = b"data: [DONE]\n\n";
    let (mut out, mut start, mut number) = (Vec::new(), 0, 0);
    for found in memchr::memmem::find_iter(log, end) {
        let body = &log[start..found + end.len()];
        start = found + end.len();
        number += 1;
        out.extend_from_slice(
            format!("{{\"request_id\": \"req-{number}\", \"user\": \"u\", \"status\": 200, ").as_bytes(),
        );
        out.extend_from_slice(b"\"response_body\": ");
        out.extend_from_slice(&escaped(body));
        out.extend_from_slice(b"}\n");
    }
    out
}

fn chunks(log: &[u8]) -> Vec<u8> {
    let lines = log.split(|&byte| byte == b'\n').filter_map(|line| line.strip_prefix(b"data: "));
    lines.filter(|line| !line.starts_with(b"[DONE]")).flat_map(|line| [line, b"\n"].concat()).collect()
}

fn run(log: &[u8], wanted: &Wanted) -> (Duration, u64, f64) {
    let begin = Instant::now();
    let (mut reader, mut tracker) = (Log::new(Options::default(), wanted.clone()), Tracker::default());
    for block in log.chunks(BLOCK) {
        let mut at = 0;
        while reader.decode(block, &mut at, usize::MAX, &mut tracker) {}
    }
    reader.finish(&mut tracker);
    let streams = tracker.finish();
    let time = begin.elapsed();
    assert!(!streams.rows.is_empty());
    let (stats, paths) = (reader.stats(), reader.paths());
    assert_eq!(stats.damaged, 0);
    (time, stats.chunks, paths.shape as f64 / stats.chunks as f64)
}

fn main() {
    let only: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with("--")).collect();
    let corpus = Corpus::new("logs", SIZE, Order::InTurns, vec![streams()]);
    let field = |name: &str| Request { field: Path::parse(name).ok(), ..Request::default() };
    let auto = Wanted::default();
    let cases = [
        ("sse", corpus.bytes.clone(), Wanted::sse()),
        ("sse, recognised", corpus.bytes.clone(), auto.clone()),
        ("exchanges", exchanges(&corpus.bytes), auto.clone()),
        ("exchanges, named", exchanges(&corpus.bytes), Wanted { request: field("response_body"), ..auto.clone() }),
        (
            "chunks",
            chunks(&corpus.bytes),
            Wanted { request: Request { told: Told::Auto, ..Request::default() }, ..auto },
        ),
    ];
    let cases: Vec<_> =
        cases.into_iter().filter(|case| only.is_empty() || only.iter().any(|name| case.0 == name)).collect();
    let mut best = vec![(Duration::MAX, 0, 0.0); cases.len()];
    for _ in 0..ROUNDS {
        for ((_, log, wanted), best) in cases.iter().zip(&mut best) {
            let found = run(log, wanted);
            if found.0 < best.0 {
                *best = found;
            }
        }
    }
    for ((name, log, _), (time, chunks, share)) in cases.iter().zip(&best) {
        let speed = log.len() as f64 / time.as_secs_f64() / 1e9;
        let each = time.as_secs_f64() * 1e9 / *chunks as f64;
        println!(
            "{name:20} {speed:6.2} GB/s {each:7.1} ns a chunk {:7.2} % shapes  {} MB",
            share * 100.0,
            log.len() / 1_000_000
        );
    }
}
