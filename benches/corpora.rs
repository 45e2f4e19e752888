//! The logs that the Rust benchmarks read: made here from a seed, or out of recorded streams where
//! `CHUNKWIRE_STREAMS` names a folder of them. Each carries its number of chunks and the bytes of their content:
//! counted while it is written, or by serde_json for recorded streams; chunkwire counts nothing here.
//!
//! A corpus is a row of events, and a [`Source`] gives the events of one stream after the other, each with new ids.
//! Recorded streams get new ids and times too whenever they come round again: in a log no id comes twice, and bytes
//! that do would help whoever remembers earlier events.
#![allow(dead_code)] // Each benchmark takes a part of this.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::ops::Range;

/// A log, and what is in it.
pub struct Corpus {
    pub name: String,
    pub bytes: Vec<u8>,
    pub counts: Counts,
}

/// How many chunks there are, and of how many bytes `choices[0].delta.content` is in all of them, escapes resolved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub chunks: u64,
    pub content: u64,
}

/// A block that a blank line ends, as sent.
#[derive(Clone)]
pub struct Event {
    pub bytes: Vec<u8>,
    pub counts: Counts,
}

/// Gives the events of one more stream.
pub type Source = Box<dyn FnMut(&mut Random) -> Vec<Event>>;

/// In which order interleaved streams send.
#[derive(Clone, Copy)]
pub enum Order {
    InTurns,
    AtRandom,
}

impl Corpus {
    /// A log of at least `size` bytes of whole events: of one source stream after stream, of more event by event.
    pub fn new(name: &str, size: usize, order: Order, mut sources: Vec<Source>) -> Self {
        let mut random = Random::new(name);
        let mut lanes: Vec<VecDeque<Event>> = sources.iter().map(|_| VecDeque::new()).collect();
        // Lanes begin somewhere in their first stream, or they would all end together.
        if lanes.len() > 1 {
            for (lane, source) in lanes.iter_mut().zip(&mut sources) {
                lane.extend(source(&mut random));
                lane.drain(..random.below(lane.len()));
            }
        }
        let mut corpus =
            Self { name: name.to_owned(), bytes: Vec::with_capacity(size + size / 8), counts: Counts::default() };
        let mut turn = 0;
        while corpus.bytes.len() < size {
            let lane = match order {
                Order::InTurns => turn % lanes.len(),
                Order::AtRandom => random.below(lanes.len()),
            };
            if lanes[lane].is_empty() {
                lanes[lane].extend(sources[lane](&mut random));
            }
            let event = lanes[lane].pop_front().expect("a stream has events");
            corpus.bytes.extend_from_slice(&event.bytes);
            corpus.counts.chunks += event.counts.chunks;
            corpus.counts.content += event.counts.content;
            turn += 1;
        }
        corpus
    }

    /// Streams one behind the other.
    pub fn of(name: &str, size: usize, source: Source) -> Self {
        Self::new(name, size, Order::InTurns, vec![source])
    }
}

impl Event {
    /// An event of this data, which is a chunk.
    pub fn chunk(json: &str, content: usize) -> Self {
        let counts = Counts { chunks: 1, content: content as u64 };
        Self { bytes: format!("data: {json}\n\n").into_bytes(), counts }
    }

    /// The end of a stream.
    pub fn done() -> Self {
        Self { bytes: b"data: [DONE]\n\n".to_vec(), counts: Counts::default() }
    }
}

/// SplitMix64: the same numbers in every run, and no crate for it.
pub struct Random(u64);

impl Random {
    /// Seeded by a name, so that a corpus does not depend on which were made before.
    pub fn new(name: &str) -> Self {
        Self(name.bytes().fold(20_240_513, |seed, byte| seed * 31 % (1 << 40) + u64::from(byte)))
    }

    /// A number below the limit, or 0.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % limit.max(1) as u64) as usize
    }

    pub fn within(&mut self, range: Range<usize>) -> usize {
        range.start + self.below(range.len())
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            all.swap(last, self.below(last + 1));
        }
    }

    /// So many letters and digits.
    pub fn letters(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(self.pick(LETTERS))).collect()
    }
}

const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Pieces of content: short, of many lengths, some to be escaped and some beyond ASCII.
const WORDS: &[&str] = &[
    "Hello",
    " world",
    ",",
    ".",
    " the",
    " of",
    " and",
    " to",
    " a",
    " in",
    " is",
    " that",
    " streaming",
    " tokens",
    " quick",
    " brown",
    " fox",
    "s",
    "ing",
    " 42",
    "\n\n",
    "\n",
    " \"quoted\"",
    " def",
    "():\n    ",
    " return",
    " C:\\",
    " naïve",
    " 北京",
    "。",
    " Привет",
    " 😊",
    "1",
    " **bold**",
    " understanding",
    "'s",
    " |",
    "\t",
    " -",
    ":",
];

/// A piece of content as JSON, and how many bytes it has without escapes.
pub fn word(random: &mut Random) -> (String, usize) {
    let word = random.pick(WORDS);
    (serde_json::to_string(word).expect("a string is JSON"), word.len())
}

