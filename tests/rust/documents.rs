//! Generated JSON documents: what was meant, the ways to write it, and what a parsed document says.

use chunkwire::chunk::{Type, Value};
use proptest::prelude::*;
use proptest::sample::Index;

/// A document as it was written: numbers as texts, strings as codes (surrogates may stand alone), all members.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`, `true`, `false`, `NaN`, `Infinity`, `-Infinity`
    Word(&'static str),
    Number(String),
    Text(Vec<u32>),
    Array(Vec<Json>),
    Object(Vec<(Vec<u32>, Json)>),
}

/// What the parser read, told by the views.
pub fn json_of(value: Value<'_>) -> Json {
    match value.kind() {
        Type::Null => Json::Word("null"),
        Type::True => Json::Word("true"),
        Type::False => Json::Word("false"),
        Type::NaN => Json::Word("NaN"),
        Type::Infinity => Json::Word("Infinity"),
        Type::NegInfinity => Json::Word("-Infinity"),
        Type::Int | Type::Float => Json::Number(String::from_utf8(value.text().to_vec()).expect("a number is ASCII")),
        Type::String | Type::Key => Json::Text(codes(&value.bytes())),
        Type::Array => Json::Array(value.items().map(json_of).collect()),
        Type::Object => {
            Json::Object(value.members().map(|(key, value)| (codes(&key.bytes()), json_of(value))).collect())
        }
    }
}

/// The codes of UTF-8 in which surrogates may stand alone.
fn codes(bytes: &[u8]) -> Vec<u32> {
    let mut codes = Vec::new();
    for &byte in bytes {
        match byte {
            0..0x80 => codes.push(u32::from(byte)),
            0x80..0xc0 => {
                *codes.last_mut().expect("a first byte") = codes.last().unwrap() << 6 | u32::from(byte & 0x3f)
            }
            0xc0..0xe0 => codes.push(u32::from(byte & 0x1f)),
            0xe0..0xf0 => codes.push(u32::from(byte & 0x0f)),
            0xf0.. => codes.push(u32::from(byte & 0x07)),
        }
    }
    codes
}

/// Two surrogates that make a pair are one character, however they were written.
fn joined(codes: Vec<u32>) -> Vec<u32> {
    let mut joined: Vec<u32> = Vec::new();
    for code in codes {
        match joined.last_mut() {
            Some(first @ 0xd800..0xdc00) if (0xdc00..0xe000).contains(&code) => {
                *first = 0x1_0000 + ((*first - 0xd800) << 10) + (code - 0xdc00);
            }
            _ => joined.push(code),
        }
    }
    joined
}

/// The texts are ASCII and other letters, escapes and controls, and with `lone` surrogates too.
fn text(lone: bool) -> impl Strategy<Value = Vec<u32>> {
    let code = prop_oneof![
        8 => 0x20u32..0x7f,
        1 => 0u32..0x20,
        1 => prop::sample::select(vec![0x22, 0x5c, 0x2f, 0x7f, 0x80, 0xff, 0x7ff, 0x800, 0xfffd, 0xffff, 0x1_0000, 0x1_f60a, 0x10_ffff]),
        1 => if lone { 0xd700u32..0xe100 } else { 0x3b1u32..0x3c9 },
    ];
    prop_oneof![2 => prop::collection::vec(code.clone(), 0..8), 1 => prop::collection::vec(code, 10..50)]
        .prop_map(joined)
}

fn name(lone: bool) -> impl Strategy<Value = Vec<u32>> {
    let known = vec![
        "id",
        "object",
        "choices",
        "usage",
        "error",
        "content",
        "delta",
        "index",
        "usd",
        "prompt_tokens_details",
        "prompt_tokens",
        "completion_tokens_details",
        "choice",
        "choices_",
        "idx",
        "",
        "total_cost",
        "prompt_token_",
    ];
    prop_oneof![4 => prop::sample::select(known).prop_map(|name| codes(name.as_bytes())), 1 => text(lone)]
}

