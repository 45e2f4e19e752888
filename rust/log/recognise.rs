//! The beginning of a log in, the format that it is in out, with where things stand in it and why that is thought.
//!
//! A pure function of at most the first [`HEAD_BYTES`], decompressed. What begins with neither `{` nor `[` is an event
//! stream at once; in what does, members are looked at whose text begins as server-sent events do.

use std::collections::HashSet;

use super::path::Path;
use super::scout::{MAX_DEPTH, Seen, first_value, lines};
use super::words::{behind_mark, is_space, skip_space};

/// So much of a log is looked at.
pub const HEAD_BYTES: usize = 64 << 10;

/// How a log holds streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Server-sent events.
    Sse,
    /// JSON lines, one exchange a line.
    Exchanges,
    /// JSON lines, one event or one read of the network a line.
    Reads,
    /// JSON without server-sent events.
    Chunks,
    /// A HAR file.
    Har,
    /// A cassette of vcrpy, or of Ruby's vcr.
    Vcr,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Sse, Self::Exchanges, Self::Reads, Self::Chunks, Self::Har, Self::Vcr];

    /// The public name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sse => "sse",
            Self::Exchanges => "exchanges",
            Self::Reads => "reads",
            Self::Chunks => "chunks",
            Self::Har => "har",
            Self::Vcr => "vcr",
        }
    }
}

/// What somebody said of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing.
    Auto,
    /// It is JSON lines of some sort.
    JsonLines,
    /// Its format.
    Format(Format),
}

/// What is asked for when a log is opened.
#[derive(Clone, Debug)]
pub struct Request {
    /// The format.
    pub told: Told,
    /// Where bodies (or texts) stand.
    pub field: Option<Path>,
    /// Where the id of a request stands.
    pub id_field: Option<Path>,
    /// Where the time of a read stands.
    pub time_field: Option<Path>,
}

impl Request {
    /// Was anything said?
    pub(super) fn is_told(&self) -> bool {
        self.told != Told::Auto || self.field.is_some() || self.is_beside()
    }

    /// Was something said that only reads have?
    pub(super) fn is_beside(&self) -> bool {
        self.id_field.is_some() || self.time_field.is_some()
    }

    /// Was all said that there is to say?
    pub(super) fn leaves_nothing(&self) -> bool {
        let has_all = self.field.is_some() && self.id_field.is_some() && self.time_field.is_some();
        match self.told {
            Told::Format(Format::Exchanges) => self.field.is_some(),
            Told::Format(Format::Reads) | Told::Auto => has_all,
            Told::Format(_) => true,
            Told::JsonLines => false,
        }
    }
}

impl Default for Request {
    fn default() -> Self {
        Self { told: Told::Auto, field: None, id_field: None, time_field: None }
    }
}

/// How a log is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Its format.
    pub format: Format,
    /// Where bodies (or texts) stand.
    pub field: Option<Path>,
    /// Where the id of a request stands.
    pub id_field: Option<Path>,
    /// Where the time of a read stands.
    pub time_field: Option<Path>,
    /// Why that is thought, in a sentence.
    pub why: String,
    /// It begins as JSON does, but nothing in it holds a stream.
    pub is_strange: bool,
}

impl Layout {
    fn new(format: Format, why: impl Into<String>) -> Self {
        Self { format, field: None, id_field: None, time_field: None, why: why.into(), is_strange: false }
    }

    /// Can a log that begins with these bytes be split where events or lines end?
    #[must_use]
    pub fn is_split(&self, head: &[u8]) -> bool {
        let first = head.get(skip_space(head, behind_mark(head)));
        match self.format {
            Format::Sse => !self.is_strange,
            Format::Exchanges => true,
            // An array may be of all lines.
            Format::Chunks => first != Some(&b'['),
            Format::Reads | Format::Har | Format::Vcr => false,
        }
    }

    /// That of an event stream, which nobody looked at.
    #[must_use]
    pub fn sse() -> Self {
        Self::new(Format::Sse, "format='sse' says so")
    }
}

