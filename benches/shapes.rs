//! What shapes gain and what they cost: `cargo bench --bench shapes [-- NAME...]`, where a NAME is a part of a
//! corpus's name; or `-- --log PATH`, which measures a log that is at hand and prints figures for `goals.py`.
//!
//! Every contender reads the same log (see `corpora.rs`) from warm memory: the decoder with and without shapes, which
//! decodes it into batches of 256 events and reads `choices[0].delta.content` of every chunk, and memchr, which counts
//! line ends and so shows what memory allows. They run in turns, and the best of the rounds counts. Each is checked
//! against what is known of the log. Prints, for each corpus, GB/s and nanoseconds a chunk, how many times faster the
//! decoder is with shapes than without, the share of chunks that shapes took, and the goal beside it.
#![allow(clippy::print_stdout)]

mod corpora;

use std::hint::black_box;
use std::time::{Duration, Instant};

use chunkwire::chunk::Value;
use chunkwire::decoder::{Decoder, Options, Paths};
use chunkwire::record::{Builder, Item};
use corpora::{Corpus, Counts, Event, File, Members, Order, Random, Source};

/// What shapes are to do for a corpus.
#[derive(Clone, Copy)]
enum Goal {
    /// So many times faster than the careful parser.
    Faster(f64),
    /// At most so many times its time: nothing is gained here, and little may be lost.
    AtMost(f64),
    /// Measured only.
    None,
}

const NOT_SLOWER: Goal = Goal::AtMost(1.10);
const INTERLEAVED: Goal = Goal::Faster(1.5);
const BATCH_EVENTS: usize = 256;

/// A corpus before it is made: they are made one after the other, to need the memory of one.
struct Recipe {
    name: String,
    goal: Goal,
    order: Order,
    sources: Vec<Source>,
}

impl Recipe {
    fn new(name: &str, goal: Goal, source: Source) -> Self {
        Self { name: name.to_owned(), goal, order: Order::InTurns, sources: vec![source] }
    }

    fn interleaved(name: &str, order: Order, sources: Vec<Source>) -> Self {
        Self { name: name.to_owned(), goal: INTERLEAVED, order, sources }
    }
}

/// Events that each stand for themselves.
fn events(mut event: impl FnMut(&mut Random) -> Event + 'static) -> Source {
    Box::new(move |random| vec![event(random)])
}

/// A chunk as OpenAI sends it, in parts: its members but `choices`, those of its choice, the bytes of its content.
fn members(random: &mut Random) -> (Members, Members, usize) {
    let (content, length) = corpora::word(random);
    let choice = vec![
        ("index", "0".to_owned()),
        ("delta", format!("{{\"content\":{content}}}")),
        ("logprobs", "null".to_owned()),
        ("finish_reason", "null".to_owned()),
    ];
    let root = vec![
        ("id", format!("\"chatcmpl-{}\"", random.letters(29))),
        ("object", "\"chat.completion.chunk\"".to_owned()),
        ("created", (1_760_000_000 + random.below(1_000_000)).to_string()),
        ("model", "\"gpt-4o-mini-2024-07-18\"".to_owned()),
        ("service_tier", "\"default\"".to_owned()),
        ("system_fingerprint", "\"fp_0123456789\"".to_owned()),
        ("usage", "null".to_owned()),
    ];
    (root, choice, length)
}

fn tight() -> &'static str {
    ""
}

/// Keys in random order and random white space, in every event anew.
fn random_order(random: &mut Random) -> Event {
    let (mut root, mut choice, length) = members(random);
    random.shuffle(&mut choice);
    let choice = corpora::object(&choice, || random.pick(&["", "", " ", "  ", "\t"]));
    root.push(("choices", format!("[{choice}]")));
    random.shuffle(&mut root);
    Event::chunk(&corpora::object(&root, || random.pick(&["", "", " ", "  ", "\t"])), length)
}

const EXTRA: [&str; 8] = ["alpha", "beta", "gamma", "delta_", "epsilon", "zeta", "eta", "theta"];

