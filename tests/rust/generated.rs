//! Sources that hardly anyone would send: any bytes in, a source with its cuts and options out.
//!
//! Random bytes would never be an event that matches the shape of another. So the bytes are read as orders: take a
//! chunk as some server sends it, change one value of it a few times, damage it near a value, send it in another
//! framing. Every byte string is such a list of orders, which lets a fuzzer change and shorten it as it likes; when the
//! bytes run out, the source ends. Shared by `shapes_generated.rs` and `logs_generated.rs`, where a random number
//! generator makes the bytes, and by `tests/fuzz`, where libFuzzer does.
#![allow(dead_code)] // every user of this takes a part of it

use std::fmt;
use std::ops::Range;

use chunkwire::decoder::Options;

/// Sources stop growing here.
const LONGEST: usize = 1 << 17;

/// How many events are varied by turns, as in a log of interleaved streams.
const POOL: usize = 4;

/// A source, where to cut it, and how to decode it.
#[derive(Clone)]
pub struct Case {
    pub source: Vec<u8>,
    /// Places in order; some may be the same.
    pub cuts: Vec<usize>,
    /// How many events to ask for at once.
    pub at_once: usize,
    pub options: Options,
}

impl fmt::Debug for Case {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, cuts, at_once, options } = self;
        writeln!(out, "source of {} bytes: b\"{}\"", source.len(), source.escape_ascii())?;
        write!(out, "cuts: {cuts:?}, at once: {at_once}, {options:?}")
    }
}

impl Case {
    /// The case that these bytes order.
    pub fn new(bytes: &[u8]) -> Self {
        let mut bytes = Bytes(bytes);
        let setting = bytes.byte();
        let options = options(setting);
        let at_once = bytes.one_of(AT_ONCE);
        let cutting = bytes.byte();
        let places: Vec<usize> = (0..cutting % 8).map(|_| bytes.wide()).collect();
        // Now and then the rest is the source, as it is.
        let source = if setting == 0xff { bytes.rest().to_vec() } else { Writer::new(bytes).write() };
        let cuts = cuts(cutting, &places, source.len());
        Self { source, cuts, at_once, options }
    }

    /// The source, cut.
    pub fn pieces(&self) -> Vec<&[u8]> {
        pieces(&self.source, &self.cuts)
    }
}

/// A source by itself.
pub fn source(orders: &[u8]) -> Vec<u8> {
    Writer::new(Bytes(orders)).write()
}

/// The options that this byte orders.
pub fn options(setting: u8) -> Options {
    Options {
        strict: setting & 1 == 1,
        max_int_digits: [4300, 20, 4300, 0][usize::from(setting >> 1 & 3)],
        // Now and then, so that some events are too large.
        max_event_bytes: if setting >> 3 & 15 == 15 { 200 } else { Options::default().max_event_bytes },
        ..Options::default()
    }
}

/// How many events may be asked for at once.
pub const AT_ONCE: &[usize] = &[usize::MAX, 1, 2, 3, 7, 100, 1000, usize::MAX];

/// Where to cut a source of so many bytes: everywhere behind so many, or at places that are given as shares of it.
pub fn cuts(cutting: u8, places: &[usize], length: usize) -> Vec<usize> {
    if cutting >= 0xe0 {
        return (0..length).step_by(1 + usize::from(cutting & 31)).collect();
    }
    let mut cuts: Vec<usize> = places.iter().map(|place| (place * (length + 1)) >> 16).collect();
    cuts.sort_unstable();
    cuts
}

/// A source, cut.
pub fn pieces<'a>(source: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut start = 0;
    let ends = cuts.iter().copied().chain([source.len()]);
    ends.map(|end| &source[std::mem::replace(&mut start, end)..end]).collect()
}

/// Reads orders; behind the last there are only zeros.
pub struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    pub fn wide(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    pub fn one_of<T: Copy>(&mut self, choice: &[T]) -> T {
        choice[self.below(choice.len())]
    }

    pub fn few(&mut self, count: usize) -> &'a [u8] {
        let (few, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        few
    }

    pub fn rest(&mut self) -> &'a [u8] {
        self.few(usize::MAX)
    }
}