/// Names of members that are bodies, the likeliest first.
const BODIES: [&str; 11] = [
    "response_body",
    "response.body",
    "body",
    "raw_response",
    "response",
    "raw",
    "text",
    "chunk",
    "data",
    "log",
    "message",
];
/// Names of the id of a request.
pub(super) const IDS: [&str; 7] =
    ["request_id", "req_id", "trace_id", "stream_id", "exchange_id", "connection_id", "id"];
/// Names of the time of a read.
const TIMES: [&str; 6] = ["ts", "time", "timestamp", "@timestamp", "received_at", "t"];
/// How many members are named in a message.
const NAMED: usize = 8;
/// How much of a value is shown in one.
const LONGEST_VALUE: usize = 60;

/// May what begins like this be anything but an event stream? Its fields are waited for no longer than it takes.
pub(super) fn may_be_other(text: &[u8]) -> bool {
    match text.first() {
        Some(b'i') => CASSETTES[0].starts_with(text) || text.starts_with(CASSETTES[0]),
        Some(b'h') => CASSETTES[1].starts_with(text) || text.starts_with(CASSETTES[1]),
        _ => true,
    }
}

const CASSETTES: [&[u8]; 2] = [b"interactions:", b"http_interactions:"];

/// Is it a cassette in YAML?
fn is_cassette(head: &[u8]) -> bool {
    let lines = || head.split(|&byte| byte == b'\n');
    let begins = |line: &[u8]| CASSETTES.iter().any(|start| line.starts_with(start));
    lines().any(begins)
        || (lines().any(|line| line.starts_with(b"---"))
            && lines().any(|line| line.strip_prefix(b"- ").is_some_and(begins)))
}

/// Recognises a log by its beginning, as far as nothing else was said.
#[must_use]
pub fn recognise(head: &[u8], request: &Request) -> Layout {
    let head = &head[..head.len().min(HEAD_BYTES)];
    let head = &head[skip_space(head, behind_mark(head))..];
    match request.told {
        Told::Format(format @ (Format::Sse | Format::Chunks | Format::Har | Format::Vcr)) => {
            Layout::new(format, format!("format='{}' says so", format.name()))
        }
        _ if request.is_told() => as_told(head, request),
        _ => auto(head),
    }
}

fn auto(head: &[u8]) -> Layout {
    let first = match head.first() {
        Some(&first @ (b'{' | b'[')) => first,
        Some(_) if is_cassette(head) => {
            return Layout::new(Format::Vcr, "a line begins with interactions:, as in cassettes of vcr");
        }
        None => return Layout::new(Format::Sse, "there is nothing in it, so it counts as server-sent events"),
        _ => return Layout::new(Format::Sse, "it begins as no JSON does, so it is server-sent events"),
    };
    by_first_value(&first_value(head).0, first).unwrap_or_else(|| by_lines(&objects(head)))
}

/// What is no log of lines, or has a chunk on its first line.
pub(super) fn by_first_value(value: &Option<Seen>, first: u8) -> Option<Layout> {
    match value {
        Some(Seen::Array(items, _)) if matches!(items.first(), Some(Seen::Object(..))) => {
            return Some(Layout::new(Format::Chunks, "it begins with an array of objects"));
        }
        Some(value @ Seen::Object(..)) if first == b'{' => {
            if let Some(Seen::Object(log, _)) = value.get(b"log")
                && log.iter().any(|(name, _)| [&b"entries"[..], b"creator", b"version"].contains(&&**name))
            {
                return Some(Layout::new(Format::Har, "it is an object with log.entries, as HAR files are"));
            }
            if value.get(b"interactions").or_else(|| value.get(b"http_interactions")).is_some() {
                return Some(Layout::new(Format::Vcr, "it is an object with interactions, as in cassettes of vcr"));
            }
            if is_chunk(value) {
                let has_choices = value.get(b"choices").is_some();
                let says = if has_choices { "is a chunk by itself" } else { "says that it is a chunk" };
                return Some(Layout::new(Format::Chunks, format!("the first line {says}")));
            }
        }
        _ => {}
    }
    None
}