/// A random subset of eight members at the end: 256 structures, of which no two differ before.
fn late_difference(random: &mut Random) -> Event {
    let (mut root, choice, length) = members(random);
    root.push(("choices", format!("[{}]", corpora::object(&choice, tight))));
    let subset = random.below(256);
    for (number, name) in EXTRA.into_iter().enumerate() {
        if subset >> number & 1 == 1 {
            root.push((name, random.below(1000).to_string()));
        }
    }
    Event::chunk(&corpora::object(&root, tight), length)
}

/// One of 64 structures: each a random order of the keys, and some members that others have not.
fn one_of_64(number: usize, random: &mut Random) -> Event {
    let (mut root, choice, length) = members(random);
    root.push(("choices", format!("[{}]", corpora::object(&choice, tight))));
    let mut order = Random::new(&format!("shape {number}"));
    for name in EXTRA {
        if order.below(3) == 0 {
            root.push((name, "null".to_owned()));
        }
    }
    order.shuffle(&mut root);
    Event::chunk(&corpora::object(&root, tight), length)
}

/// The same keys, but each value of any kind, in every event anew.
fn any_kinds(random: &mut Random) -> Event {
    let any = |random: &mut Random| match random.below(9) {
        0 => "null".to_owned(),
        1 => "true".to_owned(),
        2 => "false".to_owned(),
        3 => random.below(100_000).to_string(),
        4 => format!("-{}.{}e-7", random.below(10), random.below(1000)),
        5 => corpora::word(random).0,
        6 => "[]".to_owned(),
        7 => "{}".to_owned(),
        _ => "[1,{\"index\":\"0\"}]".to_owned(),
    };
    let (mut root, mut choice, _) = members(random);
    let (content, length) = corpora::word(random);
    let (content, length) = if random.below(2) == 0 { (content, length) } else { ("null".to_owned(), 0) };
    for (_, value) in root.iter_mut().chain(&mut choice) {
        *value = any(random);
    }
    choice[1].1 = format!("{{\"role\":{},\"content\":{content}}}", any(random));
    root.push(("choices", format!("[{}]", corpora::object(&choice, tight))));
    Event::chunk(&corpora::object(&root, tight), length)
}

/// Content of 64 KiB to 1 MiB.
fn huge(random: &mut Random) -> Event {
    let (root, mut choice, _) = members(random);
    let length = random.within(64 << 10..1 << 20);
    choice[1].1 = format!("{{\"content\":\"{}\"}}", random.letters(length));
    let mut root = root;
    root.push(("choices", format!("[{}]", corpora::object(&choice, tight))));
    Event::chunk(&corpora::object(&root, tight), length)
}

/// The same streams with other line ends.
fn with_crlf(mut source: Source) -> Source {
    Box::new(move |random| {
        let mut events = source(random);
        for event in &mut events {
            // The only line ends are those of the event: JSON escapes its own.
            event.bytes = event
                .bytes
                .iter()
                .flat_map(|&byte| if byte == b'\n' { vec![b'\r', b'\n'] } else { vec![byte] })
                .collect();
        }
        events
    })
}

/// The same streams with fields before the data.
fn with_fields(mut source: Source) -> Source {
    let mut number = 0;
    Box::new(move |random| {
        let mut events = source(random);
        for event in &mut events {
            number += 1;
            let fields = format!("event: message\nid: {number}\n");
            event.bytes.splice(..0, fields.into_bytes());
        }
        events
    })
}

/// A server's recorded streams of short texts, without tools and the like.
fn is_short_text(file: &File) -> bool {
    let other = ["audio", "toolcall", "parallel", "nchoices", "refusal", "logprobs"];
    file.provider == "openai" && file.chunks() <= 40 && !other.iter().any(|feature| file.name.contains(feature))
}

const LONG: std::ops::Range<usize> = 100..400;
const SHORT: std::ops::Range<usize> = 2..9;
const PROVIDERS: [&str; 8] = ["openai", "azure", "mistral", "groq", "deepseek", "llamacpp", "openrouter", "perplexity"];