/// Chunks as servers send them; the texts are ours.
pub const CHUNKS: &[&str] = &[
    // OpenAI: the first chunk, one of many, a tool call, log probabilities, and usage.
    r#"{"id":"chatcmpl-Ab1","object":"chat.completion.chunk","created":1719000000,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_1a","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null}"#,
    r#"{"id":"chatcmpl-Ab1","object":"chat.completion.chunk","created":1719000000,"model":"gpt-4o-2024-08-06","system_fingerprint":"fp_1a","choices":[{"index":0,"delta":{"content":" Hello"},"logprobs":null,"finish_reason":null}],"obfuscation":"x8Q"}"#,
    r#"{"id":"chatcmpl-Ab1","object":"chat.completion.chunk","created":1719000000,"model":"gpt-4o","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_9","type":"function","function":{"name":"get","arguments":"{\"a\": \"\\u00e9\"}"}}]},"finish_reason":null}]}"#,
    r#"{"id":"chatcmpl-Ab1","object":"chat.completion.chunk","created":1719000000,"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"A"},"logprobs":{"content":[{"token":"A","logprob":-0.0031,"bytes":[65],"top_logprobs":[{"token":"A","logprob":-0.0031,"bytes":[65]},{"token":"B","logprob":-5.75,"bytes":null}]}],"refusal":null},"finish_reason":null}]}"#,
    r#"{"id":"chatcmpl-Ab1","object":"chat.completion.chunk","created":1719000000,"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}"#,
    // Azure: filters before the message, then one of many.
    r#"{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false,"severity":"safe"}}}]}"#,
    r#"{"choices":[{"content_filter_results":{"hate":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}},"delta":{"content":"Hi"},"finish_reason":null,"index":0,"logprobs":null}],"created":1719000001,"id":"chatcmpl-Az","model":"gpt-4o","object":"chat.completion.chunk","system_fingerprint":"fp_2b"}"#,
    // Mistral, llama.cpp, OpenRouter, Perplexity, Groq, DeepSeek.
    r#"{"id":"7f2c","object":"chat.completion.chunk","created":1719000002,"model":"mistral-small","choices":[{"index":0,"delta":{"content":"Bon"},"finish_reason":"stop"}],"usage":{"prompt_tokens":4,"total_tokens":9,"completion_tokens":5},"p":"abcde"}"#,
    r#"{"choices":[{"finish_reason":null,"index":0,"delta":{"content":"x"}}],"created":1719000003,"id":"chatcmpl-L","model":"unknown","system_fingerprint":"b4000","object":"chat.completion.chunk","timings":{"prompt_n":11,"prompt_ms":61.5,"prompt_per_second":1.788e2,"predicted_ms":0.001}}"#,
    r#"{"id":"gen-1","provider":"P","model":"a/b","object":"chat.completion.chunk","created":1719000004,"choices":[{"index":0,"delta":{"role":"assistant","content":"","reasoning":"So","reasoning_details":[{"type":"reasoning.text","text":"So","format":"unknown","index":0}]},"finish_reason":null,"native_finish_reason":null,"logprobs":null}]}"#,
    r#"{"id":"pp-1","model":"sonar","created":1719000005,"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4,"cost":{"input_tokens_cost":0.0,"request_cost":0.005,"total_cost":0.005}},"citations":["https://a.example/1","https://b.example/2"],"object":"chat.completion.chunk","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"delta":{"role":"assistant","content":"Hi"}}]}"#,
    r#"{"id":"gq-1","object":"chat.completion.chunk","created":1719000006,"model":"llama","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"req_1","usage":{"queue_time":0.01,"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}},"cost":"0.002"}"#,
    r#"{"id":"ds-1","object":"chat.completion.chunk","created":1719000007,"model":"deepseek-chat","choices":[{"index":0,"delta":{"content":null,"reasoning_content":"Hm"},"finish_reason":null},{"index":1,"delta":{"content":"b"},"finish_reason":null}],"usage":{"prompt_tokens":5,"prompt_cache_hit_tokens":0}}"#,
    // Spaces as Python's json writes them, keys twice and in escapes, and next to nothing.
    r#"{"id": "cmpl-1", "object": "chat.completion.chunk", "created": 1719000008, "model": "v", "choices": [{"index": 0, "delta": {"content": "y"}, "finish_reason": null}]}"#,
    r#"{"id":"d","id":"e","choices":[{"delta":{"content":"1","content":"2","c\u006fntent":"3"},"index":0,"index":1}],"ch\u006fices":[{"delta":{"content":"4"}}],"\u00e9":"\ud83d\ude0a","é":"😊"}"#,
    r#"{"choices":[{"delta":{"content":"z"}}]}"#,
];

