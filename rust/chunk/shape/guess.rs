//! What helps to guess the shape of the next event: how streams are interleaved, and where shapes part.

// Its hashes have a seed: a log can choose where its events differ.
use hashbrown::HashMap;

use super::hash::hash;

/// The number of a shape.
pub(super) type Number = u16;
pub(super) const NONE: Number = Number::MAX;

/// Which shape came when another stopped at a point: what tells shapes apart that may follow one. From point to point it
/// leads on to shapes that agree with the event for longer.
#[derive(Default)]
pub(super) struct Detours(HashMap<(Number, u64), Number>);

impl Detours {
    /// With so many it starts anew.
    const MOST: usize = 4096;

    #[inline]
    pub fn get(&self, point: (Number, u64)) -> Number {
        self.0.get(&point).copied().unwrap_or(NONE)
    }

    pub fn set(&mut self, point: (Number, u64), number: Number) {
        if self.0.len() >= Self::MOST && !self.0.contains_key(&point) {
            self.0.clear();
        }
        self.0.insert(point, number);
    }
}

/// The shapes that were tried for an event.
#[derive(Default)]
pub(super) struct Tries {
    numbers: [Number; Self::MOST],
    count: usize,
}

impl Tries {
    const MOST: usize = 8;

    /// Is it to be tried: is it new, and are there not too many?
    #[inline]
    pub fn add(&mut self, number: Number) -> bool {
        let is_new = self.count < Self::MOST && !self.numbers[..self.count].contains(&number);
        if is_new {
            self.numbers[self.count] = number;
            self.count += 1;
        }
        is_new
    }
}

/// Shapes by the beginning of their event, which often holds the id: what tells interleaved streams apart.
pub(super) struct Streams {
    pub shapes: Box<[Number; Self::SIZE]>,
    /// How much better this guess was of late than the one by succession.
    better: i8,
}

impl Streams {
    const SIZE: usize = 256;
    const BEGINNING: usize = 48;
    const MUCH_BETTER: i8 = 8;
    const BEST: i8 = 32;

    pub fn new() -> Self {
        Self { shapes: Box::new([NONE; Self::SIZE]), better: 0 }
    }

    #[inline]
    pub fn are_interleaved(&self) -> bool {
        self.better >= Self::MUCH_BETTER
    }

    /// Takes note that this guess was better than the one by succession, or worse.
    #[inline]
    pub fn rate(&mut self, change: i8) {
        self.better = (self.better + change).clamp(0, Self::BEST);
    }

    /// The place of an event's stream in `shapes`.
    #[inline]
    pub fn slot(text: &[u8]) -> usize {
        let Some(beginning) = text.first_chunk::<{ Self::BEGINNING }>() else { return 0 };
        hash(beginning, 0) as usize % Self::SIZE
    }
}