/// What is left to find where something is known.
fn as_told(head: &[u8], request: &Request) -> Layout {
    let beside = request.id_field.is_some() || request.time_field.is_some();
    let told = match request.told {
        Told::Auto if beside => Told::Format(Format::Reads),
        ref told => told.clone(),
    };
    let forced = if let Told::Format(format) = told { Some(format) } else { None };
    let mut layout = match &request.field {
        Some(field) => {
            let lines = objects(head);
            let mut why = format!("field='{field}' says where streams are");
            if !lines.is_empty() && lines.iter().all(|line| at(line, field).is_none()) {
                why.push_str(&format!(", though no line at the beginning has it (members: {})", members(&lines)));
            }
            of_field(&lines, field.clone(), why, forced)
        }
        None => {
            let found = auto(head);
            match (&found.field, forced) {
                (Some(field), Some(_)) => {
                    of_field(&objects(head), field.clone(), format!("{field} holds a body"), forced)
                }
                _ => found,
            }
        }
    };
    if layout.format == Format::Reads {
        let told = [&request.id_field, &request.time_field].into_iter().flatten();
        if told.clone().next().is_some() {
            let lines = objects(head);
            let absent = told.filter(|path| lines.iter().all(|line| at(line, path).is_none()));
            let absent: Vec<_> = absent.map(ToString::to_string).collect();
            if !lines.is_empty() && !absent.is_empty() {
                let (names, members) = (absent.join(" or "), members(&lines));
                layout.why.push_str(&format!(", though no line at the beginning has {names} (members: {members})"));
            }
        }
        layout.id_field = request.id_field.clone().or(layout.id_field);
        layout.time_field = request.time_field.clone().or(layout.time_field);
    }
    let is_lines = matches!(layout.format, Format::Exchanges | Format::Reads | Format::Chunks);
    let (fits, name) = match &told {
        Told::Auto => (true, "auto"),
        Told::JsonLines => (is_lines, "jsonl"),
        Told::Format(format) => (*format == layout.format, format.name()),
    };
    if !fits && layout.format != Format::Sse {
        let why = format!("format='{name}' was wanted, but {}", layout.why);
        return Layout { is_strange: true, ..Layout::new(Format::Sse, why) };
    }
    layout
}

/// Is it a chunk or a finished completion?
pub(super) fn is_chunk(value: &Seen) -> bool {
    if value.get(b"choices").is_some() {
        return true;
    }
    matches!(value.get(b"object"), Some(Seen::Text(name, _, false)) if name.ends_with(b"chunk") || name == b"chat.completion")
}

/// A member that may be a body.
struct Candidate {
    path: Vec<Vec<u8>>,
    rank: usize,
    size: usize,
}

/// The lines that are objects, as far as they are there.
pub(super) fn objects(head: &[u8]) -> Vec<Seen> {
    // (Only the first line may begin with a byte order mark: behind another there is no JSON.)
    let whole = lines(&head[behind_mark(head)..]).filter(|line| behind_mark(line) == 0);
    let values = whole.filter_map(|line| first_value(line).0);
    values.filter(|line| matches!(line, Seen::Object(..))).collect()
}

/// Says of a value whether it may be a body.
type IsBody = fn(&Seen) -> bool;

/// Looks for bodies in the members of lines.
fn by_lines(lines: &[Seen]) -> Layout {
    let searches: [(IsBody, &str); 2] =
        [(holds_events, "server-sent events"), (holds_chunks, "chunks or completions as JSON")];
    for (is_body, what) in searches {
        for (number, line) in (1..).zip(lines) {
            if let Some(field) = best(line, is_body) {
                let why = format!("{field} of line {number} holds {what}");
                return of_field(lines, field, why, None);
            }
        }
    }
    let has_members = |line: &Seen| matches!(line, Seen::Object(members, _) if !members.is_empty());
    if !lines.iter().any(has_members) {
        return Layout::new(Format::Sse, "it begins as JSON does, but no line is an object");
    }
    let why = format!("no member of its lines holds a stream (members: {})", members(lines));
    Layout { is_strange: true, ..Layout::new(Format::Sse, why) }
}

/// The names of the members of lines, for a message.
fn members(lines: &[Seen]) -> String {
    let mut names: Vec<&[u8]> = Vec::new();
    for line in lines {
        let Seen::Object(members, _) = line else { continue };
        for (name, _) in members {
            if names.len() > NAMED {
                break;
            }
            if !names.contains(&name.as_slice()) {
                names.push(name);
            }
        }
    }
    let shown: Vec<_> = names.iter().take(NAMED).map(|name| String::from_utf8_lossy(name)).collect();
    shown.join(", ") + if names.len() > NAMED { ", ..." } else { "" }
}