/// What stands between chunks.
const OTHERS: &[&[u8]] = &[
    b"data: [DONE]\n\n",
    b"data: [DONE]\n\n",
    b"data: [DONE]\n\n",
    b"data:[DONE]\r\n\r\n",
    b"data: [DONE]\n",
    b"data: [DONE] \n\n",
    b"data: [DONE\n\n",
    b"data: {\"error\":{\"message\":\"m\",\"code\":500}}\n\n",
    b"data: {\"choices\":[],\"error\":{\"message\":\"m\"}}\n\n",
    b"event: error\ndata: oops\n\n",
    b"event: error\n\n",
    b"event: error\n",
    b": keep-alive\n\n",
    b": keep-alive\n",
    b"data:\n\n",
    b"data: {}\n\n",
    b"data: 5\n\n",
    b"data: {\n\n",
    b"\n",
    b"\r",
    b"retry: 5\n\n",
    b"id: 7\n",
    b"id: \xff\n",
    b"foo\n",
    b"\xef\xbb\xbf",
    b"data: {\"object\":\"chat.completion.chunk\"}\n\n",
    b"data: {\"choices\":[]}\n\n",
    b"data: {\"choices\":[\"\xc3\"]}\n\n",
    b"data: \xf0\x9f\n\n",
    b"{\"choices\":[]}\n\n",
];

/// Pieces of strings.
const ATOMS: &[&[u8]] = &[
    b"a",
    b" Hello",
    b"\\n",
    b"\\\"",
    b"\\\\",
    b"\\/",
    b"\\b\\f\\r\\t",
    b"\\u00e9",
    b"\\ud83d\\ude0a",
    b"\\ud83d",
    b"\\udc00\\ud800",
    b"\\u0000",
    "é".as_bytes(),
    "漢字".as_bytes(),
    "😊".as_bytes(),
    "\u{7ff}\u{800}\u{ffff}\u{10ffff}\u{2028}".as_bytes(),
    b"\x7f",
    b"{\\\"x\\\":1}",
    b"},{[]:",
    b"data: ",
    b"stop",
    b"",
];

/// Pieces that no string may have.
const ODD_ATOMS: &[&[u8]] = &[
    b"\xff",
    b"\x80",
    b"\xc3",
    b"\xe2\x82",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xc0\xaf",
    b"\x00",
    b"\x1f",
    b"\t",
    b"\n",
    b"\r",
    b"\n\n",
    b"\\",
    b"\\x",
    b"\\u12",
    b"\\u12g4",
    b"\\u",
    b"\"",
    b"\"\"",
    b"\\\"\"",
];

const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1",
    "7",
    "10",
    "42",
    "-1",
    "63",
    "64",
    "1.5",
    "0.0",
    "-0.0",
    "1.0",
    "0e0",
    "1e5",
    "1E+5",
    "1e-7",
    "0.1",
    "-2.5E-3",
    "1e308",
    "1e309",
    "-1e400",
    "123456789012345678901234567890",
    "12345678901234567890",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551616",
    "4503599627370496.5",
    "1719000000",
    "1e19",
    "00000000000000000000.5e1",
];

const WORDS: &[&str] = &["null", "true", "false", "null", "NaN", "Infinity", "-Infinity"];

const CONTAINERS: &[&str] = &[
    "{}",
    "[]",
    "[[]]",
    "{\"a\":1}",
    "[1]",
    "[1,2.5,\"x\",null]",
    "{\"a\":{}}",
    "{\"content\":\"x\"}",
    "[{\"delta\":{}}]",
    "{\"a\":1,\"a\":2}",
    "{\"total_cost\":0.5}",
    "{\"prompt_tokens\":1}",
    "[ ]",
    "{ }",
    "{\"message\":\"m\"}",
];

