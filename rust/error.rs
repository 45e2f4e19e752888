//! What can be wrong with a source, and where: made by every room, given to users as `DecodeError` or counted.

use std::fmt;
use std::io;

/// What kind of damage it is. The names are part of the public interface; the list only ever grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The event's data is not JSON.
    InvalidJson,
    /// The event's data is nested deeper than [`MAX_DEPTH`](crate::chunk::MAX_DEPTH).
    TooDeep,
    /// The event's data is JSON, but no chunk.
    NotAChunk,
    /// The source ends inside an event.
    Truncated,
    /// The event is larger than the limit.
    EventTooLarge,
    /// The source is no event stream at all.
    NotAStream,
    /// Bytes that are no UTF-8 became U+FFFD; the event was decoded all the same.
    InvalidUtf8,
    /// A value that its column cannot hold.
    WrongType,
    /// The server sent an error in place of a chunk.
    ServerError,
    /// A packed source unpacks to more than is allowed.
    SourceTooLarge,
    /// What stands there is of another format than the log.
    WrongFormat,
}

impl Kind {
    /// The public name, e.g. `invalid_json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::TooDeep => "too_deep",
            Self::NotAChunk => "not_a_chunk",
            Self::Truncated => "truncated",
            Self::EventTooLarge => "event_too_large",
            Self::NotAStream => "not_a_stream",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::WrongType => "wrong_type",
            Self::ServerError => "server_error",
            Self::SourceTooLarge => "source_too_large",
            Self::WrongFormat => "wrong_format",
        }
    }

    /// Was an event (or the whole source) lost by it? Such damage is raised as `DecodeError`; the rest is counted.
    #[must_use]
    pub fn is_loss(self) -> bool {
        !matches!(self, Self::InvalidUtf8 | Self::WrongType | Self::ServerError)
    }
}

/// Where an event stands in its source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Byte offset of the event's first field in the (decompressed) source, from 0.
    pub offset: u64,
    /// Line of that field, from 1.
    pub line: u64,
    /// Number of the event among those dispatched, from 0.
    pub event: u64,
}

impl Place {
    /// That of the next event behind so many, of so many bytes together: each one `data:` line and a blank one.
    #[inline]
    #[must_use]
    pub fn behind(self, events: u64, bytes: usize) -> Self {
        Self { offset: self.offset + bytes as u64, line: self.line + 2 * events, event: self.event + events }
    }
}

/// One thing that is wrong in a source, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// What kind of damage it is.
    pub kind: Kind,
    /// The event in which it is.
    pub place: Place,
    /// The byte inside the event's data at which reading failed.
    pub position: Option<usize>,
    /// What was expected and what was found.
    pub reason: String,
}

impl Damage {
    /// That of a packed source that breaks off after `offset` unpacked bytes. Its line and event are unknown: 0.
    #[must_use]
    pub fn of_compression(offset: u64, broken: &Broken) -> Self {
        let reason = match broken.kind {
            Kind::Truncated => format!("the compressed source is cut or damaged: {}", broken.reason),
            _ => broken.reason.clone(),
        };
        Self { kind: broken.kind, place: Place { offset, line: 0, event: 0 }, position: None, reason }
    }
}

/// Why a packed source has no more bytes to give than it gave. It travels as an [`io::Error`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// `Truncated` or `SourceTooLarge`.
    pub kind: Kind,
    /// What was found.
    pub reason: String,
    /// Does it end too early, and is whole so far?
    pub is_cut: bool,
}

impl Broken {
    /// It ends too early, or what comes next is not what it should be.
    #[must_use]
    pub fn cut(reason: String, is_cut: bool) -> Self {
        Self { kind: Kind::Truncated, reason, is_cut }
    }

    /// Of an error that is one.
    ///
    /// # Errors
    ///
    /// Any other error comes back.
    pub fn of(error: io::Error) -> Result<Self, io::Error> {
        error.downcast()
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.reason)
    }
}

impl std::error::Error for Broken {}

impl From<Broken> for io::Error {
    fn from(broken: Broken) -> Self {
        let kind = if broken.is_cut { io::ErrorKind::UnexpectedEof } else { io::ErrorKind::InvalidData };
        Self::new(kind, broken)
    }
}

/// Why a text is not JSON, in the words and with the positions of CPython's `json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonErrorKind {
    /// No value where one has to be.
    Value,
    /// No key where one has to be.
    Key,
    /// No `:` behind a key.
    Colon,
    /// No `,` (nor closing bracket) behind a value.
    Comma,
    /// Something behind the document's end.
    Extra,
    /// A string without an end.
    Unterminated,
    /// A raw control character in a string.
    Control,
    /// A backslash before a character that takes none.
    Escape,
    /// `\u` without four hexadecimal digits.
    UnicodeEscape,
    /// An integer of more digits than the limit.
    Digits(usize),
    /// The text begins with a byte order mark.
    ByteOrderMark,
    /// More than [`MAX_DEPTH`](crate::chunk::MAX_DEPTH) nested containers.
    TooDeep,
    /// A string holds bytes that are no UTF-8. (The caller replaces them and reads again.)
    Utf8,
}

/// Why and at which byte of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// Why.
    pub kind: JsonErrorKind,
    /// At which byte of the text, from 0.
    pub position: usize,
}

impl fmt::Display for JsonErrorKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Value => "Expecting value",
            Self::Key => "Expecting property name enclosed in double quotes",
            Self::Colon => "Expecting ':' delimiter",
            Self::Comma => "Expecting ',' delimiter",
            Self::Extra => "Extra data",
            Self::Unterminated => "Unterminated string starting at",
            Self::Control => "Invalid control character at",
            Self::Escape => "Invalid \\escape",
            Self::UnicodeEscape => "Invalid \\uXXXX escape",
            Self::Digits(limit) => return write!(out, "integer of more than {limit} digits"),
            Self::ByteOrderMark => "Unexpected UTF-8 BOM (decode using utf-8-sig)",
            Self::TooDeep => "nested too deep",
            Self::Utf8 => "invalid UTF-8",
        })
    }
}