/// Exchanges or reads, of which the body is known; `forced` says which.
fn of_field(lines: &[Seen], field: Path, mut why: String, forced: Option<Format>) -> Layout {
    let value = |line| at(line, &field).filter(|value| !matches!(value, Seen::Null));
    let values: Vec<(&Seen, &Seen)> = lines.iter().filter_map(|line| Some((line, value(line)?))).collect();
    let line = values.first().map(|&(line, _)| line).or(lines.first());
    let id = line.and_then(|line| member(line, &field, &IDS, is_id));
    let is_reads = match (forced, &id) {
        (Some(format), _) => {
            why.push_str(&format!(", and format='{}' says what a line is", format.name()));
            format == Format::Reads
        }
        (None, Some(id)) => match again(lines, id) {
            Some(value) => {
                why.push_str(&format!(", and {id} {value} comes again: each line is a piece of an exchange"));
                true
            }
            None => false,
        },
        (None, None) => {
            let mut texts = values.iter().map(|&(_, value)| value).filter(|value| !value.is_cut()).peekable();
            let mut count = 0;
            let is_reads = texts.all(|text| {
                count += 1;
                is_piece(text)
            });
            let is_reads = is_reads && count > 1;
            if is_reads {
                why.push_str(", and each line has one event at most: each is a piece of an exchange");
            }
            is_reads
        }
    };
    if !is_reads {
        if forced.is_none() {
            why.push_str(": each line is an exchange");
        }
        return Layout { field: Some(field), ..Layout::new(Format::Exchanges, why) };
    }
    let time_field = line.and_then(|line| member(line, &field, &TIMES, is_time));
    Layout { id_field: id, time_field, field: Some(field), ..Layout::new(Format::Reads, why) }
}

pub(super) fn is_id(value: &Seen) -> bool {
    match value {
        Seen::Text(text, ..) => !text.is_empty(),
        value => matches!(value, Seen::Number(_)),
    }
}

/// Does the text begin as server-sent events do?
fn begins_as_events(text: &[u8]) -> bool {
    let text = &text[behind_mark(text)..];
    let text = &text[text.iter().position(|&byte| !is_space(byte)).unwrap_or(text.len())..];
    [&b"data:"[..], b"event:", b"id:", b"retry:", b":"].iter().any(|start| text.starts_with(start))
}

pub(super) fn holds_events(value: &Seen) -> bool {
    matches!(value, Seen::Text(text, ..) if begins_as_events(text))
}

pub(super) fn holds_chunks(value: &Seen) -> bool {
    match value {
        Seen::Object(..) => value.get(b"choices").is_some(),
        Seen::Array(items, _) => {
            items.first().is_some_and(|item| matches!(item, Seen::Object(..)) && holds_chunks(item))
        }
        Seen::Text(_, Some(inner), _) => holds_chunks(inner),
        _ => false,
    }
}

/// The likeliest of the members that are bodies.
pub(super) fn best(line: &Seen, is_body: fn(&Seen) -> bool) -> Option<Path> {
    let mut candidates = Vec::new();
    search(line, &mut Vec::new(), is_body, &mut candidates);
    // Of those that are equal the first.
    let best = candidates.into_iter().min_by(|one, other| (one.rank, other.size).cmp(&(other.rank, one.size)))?;
    Some(Path::new(best.path.iter().map(Vec::as_slice)))
}

fn search(value: &Seen, path: &mut Vec<Vec<u8>>, is_body: fn(&Seen) -> bool, found: &mut Vec<Candidate>) {
    // (A member without a name cannot be named.)
    if !path.is_empty() && !matches!(&path[..], [name] if name.is_empty()) && is_body(value) {
        let whole = Path::new(path.iter().map(Vec::as_slice));
        let rank = BODIES.iter().position(|name| whole.ends_with(name)).unwrap_or(BODIES.len());
        found.push(Candidate { path: path.clone(), rank, size: value.size() });
        return;
    }
    if path.len() > MAX_DEPTH {
        return;
    }
    match value {
        Seen::Object(members, _) => {
            for (name, value) in members.iter().filter(|(name, _)| !name.starts_with(b"request")) {
                path.push(name.clone());
                search(value, path, is_body, found);
                path.pop();
            }
        }
        Seen::Array(items, _) => {
            for (number, value) in items.iter().enumerate() {
                path.push(number.to_string().into_bytes());
                search(value, path, is_body, found);
                path.pop();
            }
        }
        Seen::Text(_, Some(inner), _) if matches!(**inner, Seen::Object(..)) => search(inner, path, is_body, found),
        _ => {}
    }
}