/// What is no value, or more than one.
const ODD: &[&[u8]] = &[
    b"01",
    b"-",
    b"1.",
    b"1e",
    b"1e+",
    b".5",
    b"+1",
    b"0x1",
    b"00",
    b"-01",
    b"--1",
    b"1.e5",
    b"1e5.5",
    b"1_0",
    b"1 2",
    b"-Inf",
    b"Nan",
    b"nul",
    b"nulll",
    b"truee",
    b"True",
    b"\"",
    b"\"\\\"",
    b"\"a\\",
    b"\"\"\"",
    b"\"a\" \"b\"",
    b"\"a\",",
    b"\"a\",\"b\":1",
    b"\"a\"}",
    b"1}",
    b"1]",
    b"",
    b",",
    b"{",
    b"]",
    b"'a'",
    b"/**/1",
    b"1\x00",
    b"1\x0c",
    b"\"a\"\x80",
    b"\xc2\xa01",
];

const IDS: &[&str] = &["\"s1\"", "\"s2\"", "\"s3\"", "\"\"", "null", "\"chatcmpl-Ab1\""];
const FINISHES: &[&str] = &["\"stop\"", "null", "\"length\"", "\"\"", "\"tool_calls\"", "1"];
const KEYS: &[&str] = &[
    "\"id\"",
    "\"content\"",
    "\"choices\"",
    "\"usage\"",
    "\"error\"",
    "\"cost\"",
    "\"index\"",
    "\"i\\u0064\"",
    "\"cont\\u0065nt\"",
    "\"\"",
    "\"unknown\"",
    "\"\\ud800\"",
    "\"é\"",
    "\"finish_reason\"",
    "\"created\"",
    "\"delta\"",
];

/// Bytes that mean something somewhere.
pub const SIGNS: &[u8] = b"\"\\{}[]:,-+.eE0123456789 \n\r\tntfNIu\x00\x1f\x7f\x80\xc3\xe2\xed\xf0\xff/";

/// Where scalars and keys stand in a text, quotes included, even if it is no longer JSON.
fn tokens(text: &[u8]) -> (Vec<Range<usize>>, Vec<Range<usize>>) {
    let (mut scalars, mut keys, mut at) = (Vec::new(), Vec::new(), 0);
    while at < text.len() {
        let start = at;
        match text[at] {
            b'"' => {
                at += 1;
                while at < text.len() && text[at] != b'"' {
                    at += 1 + usize::from(text[at] == b'\\');
                }
                at = (at + 1).min(text.len());
                let behind = text[at..].iter().find(|byte| !byte.is_ascii_whitespace());
                if behind == Some(&b':') { keys.push(start..at) } else { scalars.push(start..at) }
            }
            b'{' | b'}' | b'[' | b']' | b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            _ => {
                while at < text.len() && !b"{}[],: \t\r\n\"".contains(&text[at]) {
                    at += 1;
                }
                scalars.push(start..at);
            }
        }
    }
    (scalars, keys)
}

/// The value behind the first key of this name, if it is a scalar.
fn scalar_of(text: &[u8], name: &str) -> Option<Range<usize>> {
    let (scalars, keys) = tokens(text);
    let key = keys.into_iter().find(|key| &text[key.clone()] == name.as_bytes())?;
    let value = scalars.into_iter().find(|scalar| scalar.start > key.end)?;
    text[key.end..value.start].iter().all(|byte| b": ".contains(byte)).then_some(value)
}

/// The scalar that this byte chooses, most often the content.
fn slot_of(text: &[u8], choice: u8) -> Option<Range<usize>> {
    if choice < 96
        && let Some(content) = scalar_of(text, "\"content\"")
    {
        return Some(content);
    }
    let (scalars, _) = tokens(text);
    (!scalars.is_empty()).then(|| scalars[usize::from(choice) % scalars.len()].clone())
}

/// Follows the orders.
struct Writer<'a> {
    bytes: Bytes<'a>,
    source: Vec<u8>,
    /// The events that are varied.
    pool: [Vec<u8>; POOL],
    /// The usual framing.
    framing: u8,
}

