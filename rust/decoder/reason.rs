//! The words for what is wrong: an event's JSON, or the want of it, in; the reason of a damage out.

use crate::chunk::{self, Key, Value};
use crate::error::{Damage, JsonError, JsonErrorKind, Kind, Place};
use crate::event::{TAR, ZIP};

/// How many characters of what a server said are kept as an error's reason.
const MESSAGE_LENGTH: usize = 200;

/// The damage of a source without events, whose first unknown line begins with this byte, or that is an archive.
#[must_use]
pub fn not_a_stream(first: u8) -> Damage {
    let reason = match first {
        b'<' => "no event found; it looks like HTML",
        b'{' | b'[' => "no event found; it looks like JSON, not like server-sent events",
        TAR => "it looks like a tar archive: in a file whose name ends in .tar, .tgz or .tar.gz its logs are read",
        ZIP => "it looks like a zip archive: in a file whose name ends in .zip its logs are read",
        _ => "no event found; this is no event stream",
    };
    let place = Place { offset: 0, line: 1, event: 0 };
    Damage { kind: Kind::NotAStream, place, position: None, reason: reason.into() }
}

/// Up to five keys in the order of their first appearance, for a message.
pub(super) fn first_keys(root: Value<'_>) -> String {
    let mut names: Vec<String> = Vec::new();
    for (key, _) in root.members() {
        let name = String::from_utf8_lossy(&key.bytes()).into_owned();
        if !names.contains(&name) {
            names.push(name);
        }
        if names.len() == 5 {
            break;
        }
    }
    names.join(", ")
}

/// The human-readable part of a server's error: `error.message`, `error`, `message` or `detail`, else all of it.
pub(super) fn error_message(root: Value<'_>) -> String {
    let found = root.get(Key::Error).filter(|error| error.is_truthy()).unwrap_or(root);
    let message = [&b"message"[..], b"detail"]
        .into_iter()
        .filter_map(|name| found.get_named(name)?.non_empty())
        .next()
        .or_else(|| found.non_empty())
        .unwrap_or_else(|| root.raw().into());
    shorten(&String::from_utf8_lossy(&message))
}

/// The beginning of a text, for a message.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_LENGTH) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// The kind and the reason of data that is not JSON; at the end of a source it is called truncated.
pub(super) fn explain(error: JsonError, at_end: bool) -> (Kind, String) {
    let JsonError { kind, position } = error;
    if kind == JsonErrorKind::TooDeep {
        let depth = chunk::MAX_DEPTH;
        (Kind::TooDeep, format!("nested deeper than {depth} levels at byte {position} of the event's data"))
    } else if at_end {
        (Kind::Truncated, format!("the source ends inside an event, at byte {position} of its data: {kind}"))
    } else {
        (Kind::InvalidJson, format!("invalid JSON at byte {position} of the event's data: {kind}"))
    }
}
