//! Short texts that come again and again, as the tokens of a language do: a JSON string in, the same `str` as last time
//! out.

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::convert::string;
use super::lock::AttachedLock;
use crate::chunk::Value;

/// How many texts are kept: of recorded streams about three in four are found again.
const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 11;
/// Longer ones are hardly tokens.
const LONGEST: usize = 16;

/// The bytes of a JSON string, and how many.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sent {
    words: [u64; 2],
    length: usize,
}

type Table = Vec<Option<(Sent, Py<PyString>)>>;

static TABLE: AttachedLock<Table> = AttachedLock::new(Vec::new());

impl Sent {
    #[inline]
    fn new(bytes: &[u8]) -> Option<Self> {
        let length = bytes.len();
        let word = |at: usize| bytes[at..].first_chunk().map(|word| u64::from_le_bytes(*word));
        let half = |at: usize| bytes[at..].first_chunk().map(|half| u64::from(u32::from_le_bytes(*half)));
        // The second word may overlap with the first: together with the length they still say what was sent.
        let words = match length {
            8..=LONGEST => [word(0)?, word(length - 8)?],
            4..8 => [half(0)?, half(length - 4)?],
            1..4 => [u64::from(bytes[0]) << 8 | u64::from(bytes[length / 2]), bytes[length - 1].into()],
            _ => return None,
        };
        Some(Self { words, length })
    }

    #[inline]
    fn slot(self) -> usize {
        let [first, second] = self.words;
        let mixed = (first ^ second.rotate_left(29) ^ self.length as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> (u64::BITS - SLOT_BITS)) as usize
    }
}

/// A string as Python's, which may be one that was given out before.
#[inline]
pub fn token<'py>(py: Python<'py>, value: Value<'_>) -> PyResult<Bound<'py, PyString>> {
    // What was sent says what it means: escapes stand for the same wherever they are.
    let Some(sent) = Sent::new(value.text()) else { return string(py, value) };
    if let Some(table) = TABLE.take(py)
        && let Some(Some((known, text))) = table.get(sent.slot())
        && *known == sent
    {
        return Ok(text.bind(py).clone());
    }
    let text = string(py, value)?;
    let before = TABLE.take(py).and_then(|mut table| {
        if table.is_empty() {
            table.resize_with(SLOTS, || None);
        }
        table[sent.slot()].replace((sent, text.clone().unbind()))
    });
    drop(before);
    Ok(text)
}