impl<'a> Writer<'a> {
    fn new(bytes: Bytes<'a>) -> Self {
        let mut writer = Self { bytes, source: Vec::new(), pool: Default::default(), framing: 0 };
        writer.pool = std::array::from_fn(|_| writer.bytes.one_of(CHUNKS).into());
        writer
    }

    fn write(mut self) -> Vec<u8> {
        while !self.bytes.0.is_empty() && self.source.len() < LONGEST {
            self.order();
        }
        self.source
    }

    fn order(&mut self) {
        let order = self.bytes.byte();
        // The lower bits choose what is done, the upper ones with which event.
        let number = usize::from(order >> 5) % POOL;
        match order & 31 {
            0 | 1 => self.pool[number] = self.bytes.one_of(CHUNKS).into(),
            2 => self.framing = self.bytes.byte(),
            3 => self.set_member(number, "\"id\"", IDS),
            4 => self.set_member(number, "\"finish_reason\"", FINISHES),
            5..=14 => self.run(number),
            15 => self.turns(),
            16..=23 => self.send_damaged(number),
            24 => self.change(number),
            25 | 26 => {
                let other = self.bytes.one_of(OTHERS);
                self.source.extend_from_slice(other);
            }
            27 => self.send_huge(number),
            28 => {
                let count = self.bytes.below(64);
                let few = self.bytes.few(count);
                self.source.extend_from_slice(few);
            }
            30 => self.long_run(number),
            29 => {
                let count = self.bytes.below(64);
                let text = self.bytes.few(count).to_vec();
                self.send(&text);
            }
            _ => {
                let text = self.pool[number].clone();
                for _ in 0..=self.bytes.below(4) {
                    self.send(&text);
                }
            }
        }
    }

    /// A scalar, most often the content.
    fn slot(&mut self, text: &[u8]) -> Option<Range<usize>> {
        slot_of(text, self.bytes.byte())
    }

    fn set_member(&mut self, number: usize, name: &str, values: &[&str]) {
        let value = self.bytes.one_of(values);
        if let Some(place) = scalar_of(&self.pool[number], name) {
            self.pool[number].splice(place, value.bytes());
        }
    }

    /// Sends an event some times, each time with another value in one place: so its shape learns a hole.
    fn run(&mut self, number: usize) {
        let mut text = std::mem::take(&mut self.pool[number]);
        let (count, choice) = (1 + self.bytes.below(10), self.bytes.byte());
        for _ in 0..count {
            // The same place, wherever it has moved.
            let place = slot_of(&text, choice);
            if let Some(place) = place {
                let value = self.value(text.get(place.start).copied());
                text.splice(place, value);
            }
            self.send(&text);
            if self.source.len() > LONGEST {
                break;
            }
        }
        self.pool[number] = text;
    }

    /// Sends an event so often that the next one is no surprise, with other values in one place or two, which cost no
    /// orders. One of them may be damaged.
    fn long_run(&mut self, number: usize) {
        let mut text = std::mem::take(&mut self.pool[number]);
        let (count, step) = (14 + self.bytes.below(32), 1 + self.bytes.below(16));
        let choices = [self.bytes.byte(), self.bytes.byte()];
        let damaged = usize::from(self.bytes.byte());
        for turn in 0..count {
            for &choice in &choices[..1 + step % 2] {
                let Some(place) = slot_of(&text, choice) else { continue };
                let value = match text[place.start] {
                    b'"' => [b"\"", ATOMS[turn * step % ATOMS.len()], ATOMS[turn % ATOMS.len()], b"\""].concat(),
                    b'0'..=b'9' | b'-' => NUMBERS[turn * step % NUMBERS.len()].into(),
                    _ => continue,
                };
                text.splice(place, value);
            }
            let mut sent = text.clone();
            if turn == damaged {
                self.damage(&mut sent);
            }
            self.send(&sent);
        }
        self.pool[number] = text;
    }

    /// Sends the events of the pool by turns, with another content each time.
    fn turns(&mut self) {
        for turn in 0..2 + self.bytes.below(12) {
            let mut text = self.pool[turn % POOL].clone();
            if let Some(place) = scalar_of(&text, "\"content\"") {
                let value = self.text();
                text.splice(place, value);
            }
            self.send(&text);
        }
    }

