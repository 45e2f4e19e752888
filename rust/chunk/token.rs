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
    // Eight at a time: a byte is a digit if its upper half is 3, with 6 added too.
    while let Some(word) = text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*word);
        let upper = (word & (word.wrapping_add(0x0606_0606_0606_0606))) & 0xf0f0_f0f0_f0f0_f0f0;
        // Carries run upwards only from a byte that is no digit itself.
        let wrong = (upper ^ 0x3030_3030_3030_3030) | (word & 0xf0f0_f0f0_f0f0_f0f0 ^ 0x3030_3030_3030_3030);
        if wrong != 0 {
            return at + wrong.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while byte(text, at).is_ascii_digit() {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_end_where_the_first_other_byte_stands() {
        for other in 0..=255u8 {
            for place in 0..20 {
                let mut text = *b"01234567890987654321";
                text[place] = other;
                let expected = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
                assert_eq!(digits(&text, 0), expected, "{other} at {place}");
            }
        }
    }
}