fn recipes() -> Vec<Recipe> {
    let files = corpora::recorded();
    let of = |provider: &str| -> Vec<File> {
        files.iter().filter(|file| file.provider == provider && !file.name.contains("audio")).cloned().collect()
    };
    let mut recipes = vec![
        Recipe::new("OpenAI-like", Goal::Faster(5.0), corpora::openai(LONG, false)),
        Recipe::new("padded", Goal::None, corpora::openai(LONG, true)),
        Recipe::new("choices first", Goal::None, corpora::choices_first(LONG)),
        Recipe::new("short", Goal::Faster(2.5), corpora::openai(SHORT, false)),
    ];
    if !files.is_empty() {
        let short: Vec<File> = files.iter().filter(|file| is_short_text(file)).cloned().collect();
        recipes.push(Recipe::new("recorded, short openai", Goal::Faster(2.5), corpora::replay(short)));
        recipes.push(Recipe::new("recorded, mix", Goal::Faster(3.0), corpora::replay(files.clone())));
        for provider in ["openrouter", "mistral", "azure", "groq", "llamacpp", "deepseek"] {
            recipes.push(Recipe::new(&format!("recorded, {provider}"), Goal::None, corpora::replay(of(provider))));
        }
    }
    let eight = || (0..8).map(|_| corpora::openai(LONG, false)).collect();
    recipes.push(Recipe::interleaved("8 openai, in turns", Order::InTurns, eight()));
    recipes.push(Recipe::interleaved("8 openai, at random", Order::AtRandom, eight()));
    if !files.is_empty() {
        // Of each server the longest stream, over and over; and of each server all streams.
        let longest = || {
            let longest =
                PROVIDERS.map(|provider| of(provider).into_iter().max_by_key(File::chunks).expect("a stream"));
            longest.into_iter().map(|file| corpora::replay(vec![file])).collect()
        };
        let all = || PROVIDERS.iter().map(|provider| corpora::replay(of(provider))).collect();
        recipes.push(Recipe::interleaved("8 files, in turns", Order::InTurns, longest()));
        recipes.push(Recipe::interleaved("8 files, at random", Order::AtRandom, longest()));
        recipes.push(Recipe::interleaved("8 servers, at random", Order::AtRandom, all()));
    }
    let mut turn = 0;
    let in_turn = move |random: &mut Random| {
        turn += 1;
        one_of_64(turn % 64, random)
    };
    recipes.extend([
        Recipe::new("random order and space", NOT_SLOWER, events(random_order)),
        Recipe::new("differ only at the end", NOT_SLOWER, events(late_difference)),
        Recipe::new("64 shapes, in turns", NOT_SLOWER, events(in_turn)),
        Recipe::new("64 shapes, at random", NOT_SLOWER, events(|random| one_of_64(random.below(64), random))),
        Recipe::new("values of any kind", NOT_SLOWER, events(any_kinds)),
        Recipe::new("huge events", NOT_SLOWER, events(huge)),
        Recipe::new("tiny events", NOT_SLOWER, events(|_| Event::chunk("{\"choices\":[]}", 0))),
        Recipe::new("CRLF", NOT_SLOWER, with_crlf(corpora::openai(LONG, false))),
        Recipe::new("event and id fields", NOT_SLOWER, with_fields(corpora::openai(LONG, false))),
    ]);
    recipes
}

/// Measures a log: prints the seconds with shapes and without and to count line ends, the chunks, and how many of them
/// went by shape.
fn measure_log(path: &str) {
    let bytes = std::fs::read(path).expect("a readable file");
    let (counts, _) = decode(&bytes, false);
    let Measured { shapes, careful, newlines, paths } = measure("the log", &bytes, counts, 3);
    let [shapes, careful, newlines] = [shapes, careful, newlines].map(|time| time.as_secs_f64());
    println!("{shapes} {careful} {newlines} {} {}", counts.chunks, paths.shape);
}