    /// Sends an event with damage; the next one is whole again.
    fn send_damaged(&mut self, number: usize) {
        let mut text = self.pool[number].clone();
        for _ in 0..1 + self.bytes.below(8) / 6 {
            self.damage(&mut text);
        }
        self.send(&text);
    }

    /// Damages a text, most often at a value's edge.
    fn damage(&mut self, text: &mut Vec<u8>) {
        let near = self.bytes.byte();
        let at = match self.slot(text) {
            Some(place) if near < 208 => {
                let edge = if near & 1 == 0 { place.end } else { place.start };
                (edge + usize::from(near >> 1) % 6).saturating_sub(3)
            }
            _ => (self.bytes.wide() * text.len()) >> 16,
        };
        let at = at.min(text.len());
        let sign = match self.bytes.byte() {
            // Any byte.
            0..32 => self.bytes.byte(),
            sign => SIGNS[usize::from(sign) % SIGNS.len()],
        };
        let here = at..(at + 1).min(text.len());
        match self.bytes.below(10) {
            0..=2 => text.insert(at, sign),
            3..=5 => drop(text.splice(here, [sign])),
            6 => drop(text.drain(here)),
            7 => text.truncate(at),
            8 => {
                let bit = 1 << (sign & 7);
                text[here].iter_mut().for_each(|byte| *byte ^= bit);
            }
            _ => {
                let end = (at + usize::from(sign & 15)).min(text.len());
                let again = text[at..end].to_vec();
                text.splice(at..at, again);
            }
        }
    }

    /// Changes an event for good: another sort of value, another key, a member more or less, spaces.
    fn change(&mut self, number: usize) {
        let mut text = std::mem::take(&mut self.pool[number]);
        let (_, keys) = tokens(&text);
        match (self.bytes.below(6), self.slot(&text)) {
            (0, Some(place)) => drop(text.splice(place, self.bytes.one_of(CONTAINERS).bytes())),
            (1, Some(place)) => drop(text.splice(place, self.bytes.one_of(WORDS).bytes())),
            (2, _) if !keys.is_empty() => {
                let key = keys[self.bytes.below(keys.len())].clone();
                text.splice(key, self.bytes.one_of(KEYS).bytes());
            }
            (3, _) if !keys.is_empty() => {
                let at = keys[self.bytes.below(keys.len())].start;
                let mut member = self.bytes.one_of(KEYS).as_bytes().to_vec();
                member.push(b':');
                member.extend(self.value(None));
                member.push(b',');
                text.splice(at..at, member);
            }
            (4, Some(place)) => {
                let at = if self.bytes.below(2) == 0 { place.start } else { place.end };
                text.insert(at, self.bytes.one_of(b" \t"));
            }
            _ => self.damage(&mut text),
        }
        self.pool[number] = text;
    }

    /// Sends an event with a value at some limit: depth, length, digits.
    fn send_huge(&mut self, number: usize) {
        let mut text = self.pool[number].clone();
        let Some(place) = self.slot(&text) else { return };
        let more = self.bytes.below(16);
        let value = match self.bytes.below(6) {
            0 => ["[".repeat(500 + more), "]".repeat(500 + more)].concat(),
            1 => ["{\"a\":".repeat(500 + more), "1".into(), "}".repeat(500 + more)].concat(),
            2 => "9".repeat(4292 + more),
            3 => format!("-{}", "1".repeat(12 + more)),
            4 => format!("\"{}\"", "a".repeat(more * 3000)),
            _ => format!("\"{}\"", "é".repeat(more)),
        };
        text.splice(place, value.into_bytes());
        self.send(&text);
    }

    /// A value, most often of the sort of the one that begins with this byte.
    fn value(&mut self, like: Option<u8>) -> Vec<u8> {
        match (self.bytes.byte(), like) {
            (0..=199, Some(b'"')) => self.text(),
            (0..=199, Some(b'0'..=b'9' | b'-')) => self.number(),
            (0..=199, Some(_)) => self.bytes.one_of(&WORDS[..3]).into(),
            (200..=211, _) => self.text(),
            (212..=223, _) => self.number(),
            (224..=231, _) => self.bytes.one_of(WORDS).into(),
            (232..=239, _) => self.bytes.one_of(CONTAINERS).into(),
            _ => self.bytes.one_of(ODD).into(),
        }
    }

