//! What the decoder counts: events and bytes by what became of them, and the first damages whole.

use crate::error::{Damage, Kind, Place};

/// How many damages are kept with their reasons; the rest is only counted.
pub const KEPT_DAMAGES: usize = 1000;

/// What was counted so far. See `chunkwire.Stats`, its twin in Python, for what each count means.
#[allow(missing_docs)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub bytes: u64,
    pub events: u64,
    pub chunks: u64,
    pub done: u64,
    pub errors: u64,
    pub keepalives: u64,
    pub comments: u64,
    pub damaged: u64,
    pub chunk_bytes: u64,
    pub done_bytes: u64,
    pub error_bytes: u64,
    pub comment_bytes: u64,
    pub skipped_bytes: u64,
    pub damaged_bytes: u64,
    pub wrapping_bytes: u64,
    pub exchanges: u64,
    pub damages: Vec<Damage>,
}

impl Stats {
    /// Counts a damage, and keeps it if there is room.
    pub fn add(&mut self, damage: &Damage) {
        if damage.kind == Kind::ServerError {
            self.errors += 1;
        } else {
            self.damaged += 1;
        }
        if self.damages.len() < KEPT_DAMAGES {
            self.damages.push(damage.clone());
        }
    }

    /// What is none of the bytes that were counted is counted as wrapping.
    pub fn count_wrapping(&mut self) {
        let bodies = self.chunk_bytes + self.done_bytes + self.error_bytes + self.comment_bytes;
        self.wrapping_bytes = self.bytes.saturating_sub(bodies + self.skipped_bytes + self.damaged_bytes);
    }

    /// Adds the counts of the part of a source behind this one; `global` gives the place in the source for one in the
    /// part.
    pub fn append(&mut self, part: Self, global: impl Fn(Place) -> Place) {
        self.bytes += part.bytes;
        self.events += part.events;
        self.chunks += part.chunks;
        self.done += part.done;
        self.errors += part.errors;
        self.keepalives += part.keepalives;
        self.comments += part.comments;
        self.damaged += part.damaged;
        self.chunk_bytes += part.chunk_bytes;
        self.done_bytes += part.done_bytes;
        self.error_bytes += part.error_bytes;
        self.comment_bytes += part.comment_bytes;
        self.skipped_bytes += part.skipped_bytes;
        self.damaged_bytes += part.damaged_bytes;
        self.wrapping_bytes += part.wrapping_bytes;
        self.exchanges += part.exchanges;
        let room = KEPT_DAMAGES.saturating_sub(self.damages.len());
        let damages = part.damages.into_iter().take(room);
        self.damages.extend(damages.map(|damage| Damage { place: global(damage.place), ..damage }));
    }
}

/// How many chunks went which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paths {
    /// Matched against a shape.
    pub shape: u64,
    /// Of those: taken as one of many that were alike.
    pub steady: u64,
    /// Read by the careful parser.
    pub careful: u64,
}

impl std::ops::AddAssign for Paths {
    fn add_assign(&mut self, other: Self) {
        self.shape += other.shape;
        self.steady += other.steady;
        self.careful += other.careful;
    }
}
