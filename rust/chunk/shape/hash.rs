//! Hashes of shapes: bytes, or an event's structure, in, a number that depends on all of them out.

use std::hash::Hasher;

use super::template::slot_kind;
use crate::chunk::doc::Node;

/// For keys that are hashes already.
#[derive(Default)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash(bytes, self.0);
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What the structure of an event is told by: all its bytes but those of scalars that may change, and what those are.
pub(super) fn structure(text: &[u8], nodes: &[Node]) -> u64 {
    let (mut state, mut from) = (0, 0);
    for node in nodes {
        if let Some(kind) = slot_kind(node.kind()) {
            state = hash(&text[from..node.start as usize], state ^ kind as u64);
            from = node.end as usize;
        }
    }
    hash(&text[from..], state)
}

/// Folds bytes, and only those, into a number that depends on all of them.
#[inline]
pub(super) fn hash(bytes: &[u8], seed: u64) -> u64 {
    let length = bytes.len();
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    let half = |at: usize| u64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes")));
    let mut state = seed ^ length as u64;
    // The last words may overlap with those before.
    match length {
        0 => {}
        1..4 => {
            state = mix(state, u64::from(bytes[0]) << 16 | u64::from(bytes[length / 2]) << 8, bytes[length - 1].into())
        }
        4..8 => state = mix(state, half(0), half(length - 4)),
        _ => {
            for at in (0..length.saturating_sub(16)).step_by(16) {
                state = mix(state, word(at), word(at + 8));
            }
            state = mix(state, word(length.saturating_sub(16)), word(length - 8));
        }
    }
    state
}

#[inline]
fn mix(state: u64, one: u64, other: u64) -> u64 {
    let product = u128::from(one ^ state ^ 0x9e37_79b9_7f4a_7c15) * u128::from(other ^ 0xd1b5_4a32_d192_ed03);
    (product as u64 ^ (product >> 64) as u64).wrapping_add(state.rotate_left(23))
}
