//! Logs that hardly anyone would write: any bytes in, a log with its cuts and options out, and what it holds.
//!
//! The bytes are orders, as in `generated.rs`: choose a format and where bodies stand in its lines, wrap generated sources
//! into them, escape them in some of the ways that JSON allows; then, perhaps, damage the log. Every byte of a body is
//! followed on its way, so that it is known where in the log it stands.
#![allow(dead_code)] // every user of this takes a part of it

use std::fmt;

use chunkwire::decoder::Options;
use chunkwire::log::{Format, Path, Request, Told, Wanted};

use crate::generated::{self, AT_ONCE, Bytes, CHUNKS, SIGNS};

/// Logs stop growing here.
const LONGEST: usize = 1 << 17;

/// What a body is, for who decodes it by itself.
#[derive(Clone, Debug)]
pub enum Body {
    /// Server-sent events.
    Events(Vec<u8>),
    /// Documents.
    Documents(Vec<Vec<u8>>),
    /// Nothing is known of it.
    Unknown,
}

/// An exchange of a log, and where each byte of its body (and its end, and each document) stands in the log.
#[derive(Clone, Debug)]
pub struct Held {
    pub body: Body,
    pub places: Vec<usize>,
}

/// A log, where to cut it, and how to decode it.
#[derive(Clone)]
pub struct Case {
    pub log: Vec<u8>,
    /// Places in order; some may be the same.
    pub cuts: Vec<usize>,
    /// How many events to ask for at once, and after how many a sink is full.
    pub at_once: usize,
    pub full: usize,
    pub options: Options,
    /// What is known of the log when it is opened.
    pub wanted: Wanted,
    /// What it holds, if it was not damaged.
    pub held: Option<Vec<Held>>,
    /// By how many threads it is to be read, in parts of how many bytes, if it is.
    pub scan: Option<(usize, usize)>,
}

impl fmt::Debug for Case {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { log, cuts, at_once, full, options, wanted, held, scan } = self;
        writeln!(out, "log of {} bytes: b\"{}\"", log.len(), log.escape_ascii())?;
        writeln!(out, "cuts: {cuts:?}, at once: {at_once}, full: {full}, scan: {scan:?}, {options:?}")?;
        write!(out, "{wanted:?}, undamaged: {}", held.is_some())
    }
}

impl Case {
    /// The case that these bytes order.
    pub fn new(bytes: &[u8]) -> Self {
        let mut bytes = Bytes(bytes);
        let setting = bytes.byte();
        let options = generated::options(setting);
        let (at_once, full) = (bytes.one_of(AT_ONCE), 1 + bytes.below(5));
        let cutting = bytes.byte();
        let places: Vec<usize> = (0..cutting % 8).map(|_| bytes.wide()).collect();
        let scanning = bytes.byte();
        let scan =
            (scanning & 3 == 0).then(|| (1 + usize::from(scanning >> 2 & 1), 1 + 32 * usize::from(scanning >> 3)));
        let mut wanted = Wanted::default();
        // Now and then, so that some lines are too long.
        let is_short = setting >> 3 & 15 == 14;
        if is_short {
            wanted.max_line_bytes = 600;
        }
        let damages = bytes.byte();
        let mut damages = bytes.few(usize::from(if damages < 128 { 0 } else { damages & 31 }));
        // Now and then the rest is the log, as it is.
        let (mut log, mut held) = if setting == 0xff {
            wanted.request = Request { told: Told::Format(Format::Exchanges), ..path_of(&["body"]) };
            (bytes.rest().to_vec(), None)
        } else {
            let mut writer = Writer::new(bytes);
            wanted.request = writer.write();
            (writer.log, Some(writer.held).filter(|_| !is_short))
        };
        if setting & 0x80 != 0 {
            wanted.keep = vec![path(&["user"]), path(&["n", "1"]), path(&["tag", "x"])];
        }
        while !damages.is_empty() {
            held = None;
            damage(&mut log, &mut Bytes(damages));
            damages = &damages[damages.len().min(5)..];
        }
        let cuts = generated::cuts(cutting, &places, log.len());
        Self { log, cuts, at_once, full, options, wanted, held, scan }
    }

    /// The log, cut.
    pub fn pieces(&self) -> Vec<&[u8]> {
        generated::pieces(&self.log, &self.cuts)
    }
}

fn path(names: &[&str]) -> Path {
    Path::new(names.iter().map(|name| name.as_bytes()))
}

