//! The beginning of a log that grows in, its format as soon as nothing that may come can change it out; and whether a
//! file goes on with the format of the one before it.

use super::recognise::{
    Format, HEAD_BYTES, IDS, Layout, Request, Told, again, at, best, by_first_value, holds_chunks, holds_events,
    is_chunk, is_id, is_piece, may_be_other, member, objects, recognise,
};
use super::scout::{Seen, first_value};
use super::words::{BYTE_ORDER_MARK, behind_mark, is_event_line, skip_space};

/// What [`recognise`] will say of a log that begins with these bytes, whatever follows; None if that is not certain. Of
/// lines only whole ones count. `asked` is how much there was when it was asked last, so that it is not asked too often.
#[must_use]
pub fn early(head: &[u8], request: &Request, asked: &mut usize) -> Option<Layout> {
    if head.len() >= HEAD_BYTES {
        return Some(recognise(head, request));
    }
    let begin = skip_space(head, behind_mark(head));
    match head.get(begin) {
        _ if request.is_told() && request.leaves_nothing() => return Some(recognise(head, request)),
        Some(b'{' | b'[') => {}
        // What a cassette may begin with counts, too.
        _ if request.is_told() => return None,
        None | Some(b'i' | b'h' | b'-' | b'#' | b'%') if may_be_other(&head[begin..]) => return None,
        _ if BYTE_ORDER_MARK.starts_with(head) => return None,
        _ => return Some(recognise(head, request)),
    }
    let whole = &head[..memchr::memrchr(b'\n', head)? + 1];
    // (No line has ended with more than white space in it, or too little has come.)
    if whole.len() <= begin.max(*asked) || whole.len() < *asked + *asked / 8 {
        return None;
    }
    *asked = whole.len();
    is_settled(&whole[begin..], request).then(|| recognise(whole, request))
}

/// Is more of a log needed before it can be recognised?
#[must_use]
pub fn needs_more(head: &[u8], request: &Request) -> bool {
    early(head, request, &mut 0).is_none()
}

/// Can no more lines change what is recognised by these?
fn is_settled(whole: &[u8], request: &Request) -> bool {
    let (value, end) = first_value(whole);
    let Some(value) = value else { return false };
    if let Seen::Array(items, _) = &value {
        return matches!(items.first(), Some(Seen::Object(..))) && request.field.is_none();
    }
    if end.is_none() {
        return false;
    }
    let forced = matches!(request.told, Told::Format(_)) || (request.told == Told::Auto && request.is_beside());
    if request.field.is_none() && by_first_value(&Some(value), whole[0]).is_some() {
        return true; // what is no log of lines is told by it
    }
    let lines = objects(whole);
    let found;
    let field = match &request.field {
        Some(field) => field,
        None => {
            found = lines.iter().find_map(|line| best(line, holds_events));
            match &found {
                Some(field) => field,
                None => return false,
            }
        }
    };
    let mut values = lines
        .iter()
        .filter_map(|line| Some((line, at(line, field).filter(|value| !matches!(value, Seen::Null))?)))
        .peekable();
    let Some(&(first, _)) = values.peek() else { return false };
    if forced {
        return true;
    }
    match member(first, field, &IDS, is_id) {
        Some(id) => again(&lines, &id).is_some(),
        None => values.any(|(_, value)| !value.is_cut() && !is_piece(value)),
    }
}

/// Does a file that begins with these bytes go on with the format of the one before it? It does if it is as little JSON,
/// or if one of its lines has what is looked for; not if it is server-sent events behind something else, or the reverse.
/// None if that cannot be said yet; `at_end`: nothing follows. `asked` is up to where there were lines when it was asked
/// last.
#[must_use]
pub fn fits(head: &[u8], layout: &Layout, asked: &mut usize, at_end: bool) -> Option<bool> {
    let begin = skip_space(head, behind_mark(head));
    let first = *head.get(begin)?;
    if layout.format == Format::Sse || is_event_line(&head[begin..]) {
        let is_json = matches!(first, b'{' | b'[');
        return (is_json || !BYTE_ORDER_MARK.starts_with(head)).then_some(layout.format == Format::Sse && !is_json);
    }
    let end = if at_end { head.len() } else { memchr::memrchr(b'\n', head)? + 1 };
    let start = std::mem::replace(asked, end).max(begin);
    let fits = |line: &[u8]| match first_value(line).0 {
        Some(value) => match &layout.field {
            Some(field) => at(&value, field).is_some(),
            None => matches!(&value, Seen::Object(..)) && is_chunk(&value) || holds_chunks(&value),
        },
        None => false,
    };
    super::scout::lines(&head[start..end.max(start)]).any(fits).then_some(true)
}