pub fn json(lone: bool) -> impl Strategy<Value = Json> {
    let word = if lone {
        vec!["null", "true", "false", "NaN", "Infinity", "-Infinity"]
    } else {
        vec!["null", "true", "false"]
    };
    let leaf = prop_oneof![
        prop::sample::select(word).prop_map(Json::Word),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?".prop_map(Json::Number),
        "-?(0|[1-9][0-9]{0,3})".prop_map(Json::Number),
        text(lone).prop_map(Json::Text),
    ];
    leaf.prop_recursive(6, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::Array),
            prop::collection::vec((name(lone), inner), 0..7).prop_map(Json::Object),
        ]
    })
}

/// Writes a document, here in one way, there in another.
pub struct Writer {
    state: u64,
    out: Vec<u8>,
}

impl Writer {
    /// The text of a document; the seed chooses the ways.
    pub fn write(json: &Json, seed: u64) -> Vec<u8> {
        let mut writer = Self { state: seed | 1, out: Vec::new() };
        writer.space();
        writer.json(json);
        writer.space();
        writer.out
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 20) % bound
    }

    fn space(&mut self) {
        while self.below(4) == 0 {
            let space = b" \t\n\r"[self.below(4) as usize];
            self.out.push(space);
        }
    }

    fn sign(&mut self, sign: u8) {
        self.space();
        self.out.push(sign);
        self.space();
    }

    fn json(&mut self, json: &Json) {
        match json {
            Json::Word(word) => self.out.extend_from_slice(word.as_bytes()),
            Json::Number(number) => self.out.extend_from_slice(number.as_bytes()),
            Json::Text(text) => self.text(text),
            Json::Array(items) => {
                self.sign(b'[');
                for (number, item) in items.iter().enumerate() {
                    if number > 0 {
                        self.sign(b',');
                    }
                    self.json(item);
                }
                self.sign(b']');
            }
            Json::Object(members) => {
                self.sign(b'{');
                for (number, (name, value)) in members.iter().enumerate() {
                    if number > 0 {
                        self.sign(b',');
                    }
                    self.text(name);
                    self.sign(b':');
                    self.json(value);
                }
                self.sign(b'}');
            }
        }
    }

    fn text(&mut self, codes: &[u32]) {
        self.out.push(b'"');
        let escapes = if self.below(2) == 0 { 6 } else { u64::MAX };
        for &code in codes {
            let plain = !matches!(code, 0..0x20 | 0x22 | 0x5c | 0xd800..0xe000);
            if plain && self.below(escapes) != 0 {
                let character = char::from_u32(code).expect("no surrogate");
                self.out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            let short = b"\"\\/bfnrt".iter().zip(b"\"\\/\x08\x0c\n\r\t").find(|&(_, &byte)| u32::from(byte) == code);
            if let (Some((&letter, _)), true) = (short, self.below(3) > 0) {
                self.out.extend_from_slice(&[b'\\', letter]);
                continue;
            }
            let halves = match code.checked_sub(0x1_0000) {
                Some(code) => vec![0xd800 + (code >> 10), 0xdc00 + (code & 0x3ff)],
                None => vec![code],
            };
            for half in halves {
                let digits = if self.below(2) == 0 { format!("\\u{half:04x}") } else { format!("\\u{half:04X}") };
                self.out.extend_from_slice(digits.as_bytes());
            }
        }
        self.out.push(b'"');
    }
}

pub fn damaged(mut text: Vec<u8>, edits: &[(Index, u8, u8)]) -> Vec<u8> {
    const SIGNS: &[u8] = b"\"\\{}[]:,-+.eE0123456789 \n\tntfNIu\x00\x1f\x7f\x80\xc3\xe2\xed\xf0\xff/adEUy";
    for &(place, action, sign) in edits {
        let at = place.index(text.len() + 1);
        let sign = SIGNS[usize::from(sign) % SIGNS.len()];
        match action % 4 {
            0 => text.insert(at, sign),
            1 if at < text.len() => text[at] = sign,
            2 if at < text.len() => drop(text.remove(at)),
            3 => text.truncate(at),
            _ => {}
        }
    }
    text
}

pub fn edits() -> impl Strategy<Value = Vec<(Index, u8, u8)>> {
    prop::collection::vec(any::<(Index, u8, u8)>(), 1..4)
}