fn path_of(names: &[&str]) -> Request {
    Request { field: Some(path(names)), ..Request::default() }
}

/// What may stand anywhere in a damaged log.
const ODD: &[&[u8]] = &[
    b"\n",
    b"\r\n",
    b"\r",
    b"\n\n",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\\",
    b"\\n",
    b"\\u000a",
    b"\\u000D",
    b"\\u0000",
    b"\\/",
    b"\\ud83d\\ude0a",
    b"\\ud83d",
    b"\\ude0a",
    b"\\u12",
    b"\\\\\\\"",
    b"\"",
    b"\"}\n",
    b"null",
    b"...[truncated 12 bytes]",
    b"(truncated)\"",
    b"[truncated]\"}\n",
    b"\ndata: {\"choices\":[]}\n\n",
    b"\n{\"choices\":[]}\n",
    b"\n[{\"choices\":[]}, 5]\n",
    b"\n{\"choices\":[{\"message\":{\"content\":\"x\"}}]}\n",
    b"\n{\"body\": \"data: 5\\n\\n\", \"id\": 1}\n",
    b"\n[DONE]\n",
    b"\n5\n",
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
];

/// Damages a log; it takes five bytes of orders.
fn damage(log: &mut Vec<u8>, bytes: &mut Bytes<'_>) {
    let how = bytes.byte();
    let at = (bytes.wide() * (log.len() + 1)) >> 16;
    let here = at..(at + 1).min(log.len());
    match how % 12 {
        0..=2 => drop(log.splice(at..at, bytes.one_of(ODD).iter().copied())),
        3 => drop(log.splice(here, bytes.one_of(ODD).iter().copied())),
        4 => log.insert(at, bytes.one_of(SIGNS)),
        5 => drop(log.splice(here, [bytes.one_of(SIGNS)])),
        6 => drop(log.drain(here)),
        7 => {
            let bit = 1 << (bytes.byte() & 7);
            log[here].iter_mut().for_each(|byte| *byte ^= bit);
        }
        8 => drop(log.drain(at..(at + bytes.below(200)).min(log.len()))),
        9 if how >= 128 => log.truncate(at),
        9 => {
            let until = memchr(log, at);
            drop(log.drain(at..until));
        }
        10 => {
            let again = log[at..(at + bytes.below(200)).min(log.len())].to_vec();
            log.splice(at..at, again);
        }
        _ => {
            let until = memchr(log, at);
            log.splice(until..until, *b"\r");
        }
    }
}

/// Where the line ends in which this is.
fn memchr(log: &[u8], at: usize) -> usize {
    log[at..].iter().position(|&byte| byte == b'\n').map_or(log.len(), |end| at + end)
}

/// How text is escaped: the numbers that decide are random, but the same for the same order.
struct Style {
    state: u32,
    /// Of 256 characters that need not be escaped so many are.
    odd: u8,
    ascii: bool,
}

impl Style {
    fn new(order: u8) -> Self {
        Self { state: u32::from(order), odd: [0, 0, 8, 100][usize::from(order & 3)], ascii: order & 4 != 0 }
    }