/// As OpenAI sends with `include_usage`: a role, the tokens, a finish reason, usage. `padded` adds `obfuscation`,
/// random letters of random length, as OpenAI does unless told not to.
pub fn openai(tokens: Range<usize>, padded: bool) -> Source {
    let mut number = 0;
    Box::new(move |random| {
        number += 1;
        let count = random.within(tokens.clone());
        let head = format!(
            "{{\"id\":\"chatcmpl-{}\",\"object\":\"chat.completion.chunk\",\"created\":{},\
             \"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_0123456789\",\
             \"choices\":[",
            random.letters(29),
            1_760_000_000 + number
        );
        let chunk = |choices: String, usage: &str, content, random: &mut Random| {
            let padding = if padded {
                let length = random.within(1..17);
                format!(",\"obfuscation\":\"{}\"", random.letters(length))
            } else {
                String::new()
            };
            Event::chunk(&format!("{head}{choices}],\"usage\":{usage}{padding}}}"), content)
        };
        let choice = |delta: &str, finish: &str| {
            format!("{{\"index\":0,\"delta\":{{{delta}}},\"logprobs\":null,\"finish_reason\":{finish}}}")
        };
        let role = choice("\"role\":\"assistant\",\"content\":\"\",\"refusal\":null", "null");
        let mut events = vec![chunk(role, "null", 0, random)];
        for _ in 0..count {
            let (content, length) = word(random);
            events.push(chunk(choice(&format!("\"content\":{content}"), "null"), "null", length, random));
        }
        events.push(chunk(choice("", "\"stop\""), "null", 0, random));
        let usage = format!(
            "{{\"prompt_tokens\":{},\"completion_tokens\":{count},\"total_tokens\":{},\"prompt_tokens_details\":\
             {{\"cached_tokens\":0,\"audio_tokens\":0}},\"completion_tokens_details\":{{\"reasoning_tokens\":0,\
             \"audio_tokens\":0,\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}}}",
            number % 4000,
            number % 4000 + count
        );
        events.push(chunk(String::new(), &usage, 0, random));
        events.push(Event::done());
        events
    })
}

/// As llama.cpp sends: keys in alphabetical order, so that what changes comes first.
pub fn choices_first(tokens: Range<usize>) -> Source {
    let mut number = 0;
    Box::new(move |random| {
        number += 1;
        let count = random.within(tokens.clone());
        let tail = format!(
            "\"created\":{},\"id\":\"chatcmpl-{}\",\"model\":\"Qwen3-1.7B-Q4_K_M.gguf\",\
             \"object\":\"chat.completion.chunk\",\"system_fingerprint\":\"b10499-6d05498\"",
            1_760_000_000 + number,
            random.letters(32)
        );
        let chunk = |delta: &str, finish: &str, content| {
            let choice = format!("{{\"delta\":{{{delta}}},\"finish_reason\":{finish},\"index\":0}}");
            Event::chunk(&format!("{{\"choices\":[{choice}],{tail}}}"), content)
        };
        let mut events = vec![chunk("\"content\":null,\"role\":\"assistant\"", "null", 0)];
        for _ in 0..count {
            let (content, length) = word(random);
            events.push(chunk(&format!("\"content\":{content}"), "null", length));
        }
        events.push(chunk("", "\"stop\"", 0));
        let usage = format!(
            "\"timings\":{{\"cache_n\":0,\"predicted_ms\":{}.711,\"prompt_ms\":5.469}},\"usage\":\
             {{\"completion_tokens\":{count},\"prompt_tokens\":{number},\"prompt_tokens_details\":{{\"cached_tokens\":0}},\
             \"total_tokens\":{}}}",
            random.below(1000),
            number + count
        );
        events.push(Event::chunk(&format!("{{\"choices\":[],{tail},{usage}}}"), 0));
        events.push(Event::done());
        events
    })
}

/// A recorded stream.
#[derive(Clone)]
pub struct File {
    pub provider: String,
    pub name: String,
    events: Vec<(Event, Vec<Stamp>)>,
    ids: Vec<String>,
}

/// What is renewed when the stream comes round again, and where it stands in its event.
#[derive(Clone)]
enum Stamp {
    /// One of the file's ids.
    Id(usize, usize),
    /// A time in seconds, of ten digits.
    Created(usize),
}

const TIME_DIGITS: usize = 10;

