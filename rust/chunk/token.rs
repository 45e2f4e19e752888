//! The tokens that the careful parser and the holes of shapes read alike: a place in a text in, the token's end out.

use super::doc::Type;

/// A number of JSON.
pub(crate) struct Number {
    /// The place behind it.
    pub end: usize,
    /// With or without a fraction or an exponent.
    pub kind: Type,
    /// How many digits its integer part has.
    pub digits: usize,
}

/// The byte at `at`; behind the end 0, which is valid nowhere outside strings.
#[inline(always)]
pub(crate) fn byte(text: &[u8], at: usize) -> u8 {
    text.get(at).copied().unwrap_or(0)
}

/// The longest number whose first digit is at `at`; there has to be one.
#[inline(always)]
pub(crate) fn number(text: &[u8], at: usize) -> Number {
    let mut end = if byte(text, at) == b'0' { at + 1 } else { digits(text, at) };
    let length = end - at;
    let mut kind = Type::Int;
    if byte(text, end) == b'.' && byte(text, end + 1).is_ascii_digit() {
        kind = Type::Float;
        end = digits(text, end + 1);
    }
    if byte(text, end) | 0x20 == b'e' {
        let sign = usize::from(matches!(byte(text, end + 1), b'+' | b'-'));
        if byte(text, end + 1 + sign).is_ascii_digit() {
            kind = Type::Float;
            end = digits(text, end + 1 + sign);
        }
    }
    Number { end, kind, digits: length }
}

#[inline(always)]
fn digits(text: &[u8], mut at: usize) -> usize {
    while byte(text, at).is_ascii_digit() {
        at += 1;
    }
    at
}
