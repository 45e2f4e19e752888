//! The careful parser beside the parsers that one would take instead: `cargo bench --bench careful`.
//!
//! Every contender reads the same events' data from warm memory, one after the other, in turns; the best of the
//! rounds counts. Corpora, of `corpora.rs`: chunks as OpenAI sends them and, where there are, recorded streams, by
//! provider and all together; and the sample log of this repository. Prints GB/s of event data and how many times
//! faster than typed sonic-rs each is.
#![allow(clippy::print_stdout)]

mod corpora;

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use chunkwire::chunk::{self, Doc};
use chunkwire::decoder::{Decoder, Options};
use chunkwire::event::{Data, Framer};
use chunkwire::record::Builder;
use serde::Deserialize;

/// The chunk model, as a user of serde would write it.
#[derive(Deserialize)]
#[allow(dead_code)]
struct Chunk<'a> {
    #[serde(borrow)]
    id: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    object: Option<std::borrow::Cow<'a, str>>,
    created: Option<i64>,
    #[serde(borrow)]
    model: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    system_fingerprint: Option<std::borrow::Cow<'a, str>>,
    choices: Option<Vec<Choice<'a>>>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Choice<'a> {
    index: Option<i64>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    finish_reason: Option<std::borrow::Cow<'a, str>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Delta<'a> {
    #[serde(borrow)]
    role: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    content: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    refusal: Option<std::borrow::Cow<'a, str>>,
    tool_calls: Option<Vec<ToolCall<'a>>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct ToolCall<'a> {
    index: Option<i64>,
    #[serde(borrow)]
    id: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    r#type: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Function<'a> {
    #[serde(borrow)]
    name: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    arguments: Option<std::borrow::Cow<'a, str>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Usage {
    prompt_tokens: Option<i64>,
    completion_tokens: Option<i64>,
    total_tokens: Option<i64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct PromptDetails {
    cached_tokens: Option<i64>,
    audio_tokens: Option<i64>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct CompletionDetails {
    reasoning_tokens: Option<i64>,
    audio_tokens: Option<i64>,
    accepted_prediction_tokens: Option<i64>,
    rejected_prediction_tokens: Option<i64>,
}

/// Of each corpus, about.
const SIZE: usize = 4 << 20;

/// A corpus: its bytes, and where the data of each chunk stands in them.
struct Corpus {
    name: String,
    bytes: Vec<u8>,
    chunks: Vec<std::ops::Range<usize>>,
}

impl Corpus {
    /// Keeps the events that every contender can read, so that all do the same work.
    fn new(name: &str, source: &[u8]) -> Option<Self> {
        let (mut framer, mut at) = (Framer::new(1 << 26), 0);
        let (mut bytes, mut chunks) = (Vec::with_capacity(source.len()), Vec::new());
        while let Some(frame) = framer.next(source, &mut at) {
            if let Data::Input(span) = frame.data
                && sonic_rs::from_slice::<Chunk<'_>>(&source[span.clone()]).is_ok()
                && serde_json::from_slice::<Chunk<'_>>(&source[span.clone()]).is_ok()
            {
                bytes.extend_from_slice(b"data: ");
                let start = bytes.len();
                bytes.extend_from_slice(&source[span]);
                chunks.push(start..bytes.len());
                bytes.extend_from_slice(b"\n\n");
            }
        }
        (!chunks.is_empty()).then(|| Self { name: name.to_owned(), bytes, chunks })
    }

    /// Repeats the source until it has a few megabytes, like a log.
    fn tiled(name: &str, source: &[u8]) -> Option<Self> {
        Self::new(name, &source.repeat(SIZE / source.len().max(1) + 1))
    }

    fn data_bytes(&self) -> usize {
        self.chunks.iter().map(ExactSizeIterator::len).sum()
    }
}

fn corpora() -> Vec<Corpus> {
    let made = corpora::Corpus::of("OpenAI-like", SIZE, corpora::openai(100..400, false));
    let mut corpora = vec![Corpus::new(&made.name, &made.bytes)];
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/day.sse");
    corpora.push(std::fs::read(sample).ok().and_then(|bytes| Corpus::tiled("sample log", &bytes)));
    let files = corpora::recorded();
    if !files.is_empty() {
        for provider in ["mix", "azure", "deepseek", "groq", "llamacpp", "mistral", "openai", "openrouter"] {
            let files = files.iter().filter(|file| provider == "mix" || file.provider == provider).cloned().collect();
            let made = corpora::Corpus::of(&format!("recorded, {provider}"), SIZE, corpora::replay(files));
            corpora.push(Corpus::new(&made.name, &made.bytes));
        }
    }
    corpora.into_iter().flatten().collect()
}

fn careful(corpus: &Corpus) -> usize {
    let (mut nodes, mut count) = (Vec::new(), 0);
    for span in &corpus.chunks {
        nodes.clear();
        let keys = chunk::parse(&corpus.bytes[span.start..], span.len(), 4300, &mut nodes).expect("a chunk");
        count += usize::from(black_box(keys) != 0);
    }
    count
}

/// Reads the fields too that most users read.
fn careful_and_content(corpus: &Corpus) -> usize {
    let (mut nodes, mut count) = (Vec::new(), 0);
    for span in &corpus.chunks {
        nodes.clear();
        let text = &corpus.bytes[span.start..];
        chunk::parse(text, span.len(), 4300, &mut nodes).expect("a chunk");
        let doc = Doc::new(&text[..span.len()], &nodes);
        black_box(doc.content().map(|content| content.bytes().len()));
        count += 1;
    }
    count
}

fn sonic(corpus: &Corpus) -> usize {
    corpus
        .chunks
        .iter()
        .filter(|&span| black_box(sonic_rs::from_slice::<Chunk<'_>>(&corpus.bytes[span.clone()])).is_ok())
        .count()
}

fn serde(corpus: &Corpus) -> usize {
    corpus
        .chunks
        .iter()
        .filter(|&span| black_box(serde_json::from_slice::<Chunk<'_>>(&corpus.bytes[span.clone()])).is_ok())
        .count()
}

/// Framing and batches as well: what `decode` does before Python sees anything.
fn decoder(corpus: &Corpus) -> usize {
    let (mut decoder, mut at, mut count, mut more) = (Decoder::new(Options::default()), 0, 0, true);
    while more {
        let mut batch = Builder::default();
        more = decoder.decode(&corpus.bytes, &mut at, 256, &mut batch);
        count += black_box(batch.build(&corpus.bytes[..])).items().len();
    }
    count
}

/// The bound that memory sets.
fn newlines(corpus: &Corpus) -> usize {
    black_box(memchr::memchr_iter(b'\n', &corpus.bytes).count());
    corpus.chunks.len()
}

type Contender = (&'static str, fn(&Corpus) -> usize);

const CONTENDERS: [Contender; 6] = [
    ("sonic-rs typed", sonic),
    ("serde_json typed", serde),
    ("careful parser", careful),
    ("careful + content", careful_and_content),
    ("decoder (all)", decoder),
    ("count newlines", newlines),
];

fn main() {
    // `cargo test --benches` wants to know whether it runs, not how fast.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { 9 } else { 1 };
    print!("{:<22}{:>7}", "corpus", "chunks");
    for (name, _) in CONTENDERS {
        print!("{name:>26}");
    }
    println!();
    for corpus in corpora() {
        let mut best = [Duration::MAX; CONTENDERS.len()];
        for _ in 0..rounds {
            for (best, (name, contender)) in best.iter_mut().zip(CONTENDERS) {
                let start = Instant::now();
                let count = contender(&corpus);
                *best = start.elapsed().min(*best);
                assert_eq!(count, corpus.chunks.len(), "{name}");
            }
        }
        print!("{:<22}{:>7}", corpus.name, corpus.chunks.len());
        for time in best {
            let speed = corpus.data_bytes() as f64 / time.as_nanos() as f64;
            let ratio = best[0].as_secs_f64() / time.as_secs_f64();
            print!("{:>26}", format!("{speed:.2} GB/s ({ratio:.2}x)"));
        }
        println!();
    }
}