    fn random(&mut self) -> u8 {
        self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.state >> 24) as u8
    }

    /// The JSON string of a text, and where each byte of that stands in it, and its end. What is no UTF-8 stays.
    fn quote(&mut self, text: &[u8]) -> (Vec<u8>, Vec<usize>) {
        let (mut out, mut places) = (vec![b'"'], Vec::with_capacity(text.len() + 1));
        for part in text.utf8_chunks() {
            for one in part.valid().chars() {
                places.resize(places.len() + one.len_utf8(), out.len());
                self.push(one, &mut out);
            }
            for &byte in part.invalid() {
                places.push(out.len());
                out.push(byte);
            }
        }
        places.push(out.len());
        out.push(b'"');
        (out, places)
    }

    fn push(&mut self, one: char, out: &mut Vec<u8>) {
        let is_odd = self.random() < self.odd;
        let short = match one {
            '"' | '\\' => one as u8,
            '/' if is_odd => b'/',
            '\n' => b'n',
            '\r' => b'r',
            '\t' => b't',
            '\x08' => b'b',
            '\x0c' => b'f',
            _ => 0,
        };
        if short != 0 && !(is_odd && self.random() < 128) {
            out.extend_from_slice(&[b'\\', short]);
        } else if (one as u32) < 0x20 || is_odd || (self.ascii && !one.is_ascii()) || matches!(one, '"' | '\\') {
            for unit in one.encode_utf16(&mut [0; 2]) {
                let hex = if self.random() < 128 { format!("\\u{unit:04x}") } else { format!("\\u{unit:04X}") };
                out.extend_from_slice(hex.as_bytes());
            }
        } else {
            out.extend_from_slice(one.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

/// What a value is put in.
#[derive(Clone, Debug)]
enum Layer {
    Member(&'static str),
    Item(usize),
    Text,
}

const NAMES: &[&str] = &["body", "response_body", "response", "log", "data", "text", "chunk", "x", "a.b", "é", "", "0"];

/// Members that may stand beside others.
const MEMBERS: &[&str] = &[
    r#""user": "u""#,
    r#""user":{"body":["\"","data: 5"]}"#,
    r#""n":[1,{"x":null},-2.5e3]"#,
    r#""tag": {"x": "\u00e9\ud83d\ude0a", "y": NaN}"#,
    r#""request": {"body": "data: 1", "messages": [{"content": "[DONE]"}]}"#,
    r#""t": true"#,
    r#""log": "{\"a\": \"{\\\"b\\\": 1}\"}""#,
    r#""pad": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n\\""#,
    r#""": """#,
];

/// An exchange that is written in pieces.
#[derive(Default)]
struct Pieces {
    source: Vec<u8>,
    done: usize,
    places: Vec<usize>,
    is_unknown: bool,
}

/// Follows the orders.
struct Writer<'a> {
    bytes: Bytes<'a>,
    log: Vec<u8>,
    held: Vec<Held>,
    /// Where bodies stand, from the inside.
    layers: Vec<Layer>,
}

impl<'a> Writer<'a> {
    fn new(bytes: Bytes<'a>) -> Self {
        Self { bytes, log: Vec::new(), held: Vec::new(), layers: Vec::new() }
    }

    /// Writes the log, and says how to read it.
    fn write(&mut self) -> Request {
        let sort = self.bytes.byte();
        if sort & 0x80 != 0 {
            self.log.extend_from_slice(b"\xef\xbb\xbf");
        }
        let format = [Format::Exchanges, Format::Exchanges, Format::Exchanges, Format::Reads, Format::Reads];
        let format = format.get(usize::from(sort % 7)).copied().unwrap_or(Format::Chunks);
        let mut request = Request { told: Told::Format(format), ..Request::default() };
        if format == Format::Chunks {
            self.chunks(sort >> 3 & 3);
            return request;
        }
        request.field = Some(self.field());
        if format == Format::Reads {
            let has_id = sort & 8 == 0;
            request.id_field = has_id.then(|| path(&["id"]));
            request.time_field = (sort & 16 == 0).then(|| path(&["ts"]));
            self.reads(has_id);
        } else {
            while !self.bytes.0.is_empty() && self.log.len() < LONGEST {
                self.exchange();
            }
        }
        request
    }

    fn field(&mut self) -> Path {
        let (count, mut texts) = (self.bytes.below(5), 1);
        self.layers = vec![Layer::Member(self.bytes.one_of(NAMES))];
        for _ in 0..count {
            let layer = match self.bytes.byte() {
                0..=99 => Layer::Member(self.bytes.one_of(NAMES)),
                100..=139 => Layer::Item(self.bytes.below(3)),
                _ if texts <= 3 => {
                    texts += 1;
                    Layer::Text
                }
                _ => continue,
            };
            self.layers.push(layer);
        }
        self.layers.push(Layer::Member(self.bytes.one_of(&NAMES[..9])));
        let name = |layer: &Layer| match layer {
            Layer::Member(name) => Some(name.as_bytes().to_vec()),
            Layer::Item(number) => Some(number.to_string().into_bytes()),
            Layer::Text => None,
        };
        let names: Vec<Vec<u8>> = self.layers.iter().rev().filter_map(name).collect();
        Path::new(names.iter().map(Vec::as_slice))
    }

    /// A source of its own.
    fn source(&mut self) -> Vec<u8> {
        let count = self.bytes.byte();
        generated::source(self.bytes.few(usize::from(count)))
    }

    /// An exchange, or what stands between such.
    fn exchange(&mut self) {
        let sort = self.bytes.byte();
        let mut documents = Vec::new();
        let (text, body) = match sort & 31 {
            0 => (b"null".to_vec(), Body::Documents(Vec::new())),
            1 => (self.bytes.one_of(&["5", "true", "NaN", "\"\"", "{}", "[]", "[DONE]"]).into(), Body::Unknown),
            2..=7 => {
                let (text, starts) = self.documents(sort & 1 == 0);
                let texts = starts.iter().map(|&(start, end)| text[start..end].to_vec()).collect();
                documents = starts;
                (text, Body::Documents(texts))
            }
            _ => {
                let source = self.source();
                (source.clone(), Body::Events(source))
            }
        };
        let in_text = matches!(body, Body::Events(_)) || (matches!(sort & 31, 2..=7) && sort & 32 != 0);
        let ids = (0..=text.len()).collect();
        let (value, mut places) = if in_text { self.quote(&text) } else { (text, ids) };
        if !documents.is_empty() {
            places = documents.iter().map(|&(start, _)| places[start]).collect();
        }
        let places = self.line(value, places, "");
        self.held.push(Held { body, places });
    }

    /// A document or an array of such, and where they stand in it.
    fn documents(&mut self, is_array: bool) -> (Vec<u8>, Vec<(usize, usize)>) {
        let space = self.bytes.one_of(&["", "", " ", "\t"]);
        if !is_array {
            let text = self.bytes.one_of(CHUNKS);
            return ([space, text, space].concat().into_bytes(), vec![(space.len(), space.len() + text.len())]);
        }
        let (mut all, mut places) = ([space, "[", space].concat().into_bytes(), Vec::new());
        for number in 0..1 + self.bytes.below(4) {
            if number > 0 {
                all.extend_from_slice([",", space].concat().as_bytes());
            }
            let start = all.len();
            all.extend_from_slice(self.bytes.one_of(CHUNKS).as_bytes());
            places.push((start, all.len()));
        }
        all.extend_from_slice([space, "]", space].concat().as_bytes());
        (all, places)
    }

    fn quote(&mut self, text: &[u8]) -> (Vec<u8>, Vec<usize>) {
        Style::new(self.bytes.byte()).quote(text)
    }

    /// Writes the line around a value, with these members too: gives the places in the log for those in the value.
    fn line(&mut self, mut value: Vec<u8>, mut places: Vec<usize>, members: &str) -> Vec<usize> {
        let layers = std::mem::take(&mut self.layers);
        for (number, layer) in layers.iter().enumerate() {
            let (before, behind) = match layer {
                Layer::Text => {
                    let (text, map) = self.quote(&value);
                    value = text;
                    places.iter_mut().for_each(|place| *place = map[*place]);
                    continue;
                }
                Layer::Item(number) => (["[", &"{}, ".repeat(*number)].concat().into_bytes(), &b", 5]"[..]),
                Layer::Member(name) => self.member(name, if number + 1 == layers.len() { members } else { "" }),
            };
            places.iter_mut().for_each(|place| *place += before.len());
            value = [&before, &value, behind].concat();
        }
        self.layers = layers;
        let around = self.bytes.byte();
        if around & 15 == 15 {
            self.log.extend_from_slice(self.bytes.one_of(&[&b"\n"[..], b"\r\n", b" \t\n", b"\n\n"]));
        }
        self.log.resize(self.log.len() + usize::from(if around & 16 == 0 { 0 } else { around >> 5 }), b' ');
        let start = self.log.len();
        self.log.extend_from_slice(&value);
        self.log.extend_from_slice([&b"\n"[..], b"\r\n", b" \n", b"\n"][usize::from(around >> 2 & 3)]);
        places.into_iter().map(|place| start + place).collect()
    }

    /// What stands before and behind a value that is a member: others, and perhaps the same once more before it.
    fn member(&mut self, name: &str, members: &str) -> (Vec<u8>, &'static [u8]) {
        let order = self.bytes.byte();
        let space = if order & 1 == 0 { " " } else { "" };
        let mut before = format!("{{{space}").into_bytes();
        if !members.is_empty() {
            before.extend_from_slice(format!("{members},{space}").as_bytes());
        }
        for _ in 0..order >> 1 & 3 {
            before.extend_from_slice(format!("{}, ", self.bytes.one_of(MEMBERS)).as_bytes());
        }
        let key = if order & 8 == 0 { (name, 4) } else { (name, self.bytes.byte()) };
        let key = Style::new(key.1).quote(key.0.as_bytes()).0;
        if order >> 4 & 7 == 7 {
            let other =
                self.bytes.one_of(&["null", "{\"body\": \"data: 5\"}", "[\"data: 1\"]", "\"data: 7\\n\\n\"", "3"]);
            before.extend_from_slice(&[&*key, b":", other.as_bytes(), b","].concat());
        }
        before.extend_from_slice(&[&*key, b":", space.as_bytes()].concat());
        let behind: &[&[u8]] = &[b"}", b" }", b", \"user\": [1, {}]}", b",\"t\":false,\"request\":{\"body\":\"x\"}}"];
        (before, behind[usize::from(order >> 6)])
    }

    /// Some exchanges in pieces that take turns.
    fn reads(&mut self, has_id: bool) {
        const IDS: [[&str; 2]; 4] = [["7", "7"], ["\"a\"", "\"\\u0061\""], ["null", "{}"], ["\"\"", "\"\""]];
        let count = if has_id { 1 + self.bytes.below(4) } else { 1 };
        let mut all: Vec<_> = (0..count).map(|_| Pieces { source: self.source(), ..Pieces::default() }).collect();
        let (mut open, mut begun, mut time): (Vec<usize>, _, _) = ((0..count).collect(), Vec::new(), 1_719_000_000.0);
        while !open.is_empty() && self.log.len() < LONGEST {
            let (turn, size) = (self.bytes.below(open.len()), self.bytes.byte());
            let number = open[turn];
            let Pieces { source, done, is_unknown, .. } = &mut all[number];
            let most = if self.bytes.0.is_empty() { usize::MAX } else { 1 << (size % 10) };
            let end = done.saturating_add(most).min(source.len());
            let piece = source[std::mem::replace(done, end)..end].to_vec();
            let begin = piece.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&piece).trim_ascii_start();
            // (It may be a document.)
            *is_unknown |= matches!(begin.first(), Some(b'{' | b'['));
            if end == source.len() {
                open.remove(turn);
            }
            let mut members =
                if has_id { format!("\"id\": {}", IDS[number][usize::from(size >> 7)]) } else { String::new() };
            if size & 16 != 0 {
                members = format!("\"ts\": {time}{}{members}", if has_id { ", " } else { "" });
                time += 0.25;
            }
            if !begun.contains(&number) {
                begun.push(number);
            }
            let (value, places) = self.quote(&piece);
            let places = self.line(value, places, &members);
            all[number].places.pop();
            all[number].places.extend(places);
        }
        for number in begun {
            let Pieces { source, done, places, is_unknown } = std::mem::take(&mut all[number]);
            let body = if is_unknown || done < source.len() { Body::Unknown } else { Body::Events(source) };
            self.held.push(Held { body, places });
        }
    }

    /// Documents without exchanges: one a line, arrays of them on lines, or one array of all.
    fn chunks(&mut self, way: u8) {
        let (mut texts, mut places) = (Vec::new(), Vec::new());
        if way == 0 {
            self.log.extend_from_slice(self.bytes.one_of(&[&b"["[..], b" [\n", b"\r\n\n[ ", b"[\r\n"]));
        }
        let mut is_first = true;
        while !self.bytes.0.is_empty() && self.log.len() < LONGEST {
            let end = self.bytes.one_of(&[&b"\n"[..], b"\r\n", b" \t\n", b"\n\n", b"\n", b" \r\n"]);
            if way == 1 {
                let (text, starts) = self.documents(true);
                let start = self.log.len();
                places.extend(starts.iter().map(|&(from, _)| start + from));
                texts.extend(starts.iter().map(|&(from, until)| text[from..until].to_vec()));
                self.log.extend_from_slice(&[&*text, end].concat());
                continue;
            }
            let source = self.source();
            for line in source.split(|&byte| byte == b'\n') {
                let Some(text) = line.strip_prefix(b"data: ") else { continue };
                // In an array what is no JSON harms what comes behind it.
                let is_whole = || serde_json::from_slice::<serde_json::Value>(text).is_ok();
                let is_one =
                    text.starts_with(b"{") && !text.contains(&b'\r') && !text.ends_with(b" ") && !text.ends_with(b"\t");
                if !is_one || (way == 0 && !is_whole()) {
                    continue;
                }
                if way == 0 && !is_first {
                    self.log.extend_from_slice(&[b",", end].concat());
                }
                is_first = false;
                places.push(self.log.len());
                texts.push(text.to_vec());
                self.log.extend_from_slice(text);
                if way != 0 {
                    self.log.extend_from_slice(end);
                }
            }
        }
        if way == 0 {
            self.log.extend_from_slice(self.bytes.one_of(&[&b"]"[..], b"\n]\n", b" ] \r\n"]));
        }
        self.held.push(Held { body: Body::Documents(texts), places });
    }
}
