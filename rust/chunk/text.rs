//! A JSON string's text without its escapes: bytes that the careful parser accepted in, the text out.

use super::scan::plain_run;

/// Undoes the escapes of a string that [`parse`](super::parse) accepted.
///
/// The result is UTF-8, but for surrogates that stand alone: those become the three bytes that UTF-8 would have for
/// them (as `json.loads` keeps them, and as Python's `surrogatepass` reads and writes them). Two escapes that make a
/// pair become one character.
pub(crate) fn unescape(escaped: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(escaped.len());
    unescape_onto(escaped, &mut out);
    out
}

/// The same behind what is there.
pub(crate) fn unescape_onto(escaped: &[u8], out: &mut Vec<u8>) {
    let mut rest = escaped;
    loop {
        // Of what ends a run, only a backslash stands inside a string.
        let (end, _) = plain_run(rest, 0);
        out.extend_from_slice(&rest[..end]);
        if end >= rest.len() {
            return;
        }
        let (code, taken) = escape(&rest[end + 1..]);
        match u8::try_from(code) {
            Ok(byte) if byte.is_ascii() => out.push(byte),
            _ => push_code(out, code),
        }
        rest = &rest[end + 1 + taken..];
    }
}

/// How many bytes the escape takes with whose backslash `bytes` begins; None if it is none.
pub(crate) fn escape_length(bytes: &[u8]) -> Option<usize> {
    match bytes.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => bytes.get(2..6)?.iter().all(u8::is_ascii_hexdigit).then_some(6),
        _ => None,
    }
}

/// The code that the escape behind a backslash stands for, and how many bytes it takes.
pub(crate) fn escape(bytes: &[u8]) -> (u32, usize) {
    let code = match bytes[0] {
        b'n' => 0x0a,
        b't' => 0x09,
        b'r' => 0x0d,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'u' => {
            let first = hex(&bytes[1..5]);
            if (0xd800..0xdc00).contains(&first) && bytes.get(5) == Some(&b'\\') && bytes.get(6) == Some(&b'u') {
                let second = hex(&bytes[7..11]);
                if (0xdc00..0xe000).contains(&second) {
                    return (0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00), 11);
                }
            }
            return (first, 5);
        }
        same => u32::from(same),
    };
    (code, 1)
}

/// Four hexadecimal digits; the parser has seen that they are.
fn hex(digits: &[u8]) -> u32 {
    // 'a' and 'A' have the low bits 1, and bit 6 that no decimal digit has.
    digits.iter().fold(0, |code, &digit| code << 4 | u32::from((digit & 0xf) + 9 * (digit >> 6)))
}

/// Appends the UTF-8 of a code; of a lone surrogate the three bytes that it would have.
pub(crate) fn push_code(out: &mut Vec<u8>, code: u32) {
    if let Some(character) = char::from_u32(code) {
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    } else {
        out.extend_from_slice(&[
            0xe0 | (code >> 12) as u8,
            0x80 | (code >> 6 & 0x3f) as u8,
            0x80 | (code & 0x3f) as u8,
        ]);
    }
}