    fn text(&mut self) -> Vec<u8> {
        let mut text = vec![b'"'];
        match self.bytes.byte() {
            0..=139 => {
                for _ in 0..=self.bytes.below(4) {
                    text.extend_from_slice(self.bytes.one_of(ATOMS));
                }
            }
            // So that what follows stands anywhere in a register.
            140..=219 => {
                text.resize(1 + self.bytes.below(80), b'x');
                text.extend_from_slice(self.bytes.one_of(ATOMS));
                text.resize(text.len() + self.bytes.below(40), b'y');
            }
            220..=235 => {
                text.resize(1 + self.bytes.below(80), b'x');
                text.extend_from_slice(self.bytes.one_of(ODD_ATOMS));
                text.resize(text.len() + self.bytes.below(40), b'y');
            }
            236..=243 => {
                let count = self.bytes.below(24);
                text.extend_from_slice(self.bytes.few(count));
            }
            _ => text.extend(self.number()),
        }
        text.push(b'"');
        text
    }

    fn number(&mut self) -> Vec<u8> {
        match self.bytes.byte() {
            0..=127 => self.bytes.byte().to_string().into(),
            128..=159 => format!("{}.{}", self.bytes.byte(), self.bytes.wide()).into(),
            160..=175 => format!("{}{}", 1 + self.bytes.below(9), self.bytes.wide()).into(),
            _ => self.bytes.one_of(NUMBERS).into(),
        }
    }

    /// Sends a text as an event, in the usual framing or for once in another.
    fn send(&mut self, text: &[u8]) {
        let framing = match self.bytes.byte() {
            0..=223 => self.framing,
            _ => self.bytes.byte(),
        };
        let (before, data, middle, end): (&[u8], &[u8], &[u8], &[u8]) = match framing {
            0..=95 => (b"", b"data: ", b"", b"\n\n"),
            96..=127 => (b"", b"data:", b"", b"\n\n"),
            128..=159 => (b"", b"data: ", b"", b"\r\n\r\n"),
            _ => match framing % 24 {
                0 => (b"", b"data: ", b"", b"\r\r"),
                1 => (b"", b"data:  ", b"", b"\n\n"),
                2 => (b"", b"data:\t", b"", b"\n\n"),
                3 => (b"event: message\n", b"data: ", b"", b"\n\n"),
                4 => (b"event: error\n", b"data: ", b"", b"\n\n"),
                5 => (b"id: 5\n", b"data: ", b"", b"\n\n"),
                6 => (b"id: \xff\n", b"data: ", b"", b"\n\n"),
                7 => (b": comment\n", b"data: ", b"", b"\n\n"),
                8 => (b"", b"data: ", b"", b"\n: comment\n\n"),
                9 => (b"", b"data: ", b"", b"\nid: 5\n\n"),
                10 => (b"", b"data: ", b"", b"\n"),
                11 => (b"", b"data: ", b"", b"\n\n\n"),
                12 => (b"", b"data: ", b"", b" \n\n"),
                13 => (b"", b"data: ", b"", b"\n\r\n"),
                14 => (b"", b"data: ", b"", b"\r\n\n"),
                15 => (b"", b"data: ", b"", b"\n\r"),
                16 => (b"\n", b"data: ", b"", b"\r\n\r"),
                17 => (b"", b"data: ", b"\ndata: ", b"\n\n"),
                18 => (b"", b"data: ", b"\ndata", b"\n\n"),
                19 => (b"", b"data: ", b"\r\ndata:", b"\r\n\r\n"),
                20 => (b"", b"data: ", b"", b""),
                21 => (b"\xef\xbb\xbf", b"data: ", b"", b"\n\n"),
                22 => (b"", b"data : ", b"", b"\n\n"),
                _ => (b"data\n", b"data: ", b"", b"\ndata:\n\n"),
            },
        };
        let cut = if middle.is_empty() { 0 } else { self.slot(text).map_or(0, |place| place.start) };
        for part in [before, data, &text[..cut], middle, &text[cut..], end] {
            self.source.extend_from_slice(part);
        }
    }
}
