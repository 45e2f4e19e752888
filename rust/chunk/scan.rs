//! Finds where the plain part of a JSON string ends: bytes in, the place of the next byte that matters out.
//!
//! This is where the careful parser spends most of its time, so it reads 16 bytes at once where the machine can: beside
//! eight at once in plain arithmetic that is worth a third on streams with long strings and a tenth on the mix of all
//! recorded ones (`benches/careful.rs`).

/// The end of the run of plain bytes that begins at `at`: the place of the first `"`, `\` or control character (or the
/// end of `bytes`), and whether the run held a byte that is not ASCII.
#[inline]
pub(crate) fn plain_run(bytes: &[u8], at: usize) -> (usize, bool) {
    // SAFETY: `sse2` asks for SSE2, and that is part of every x86-64; it is a safe function otherwise.
    #[cfg(target_arch = "x86_64")]
    return unsafe { sse2(bytes, at) };
    #[cfg(not(target_arch = "x86_64"))]
    return portable(bytes, at);
}

/// Does this byte end a run?
#[inline]
fn ends_run(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < 0x20
}

/// One byte at a time: the slow twin of the others, and their tail.
#[inline]
pub(crate) fn bytewise(bytes: &[u8], at: usize) -> (usize, bool) {
    let mut high = 0;
    let mut end = at;
    while let Some(&byte) = bytes.get(end) {
        if ends_run(byte) {
            break;
        }
        high |= byte;
        end += 1;
    }
    (end, high >= 0x80)
}

/// 16 bytes at a time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
pub(crate) fn sse2(bytes: &[u8], mut at: usize) -> (usize, bool) {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };
    let mut high = 0;
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<16>) {
        let (low_half, high_half) = block.split_at(8);
        let block = _mm_set_epi64x(
            i64::from_le_bytes(high_half.try_into().expect("8 bytes")),
            i64::from_le_bytes(low_half.try_into().expect("8 bytes")),
        );
        let quote = _mm_cmpeq_epi8(block, _mm_set1_epi8(b'"'.cast_signed()));
        let backslash = _mm_cmpeq_epi8(block, _mm_set1_epi8(b'\\'.cast_signed()));
        let control = _mm_cmpeq_epi8(_mm_min_epu8(block, _mm_set1_epi8(0x1f)), block);
        let stop = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), control));
        let not_ascii = _mm_movemask_epi8(block);
        if stop != 0 {
            let length = stop.trailing_zeros();
            high |= not_ascii & ((1 << length) - 1);
            return (at + length as usize, high != 0);
        }
        high |= not_ascii;
        at += 16;
    }
    let (end, tail) = bytewise(bytes, at);
    (end, tail || high != 0)
}

/// 8 bytes at a time, for machines without a kernel of their own.
#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline]
pub(crate) fn portable(bytes: &[u8], mut at: usize) -> (usize, bool) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    let mut high = 0;
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let block = u64::from_le_bytes(*block);
        // The classic "has a byte less than n" tests; a borrow can only mark bytes above the first true one.
        let quote = block ^ (ONES * u64::from(b'"'));
        let backslash = block ^ (ONES * u64::from(b'\\'));
        let stop = ((quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (block.wrapping_sub(ONES * 0x20) & !block))
            & HIGHS;
        if stop != 0 {
            let length = stop.trailing_zeros() / 8;
            high |= block & HIGHS & ((1u64 << (8 * length)) - 1);
            return (at + length as usize, high != 0);
        }
        high |= block & HIGHS;
        at += 8;
    }
    let (end, tail) = bytewise(bytes, at);
    (end, tail || high != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_agrees_with_the_bytewise_one() {
        for length in 0..40 {
            for place in 0..=length {
                for byte in [b'"', b'\\', 0, 0x1f, 0x20, 0x21, 0x7f, 0x80, 0xa2, 0xdc, 0xff, b'a'] {
                    for filler in [b'x', 0x7f, 0xc3] {
                        let mut bytes = vec![filler; length];
                        if place < length {
                            bytes[place] = byte;
                        }
                        for at in 0..=length {
                            let expected = bytewise(&bytes, at);
                            assert_eq!(plain_run(&bytes, at), expected, "{bytes:?} at {at}");
                            assert_eq!(portable(&bytes, at), expected, "{bytes:?} at {at}");
                        }
                    }
                }
            }
        }
    }
}
