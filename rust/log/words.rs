//! What logs say in their own words: the marks of bodies that were clipped, lines that are of another format.

use crate::chunk::{self, Doc, Key, KeySet};
use crate::decoder::{is_completion, names_a_chunk};

/// How far behind its beginning a mark of clipping may end.
const LONGEST_MARK: usize = 200;
const WORD: &[u8] = b"truncated";

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// A text without JSON's white space around it.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&byte| !is_space(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|&byte| !is_space(byte)).map_or(start, |last| last + 1);
    &text[start..end]
}

/// Is it `[DONE]`, which looks like an array?
pub(super) fn is_done(text: &[u8]) -> bool {
    text.get(1..text.len().saturating_sub(1)).is_some_and(|inside| trim(inside) == b"DONE")
}

/// The place of the first byte that is no white space.
pub(super) fn skip_space(text: &[u8], at: usize) -> usize {
    text[at..].iter().position(|&byte| !is_space(byte)).map_or(text.len(), |more| at + more)
}

pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Behind the byte order mark, if there is one.
pub(super) fn behind_mark(text: &[u8]) -> usize {
    if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 }
}

/// Does it begin as a line of an event stream does?
pub(super) fn is_event_line(text: &[u8]) -> bool {
    [&b"data:"[..], b":", b"event:", b"id:", b"retry:"].iter().any(|start| text.starts_with(start))
}

/// Where the mark begins that says that a body was clipped, if its last line is open and ends in one: `[truncated]`,
/// `...[truncated 12 bytes]`, `(truncated)`, `<truncated>`, `… truncated`.
pub(super) fn clipping(body: &[u8]) -> Option<usize> {
    let near = &body[body.len().saturating_sub(LONGEST_MARK)..];
    let start = body.len() - near.len() + near.iter().rposition(|byte| b"\r\n".contains(byte)).map_or(0, |end| end + 1);
    let line = &body[start..];
    let end = line.iter().rposition(|byte| !b" \t".contains(byte))? + 1;
    let text = &line[..end];
    let behind_dots = |at: usize| {
        let before = &text[..at];
        let before = before.strip_suffix(b" ").unwrap_or(before);
        [&b"..."[..], "\u{2026}".as_bytes()].iter().find_map(|dots| Some(before.strip_suffix(*dots)?.len()))
    };
    if let Some(before) = text.strip_suffix(WORD) {
        return Some(start + behind_dots(before.len())?);
    }
    let close = *text.last()?;
    let open = match close {
        b']' => b'[',
        b')' => b'(',
        b'>' => b'<',
        _ => return None,
    };
    let inside = &text[..end - 1];
    // The first that is not closed before the end.
    let from = inside.iter().rposition(|&byte| byte == close).map_or(0, |place| place + 1);
    let at = memchr::memmem::find_iter(&inside[from..], WORD)
        .map(|at| from + at)
        .find(|&at| at > from && inside[at - 1] == open)?
        - 1;
    let space = usize::from(text[..at].ends_with(b" "));
    Some(start + behind_dots(at).unwrap_or(at - space))
}

/// Where in an open line such a mark begins, perhaps, of which more may come.
pub(super) fn begun_marks(line: &[u8]) -> impl Iterator<Item = usize> {
    let near = line.len().saturating_sub(LONGEST_MARK);
    (near..line.len()).filter(|&at| may_be_mark(&line[at..]))
}

/// May the end of an open line become a mark that begins with it?
fn may_be_mark(end: &[u8]) -> bool {
    let (dots, ellipsis) = (&b"..."[..], "\u{2026}".as_bytes());
    if !matches!(end[0], b'.' | b' ' | b'[' | b'(' | b'<') && end[0] != ellipsis[0] {
        return false;
    }
    if dots.starts_with(end) || ellipsis.starts_with(end) {
        return true;
    }
    let rest = end.strip_prefix(dots).or(end.strip_prefix(ellipsis)).unwrap_or(end);
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let rest = if matches!(rest.first(), Some(b'[' | b'(' | b'<')) { &rest[1..] } else { rest };
    rest.starts_with(WORD) || WORD.starts_with(rest)
}

/// What a line looks like in which nothing stands where its log's bodies do.
pub(super) enum Stranger {
    /// What it looks like, for a message.
    Foreign(String),
    /// A finished completion.
    Completion,
}

/// Does a line without a body look like one of another format? (It is valid JSON.)
pub(super) fn stranger(line: &[u8]) -> Option<Stranger> {
    let text = trim(line);
    match text.first()? {
        b'{' => {}
        b'[' => return Some(Stranger::Foreign("an array".to_owned())),
        b'"' => return Some(Stranger::Foreign("a JSON string".to_owned())),
        b'n' => return Some(Stranger::Foreign("a JSON null".to_owned())),
        b't' | b'f' => return Some(Stranger::Foreign("a JSON boolean".to_owned())),
        _ => return Some(Stranger::Foreign("a JSON number".to_owned())),
    }
    let lossy = String::from_utf8_lossy(text);
    let mut nodes = Vec::new();
    if lossy.len() >= chunk::MAX_NODES {
        return None;
    }
    let keys: KeySet = chunk::parse(lossy.as_bytes(), lossy.len(), 0, &mut nodes).ok()?;
    let root = Doc::new(lossy.as_bytes(), &nodes).root();
    if keys & (1 << Key::Choices as u8) == 0 && !names_a_chunk(root) {
        return None;
    }
    Some(if is_completion(root) { Stranger::Completion } else { Stranger::Foreign("a bare chunk".to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_clipping_are_found_at_the_end_of_an_open_line() {
        for (body, expected) in [
            (&b"data: {\"a\": \"x[truncated]"[..], Some(14)),
            (b"data: 1\n\n...[truncated 123 bytes]", Some(9)),
            (b"data: 1\n\n... (truncated) ", Some(9)),
            (b"<truncated>", Some(0)),
            ("data\u{2026} truncated".as_bytes(), Some(4)),
            (b"data...truncated", Some(4)),
            (b"data truncated", None),
            (b"data [truncated]\n", None),
            (b"data [truncated", None),
            (b"data [ truncated]", None),
            (b"[truncated] and more]", None),
            (b"[x [truncated a [truncated b]", Some(2)),
            (b"", None),
        ] {
            assert_eq!(clipping(body), expected, "{}", String::from_utf8_lossy(body));
            // Of one that is found its beginning was a mark that had begun, however little there was of it.
            if let Some(start) = expected {
                let line = start - body[..start].iter().rev().take_while(|&&byte| byte != b'\n').count();
                for length in start + 1..=body.len() {
                    let begun: Vec<_> = begun_marks(&body[line..length]).collect();
                    assert!(begun.contains(&(start - line)), "{}", String::from_utf8_lossy(&body[..length]));
                }
            }
        }
        assert_eq!(begun_marks(b" no. [trunk] <t (x.. ").collect::<Vec<_>>(), [20]);
        assert_eq!(begun_marks(&[b' '; 300]).collect::<Vec<_>>(), [299]);
    }
}