impl File {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let mut file = Self {
            provider: name.split("__").next().unwrap_or_default().to_owned(),
            name: name.to_owned(),
            events: Vec::new(),
            ids: Vec::new(),
        };
        for block in blocks(bytes) {
            let mut event = Event { counts: Counts::default(), bytes: block };
            let mut stamps = Vec::new();
            if let Ok(document) = serde_json::from_slice::<serde_json::Value>(&data(&event.bytes)) {
                event.counts = count(&document);
                stamps = file.stamps(&event.bytes, &document);
            }
            file.events.push((event, stamps));
        }
        file
    }

    /// Finds the id and the time of an event. Short ids are no ids of one stream alone, and stay.
    fn stamps(&mut self, bytes: &[u8], document: &serde_json::Value) -> Vec<Stamp> {
        let mut stamps = Vec::new();
        if let Some(id) = document["id"].as_str().filter(|id| id.len() >= 6)
            && let Some(at) = memchr::memmem::find(bytes, format!("\"{id}\"").as_bytes())
        {
            let number = self.ids.iter().position(|known| known == id).unwrap_or_else(|| {
                self.ids.push(id.to_owned());
                self.ids.len() - 1
            });
            stamps.push(Stamp::Id(at + 1, number));
        }
        if let Some(created) = document["created"].as_u64().map(|number| number.to_string())
            && created.len() == TIME_DIGITS
            && let Some(at) = memchr::memmem::find(bytes, created.as_bytes())
        {
            stamps.push(Stamp::Created(at));
        }
        stamps
    }

    /// How many chunks are in it.
    pub fn chunks(&self) -> u64 {
        self.events.iter().map(|(event, _)| event.counts.chunks).sum()
    }

    /// The same stream with new ids and at another time, of the same lengths.
    fn renewed(&self, random: &mut Random) -> Vec<Event> {
        let ids: Vec<String> = self.ids.iter().map(|id| renewed_id(id, random)).collect();
        let created = (1_760_000_000 + random.below(10_000_000)).to_string();
        let renewed = self.events.iter().map(|(event, stamps)| {
            let mut event = event.clone();
            for stamp in stamps {
                let (at, text) = match stamp {
                    Stamp::Id(at, number) => (*at, &ids[*number]),
                    Stamp::Created(at) => (*at, &created),
                };
                event.bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
            }
            event
        });
        renewed.collect()
    }
}

/// Other letters and digits of the same kinds, behind the same prefix: `chatcmpl-`, `gen-`.
fn renewed_id(id: &str, random: &mut Random) -> String {
    let prefix = id.find(['-', '_']).filter(|&end| id[..end].bytes().all(|byte| byte.is_ascii_alphabetic()));
    let (prefix, rest) = id.split_at(prefix.unwrap_or(0));
    let rest = rest.chars().map(|letter| match letter {
        '0'..='9' => char::from(random.pick(b"0123456789")),
        'a'..='f' => char::from(random.pick(b"abcdef")),
        'g'..='z' => char::from(random.pick(b"ghijklmnopqrstuvwxyz")),
        'A'..='Z' => char::from(random.pick(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")),
        other => other,
    });
    prefix.chars().chain(rest).collect()
}

/// Cuts a recorded stream behind each blank line; one is added where the last is missing.
fn blocks(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut blocks, mut block) = (Vec::new(), Vec::new());
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        block.extend_from_slice(line);
        if line == b"\n" || line == b"\r\n" {
            blocks.push(std::mem::take(&mut block));
        }
    }
    if !block.is_empty() {
        block.extend_from_slice(b"\n\n");
        blocks.push(block);
    }
    blocks
}

/// The data of a block, as the standard has it.
fn data(block: &[u8]) -> Vec<u8> {
    let lines = block.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let data = lines.filter_map(|line| line.strip_prefix(b"data:")).map(|data| data.strip_prefix(b" ").unwrap_or(data));
    data.collect::<Vec<_>>().join(&b'\n')
}

/// Is it a chunk, and of how many bytes is its content?
fn count(document: &serde_json::Value) -> Counts {
    let is_chunk =
        document.get("choices").is_some() || document["object"].as_str().is_some_and(|name| name.ends_with("chunk"));
    let content = document["choices"][0]["delta"]["content"].as_str().map_or(0, str::len);
    if is_chunk { Counts { chunks: 1, content: content as u64 } } else { Counts::default() }
}

/// The recorded streams, in the order of their names; none without `CHUNKWIRE_STREAMS`.
pub fn recorded() -> Vec<File> {
    let Some(folder) = std::env::var_os("CHUNKWIRE_STREAMS") else { return Vec::new() };
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("CHUNKWIRE_STREAMS is a folder")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "sse"))
        .collect();
    paths.sort();
    let files = paths.iter().map(|path| {
        let name = path.file_name().expect("a file").to_string_lossy();
        File::new(&name, &std::fs::read(path).expect("a readable file"))
    });
    files.collect()
}

/// Recorded streams one after the other, all of them before any comes again, each round in another order: files that
/// lie next to each other in the folder are of one server, and streams in a log need not be.
pub fn replay(files: Vec<File>) -> Source {
    let mut left: Vec<usize> = Vec::new();
    Box::new(move |random| {
        if left.is_empty() {
            left.extend(0..files.len());
            random.shuffle(&mut left);
        }
        files[left.pop().expect("at least one file")].renewed(random)
    })
}

/// The members of an object, their values as JSON.
pub type Members = Vec<(&'static str, String)>;

/// These members as a JSON object, in their order; `space` gives what stands between two tokens.
pub fn object(members: &Members, mut space: impl FnMut() -> &'static str) -> String {
    let mut text = "{".to_owned();
    for (number, (key, value)) in members.iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        let (before, after_key, before_value, after) = (space(), space(), space(), space());
        write!(text, "{comma}{before}\"{key}\"{after_key}:{before_value}{value}{after}").expect("a String takes all");
    }
    text.push('}');
    text
}