/// Decodes into batches and reads the content of every chunk.
fn decode(bytes: &[u8], shapes: bool) -> (Counts, Paths) {
    let mut decoder = Decoder::new(Options { shapes, ..Options::default() });
    let (mut counts, mut batch, mut at, mut more) = (Counts::default(), Builder::default(), 0, true);
    while more {
        more = decoder.decode(bytes, &mut at, BATCH_EVENTS, &mut batch);
        let full = batch.build(bytes);
        for item in full.items() {
            if let Item::Chunk(record) = item {
                counts.chunks += 1;
                let content = full.doc(record).content().and_then(Value::string);
                counts.content += content.map_or(0, |content| content.len() as u64);
            }
        }
        batch = full.recycle();
    }
    decoder.finish(&mut batch);
    (counts, decoder.paths())
}

/// The best of the rounds of each contender, and how many chunks went by shape.
struct Measured {
    shapes: Duration,
    careful: Duration,
    newlines: Duration,
    paths: Paths,
}

fn measure(name: &str, bytes: &[u8], expected: Counts, rounds: usize) -> Measured {
    let lines = bytes.iter().filter(|&&byte| byte == b'\n').count();
    let mut best =
        Measured { shapes: Duration::MAX, careful: Duration::MAX, newlines: Duration::MAX, paths: Paths::default() };
    for _ in 0..rounds {
        for (shapes, best_time) in [(true, &mut best.shapes), (false, &mut best.careful)] {
            let start = Instant::now();
            let (counts, paths) = black_box(decode(black_box(bytes), shapes));
            *best_time = start.elapsed().min(*best_time);
            assert_eq!(counts, expected, "{name}, shapes: {shapes}");
            assert_eq!(paths.shape + paths.careful, counts.chunks, "{name}, shapes: {shapes}");
            if shapes {
                best.paths = paths;
            }
        }
        let start = Instant::now();
        let counted = black_box(memchr::memchr_iter(b'\n', black_box(bytes)).count());
        best.newlines = start.elapsed().min(best.newlines);
        assert_eq!(counted, lines, "{name}");
    }
    best
}

/// The goal, and whether the ratio of speeds reaches it. A figure, not a test: nothing fails.
fn judge(goal: Goal, ratio: f64) -> String {
    let (wanted, reached) = match goal {
        Goal::Faster(times) => (format!("at least {times:.1}x"), ratio >= times),
        Goal::AtMost(times) => (format!("at most {times:.2}x the time"), 1.0 / ratio <= times),
        Goal::None => return "-".to_owned(),
    };
    format!("{wanted}: {}", if reached { "reached" } else { "missed" })
}

fn main() {
    // `cargo test --benches` wants to know whether it runs, not how fast.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(place) = arguments.iter().position(|argument| argument == "--log") {
        return measure_log(arguments.get(place + 1).expect("the path of a log"));
    }
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let (rounds, size) = if is_bench { (15, 16 << 20) } else { (1, 1 << 20) };
    println!(
        "{:<24}{:>8}{:>23}{:>23}{:>12}{:>9}{:>10}  goal",
        "corpus", "chunks", "shapes", "careful", "newlines", "ratio", "by shape"
    );
    for recipe in recipes() {
        if !wanted.is_empty() && !wanted.iter().any(|part| recipe.name.contains(part.as_str())) {
            continue;
        }
        let corpus = Corpus::new(&recipe.name, size, recipe.order, recipe.sources);
        let measured = measure(&corpus.name, &corpus.bytes, corpus.counts, rounds);
        let speed = |time: Duration| format!("{:.2} GB/s", corpus.bytes.len() as f64 / time.as_nanos() as f64);
        let cell =
            |time: Duration| format!("{}, {:.0} ns", speed(time), time.as_nanos() as f64 / corpus.counts.chunks as f64);
        let ratio = measured.careful.as_secs_f64() / measured.shapes.as_secs_f64();
        let share = measured.paths.shape as f64 / corpus.counts.chunks as f64 * 100.0;
        println!(
            "{:<24}{:>8}{:>23}{:>23}{:>12}{:>9}{:>10}  {}",
            corpus.name,
            corpus.counts.chunks,
            cell(measured.shapes),
            cell(measured.careful),
            speed(measured.newlines),
            format!("{ratio:.2}x"),
            format!("{share:.1}%"),
            judge(recipe.goal, ratio)
        );
    }
}
