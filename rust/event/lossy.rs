//! Text as the standard's UTF-8 decoder gives it: bytes in, text with U+FFFD for what is no UTF-8 out.

use std::borrow::Cow;

/// A text, and where the first byte stood that was no UTF-8.
pub struct Decoded<'a> {
    /// The text.
    pub text: Cow<'a, str>,
    /// Place of the first invalid byte in the bytes.
    pub invalid_at: Option<usize>,
}

/// Decodes as the standard does: every maximal invalid part becomes one U+FFFD.
#[must_use]
pub fn decode_utf8(bytes: &[u8]) -> Decoded<'_> {
    match simdutf8::compat::from_utf8(bytes) {
        Ok(text) => Decoded { text: Cow::Borrowed(text), invalid_at: None },
        Err(error) => Decoded { text: String::from_utf8_lossy(bytes), invalid_at: Some(error.valid_up_to()) },
    }
}