/// The value at a path.
pub(super) fn at<'a>(line: &'a Seen, path: &Path) -> Option<&'a Seen> {
    path.names().iter().try_fold(line, |value, name| value.get(name))
}

/// The first of some members that is there, beside the body or at the top.
pub(super) fn member(line: &Seen, field: &Path, names: &[&str], is_one: fn(&Seen) -> bool) -> Option<Path> {
    names.iter().find_map(|name| {
        let places = [field.beside(name), Path::new([name.as_bytes()])];
        places.into_iter().find(|path| path != field && at(line, path).is_some_and(is_one))
    })
}

/// The first value of this member that comes in two lines, as JSON has it.
pub(super) fn again(lines: &[Seen], id: &Path) -> Option<String> {
    let mut known = HashSet::new();
    lines.iter().find_map(|line| {
        let (value, is_text) = match at(line, id)? {
            Seen::Text(text, _, false) if !text.is_empty() => (text, true),
            Seen::Number(number) => (number, false),
            _ => return None,
        };
        let shown = String::from_utf8_lossy(value);
        let shown: String = if is_text { quoted(&shown) } else { shown.into_owned() };
        (!known.insert((value, is_text))).then(|| shown.chars().take(LONGEST_VALUE).collect())
    })
}

/// A text as JSON has it, in ASCII.
fn quoted(text: &str) -> String {
    let mut shown = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => shown.extend(['\\', char]),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            '\x08' => shown.push_str("\\b"),
            '\x0c' => shown.push_str("\\f"),
            ' '..='\x7f' => shown.push(char),
            _ => shown.extend(char.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}"))),
        }
    }
    shown + "\""
}

/// Is it one event at most, and no whole stream?
pub(super) fn is_piece(value: &Seen) -> bool {
    match value {
        Seen::Text(_, Some(inner), _) => is_piece(inner),
        Seen::Text(text, ..) => events(text) <= 1,
        Seen::Array(items, _) => items.len() <= 1 && items.iter().all(is_piece),
        Seen::Object(..) => !is_whole(value),
        _ => true,
    }
}

/// Is it a finished completion? See [`is_completion`](crate::decoder::is_completion).
fn is_whole(value: &Seen) -> bool {
    let Some(Seen::Array(choices, _)) = value.get(b"choices") else { return false };
    let is_named = matches!(value.get(b"object"), Some(Seen::Text(name, ..)) if name == b"chat.completion");
    !choices.is_empty()
        && !choices.iter().any(|choice| matches!(choice, Seen::Object(..)) && choice.get(b"delta").is_some())
        && (is_named || choices.iter().any(|choice| matches!(choice.get(b"message"), Some(Seen::Object(..)))))
}

fn is_time(value: &Seen) -> bool {
    match value {
        Seen::Number(text) => super::time::time(text).is_some(),
        Seen::Text(text, ..) => super::time::seconds(text).is_some(),
        _ => false,
    }
}

/// How many events a text has, the last one open or not.
fn events(text: &[u8]) -> usize {
    let (mut events, mut has_data, mut behind_cr) = (0, false, false);
    for line in text.split_inclusive(|byte| b"\r\n".contains(byte)) {
        let ends_cr = line.ends_with(b"\r");
        if std::mem::replace(&mut behind_cr, ends_cr) && line == b"\n" {
            continue;
        }
        let line = if line.ends_with(b"\n") || ends_cr { &line[..line.len() - 1] } else { line };
        if line.is_empty() {
            events += usize::from(std::mem::take(&mut has_data));
        }
        has_data |= line == b"data" || line.starts_with(b"data:");
    }
    events + usize::from(has_data)
}
